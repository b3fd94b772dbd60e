//! The container lifecycle engine.
//!
//! ```no_run
//! use ctr_core::{Attach, CreateRequest, Engine, EngineConfig, EngineError, StartRequest, StopRequest};
//! use ctr_state::{StartReason, StopReason};
//!
//! fn demo(config: EngineConfig, request: CreateRequest) -> Result<(), EngineError> {
//!     let engine = Engine::open(config)?;
//!     let container = engine.create(request)?;
//!     container.start(StartRequest { attach: Attach::None, streams: None, reason: StartReason::User })?;
//!     container.stop(StopRequest { timeout_s: None, reason: StopReason::User })?;
//!     Ok(())
//! }
//! ```
//!
//! # Invariants
//! * **The lock is a value.** [`Container`] is a handle without state; [`LockedContainer`] exists only while the lock is held, and taking
//!   the lock takes in what has happened meanwhile. Operations in a row on one guard are a batch.
//! * **Recorded is not believed.** What runs is asked of the kernel: a monitor's liveness lock, an exit record, a pidfd.
//! * **Intent first, record last.** What a command is about to do is in the store before it does it. A command that fails takes its
//!   steps back; one that is killed is finished or taken back by whoever takes the lock next, with the same steps.
//! * **Readers take no lock**: [`Engine::list`], [`Engine::select`], [`Container::summary`], [`Container::inspect`], [`Engine::logs`], [`Container::wait`],
//!   [`Engine::events`], [`Engine::examine`].
//! * **What an operation may do is data**: [`ctr_state::Operation`] says for each status which moves it makes, or that it is refused.
//! * **A run has a number.** Exit records, events and waiters carry it; an exit that nobody knows is said to be unknown, never 0.
//!
//! Absent on purpose: printing, the environment, globals, threads, an async runtime. Every operation is a `tracing` span.
#![forbid(unsafe_code)]

mod adopt;
mod attach;
mod boot;
mod cleanup;
mod container;
mod create;
mod dependencies;
mod doctor;
mod engine;
mod error;
mod events;
mod exec;
mod explain;
mod filter;
mod history;
mod info;
mod init;
mod inspect;
mod kill;
mod layout;
mod log_options;
mod logs;
mod pause;
mod policy;
mod prepare;
mod probe;
mod reconcile;
mod refresh;
mod release;
mod remove;
mod rename;
mod restart;
mod runtimes;
mod session;
mod start;
mod stop;
mod summary;
mod sync;
mod undo;
mod wait;
mod watch;

pub use attach::AttachRequest;
pub use boot::Booted;
pub use cleanup::{AfterCleanup, CleanupRequest, CleanupScope};
pub use container::{Container, LockedContainer};
pub use create::{CreateRequest, NamespaceRequest, NetworkRequest, Replace, RequireRequest};
pub use ctr_monitor::protocol::{ClientInput, SignalScope};
pub use ctr_oci::{Capability, Rights};
pub use doctor::{Checked, Finding, FindingKind, Repair, Repaired, Report, Severity, Subject};
pub use engine::{Engine, EngineConfig};
pub use error::{CleanupFailure, EngineError, ExitHint};
pub use events::{EventStream, EventsFollow, EventsFrom, EventsNext, EventsRequest};
pub use exec::{
    ExecAttach, ExecInspect, ExecProcessInspect, ExecRequest, ExecSignal, ExecStart, ExecStarted,
    Stdio,
};
pub use filter::ContainerFilter;
pub use info::{ContainerCounts, EngineInfo, HostInfo, RuntimeInfo};
pub use inspect::{
    Inspect, InspectConfig, InspectGraphDriver, InspectHostConfig, InspectLimits, InspectLog,
    InspectMount, InspectNetworkSettings, InspectRestartPolicy, InspectState, InspectUlimit,
};
pub use log_options::{LogDefaults, LogOptions};
pub use logs::{
    FollowLog, LogEvent, LogGap, LogItem, LogLine, LogMissed, LogRequest, LogStream, Logs, Partial,
};
pub use remove::{Dependents, RemoveMode, RemoveRequest, Removed};
pub use restart::{RestartDuty, RestartRequest, Restarted};
pub use runtimes::Runtimes;
pub use session::{Session, SessionEnd, SessionIo, SignalProxy};
pub use start::{Attach, ForegroundRequest, StartRequest, Started};
pub use stop::{StopOutcome, StopRequest, Stopping};
pub use summary::{ListRequest, MonitorState, Summary};
pub use wait::{WaitFor, Waited};
