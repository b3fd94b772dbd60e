//! What can go wrong with a container's files.

use std::path::PathBuf;

use ctr_sys::SysError;

/// An error of this crate: what was refused or failed, on which subject, and why.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// The text that names a root file system is not of the form `DIR` or `DIR:O`.
    #[error("invalid root file system {text:?}: {why}")]
    Source {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The directory of a root file system is missing or is none.
    #[error("root file system {}: {why}", path.display())]
    Directory {
        /// The directory as given.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The writable layer would lie on an overlay file system, which the kernel refuses.
    #[error(
        "cannot keep a writable layer in {}: it lies on an overlay file system itself; \
         put the engine's --root on another file system (ext4, xfs, btrfs or tmpfs)",
        path.display()
    )]
    OverlayOnOverlay {
        /// The container's directory.
        path: PathBuf,
    },
    /// The writable layer is mounted already, by whomever.
    #[error("the writable layer in {} is in use by another mount", path.display())]
    InUse {
        /// The container's directory.
        path: PathBuf,
    },
    /// The directory below the writable layer is not the one that the layer was made over.
    #[error(
        "the writable layer in {} belongs to another directory than {}: that one was replaced since the container's first start",
        path.display(),
        lower.display()
    )]
    LowerReplaced {
        /// The container's directory.
        path: PathBuf,
        /// The directory below it, as it is configured.
        lower: PathBuf,
    },
    /// The tree, or what shall be mounted into it, has a form that runtimes have been tricked with.
    #[error("refused path {} in the container: {why}", path.display())]
    Layout {
        /// The path inside the root file system.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A user or group as typed is not of an accepted form.
    #[error("invalid user {text:?}: {why}")]
    UserText {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A user or group of that name is not in the root file system.
    #[error("no {what} {name:?} in {file} of the container")]
    Unknown {
        /// `user` or `group`.
        what: &'static str,
        /// The name that was looked for.
        name: String,
        /// The file that was searched.
        file: &'static str,
    },
    /// A user or group file says something that cannot be used.
    #[error("{file} of the container, line {line}: {why}")]
    Database {
        /// The file inside the root file system.
        file: &'static str,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The user is a member of more groups than a process can have.
    #[error("user {name:?} is in {count} groups of the container, more than the {limit} that the kernel allows", limit = crate::users::MAX_GROUPS)]
    TooManyGroups {
        /// The user's name.
        name: String,
        /// How many different groups list it, the primary one included.
        count: usize,
    },
    /// A value cannot be written into a generated file.
    #[error("invalid {field} {value:?}: {why}")]
    Field {
        /// Which value it is.
        field: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The kernel refused.
    #[error("cannot {operation} {}", path.display())]
    Sys {
        /// What was tried, as a verb with its object.
        operation: &'static str,
        /// On what: a path of the host or one inside the root file system.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: SysError,
    },
}

impl RootfsError {
    /// Wraps a failed call; to be used in `map_err`.
    pub(crate) fn sys(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(SysError) -> Self {
        let path = path.into();
        move |source| Self::Sys {
            operation,
            path,
            source,
        }
    }
}
