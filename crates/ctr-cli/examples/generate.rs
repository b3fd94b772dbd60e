//! Writes the man pages and shell completions of `ctr` below a directory, laid out like `/usr/share`. `cargo xtask man` calls it.
//!
//! `cargo run -p ctr-cli --example generate -- DIR`

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use ctr_sys::{Sync, replace_file};

/// Stands at the foot of each page.
const SOURCE: &str = concat!("ctr ", env!("CARGO_PKG_VERSION"));

/// What commands end with, where it is more than 0 for all is well and 125 for an error.
const CODES: &[(&[&str], &str)] = &[
    (
        &["run"],
        "The code of the program in the container; 125 for an error of the engine, 126 for a program that cannot be executed, \
         127 for one that is not there. 0 with \\-\\-detach, and after the detach keys.",
    ),
    (
        &["exec", "exec-start"],
        "The code of the command; 125 for an error of the engine, 126 for a command that cannot be executed, 127 for one that is not \
         there, 255 when its time was up. 0 with \\-\\-detach, and after the detach keys.",
    ),
    (
        &["start", "attach"],
        "125 for an error; attached, the code of the program in the container, and 0 after the detach keys.",
    ),
    (
        &["rm"],
        "1 for a container that does not exist, 2 for one that may not be removed as it is, 125 for other errors.",
    ),
    (
        &["doctor", "check"],
        "0 when nothing is wrong, or nothing any more after \\-\\-repair; 1 when something is wrong; 125 for an error. Notes do not count.",
    ),
    (
        &["exists"],
        "0 when the container exists, 1 when it does not, 125 for an error.",
    ),
    (
        &[
            "create",
            "stop",
            "restart",
            "init",
            "kill",
            "pause",
            "unpause",
            "rename",
            "ps",
            "ls",
            "inspect",
            "logs",
            "events",
            "wait",
            "info",
            "version",
            "cleanup",
            "history",
            "prune",
            "refresh",
            "boot",
            "exec-create",
            "exec-inspect",
            "exec-ls",
            "exec-kill",
            "exec-wait",
            "exec-resize",
            "exec-rm",
        ],
        "0, or 125 for an error.",
    ),
];

/// Command, what it does, and how it is typed.
const EXAMPLES: &[(&str, &str, &str)] = &[
    (
        "run",
        "A shell on the files of this host, whose changes are thrown away",
        "ctr run -it --rm --rootfs /:O sh",
    ),
    (
        "run",
        "A server in the background, with a directory of the host that it can only read",
        "ctr run -d --name web --rootfs /srv/alpine:O -v /srv/www:/www:ro httpd -f -h /www",
    ),
    (
        "run",
        "A part of a pipeline",
        "echo data | ctr run -i --rm --rootfs /:O wc -c",
    ),
    (
        "run",
        "A server that is started again when it fails, three times in a row at most, each time after a longer pause",
        "ctr run -d --name web --restart on-failure:3 --rootfs /srv/alpine:O httpd -f",
    ),
    (
        "run",
        "A program that needs a database, once a job has prepared it, and shares the network of a third container",
        "ctr run -d --name app --requires db --requires migrate:exited-ok --network container:proxy --rootfs /srv/app:O app",
    ),
    (
        "create",
        "A container with a log of at most two files of 10 MB each, started later",
        "ctr create --name job --rootfs /:O --log-opt max-size=10m sh -c 'echo done'\nctr start -a job",
    ),
    (
        "start",
        "In the foreground, with a terminal if it was made with one",
        "ctr start -a -i box",
    ),
    (
        "attach",
        "Typing into it; ctrl-p ctrl-q leaves it running",
        "ctr attach box",
    ),
    (
        "attach",
        "Only looking, beginning with what is on the screen",
        "ctr attach --read-only --replay 64 box",
    ),
    (
        "export",
        "What the records say, before something is tried on them",
        "ctr system export > /root/ctr-records.json",
    ),
    (
        "exec",
        "A shell beside the program of a container; every key is the shell's",
        "ctr exec -it web sh",
    ),
    (
        "exec",
        "A part of a pipeline, as another user, for ten seconds at most",
        "tar c . | ctr exec -i -u 1000 -w /srv --timeout 10 web tar x",
    ),
    (
        "exec",
        "A command that ends with the terminal that it was started from",
        "ctr exec --on-disconnect kill web sh -c 'make test'",
    ),
    (
        "exec-create",
        "A session that is started later, and that several can join",
        "id=$(ctr container exec-create -it web sh); ctr container exec-start $id; ctr attach --session $id",
    ),
    (
        "exec-start",
        "In the background, and its exit code when it has one",
        "ctr container exec-start -d $id; ctr container exec-wait $id",
    ),
    (
        "exec-ls",
        "What runs in all containers beside their own programs",
        "ctr container exec-ls",
    ),
    (
        "exec-inspect",
        "One value of many",
        "ctr container exec-inspect $id | jq '.[0].Pid'",
    ),
    (
        "exec-kill",
        "A command and all that it has started",
        "ctr container exec-kill -s TERM $id",
    ),
    (
        "exec-wait",
        "Until it has ended; prints its code",
        "ctr container exec-wait $id",
    ),
    (
        "exec-resize",
        "For a program that looks at the size of its terminal",
        "ctr container exec-resize --height 50 --width 132 $id",
    ),
    (
        "exec-rm",
        "Also one that runs",
        "ctr container exec-rm -f $id",
    ),
    (
        "stop",
        "All that carry a label, with five seconds to end by themselves",
        "ctr stop -t 5 -f label=job=nightly",
    ),
    (
        "restart",
        "All that run, with five seconds to end by themselves",
        "ctr restart --running -t 5",
    ),
    (
        "init",
        "Looking at a container before its program runs",
        "ctr init web && ls -l /proc/$(ctr inspect web | jq '.[0].State.Pid')/ns && ctr start web",
    ),
    (
        "pause",
        "While something is copied",
        "ctr pause db && cp -a /srv/db /backup && ctr unpause db",
    ),
    ("unpause", "All that are paused", "ctr unpause --all"),
    (
        "rename",
        "Making room for a new version",
        "ctr rename web web-old",
    ),
    (
        "boot",
        "Once when the machine starts, as contrib/ctr-boot.service does",
        "ctr boot",
    ),
    (
        "doctor",
        "What does not fit together, for a person",
        "ctr doctor",
    ),
    (
        "doctor",
        "The words for it, for a program",
        "ctr doctor --format json | jq -r '.findings[].kind'",
    ),
    (
        "history",
        "Why it is not running, and how often that has happened",
        "ctr container history web",
    ),
    (
        "prune",
        "What has not run for a week, without being asked",
        "ctr container prune -f --filter until=168h",
    ),
    (
        "refresh",
        "A container whose control group somebody has removed",
        "ctr container refresh web",
    ),
    (
        "kill",
        "A signal that the program knows",
        "ctr kill -s HUP web",
    ),
    ("rm", "All that have ended", "ctr rm --filter status=exited"),
    (
        "rm",
        "A container and those that need it, running or not",
        "ctr rm -f --depend db",
    ),
    (
        "ps",
        "All that ended with code 1, by name",
        "ctr ps -a -f exited=1 --sort names",
    ),
    (
        "ps",
        "As data for another program",
        "ctr ps -a --format json",
    ),
    (
        "inspect",
        "One value of many",
        "ctr inspect web | jq '.[0].State.Pid'",
    ),
    (
        "logs",
        "The last ten lines and all that follow, with their times",
        "ctr logs -f -n 10 -t web",
    ),
    (
        "logs",
        "The last hour of several",
        "ctr logs --since 1h --names web db",
    ),
    (
        "events",
        "What happened in the last ten minutes",
        "ctr events --since 10m --no-stream",
    ),
    (
        "events",
        "Each event once, also after an interruption: begin behind the last sequence that was seen",
        "ctr events --after 128 --format json",
    ),
    (
        "wait",
        "Until both have ended; prints their codes",
        "ctr wait web db",
    ),
    (
        "wait",
        "Until it runs, or was for a moment",
        "ctr wait --condition running web",
    ),
    (
        "exists",
        "In a script",
        "ctr container exists web || echo there is none",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("say where to")?;
    let directory = Path::new(&directory);
    completions(ctr_cli::command_tree(), directory)?;
    // A page for `help`, and one for each command that it can explain, would only repeat the others.
    let mut tree = ctr_cli::command_tree()
        .disable_help_subcommand(true)
        // The pages put a v before it.
        .version(env!("CARGO_PKG_VERSION"));
    tree.build();
    let mut names = Vec::new();
    pages(&tree, &directory.join("man/man1"), &mut names)?;
    names.sort();
    println!("{}", names.join("\n"));
    Ok(())
}

/// Writes the pages of a command and of all below it: `ctr-container-ls.1`.
fn pages(
    command: &Command,
    directory: &Path,
    names: &mut Vec<String>,
) -> Result<(), Box<dyn Error>> {
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        pages(below, directory, names)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    let page = clap_mangen::Man::new(command.clone())
        // No date, so that the same sources make the same page; quite empty, it would give its place to what follows.
        .date(" ")
        .source(SOURCE)
        .manual("User Commands");
    let file = page.get_filename();
    let mut text = Vec::new();
    page.render(&mut text)?;
    text.extend_from_slice(more(name)?.as_bytes());
    save(&directory.join(file), &text)?;
    names.push(name.to_owned());
    Ok(())
}

/// The exit codes and examples of a command: what the tree does not know.
fn more(name: &str) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    let verb = name
        .strip_prefix("ctr-container-")
        .or(name.strip_prefix("ctr-"));
    let codes = verb.and_then(|verb| CODES.iter().find(|(of, _)| of.contains(&verb)));
    if let Some((_, codes)) = codes {
        writeln!(text, ".SH \"EXIT STATUS\"\n{codes}")?;
    }
    let examples = EXAMPLES.iter().filter(|(of, _, _)| Some(*of) == verb);
    for (number, (_, what, words)) in examples.enumerate() {
        if number == 0 {
            writeln!(text, ".SH EXAMPLES")?;
        }
        let words = words.replace('\\', "\\e").replace('-', "\\-");
        writeln!(text, "{what}:\n.PP\n.RS 4\n.EX\n{words}\n.EE\n.RE\n.PP")?;
    }
    Ok(text)
}

/// Writes what each shell looks for, where it looks for it.
fn completions(mut tree: Command, directory: &Path) -> Result<(), Box<dyn Error>> {
    for (shell, path) in [
        (Shell::Bash, "bash-completion/completions/ctr"),
        (Shell::Zsh, "zsh/site-functions/_ctr"),
        (Shell::Fish, "fish/vendor_completions.d/ctr.fish"),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut tree, "ctr", &mut text);
        save(&directory.join(path), &text)?;
    }
    Ok(())
}

fn save(path: &Path, text: &[u8]) -> Result<(), Box<dyn Error>> {
    let parent = path.parent().ok_or("a file lies in a directory")?;
    std::fs::create_dir_all(parent)?;
    Ok(replace_file(path, text, 0o644, Sync::No)?)
}
