//! Reading what the kernel makes up while it is read: files of `/proc` and of control groups.

use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Most such files fit into one read of this many bytes.
const CHUNK: usize = 8 * 1024;

/// The whole content. Such files say that they have no length, so that the reader of the standard library begins with 32 bytes and
/// doubles: nine reads for a mount table, each of which the kernel renders anew.
pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = rustix::fs::open(
        path.as_ref(),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut content = vec![0; CHUNK];
    let mut length = 0;
    loop {
        if length == content.len() {
            content.resize(length * 2, 0);
        }
        match rustix::io::read(&file, &mut content[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    content.truncate(length);
    Ok(content)
}

/// [`read`] as text.
pub(crate) fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replace::{Sync, replace_file};

    #[test]
    fn is_read_whole_whatever_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK] {
            let content = vec![b'x'; length];
            replace_file(&path, &content, 0o600, Sync::No).unwrap();
            assert!(read(&path).unwrap() == content, "{length} bytes");
        }
    }

    #[test]
    fn what_is_missing_or_no_text_is_an_error() {
        let missing = read("/proc/self/no-such-file").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace_file(&path, b"\xff", 0o600, Sync::No).unwrap();
        assert_eq!(
            read_text(&path).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
