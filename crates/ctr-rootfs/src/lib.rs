//! The files of a container on the host: directory and overlay roots as detached mounts, generated files, users and groups.
//!
//! The content of a root file system is hostile: whoever made it, or the container that ran in it last, chose every name, link
//! and byte. So this crate touches it only through [`ctr_sys::Root`], where links are resolved inside the tree by the kernel, reads
//! only regular files up to a cap, and asks no name service of the host about the container's users.
//!
//! * [`Rootfs`] builds the tree as a detached mount: [`Rootfs::mount`] gives a [`MountedRootfs`], whose descriptor is all there is
//!   of it. The host's mount table never changes, and what is not attached is gone when the guard is dropped.
//! * [`check_layout`], [`check_destinations`] and [`mount_destination`] refuse what runtimes have been tricked with.
//! * [`MountPoints`] knows which mount points a runtime will have to make in a tree that is not ours, and takes them away again.
//! * [`GeneratedFiles`] are `/etc/hosts` and the like: written in the engine's run directory, never inside the tree.
//! * [`users`] says which ids a user's name or number stands for.
//! * [`command_check`] says whether a program can be found and executed there.
//! * [`MountTable`] compares the mounts of this process before and after, for leak checks.
//!
//! Absent on purpose: a record of what is mounted (the mount table and the descriptors are the truth), unmounting by path
//! (there is nothing to unmount), and any change to `/etc/passwd` or `/etc/group` of the tree.
//!
//! ```no_run
//! use ctr_rootfs::{Rootfs, RootfsSource, UserSpec, check_layout, resolve_user};
//!
//! # fn main() -> Result<(), ctr_rootfs::RootfsError> {
//! let source = RootfsSource::parse("/srv/busybox:O")?;
//! let mounted = Rootfs::from_source(&source, "/var/lib/ctr/containers/4f2a".as_ref()).mount()?;
//! check_layout(mounted.root())?;
//! let user = resolve_user(mounted.root(), &UserSpec::parse("www-data")?)?;
//! println!("{}:{}", user.uid, user.gid);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod check;
mod command;
mod error;
mod generated;
mod mount_points;
mod overlay;
mod resolve;
mod rootfs;
mod source;
mod table;
pub mod users;

pub use check::{check_destinations, check_layout, mount_destination};
pub use command::{CommandCheck, command_check};
pub use error::RootfsError;
pub use generated::{
    ContainerEnv, GeneratedFiles, GeneratedMount, HostsFile, Privileges, ResolvConf,
};
pub use mount_points::MountPoints;
pub use rootfs::{MountedRootfs, Rootfs};
pub use source::{RootfsMode, RootfsSource};
pub use table::MountTable;
pub use users::{Principal, ResolvedUser, UserSpec, resolve as resolve_user};
