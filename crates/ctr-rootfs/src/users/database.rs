//! Reading a file of colon-separated lines out of a hostile tree.

use std::path::Path;

use ctr_sys::Root;

use crate::error::RootfsError;

/// The most that is read of a user or group file, in bytes.
pub(super) const MAX_FILE: u64 = 10 * 1024 * 1024;
/// The longest line, in bytes.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// The whole file; empty when it is missing. Never waits (a FIFO is an error) and never reads more than the cap.
pub(super) fn read(root: &Root, file: &'static str) -> Result<Vec<u8>, RootfsError> {
    let bytes = root
        .read(Path::new(file), MAX_FILE)
        .map_err(RootfsError::sys("read the container's", file))?;
    Ok(bytes.unwrap_or_default())
}

/// One line, cut into its fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    file: &'static str,
    number: usize,
    bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// The field at `index`, from 0; empty when the line has fewer.
    pub(super) fn field(&self, index: usize) -> &'a [u8] {
        self.bytes
            .split(|byte| *byte == b':')
            .nth(index)
            .unwrap_or_default()
    }

    /// An error that names this line.
    pub(super) fn refuse(&self, why: &'static str) -> RootfsError {
        RootfsError::Database {
            file: self.file,
            line: self.number,
            why,
        }
    }
}

/// The lines of `text` that hold an entry. Blank lines, comments and the entries of name services (`+` and `-`) are passed over; a line
/// that is too long is an error, because what it says cannot be known.
pub(super) fn lines<'a>(
    file: &'static str,
    text: &'a [u8],
) -> impl Iterator<Item = Result<Line<'a>, RootfsError>> {
    text.split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, bytes)| !matches!(bytes.first(), None | Some(b'#' | b'+' | b'-' | b':')))
        .map(move |(index, bytes)| {
            let line = Line {
                file,
                number: index + 1,
                bytes,
            };
            if bytes.len() > MAX_LINE {
                return Err(line.refuse("the line is longer than 64 KiB"));
            }
            Ok(line)
        })
}
