//! What a container is: ids, names, configuration, the status table, an SQLite store, per-container locks and a run ledger.
//!
//! All that is remembered about containers is in one SQLite database, the [`Store`]. Every step of a container is one
//! transaction, and the event that reports it is a row of the same transaction ([`ctr_events`]). There is no second
//! registry that could disagree: no name file, no lock table, no status file.
//!
//! # Invariants
//! * State is read through a [`LockedRecord`] or a [`Snapshot`]. Taking the lock re-reads the record, so a lock holder
//!   never works on something stale; a snapshot is taken without any lock and leads to no change.
//! * Readers never wait for writers: [`Store::list`] and [`Store::snapshot`] answer while another process is stopped
//!   in the middle of a write transaction.
//! * The [`Status`] changes only through one table, [`Status::after`], and only by [`LockedRecord::advance`].
//! * A run has a number, its generation. [`LockedRecord::begin_generation`] takes the next one, and the ledger keeps
//!   each run, who started it and how it ended ([`Run`]), for a bounded time after the container is gone.
//! * Locks die with their holders: they are flock(2) locks on one file per container.
//! * The database of a newer program is refused before anything is written to it.
//!
//! # What is recorded is not what is
//! A record tells what a program has last seen. Whether a process still runs is for the caller to ask the kernel, with the
//! [process stamps](ctr_sys::PidStamp) and the boot id that the record holds.
//!
//! # Limitations
//! A database is used by one user on one machine: it must lie on a local file system and nobody else may write to it.
//! A process that is stopped at the very moment it rebuilds the shared index of the WAL (which only the first of several
//! connections does) keeps writers out, up to [`StoreConfig::busy`]; readers answer from a copy after 0.3 s.

#![forbid(unsafe_code)]

mod config;
mod error;
mod exit;
mod id;
mod intent;
mod ledger;
mod lock;
mod name;
pub mod names;
mod operation;
mod path_text;
mod record;
mod schema;
mod snapshot;
mod status;
mod store;

pub use config::{
    Access, AutoRemove, Config, LogConfig, LogDriver, NamespaceMode, NetworkMode, ProcessConfig,
    RequiredState, Requirement, RestartPolicy, RootfsConfig, RootfsMode, RuntimeRef, StdinMode,
    Terminal, UnknownLogDriver, VolumeConfig,
};
pub use error::{ParseError, StateError};
pub use exit::{ExitCause, ExitInfo, OomKilled};
pub use id::{ContainerId, IdOrName};
pub use intent::{Intent, IntentKind};
pub use ledger::{KEEP_REMOVED_NS, KEEP_REMOVED_RUNS, KEEP_RUNS, Run};
pub use lock::LockedRecord;
pub use name::ContainerName;
pub use operation::{Effect, Operation};
pub use record::{Facts, PendingRestart, Ran, Record, StartReason, StopReason};
pub use snapshot::Snapshot;
pub use status::{IllegalTransition, Status, Trigger};
pub use store::{
    Durability, Export, ExportedContainer, ExportedRun, KEEP_EVENTS, NewContainer, Store,
    StoreConfig, StoreFault, StoreIssue,
};
