//! Where a path leads inside a root file system, link by link, when parts of it need not exist.
//!
//! The kernel resolves existing paths for us ([`ctr_sys::Root`]); this walk answers what it cannot: the path without links of
//! something that is still to be made. Its answer is for comparing and recording. Whoever acts on it goes through the in-root opener
//! again, because the tree may have changed since.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use ctr_sys::{Root, SysError};
use rustix::io::Errno;

use crate::error::RootfsError;

/// As many links as the kernel follows in one path (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// A path inside a root file system without links, `.` and `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Absolute, inside the root.
    pub(crate) path: PathBuf,
    /// How many trailing components of it do not exist.
    pub(crate) missing: usize,
}

impl Resolved {
    /// The components that do not exist, each as a whole path, the outermost first.
    pub(crate) fn missing_paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self
            .path
            .ancestors()
            .take(self.missing)
            .map(Path::to_owned)
            .collect();
        paths.reverse();
        paths
    }
}

/// Walks `path`, which is taken as absolute; a link's target is followed inside the root, a dangling one to the place that it names.
pub(crate) fn resolve(root: &Root, path: &Path) -> Result<Resolved, RootfsError> {
    let mut todo = components(path);
    let mut at = Resolved {
        path: PathBuf::from("/"),
        missing: 0,
    };
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            at.path.pop();
            at.missing = at.missing.saturating_sub(1);
            continue;
        }
        match step(root, &at, &name).map_err(RootfsError::sys("resolve in the container", path))? {
            Step::Entry => at.path.push(name),
            Step::Missing => {
                at.path.push(name);
                at.missing += 1;
            }
            Step::Link(target) => {
                links += 1;
                if links > MAX_LINKS {
                    let error =
                        SysError::new("resolve", path.display().to_string(), Errno::LOOP.into());
                    return Err(RootfsError::sys("resolve in the container", path)(error));
                }
                if target.is_absolute() {
                    at.path = PathBuf::from("/");
                }
                for (index, part) in components(&target).into_iter().enumerate() {
                    todo.insert(index, part);
                }
            }
        }
    }
    Ok(at)
}

enum Step {
    Entry,
    Missing,
    Link(PathBuf),
}

/// Looks at one name below a directory that is already free of links.
fn step(root: &Root, at: &Resolved, name: &OsStr) -> Result<Step, SysError> {
    if at.missing > 0 {
        return Ok(Step::Missing);
    }
    let parent = root.open_path(&at.path)?;
    match rustix::fs::readlinkat(&parent, name, Vec::new()) {
        Ok(target) => Ok(Step::Link(OsString::from_vec(target.into_bytes()).into())),
        Err(Errno::INVAL) => Ok(Step::Entry),
        Err(Errno::NOENT) => Ok(Step::Missing),
        Err(errno) => {
            let subject = at.path.join(name).display().to_string();
            Err(SysError::new("read link", subject, errno.into()))
        }
    }
}

/// Names and `..` of a path; roots and `.` say nothing here.
fn components(path: &Path) -> VecDeque<OsString> {
    let named = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(named).collect()
}
