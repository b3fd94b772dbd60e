//! The names of a log's files, and the number of each, which it keeps however often it is renamed.
//!
//! The number is an attribute of the file and no part of its text. A reader that lost sight of a file learns from it how many others came and
//! went meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};

const ATTRIBUTE: &str = "user.ctr.log_number";

/// Where the file lies that is the `number`th before the one at `path`, counted from 1 for the youngest.
pub fn older_log(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The number of a file; `None` for the first one, and where the file system keeps no attributes.
pub fn log_number(file: &File) -> Option<u64> {
    let mut number = [0; 8];
    let count = fgetxattr(file, ATTRIBUTE, &mut number[..]).ok()?;
    (count == number.len()).then(|| u64::from_le_bytes(number))
}

/// Gives a file its number. Where that is impossible it has none: that is no reason not to log.
pub(crate) fn set_log_number(file: &File, number: u64) {
    fsetxattr(file, ATTRIBUTE, &number.to_le_bytes(), XattrFlags::empty()).ok();
}
