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
    /// The directory that relative paths start from.
    pub(crate) cwd: PathBuf,
    /// The file this program was started from: what monitors and cleanups are started from.
    pub(crate) program: PathBuf,
    /// Effective user id.
    pub(crate) euid: u32,
    /// Real user id: who acts.
    pub(crate) uid: u32,
    /// The login user id of the audit system, when the session has one.
    pub(crate) login_uid: Option<u32>,
    /// This process.
    pub(crate) pid: i32,
}

impl Host {
    /// Reads the facts of this process.
    ///
    /// # Errors
    /// When the working directory has been removed or the program's own path cannot be read.
    pub(crate) fn of_process(args: &[OsString]) -> Result<Self, CommandError> {
        let cwd = std::env::current_dir()
            .map_err(|error| CommandError::failed(format!("read the working directory: {error}")))?;
        let program = std::env::current_exe()
            .map_err(|error| CommandError::failed(format!("read this program's own path: {error}")))?;
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let environment = std::env::vars_os().collect();
        Ok(Self {
            args: args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            environment,
            cwd,
            program,
            euid: rustix::process::geteuid().as_raw(),
            uid: rustix::process::getuid().as_raw(),
            login_uid: ctr_sys::login_uid(),
            pid: rustix::process::getpid().as_raw_nonzero().get(),
        })
    }

    /// The value of an environment variable of this process.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    /// The path as seen from everywhere: relative ones start in the working directory. Links are not resolved.
    pub(crate) fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.cwd.join(path).components().collect()
    }

    /// The file name under which the program was called.
    pub(crate) fn program_name(&self) -> &str {
        let name = self.args.first().and_then(|first| Path::new(first).file_name());
        name.and_then(OsStr::to_str).unwrap_or("ctr")
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::host;

    #[test]
    fn paths_start_in_the_working_directory() {
        let host = host();
        assert_eq!(host.absolute("a/./b").to_str(), Some("/home/user/a/b"));
        assert_eq!(host.absolute("/a//b/").to_str(), Some("/a/b"));
        assert_eq!(host.absolute("../x").to_str(), Some("/home/user/../x"));
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
