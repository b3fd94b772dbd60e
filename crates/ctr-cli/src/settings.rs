//! From the global flags, the configuration file and the process to the engine's configuration. A flag wins over the file, the file
//! over the default.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ctr_core::{EngineConfig, Runtimes};
use ctr_events::Actor;
use ctr_exec::DetachKeys;
use ctr_runtime::{BUILTIN, Builtin};
use ctr_state::KEEP_EVENTS;

use crate::cli::Globals;
use crate::config_file::{ConfigFile, Presence};
use crate::error::CommandError;
use crate::host::Host;
use crate::parse::runtime;

/// Durable state of the system's containers.
const ROOT: &str = "/var/lib/ctr";
/// Their volatile state.
const RUNROOT: &str = "/run/ctr";
/// The system's configuration file.
const CONFIG: &str = "/etc/ctr/ctr.toml";
/// The cgroup above those of the containers.
const CGROUP_PARENT: &str = "/ctr";

/// How long a command waits for a container that another command holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A person waits for the answer.
    Person,
    /// Nobody waits, and giving up would leave something behind.
    Cleanup,
}

impl Patience {
    fn lock_wait(self) -> Duration {
        match self {
            Self::Person => Duration::from_secs(30),
            Self::Cleanup => Duration::from_secs(300),
        }
    }
}

/// Refuses the program to anybody but root.
///
/// # Errors
/// One line that says so.
pub(crate) fn require_root(host: &Host) -> Result<(), CommandError> {
    if host.euid == 0 {
        return Ok(());
    }
    Err(CommandError::failed(format!(
        "{} needs root for now: running as an ordinary user comes in a later version (this is user {})",
        host.program_name(),
        host.euid
    )))
}

/// The engine's configuration for this call.
///
/// # Errors
/// A faulty value of the configuration file, a runtime that is neither a name nor an absolute path.
pub(crate) fn resolve(
    globals: &Globals,
    host: &Host,
    file: &ConfigFile,
    patience: Patience,
) -> Result<EngineConfig, CommandError> {
    // The file's values were checked when it was read.
    let log = file.log.defaults().map_err(CommandError::failed)?;
    if let Some(name) = &globals.runtime {
        runtime::check(name).map_err(|why| CommandError::value("--runtime", name, why))?;
    }
    let directory = |flag: &str, given: &Option<String>, default: &str| match given {
        Some(path) if path.is_empty() => {
            Err(CommandError::value(flag, path, "must be a directory"))
        }
        Some(path) => host.absolute(path),
        None => Ok(PathBuf::from(default)),
    };
    let root = directory("--root", &globals.root, ROOT)?;
    let runroot = directory("--runroot", &globals.runroot, RUNROOT)?;
    let default_runtime = globals.runtime.as_ref().or(file.default_runtime.as_ref());
    let runtimes = Runtimes::new().with(BUILTIN, Arc::new(Builtin::new()));
    Ok(EngineConfig {
        engine_args: engine_args(globals, host, &root, &runroot)?,
        root,
        runroot,
        program: program(host)?,
        runtimes: file
            .runtimes
            .iter()
            .flat_map(|(name, programs)| programs.0.iter().map(move |path| (name, path)))
            .fold(runtimes, |known, (name, path)| {
                known.path(name, path.clone())
            }),
        default_runtime: default_runtime.map_or(BUILTIN, String::as_str).to_owned(),
        cgroup_parent: CGROUP_PARENT.to_owned(),
        clock: ctr_sys::now_ns,
        log,
        actor: actor(host),
        lock_wait: patience.lock_wait(),
        keep_events: file.events.keep.unwrap_or(KEEP_EVENTS),
    })
}

/// The keys that detach a client whose flags name none.
///
/// # Errors
/// Keys that cannot be read.
pub(crate) fn detach_keys(file: &ConfigFile) -> Result<DetachKeys, CommandError> {
    let Some(keys) = &file.detach_keys else {
        return Ok(DetachKeys::usual());
    };
    keys.parse()
        .map_err(|refused| CommandError::flag("detach_keys", refused))
}

/// The configuration file of this call; an empty one where there need be none.
///
/// # Errors
/// One that is missing where it was asked for, faulty, or writable by others.
pub(crate) fn read_config(globals: &Globals, host: &Host) -> Result<ConfigFile, CommandError> {
    match &globals.config {
        Some(path) => ConfigFile::read(&host.absolute(path)?, Presence::Required, host.euid),
        None => ConfigFile::read(Path::new(CONFIG), Presence::Optional, host.euid),
    }
}

/// Who acts, for events and the ledger.
fn actor(host: &Host) -> Actor {
    Actor {
        uid: host.euid,
        login_uid: host.login_uid,
        pid: host.pid,
        program: host.program_name().to_owned(),
    }
}

/// The file that monitors and cleanups are started from.
fn program(host: &Host) -> Result<PathBuf, CommandError> {
    let unknown =
        || CommandError::failed("this program's own path cannot be read: is /proc mounted?");
    host.program.clone().ok_or_else(unknown)
}

/// The flags that the cleanup after a container repeats, so that it finds the same one.
fn engine_args(
    globals: &Globals,
    host: &Host,
    root: &Path,
    runroot: &Path,
) -> Result<Vec<String>, CommandError> {
    let config = globals.config.as_ref();
    let config = config.map(|path| host.absolute(path)).transpose()?;
    let flags = [
        ("--root", Some(root)),
        ("--runroot", Some(runroot)),
        ("--config", config.as_deref()),
    ];
    let mut args = Vec::new();
    for (flag, path) in flags {
        if let Some(path) = path {
            let text = path.to_str().ok_or_else(|| {
                CommandError::value(flag, &path.to_string_lossy(), "must be UTF-8")
            })?;
            args.extend([flag.to_owned(), text.to_owned()]);
        }
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::host;
    use expect_test::expect;

    fn globals(dir: &Path, text: &str) -> Globals {
        let config = dir.join("ctr.toml");
        ctr_sys::replace_file(&config, text.as_bytes(), 0o600, ctr_sys::Sync::No).unwrap();
        Globals {
            config: Some(config.to_str().unwrap().to_owned()),
            ..Globals::default()
        }
    }

    fn resolution(globals: &Globals) -> Result<EngineConfig, CommandError> {
        let file = read_config(globals, &host())?;
        resolve(globals, &host(), &file, Patience::Person)
    }

    fn resolved(globals: &Globals) -> EngineConfig {
        resolution(globals).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            resolved(&globals(dir.path(), "")).default_runtime,
            "builtin"
        );
        let mut globals = globals(dir.path(), "default_runtime = \"crun\"");
        assert_eq!(resolved(&globals).default_runtime, "crun");
        globals.runtime = Some("runc".to_owned());
        assert_eq!(resolved(&globals).default_runtime, "runc");
    }

    #[test]
    fn the_cleanup_gets_absolute_paths() {
        let dir = tempfile::tempdir().unwrap();
        let mut globals = globals(dir.path(), "");
        globals.root = Some("state".to_owned());
        let config = resolved(&globals);
        assert_eq!(config.root, Path::new("/home/user/state"));
        assert_eq!(
            config.engine_args[..4],
            ["--root", "/home/user/state", "--runroot", "/run/ctr"]
        );
        assert_eq!(config.engine_args[4], "--config");
    }

    #[test]
    fn a_configuration_that_was_asked_for_must_be_there() {
        let globals = Globals {
            config: Some("missing.toml".to_owned()),
            ..Globals::default()
        };
        let Err(error) = resolution(&globals) else {
            panic!("accepted")
        };
        expect!["configuration file /home/user/missing.toml: it does not exist"]
            .assert_eq(error.message());
    }

    #[test]
    fn an_ordinary_user_is_told_so() {
        let mut host = host();
        host.euid = 1000;
        expect!["ctr needs root for now: running as an ordinary user comes in a later version (this is user 1000)"].assert_eq(require_root(&host).unwrap_err().message());
    }

    #[test]
    fn a_runtime_is_a_name_or_an_absolute_path() {
        let dir = tempfile::tempdir().unwrap();
        let mut globals = globals(dir.path(), "");
        for good in ["crun", "/opt/bin/crun", "kata-2.0_x"] {
            globals.runtime = Some(good.to_owned());
            resolved(&globals);
        }
        for bad in ["../x", "a/b", "", "-x", "Crun", "./crun"] {
            globals.runtime = Some(bad.to_owned());
            assert!(resolution(&globals).is_err(), "{bad}");
        }
    }
}
