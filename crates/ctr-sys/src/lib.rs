//! Linux for container tools, behind safe calls.
//!
//! This crate is the bottom of the house: it knows the kernel and nothing of containers. It gives
//!
//! * processes that cannot be mistaken: [`PidRef`], [`PidStamp`], [`BootId`];
//! * starting programs with everything they inherit listed: [`Launch`], [`Child`], [`fork_helper`], [`protected_executable`],
//!   [`go_on_protected`];
//! * locks that die with their holder: [`FileLock`] (exclusive, names its holder), [`Liveness`] (asked without being taken);
//! * paths that cannot leave a container: [`Root`];
//! * mounts that are in no mount table: [`DetachedMount`];
//! * files that appear whole ([`replace_file`]) and trees that go without following a link ([`remove_tree`]);
//! * packet sockets with descriptors ([`send_packet`]), signals as descriptors ([`SignalFd`]), control groups ([`Cgroups`]).
//!
//! Every wait takes a [`Deadline`]. Every error is a [`SysError`] that names operation and subject. All `unsafe` code of the house but
//! that of the built-in runtime lies in `raw.rs` and `raw_mount.rs` here, and in the two callers of `fork`.
//!
//! # Limitations
//! Linux 5.14 or newer (`close_range`, `mount_setattr`, `pidfd`), 6.7 for overlays with any directory name. Only x86-64 and
//! arm64 are tried.
#![expect(
    unsafe_code,
    reason = "the one crate where system calls without a safe wrapper live; every block says why it holds"
)]

mod boot;
mod cgroup;
mod child;
mod deadline;
mod error;
mod fork;
mod freezer;
mod kernel_file;
mod launch;
mod liveness;
mod lock;
mod mount;
mod other_process;
mod output;
mod pidref;
mod poll;
mod process;
mod protect;
mod random;
mod raw;
mod raw_mount;
mod replace;
mod root;
mod signal;
mod socket;
mod time;
mod tree;

pub use boot::BootId;
pub use cgroup::{CgroupMode, Cgroups, SessionGroup};
pub use child::{Child, ExitStatus, reap_any};
pub use deadline::Deadline;
pub use error::{SysError, SysResult};
pub use fork::{HELPER_PANICKED, fork_companion, fork_helper, fork_twin, is_single_threaded};
pub use launch::{Launch, Stdio};
pub use liveness::Liveness;
pub use lock::{FileLock, LockError, LockHolder, LockObserver, record_lock_holders};
pub use mount::{
    DetachedMount, FilesystemKind, LayerSync, MountAttributes, MountEntry, OverlayLayers,
    Recursion, enter_private_mount_namespace, filesystem_kind, is_in_use, mounts_below,
    parse_mountinfo,
};
pub use other_process::NamespaceKind;
pub use output::{Output, OutputLimits};
pub use pidref::{Delivery, PidRef, PidStamp, children, descendants, end_of_zombie};
pub use poll::{Ready, poll, wait_either, wait_readable};
pub use process::{
    Subreaper, inherited_fd, keep_children, login_uid, may_lower_oom_score_adj, oom_score_adj,
    set_not_dumpable, set_subreaper, unmask_owner,
};
pub use protect::{go_on_protected, protected_executable};
pub use random::random_id;
pub use replace::{Sync, create_private_dir, free_bytes, replace_file, sync_directory};
pub use root::{FileKind, Metadata, Root};
pub use signal::{Signal, SignalFd, SignalInfo, UnknownSignal};
pub use socket::{
    MAX_PACKET_FDS, Packet, accept, bind_seqpacket, bind_stream, connect_seqpacket, peer_uid,
    recv_packet, recv_packet_into, send_packet, seqpacket_pair,
};
pub use time::{now_ns, parse_rfc3339, rfc3339};
pub use tree::remove_tree;
