//! The small process that stays beside a running container.
//!
//! A monitor is started for each run of a container ([`MonitorClient::spawn`]), in a session and a control group of its own, and stays
//! until the run is over. It is single-threaded and
//!
//! * holds the *liveness lock* of the run directory for as long as it lives;
//! * has a short-lived helper create the container: the helper enters a private mount namespace, attaches the mounts that came as
//!   descriptors and calls the runtime, so that the host's mount table never changes;
//! * owns the container's standard streams, hands output to a process that writes the log and to every attached client, none of which
//!   can stall it;
//! * is the parent (subreaper) of the container's first process, sees its exit, and writes one [`ExitRecord`] by rename;
//! * kills a container whose time is up, and says so in the record;
//! * starts the cleanup command, unless an attached client has promised to clean up and does.
//!
//! It knows no store. What it learns it leaves in the run directory, and whoever takes the container's lock next takes it in.
//!
//! A monitor outlives upgrades of the program: messages ([`protocol`]) and exit records carry a version.
//!
//! If the connection on which the container was created ends before [`protocol::Request::Commit`] or `Start` came, the monitor takes
//! everything back: a half-made run does not outlive the engine that wanted it.
//!
//! * hosts the container's exec sessions ([`ctr_exec::session`]): a helper calls the runtime while the monitor goes on, and from then on a
//!   session has what the container has: streams, clients, an end that is seen. No session has a process of ours beside it.
//!
//! A monitor that is killed is replaced by its *keeper*, a twin that sleeps beside it; where that is gone, too, an engine has a new monitor
//! adopt the container ([`MonitorClient::adopt`]).
#![forbid(unsafe_code)]

mod answer;
mod client;
mod error;
mod log_number;
pub mod protocol;
mod record;
mod serve;

pub use ctr_exec::{ExitReport, TimedOut};

pub use client::{MonitorClient, MonitorLaunch};
pub use error::MonitorError;
pub use log_number::{log_number, older_log};
pub use record::{ExitRecord, StartSeen};
pub use serve::{RuntimeResolver, serve};

/// Names of the files in a run directory. One list, because engine and monitor share them.
pub mod files {
    /// The control socket.
    pub const CONTROL: &str = "control.sock";
    /// The liveness lock.
    pub const ALIVE: &str = "alive";
    /// Held by the monitor's keeper, as [`ALIVE`] is by the monitor.
    pub const KEEPER: &str = "keeper";
    /// Held by the process that writes the log.
    pub const LOG_LOCK: &str = "log.lock";
    /// The container's standard input, output and error: named pipes.
    pub const STDIN: &str = "stdin";
    /// See [`STDIN`].
    pub const STDOUT: &str = "stdout";
    /// See [`STDIN`].
    pub const STDERR: &str = "stderr";
    /// The pid file that the runtime writes.
    pub const PID: &str = "pid";
    /// The bundle.
    pub const BUNDLE: &str = "bundle";
    /// Where the helper attaches the container's root.
    pub const ROOTFS: &str = "rootfs";
    /// Below it the helper attaches the sources of bind mounts: `0`, `1`, …
    pub const MOUNTS: &str = "mounts";
    /// The runtime's own state (`--root`).
    pub const RUNTIME: &str = "runtime";
}
