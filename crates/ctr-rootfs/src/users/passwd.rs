//! `/etc/passwd` of the container (`passwd(5)`): `name:password:uid:gid:comment:home:shell`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::database::{Line, lines};
use super::spec::{Principal, parse_id};
use crate::error::RootfsError;

pub(super) const FILE: &str = "/etc/passwd";

/// The entry of one user. Its fields are read when they are asked for: only what is needed has to be right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a>(Line<'a>);

/// The first entry of a user, if the file has one.
pub(super) fn find<'a>(text: &'a [u8], user: &Principal) -> Result<Option<Entry<'a>>, RootfsError> {
    for line in lines(FILE, text) {
        let line = line?;
        let found = match user {
            Principal::Id(uid) => parse_id(line.field(2)) == Ok(*uid),
            Principal::Name(name) => line.field(0) == name.as_bytes(),
        };
        if found {
            return Ok(Some(Entry(line)));
        }
    }
    Ok(None)
}

impl<'a> Entry<'a> {
    /// The name's bytes: what the group file is searched for.
    pub(super) fn name(&self) -> &'a [u8] {
        self.0.field(0)
    }

    pub(super) fn uid(&self) -> Result<u32, RootfsError> {
        parse_id(self.0.field(2)).map_err(|why| self.0.refuse(why))
    }

    pub(super) fn gid(&self) -> Result<u32, RootfsError> {
        parse_id(self.0.field(3)).map_err(|why| self.0.refuse(why))
    }

    /// The home directory, if it is an absolute path.
    pub(super) fn home(&self) -> Result<Option<PathBuf>, RootfsError> {
        let home = self.0.field(5);
        if home.iter().any(u8::is_ascii_control) {
            return Err(self.0.refuse("the home directory has control characters"));
        }
        let home = Path::new(OsStr::from_bytes(home));
        Ok(home.is_absolute().then(|| home.to_owned()))
    }
}
