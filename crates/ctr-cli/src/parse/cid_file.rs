//! Files that hold the id of a container: what `--cidfile` of `create` and `run` writes.

use std::fs::File;
use std::io::{self, Read};

use ctr_state::ContainerId;

use crate::error::{CommandError, ErrorKind};

/// More than an id with any line end; what is longer is no such file.
const MOST: u64 = 128;

/// Reads the id. A file that is not there is a container that is not there.
pub(crate) fn read(flag: &str, path: &str) -> Result<ContainerId, CommandError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text));
    if let Err(error) = read {
        let kind = if error.kind() == io::ErrorKind::NotFound {
            ErrorKind::NotFound
        } else {
            ErrorKind::Failed
        };
        let message = format!("{flag} {path:?}: cannot be read: {error}");
        return Err(CommandError::new(kind, message));
    }
    let what = "must be a file that holds the id of a container";
    let id = text.trim_end().parse();
    id.map_err(|_| CommandError::value(flag, path, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cid");
        let path = path.to_str().unwrap();
        let missing = read("--cidfile", path).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let id = "ab".repeat(32);
        for (text, good) in [
            (id.clone(), true),
            (format!("{id}\n"), true),
            (String::new(), false),
            ("web".to_owned(), false),
            (format!("{id}\n{id}\n"), false),
            (id[..12].to_owned(), false),
        ] {
            std::fs::OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .open(path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
                .unwrap();
            assert_eq!(read("--cidfile", path).is_ok(), good, "{text:?}");
        }
        let directory = read("--cidfile", directory.path().to_str().unwrap());
        assert_eq!(directory.unwrap_err().kind(), ErrorKind::Failed);
    }
}
