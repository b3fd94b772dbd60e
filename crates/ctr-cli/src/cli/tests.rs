//! The shape of the command line: what is accepted, and what is said of the rest.

use super::*;
use crate::testing::transcript;
use expect_test::{Expect, expect};

fn check(args: &[&str], expected: &Expect) {
    expected.assert_eq(&transcript(args));
}

fn parsed(args: &[&str]) -> Cli {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    match parse(&args) {
        Ok(Parsed::Command(cli)) => *cli,
        other => panic!("{args:?}: {other:?}"),
    }
}

#[test]
fn the_tree_is_sound() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn help_lists_the_commands() {
    check(
        &["ctr", "--help"],
        &expect![[r#"
            A daemonless container engine

            Usage: ctr [OPTIONS] <COMMAND>

            Commands:
              create     Create a container without starting it
              run        Create a container and run a command in it
              start      Start containers that do not run
              attach     Attach to the streams of a running container
              exec       Run a command in a running container
              stop       Stop containers: a signal, then KILL after a time
              restart    Stop containers and start them
              init       Have the runtime make containers without starting their programs
              kill       Send a signal to containers
              pause      Freeze the processes of containers
              unpause    Let the processes of paused containers go on
              rename     Give a container another name
              rm         Remove containers
              ps         List containers
              inspect    Show all that is known about containers, as JSON
              logs       Show what a container wrote
              wait       Wait until containers end and print their exit codes
              container  Manage containers: the commands above, and a few of their own
              events     Show what happened to containers, and what happens
              boot       Start what starts on boot, and bring all records up to date
              doctor     Compare what is recorded with what is, and put right what does not fit
              info       Show the engine, its runtimes and the host
              system     Look after the engine's own records
              version    Show the version of this program
              help       Print this message or the help of the given subcommand(s)

            Options:
              -h, --help     Print help
              -V, --version  Print version

            Global options:
                  --root <DIR>           Directory of the durable state [default: /var/lib/ctr]
                  --runroot <DIR>        Directory of the volatile state [default: /run/ctr]
                  --runtime <NAME|PATH>  OCI runtime: builtin, a name such as runc or crun, or an absolute path [default: builtin]
                  --log-level <LEVEL>    Trace the engine on the standard error: trace, debug, info, warn or error
                  --config <FILE>        Configuration file [default: /etc/ctr/ctr.toml]
            [0]
        "#]],
    );
}

#[test]
fn help_lists_the_commands_below_container() {
    check(
        &["/opt/boxes", "container", "--help"],
        &expect![[r#"
            Manage containers: the commands above, and a few of their own

            Usage: boxes container [OPTIONS] <COMMAND>

            Commands:
              create        Create a container without starting it
              run           Create a container and run a command in it
              start         Start containers that do not run
              attach        Attach to the streams of a running container
              exec          Run a command in a running container
              stop          Stop containers: a signal, then KILL after a time
              restart       Stop containers and start them
              init          Have the runtime make containers without starting their programs
              kill          Send a signal to containers
              pause         Freeze the processes of containers
              unpause       Let the processes of paused containers go on
              rename        Give a container another name
              rm            Remove containers
              ps            List containers
              inspect       Show all that is known about containers, as JSON
              logs          Show what a container wrote
              wait          Wait until containers end and print their exit codes
              cleanup       Release what containers that ended still hold
              exec-create   Make an exec session, to be started later
              exec-start    Start an exec session
              exec-inspect  Show all that is known about exec sessions, as JSON
              exec-ls       List exec sessions
              exec-kill     Send a signal to all processes of exec sessions
              exec-wait     Wait until exec sessions end and print their exit codes
              exec-resize   Give the terminal of an exec session another size
              exec-rm       Forget exec sessions
              exists        Ask whether a container exists: exit code 0 or 1
              history       Show all runs of a container: who started each, and how it ended; also of a removed one
              prune         Remove all containers that do not run
              refresh       Make containers anew in the status they have
              ls            List containers
              help          Print this message or the help of the given subcommand(s)

            Options:
              -h, --help  Print help

            Global options:
                  --root <DIR>           Directory of the durable state [default: /var/lib/ctr]
                  --runroot <DIR>        Directory of the volatile state [default: /run/ctr]
                  --runtime <NAME|PATH>  OCI runtime: builtin, a name such as runc or crun, or an absolute path [default: builtin]
                  --log-level <LEVEL>    Trace the engine on the standard error: trace, debug, info, warn or error
                  --config <FILE>        Configuration file [default: /etc/ctr/ctr.toml]
            [0]
        "#]],
    );
}

#[test]
fn help_of_run() {
    check(
        &["boxes", "run", "--help"],
        &expect![[r#"
            Create a container and run a command in it

            Usage: boxes run [OPTIONS] [COMMAND]...

            Arguments:
              [COMMAND]...  Program and arguments

            Options:
              -d, --detach                      Run in the background and print the id
              -a, --attach <STREAM>             Attach only this stream: stdin, stdout or stderr [default: both outputs, and stdin with --interactive]
                  --stdio <WAY>                 How the streams get there: stream (through the monitor, which logs them) or pass (handed over, as with --log-driver passthrough) [default: stream]
                  --detach-keys <KEYS>          Keys that leave the container running: single characters or ctrl-X, separated by commas; empty for none [default: ctrl-p,ctrl-q]
                  --sig-proxy[=<BOOL>]          Pass signals on to the container [default: true]
                  --rootfs <DIR[:O]>            Directory to run on; with :O, changes go to a writable overlay and the directory stays as it is
                  --name <NAME>                 Name of the container [default: a generated one]
                  --replace                     Remove a container that has the name already, even if it runs
                  --rm                          Remove the container when it has ended
              -e, --env <KEY[=VALUE]>           Environment variable; KEY alone takes the value of this shell
              -w, --workdir <DIR>               Working directory in the container
              -u, --user <USER[:GROUP]>         User, and group, by name or number
              -v, --volume <SRC:DST[:OPTIONS]>  Directory or file of the host to show in the container; OPTIONS are ro and rw
              -h, --hostname <HOSTNAME>         Host name [default: the short id]
                  --entrypoint <PROGRAM>        Program that is put before the command: one word, or a JSON array
              -l, --label <KEY=VALUE>           Label, for lists and filters
                  --annotation <KEY=VALUE>      Annotation for the OCI runtime
                  --network <MODE>              Network: none, host or container:NAME [default: none]
                  --pid <MODE>                  Whose processes it sees: private, host or container:NAME [default: private]
                  --ipc <MODE>                  Whose message queues and shared memory it has: private, host or container:NAME [default: private]
                  --uts <MODE>                  Whose host name it has: private, host or container:NAME [default: private]
                  --requires <NAME[:STATE]>     Container that is started before it: NAME, NAME:started, or NAME:exited-ok for one that must have ended with code 0
                  --restart <POLICY>            When it is started again: no, on-failure[:RETRIES], always or unless-stopped [default: no]
                  --timeout <SECONDS>           Seconds after which it is killed; 0 is no limit [default: 0]
                  --oom-score-adj <NUMBER>      How willingly the kernel kills in it for want of memory: -1000 to 1000
                  --log-driver <DRIVER>         Log driver: k8s-file (also as json-file), journald, passthrough or none [default: k8s-file]
                  --log-opt <KEY=VALUE>         Option of the log: path=FILE, max-size=SIZE, max-file=NUMBER [default: 2 with a size], tag=TEXT
                  --stop-signal <SIGNAL>        Signal that stop sends [default: TERM]
                  --stop-timeout <SECONDS>      Seconds between the stop signal and KILL [default: 10]
                  --cidfile <FILE>              File that the container's id is written to; must not exist
                  --pidfile <FILE>              File that the pid of the container's first process is written to
              -i, --interactive                 Keep the standard input open
              -t, --tty                         Give the program a terminal
                  --help                        Print help

            Global options:
                  --root <DIR>           Directory of the durable state [default: /var/lib/ctr]
                  --runroot <DIR>        Directory of the volatile state [default: /run/ctr]
                  --runtime <NAME|PATH>  OCI runtime: builtin, a name such as runc or crun, or an absolute path [default: builtin]
                  --log-level <LEVEL>    Trace the engine on the standard error: trace, debug, info, warn or error
                  --config <FILE>        Configuration file [default: /etc/ctr/ctr.toml]
            [0]
        "#]],
    );
}

#[test]
fn the_version_names_the_program() {
    check(
        &["ctr", "--version"],
        &expect![[r#"
        ctr version 0.1.0
        [0]
    "#]],
    );
}

#[test]
fn usage_errors_are_one_line_and_125() {
    check(
        &["ctr"],
        &expect![[r#"
        Error: a command is missing
        Hint: --help lists the commands
        [125]
    "#]],
    );
    check(
        &["ctr", "strat", "x"],
        &expect![[r#"
            Error: unrecognized subcommand 'strat'
            Hint: did you mean create, restart, start?
            [125]
        "#]],
    );
    check(
        &["ctr", "run", "--rotfs", "/"],
        &expect![[r#"
        Error: unexpected argument '--rotfs' found
        Hint: did you mean --rootfs?
        [125]
    "#]],
    );
    check(
        &["ctr", "ps", "--bogus\u{1b}[2J"],
        &expect![[r#"
        Error: unexpected argument '--bogus\x1b[2J' found
        Hint: --help after a command shows its options
        [125]
    "#]],
    );
    check(
        &["ctr", "stop", "-t"],
        &expect![[r#"
        Error: a value is required for '--time <SECONDS>' but none was supplied
        Hint: --help after a command shows its options
        [125]
    "#]],
    );
    check(
        &["ctr", "--root", "/x"],
        &expect![[r#"
            Error: a command is missing
            Hint: --help lists the commands
            [125]
        "#]],
    );
    check(
        &["ctr", "container"],
        &expect![[r#"
        Error: a command is missing
        Hint: --help lists the commands
        [125]
    "#]],
    );
    check(
        &["ctr", "version", "x"],
        &expect![[r#"
        Error: unexpected argument 'x' found
        Hint: --help after a command shows its options
        [125]
    "#]],
    );
}

#[test]
fn what_follows_the_command_belongs_to_it() {
    let cli = parsed(&[
        "ctr", "run", "--rm", "--rootfs", "/:O", "echo", "--root", "-x", "--", "-h",
    ]);
    assert_eq!(cli.globals.root, None);
    let Verb::Shared(Shared::Run(args)) = cli.verb else {
        panic!("not run")
    };
    assert_eq!(args.options.command, ["echo", "--root", "-x", "--", "-h"]);
}

#[test]
fn two_hyphens_end_the_flags() {
    let cli = parsed(&["ctr", "run", "--rootfs", "/", "--", "-x", "y"]);
    let Verb::Shared(Shared::Run(args)) = cli.verb else {
        panic!("not run")
    };
    assert_eq!(args.options.command, ["-x", "y"]);
}

#[test]
fn global_flags_stand_before_and_after_the_verb_and_the_last_one_wins() {
    let cli = parsed(&[
        "ctr",
        "--root",
        "/a",
        "ps",
        "--runroot",
        "/b",
        "--runroot",
        "/c",
    ]);
    assert_eq!(cli.globals.root.as_deref(), Some("/a"));
    assert_eq!(cli.globals.runroot.as_deref(), Some("/c"));
}

#[test]
fn container_has_the_other_verbs_too() {
    assert_eq!(
        parsed(&["ctr", "container", "rm", "-f", "x"]).verb.rule(),
        Rule::Remove
    );
    assert_eq!(
        parsed(&["ctr", "container", "run", "x"]).verb.rule(),
        Rule::Run
    );
    assert_eq!(
        parsed(&["ctr", "container", "list"]).verb.rule(),
        Rule::General
    );
}

#[test]
fn short_flags_combine() {
    let cli = parsed(&["ctr", "run", "-dith", "web", "--rootfs", "/", "x"]);
    let Verb::Shared(Shared::Run(args)) = cli.verb else {
        panic!("not run")
    };
    assert_eq!(args.options.hostname.as_deref(), Some("web"));
    assert!(args.detach && args.options.interactive && args.options.tty);
}

#[test]
fn switches_take_truth_values_as_scripts_write_them() {
    let run = |flags: &[&str]| {
        let args = [
            &["ctr", "run"],
            flags,
            &["--rootfs", "/", "tool", "--rm=true", "-d=1"],
        ]
        .concat();
        let Verb::Shared(Shared::Run(args)) = parsed(&args).verb else {
            panic!("not run")
        };
        assert_eq!(args.options.command, ["tool", "--rm=true", "-d=1"]);
        (args.options.rm, args.detach, args.options.env.clone())
    };
    assert_eq!(run(&["--rm=true", "-d=true"]), (true, true, vec![]));
    assert_eq!(run(&["--rm=false", "--detach=1"]), (false, true, vec![]));
    let env = vec!["1".to_owned()];
    assert_eq!(run(&["-e=1", "-d=1", "--rm"]), (true, true, env));
    check(
        &["ctr", "ps", "--all=maybe"],
        &expect![[r#"
        Error: unexpected value 'maybe' for '--all' found; no more were expected
        Hint: --help after a command shows its options
        [125]
    "#]],
    );
}
