//! From the strings of `create` and `run` to the engine's request.

use ctr_core::{CreateRequest, Replace};
use ctr_oci::Hostname;
use ctr_rootfs::UserSpec;
use ctr_state::{AutoRemove, ContainerName, ParseError, RestartPolicy, StdinMode, Terminal};
use ctr_sys::Signal;

use crate::commands::Context;
use crate::commands::create_options::CreateOptions;
use crate::error::CommandError;
use crate::host::Host;
use crate::parse::{entrypoint::entrypoint, env, log, network, number, pairs::pairs, path, volume};

/// Seconds between the stop signal and KILL.
const STOP_TIMEOUT_S: u32 = 10;

/// Makes the request.
///
/// # Errors
/// The first option whose value cannot be used, by name.
pub(crate) fn request(
    options: &CreateOptions,
    context: &Context,
) -> Result<CreateRequest, CommandError> {
    let host = &context.host;
    let Some(rootfs) = &options.rootfs else {
        return Err(no_rootfs(options, host));
    };
    not_yet(options)?;
    let entrypoint = given(options.entrypoint.as_deref(), entrypoint)?;
    if options.command.is_empty() && entrypoint.as_ref().is_none_or(Vec::is_empty) {
        return Err(CommandError::failed("the command to run is missing"));
    }
    Ok(CreateRequest {
        rootfs: path::rootfs(rootfs, host)?,
        name: given(options.name.as_deref(), name)?,
        entrypoint,
        command: options.command.clone(),
        env: env::environment(&options.env, host)?,
        cwd: given(options.workdir.as_deref(), |text| {
            path::inside("--workdir", text)
        })?,
        user: given(options.user.as_deref(), user)?.unwrap_or_default(),
        volumes: volume::volumes(&options.volume)?,
        hostname: given(options.hostname.as_deref(), hostname)?,
        network: network::network(options.network.as_deref())?,
        pid: network::namespace("--pid", options.pid.as_deref())?,
        ipc: network::namespace("--ipc", options.ipc.as_deref())?,
        uts: network::namespace("--uts", options.uts.as_deref())?,
        requires: network::requires(&options.requires)?,
        labels: pairs("--label", &options.label)?,
        annotations: pairs("--annotation", &options.annotation)?,
        stop_signal: given(options.stop_signal.as_deref(), stop_signal)?.unwrap_or(Signal::TERM),
        stop_timeout_s: given(options.stop_timeout.as_deref(), stop_timeout)?
            .unwrap_or(STOP_TIMEOUT_S),
        auto_remove: auto_remove(options),
        restart: given(options.restart.as_deref(), restart_policy)?.unwrap_or_default(),
        timeout_s: given(options.timeout.as_deref(), timeout)?,
        oom_score_adj: given(options.oom_score_adj.as_deref(), oom_score_adj)?,
        replace: replace(options)?,
        runtime: context.globals.runtime.clone(),
        terminal: if options.tty {
            Terminal::Yes
        } else {
            Terminal::No
        },
        stdin: stdin_mode(options),
        cid_file: given(options.cidfile.as_deref(), |text| {
            path::new_file("--cidfile", text, host)
        })?,
        pid_file: given(options.pidfile.as_deref(), |text| {
            path::file("--pidfile", text, host)
        })?,
        log: log::options(options.log_driver.as_deref(), &options.log_opt)?,
        create_command: host.args.clone(),
    })
}

/// The value of an option that may be absent.
fn given<T>(
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, CommandError>,
) -> Result<Option<T>, CommandError> {
    text.map(parse).transpose()
}

/// Refuses what podman has and this program does not have yet, in its own words.
fn not_yet(options: &CreateOptions) -> Result<(), CommandError> {
    network::no_ports(&options.publish)
}

fn auto_remove(options: &CreateOptions) -> AutoRemove {
    if options.rm {
        AutoRemove::Yes
    } else {
        AutoRemove::No
    }
}

/// Who may be replaced is known by name only.
fn replace(options: &CreateOptions) -> Result<Replace, CommandError> {
    match (options.replace, &options.name) {
        (false, _) => Ok(Replace::No),
        (true, Some(_)) => Ok(Replace::Yes),
        (true, None) => Err(CommandError::failed(
            "--replace needs --name: the container to replace is found by it",
        )),
    }
}

fn restart_policy(text: &str) -> Result<RestartPolicy, CommandError> {
    text.parse()
        .map_err(|error: ParseError| CommandError::value("--restart", text, error.why))
}

fn timeout(text: &str) -> Result<u32, CommandError> {
    number::number("--timeout", text, "a number of seconds")
}

fn oom_score_adj(text: &str) -> Result<i32, CommandError> {
    let allowed = "a number from -1000 to 1000";
    let value: i32 = number::number("--oom-score-adj", text, allowed)?;
    if (-1000..=1000).contains(&value) {
        return Ok(value);
    }
    let why = format!("must be {allowed}");
    Err(CommandError::value("--oom-score-adj", text, why))
}

fn stdin_mode(options: &CreateOptions) -> StdinMode {
    if options.interactive {
        StdinMode::Open
    } else {
        StdinMode::Null
    }
}

/// Without a directory the first word would be an image.
fn no_rootfs(options: &CreateOptions, host: &Host) -> CommandError {
    let program = host.program_name();
    let error = match options.command.first() {
        Some(image) => CommandError::failed(format!(
            "images do not exist yet, so \"{image}\" cannot be run"
        )),
        None => CommandError::failed("--rootfs is missing: the directory to run on"),
    };
    error.hint(format!(
        "run on the files of this host, with changes kept apart: {program} run --rootfs /:O COMMAND"
    ))
}

fn name(text: &str) -> Result<ContainerName, CommandError> {
    text.parse()
        .map_err(|error| CommandError::flag("--name", error))
}

/// Ends up in files that others parse, so its form is strict.
fn hostname(text: &str) -> Result<String, CommandError> {
    let name: Hostname = text
        .parse()
        .map_err(|error| CommandError::flag("--hostname", error))?;
    Ok(name.as_str().to_owned())
}

/// The user as typed; only its form can be judged before the container's files are seen.
fn user(text: &str) -> Result<String, CommandError> {
    UserSpec::parse(text).map_err(|error| CommandError::flag("--user", error))?;
    Ok(text.to_owned())
}

fn stop_signal(text: &str) -> Result<Signal, CommandError> {
    number::signal("--stop-signal", text)
}

fn stop_timeout(text: &str) -> Result<u32, CommandError> {
    number::number("--stop-timeout", text, "a number of seconds")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Globals;
    use crate::testing::host;
    use expect_test::{Expect, expect};

    fn made(change: impl FnOnce(&mut CreateOptions)) -> Result<CreateRequest, CommandError> {
        let mut options = CreateOptions {
            rootfs: Some("/:O".into()),
            command: vec!["true".into()],
            ..CreateOptions::default()
        };
        change(&mut options);
        request(&options, &Context::new(Globals::default(), host()))
    }

    fn refused(change: impl FnOnce(&mut CreateOptions), expected: &Expect) {
        let Err(error) = made(change) else {
            panic!("accepted")
        };
        let lines: Vec<String> = std::iter::once(error.message().to_owned())
            .chain(error.hints().iter().map(|hint| format!("Hint: {hint}")))
            .collect();
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn defaults() {
        let request = made(|_| {}).unwrap();
        assert_eq!(request.stop_timeout_s, 10);
        assert_eq!(request.stop_signal, Signal::TERM);
        assert_eq!(request.auto_remove, AutoRemove::No);
        assert_eq!(request.stdin, StdinMode::Null);
        assert_eq!(request.user, "");
        assert_eq!(request.runtime, None);
        assert_eq!(request.create_command, ["ctr", "run"]);
    }

    #[test]
    fn an_entry_point_is_a_command_too() {
        let change = |options: &mut CreateOptions| {
            options.command.clear();
            options.entrypoint = Some("/bin/sh".into());
        };
        assert_eq!(made(change).unwrap().entrypoint.unwrap(), ["/bin/sh"]);
    }

    #[test]
    fn what_does_not_exist_yet_says_so() {
        refused(
            |o| (o.rootfs, o.command) = (None, vec!["alpine".into()]),
            &expect![[r#"
                images do not exist yet, so "alpine" cannot be run
                Hint: run on the files of this host, with changes kept apart: ctr run --rootfs /:O COMMAND"#]],
        );
        refused(
            |o| (o.rootfs, o.command) = (None, Vec::new()),
            &expect![[r#"
                --rootfs is missing: the directory to run on
                Hint: run on the files of this host, with changes kept apart: ctr run --rootfs /:O COMMAND"#]],
        );
        refused(
            |o| o.publish.push("80:80".into()),
            &expect![[
                r#"--publish "80:80": ports cannot be published yet; with --network host the container uses the host's own"#
            ]],
        );
        refused(
            |o| o.network = Some("bridge".into()),
            &expect![[
                r#"--network "bridge": networks do not exist yet; allowed are none (the default), host and container:NAME"#
            ]],
        );
    }

    #[test]
    fn bad_values_are_named() {
        refused(
            |o| o.command.clear(),
            &expect!["the command to run is missing"],
        );
        refused(
            |o| o.rootfs = Some("/:idmap".into()),
            &expect![[
                r#"--rootfs: invalid root file system "/:idmap": the option idmap (id-mapped root) is not supported"#
            ]],
        );
        refused(
            |o| o.name = Some("a/b".into()),
            &expect![[
                r#"--name: invalid container name "a/b": it may only hold letters, digits, '_', '.' and '-'"#
            ]],
        );
        refused(
            |o| o.workdir = Some("tmp".into()),
            &expect![[r#"--workdir "tmp": must be an absolute path in the container, without .."#]],
        );
        refused(
            |o| o.user = Some("-1".into()),
            &expect![[
                r#"--user: invalid user "-1": neither a number nor a name begins with a sign"#
            ]],
        );
        refused(
            |o| o.hostname = Some("a b".into()),
            &expect![[
                r#"--hostname: invalid hostname "a b": only letters, digits, hyphens and dots are allowed"#
            ]],
        );
        refused(
            |o| o.label.push("=x".into()),
            &expect![[r#"--label "=x": must be KEY=VALUE"#]],
        );
        refused(
            |o| o.stop_signal = Some("TERMINATE".into()),
            &expect![[
                r#"--stop-signal "TERMINATE": must be a signal: a name such as TERM or SIGTERM, or a number from 1 to 64"#
            ]],
        );
        refused(
            |o| o.stop_timeout = Some("-5".into()),
            &expect![[r#"--stop-timeout "-5": must be a number of seconds"#]],
        );
        refused(
            |o| o.cidfile = Some("/etc/passwd".into()),
            &expect![[r#"
            --cidfile "/etc/passwd": the file exists already
            Hint: remove it, if no container of that file is in use, or choose another one"#]],
        );
        refused(
            |o| o.pidfile = Some("/etc".into()),
            &expect![[r#"--pidfile "/etc": must be a file"#]],
        );
    }
}
