//! A lock that says "I am alive" and can be asked without being taken.
//!
//! It is a POSIX record lock (`fcntl(2)`, `F_SETLK`), which belongs to the process and, unlike `flock`, is not inherited by a
//! child that forks. `F_GETLK` tells whether somebody holds it and who, and takes nothing. The price: the kernel drops it as soon
//! as the process closes *any* descriptor of that file, so its holder opens the file exactly once, here.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Flock, FlockType};

use crate::error::{Context, SysError, SysResult};
use crate::pidref::PidRef;

/// The holder's side: released when the process ends or this is dropped.
#[derive(Debug)]
#[must_use = "dropping it declares the process dead"]
pub struct Liveness {
    _file: File,
}

impl Liveness {
    /// Takes the lock at `path`, creating the file (0600). `None`: another process holds it.
    ///
    /// The calling process must not open that file anywhere else.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn hold(path: &Path) -> SysResult<Option<Self>> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .context("open", || path.display().to_string())?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(SysError::new(
                "lock",
                path.display().to_string(),
                errno.into(),
            )),
        }
    }

    /// The pid of the process that holds the lock at `path`; `None` when nobody does or there is no such file.
    ///
    /// A pid of another pid namespace shows as 0.
    ///
    /// # Errors
    /// When the file exists and cannot be asked.
    pub fn probe(path: &Path) -> SysResult<Option<i32>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("open", || path.display().to_string()),
        };
        let question = Flock::from(FlockType::WriteLock);
        let answer = rustix::process::fcntl_getlk(&file, &question)
            .context("ask for the lock of", || path.display().to_string())?;
        Ok(answer.map(|lock| lock.pid.map_or(0, |pid| pid.as_raw_nonzero().get())))
    }

    /// The process that holds the lock at `path`, held itself; `None` when nobody does, or nobody who can be named.
    ///
    /// # Errors
    /// When the file exists and cannot be asked, or the process cannot be opened.
    pub fn holder(path: &Path) -> SysResult<Option<PidRef>> {
        let Some(pid) = Self::probe(path)? else {
            return Ok(None);
        };
        let process = PidRef::capture(pid)?;
        // Asked again now that it is held: if it still has the lock, the pid has been its own all the time.
        match Self::probe(path)? {
            Some(again) if again == pid => Ok(process),
            Some(_) | None => Ok(None),
        }
    }
}
