//! Which ids a container's process gets: a user as typed, looked up in the user and group files of the root file system.
//!
//! Digits are always an id and never a name, so no file can make number 1000 into root. Ids have 32 bits and are never
//! cut down to them: the largest one, which the kernel uses for "no change", and everything above it is an error. The files are
//! read inside the tree, must be regular and are read up to a cap; the host's name services are never asked.
//!
//! | typed | uid | gid | further groups |
//! |---|---|---|---|
//! | empty | 0 | as for `0` | as for `0` |
//! | `5` | 5 | of the passwd entry with uid 5, else 0 | those that list that entry's name |
//! | `name` | of its passwd entry | of that entry | those that list the name |
//! | `5:6`, `name:6` | as above | 6 | none |
//! | `5:group`, `name:group` | as above | of the group entry | none |
//! | `:6`, `:group` | 0 | as given | none |
//! | `5:`, `name:` | as without the colon | | |

mod database;
mod group;
mod passwd;
mod spec;

use std::collections::BTreeSet;
use std::path::PathBuf;

use ctr_sys::Root;

use crate::error::RootfsError;
pub use spec::{Principal, UserSpec};

/// The most groups that a process can have (`NGROUPS_MAX`, `getgroups(2)`).
pub const MAX_GROUPS: usize = 65_536;

/// The ids of a container's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedUser {
    /// The user id.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
    /// All groups, each once: the primary one first, then in the order of the group file.
    pub additional_gids: Vec<u32>,
    /// The home directory of the passwd entry. Without one, or if that is not an absolute path: `/root` for uid 0, else `/`.
    pub home: PathBuf,
    /// The name of the passwd entry, if there is one.
    pub name: Option<String>,
}

/// Looks `spec` up in `/etc/passwd` and `/etc/group` below `root`. A missing file is as good as an empty one: numbers need none.
///
/// # Errors
/// [`RootfsError::Unknown`]: no such name. [`RootfsError::Database`]: the entry that is needed has an id outside of 0 to 2^32-2, or a line
/// on the way to it is too long. [`RootfsError::TooManyGroups`]. [`RootfsError::Sys`]: a file is larger than 10 MiB, not a regular
/// file, or cannot be read.
pub fn resolve(root: &Root, spec: &UserSpec) -> Result<ResolvedUser, RootfsError> {
    let passwd = database::read(root, passwd::FILE)?;
    let entry = passwd::find(&passwd, &spec.user)?;
    let uid = match (&entry, &spec.user) {
        (Some(entry), _) => entry.uid()?,
        (None, Principal::Id(uid)) => *uid,
        (None, Principal::Name(name)) => return Err(unknown("user", name, passwd::FILE)),
    };
    let additional_gids = match (&spec.group, &entry) {
        (Some(group), _) => vec![group_id(root, group)?],
        (None, Some(entry)) => memberships(root, entry)?,
        (None, None) => vec![0],
    };
    let home = match &entry {
        Some(entry) => entry.home()?,
        None => None,
    };
    Ok(ResolvedUser {
        uid,
        gid: additional_gids[0],
        additional_gids,
        home: home.unwrap_or_else(|| PathBuf::from(if uid == 0 { "/root" } else { "/" })),
        name: entry.map(|entry| String::from_utf8_lossy(entry.name()).into_owned()),
    })
}

/// A group as typed; a number needs no file.
fn group_id(root: &Root, group: &Principal) -> Result<u32, RootfsError> {
    match group {
        Principal::Id(gid) => Ok(*gid),
        Principal::Name(name) => {
            let text = database::read(root, group::FILE)?;
            group::find(&text, name)?.ok_or_else(|| unknown("group", name, group::FILE))
        }
    }
}

/// The primary group of an entry, then all groups that list its name.
fn memberships(root: &Root, entry: &passwd::Entry<'_>) -> Result<Vec<u32>, RootfsError> {
    let primary = entry.gid()?;
    let text = database::read(root, group::FILE)?;
    let mut gids = vec![primary];
    let mut seen = BTreeSet::from([primary]);
    for gid in group::listing(&text, entry.name())? {
        if seen.insert(gid) {
            gids.push(gid);
        }
    }
    if gids.len() > MAX_GROUPS {
        return Err(RootfsError::TooManyGroups {
            name: String::from_utf8_lossy(entry.name()).into_owned(),
            count: gids.len(),
        });
    }
    Ok(gids)
}

fn unknown(what: &'static str, name: &str, file: &'static str) -> RootfsError {
    RootfsError::Unknown {
        what,
        name: name.to_owned(),
        file,
    }
}
