//! The file into which a runtime writes the JSON log of one call.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of the log's end is read: the error is its last entry.
const READ_BYTES: u64 = 64 * 1024;

/// A log file of our own making, which goes away with this value. Its text is read through the descriptor that we made it with,
/// so nothing that is put in its place later is believed.
#[derive(Debug)]
pub(crate) struct CallLog {
    path: PathBuf,
    file: File,
}

impl CallLog {
    /// Makes an empty file in `directory` under a name that nobody has; `counter` spares the search for one.
    pub(crate) fn create(directory: &Path, counter: &AtomicU64) -> io::Result<Self> {
        loop {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let name = format!("runtime-{}-{number}.log", std::process::id());
            let path = directory.join(name);
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            match options.open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The end of what was written, cut at the start of a line.
    pub(crate) fn read(&mut self) -> io::Result<String> {
        let from = self.file.metadata()?.len().saturating_sub(READ_BYTES);
        self.file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        self.file
            .by_ref()
            .take(READ_BYTES)
            .read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole = if from == 0 {
            &*text
        } else {
            text.split_once('\n').map_or("", |(_, rest)| rest)
        };
        Ok(whole.to_owned())
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        // A file that cannot be removed costs its few bytes in a volatile directory and nothing else.
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn names_are_unique_files_private_and_gone_afterwards() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let counter = AtomicU64::new(0);
        let first = CallLog::create(temp.path(), &counter).unwrap();
        counter.store(0, Ordering::Relaxed);
        let second = CallLog::create(temp.path(), &counter).unwrap();
        assert_ne!(first.path(), second.path());
        let mode = first.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        drop((first, second));
        assert_eq!(temp.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn the_end_of_a_long_log_begins_with_a_whole_line() {
        let temp = tempfile::tempdir().unwrap();
        let mut log = CallLog::create(temp.path(), &AtomicU64::new(0)).unwrap();
        let line = "x".repeat(999);
        let mut writer = OpenOptions::new().append(true).open(log.path()).unwrap();
        for _ in 0..100 {
            writeln!(writer, "{line}").unwrap();
        }
        let text = log.read().unwrap();
        assert_eq!(text, format!("{line}\n").repeat(65));
    }
}
