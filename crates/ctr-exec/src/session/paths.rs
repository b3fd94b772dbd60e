//! Where a session lies, and who tells of it.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ctr_sys::{SysError, remove_tree};

use super::SessionId;

/// Where the sessions of a run lie, in its run directory.
const DIRECTORY: &str = "exec";

/// The places of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPaths {
    directory: PathBuf,
}

impl SessionPaths {
    /// Those of a session in this run directory.
    pub fn new(run_dir: &Path, id: &SessionId) -> Self {
        Self {
            directory: Self::all(run_dir).join(id.as_str()),
        }
    }

    /// The directory of all sessions of a run.
    pub fn all(run_dir: &Path) -> PathBuf {
        run_dir.join(DIRECTORY)
    }

    /// The session's own directory, with its standard streams as named pipes.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The [`SessionRecord`](super::SessionRecord).
    pub fn record(&self) -> PathBuf {
        self.directory.join("session.json")
    }

    /// The process to execute, `process` of the OCI runtime specification.
    pub fn process(&self) -> PathBuf {
        self.directory.join("process.json")
    }

    /// Takes the duty to report something of the session: true for one caller alone, and false when there is no such session any more.
    ///
    /// # Errors
    /// When the directory exists and cannot be written to.
    pub fn claim(&self, news: News) -> Result<bool, SysError> {
        let path = self.claimed(news);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) =>
            {
                Ok(false)
            }
            Err(error) => Err(SysError::new("create", path.display().to_string(), error)),
        }
    }

    /// Removes all of it. It loses its name first: what is claimed of a session must not be claimed again while it goes.
    ///
    /// # Errors
    /// When something of it is still there afterwards.
    pub fn remove(&self) -> Result<(), SysError> {
        let going = self.directory.with_extension("going");
        match std::fs::rename(&self.directory, &going) {
            Ok(()) => remove_tree(&going),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => {
                let path = self.directory.display().to_string();
                Err(SysError::new("rename", path, error))
            }
        }
    }

    pub(super) fn claimed(&self, news: News) -> PathBuf {
        self.directory.join(match news {
            News::Begun => "told.begun",
            News::Ended => "told.ended",
        })
    }

    /// Where the runtime writes the pid.
    pub fn pid_file(&self) -> PathBuf {
        self.directory.join("pid")
    }
}

/// What others are told of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Its process exists.
    Begun,
    /// It has ended.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_tells() {
        let run_dir = tempfile::tempdir().unwrap();
        let paths = SessionPaths::new(run_dir.path(), &SessionId::generate().unwrap());
        assert!(!paths.claim(News::Ended).unwrap());
        std::fs::create_dir_all(paths.directory()).unwrap();
        assert!(paths.claim(News::Ended).unwrap());
        assert!(!paths.claim(News::Ended).unwrap());
        assert!(paths.claim(News::Begun).unwrap());
        paths.remove().unwrap();
        paths.remove().unwrap();
        assert!(!paths.claim(News::Ended).unwrap());
        assert_eq!(
            std::fs::read_dir(SessionPaths::all(run_dir.path()))
                .unwrap()
                .count(),
            0
        );
    }
}
