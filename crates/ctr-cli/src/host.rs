//! What the program knows of the process it is: read once, at the start, and passed on as a value.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::CommandError;

/// The facts of the calling process that commands depend on.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The arguments, the program's name first; what is not UTF-8 is replaced.
    pub(crate) args: Vec<String>,
    /// The environment, for `-e KEY` alone.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The directory that relative paths start from; `None` when it has been removed.
    pub(crate) cwd: Option<PathBuf>,
    /// The file this program was started from: what monitors and cleanups are started from. `None` without a `/proc`.
    pub(crate) program: Option<PathBuf>,
    /// Effective user id: who acts.
    pub(crate) euid: u32,
    /// The login user id of the audit system, when the session has one.
    pub(crate) login_uid: Option<u32>,
    /// This process.
    pub(crate) pid: i32,
}

impl Host {
    /// Reads the facts of this process. What cannot be read is missed by the commands that need it, and by no other.
    pub(crate) fn of_process(args: &[OsString]) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that reads the environment"
        )]
        let environment = std::env::vars_os().collect();
        Self {
            args: args
                .iter()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect(),
            environment,
            cwd: std::env::current_dir().ok(),
            program: std::env::current_exe().ok(),
            euid: rustix::process::geteuid().as_raw(),
            login_uid: ctr_sys::login_uid(),
            pid: rustix::process::getpid().as_raw_nonzero().get(),
        }
    }

    /// The value of an environment variable of this process.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    /// The path as seen from everywhere: relative ones start in the working directory. Links are not resolved.
    ///
    /// # Errors
    /// A relative path when the working directory has been removed.
    pub(crate) fn absolute(&self, path: impl AsRef<Path>) -> Result<PathBuf, CommandError> {
        let path = path.as_ref();
        if path.is_absolute() {
            return Ok(path.components().collect());
        }
        let missing = || {
            let path = path.display();
            CommandError::failed(format!(
                "the working directory has been removed, so {path} leads nowhere"
            ))
        };
        let cwd = self.cwd.as_ref().ok_or_else(missing)?;
        Ok(cwd.join(path).components().collect())
    }

    /// The file name under which the program was called.
    pub(crate) fn program_name(&self) -> &str {
        let name = self
            .args
            .first()
            .and_then(|first| Path::new(first).file_name());
        name.and_then(OsStr::to_str).unwrap_or("ctr")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::host;

    #[test]
    fn paths_start_in_the_working_directory() {
        let mut host = host();
        let check = |host: &Host, path: &str, expected: Option<&str>| {
            assert_eq!(
                host.absolute(path).ok(),
                expected.map(PathBuf::from),
                "{path}"
            );
        };
        check(&host, "a/./b", Some("/home/user/a/b"));
        check(&host, "/a//b/", Some("/a/b"));
        check(&host, "../x", Some("/home/user/../x"));
        host.cwd = None;
        check(&host, "/a", Some("/a"));
        check(&host, "a", None);
    }

    #[test]
    fn the_program_has_the_name_of_its_file() {
        let mut host = host();
        host.args = vec!["/opt/bin/boxes".into()];
        assert_eq!(host.program_name(), "boxes");
        host.args.clear();
        assert_eq!(host.program_name(), "ctr");
    }
}
