//! Talking OCI: runtime specifications with safe defaults, bundles, and driving any OCI runtime binary while understanding its answers.
//!
//! An OCI runtime (runc, crun, youki) turns a *bundle*, a directory with a `config.json`, into a container. This crate makes the
//! bundle and speaks to the runtime:
//!
//! * [`SpecBuilder`] makes a [`Spec`] in which everything that was not asked for is safe, and [`Bundle`] writes it.
//! * [`OciRuntime`] is what a runtime can be asked. [`CliRuntime`] implements it by running a program once for each call;
//!   other crates may implement it in-process.
//! * A refusal is a [`RuntimeFailure`]: a [`FailureKind`] to act on, a line for people, and the runtime's own words.
//! * [`find_runtime`] finds a program that is safe to execute, [`version_verdict`] knows which versions have known holes.
//!
//! ```no_run
//! use std::path::Path;
//! use std::time::Duration;
//! use ctr_oci::{Bundle, CliRuntime, CliRuntimeConfig, OciRuntime, SpecBuilder, Target, find_runtime};
//! use ctr_sys::Deadline;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spec = SpecBuilder::new(Path::new("/srv/rootfs")).args(["sleep", "60"]).build()?;
//! Bundle::write(Path::new("/run/demo/bundle"), &spec)?;
//! let config = CliRuntimeConfig::new("runc", find_runtime("runc", &[])?, "/run/demo");
//! let runtime = CliRuntime::new(config);
//! let target = Target {
//!     root: Path::new("/run/demo/state"),
//!     id: "demo",
//!     deadline: Deadline::after(Duration::from_secs(30)),
//! };
//! println!("{:?}", runtime.state(target)?.status);
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: no shell, no inherited environment, no call without a deadline that the caller chose, no state between calls, nothing
//! printed. What this crate does not do: pull images, set up networks, watch containers, or decide what a failure means for
//! a container's record.
#![forbid(unsafe_code)]

mod bundle;
mod call;
mod call_log;
mod cli_runtime;
mod console;
mod error;
mod failure;
mod features;
mod find;
mod reply;
mod runtime;
mod spec;
mod version;

pub use oci_spec::runtime::{Capability, PosixRlimitType, Process, Spec};

pub use bundle::Bundle;
pub use call::{GlobalFlags, RuntimeCall, RuntimeId, RuntimeQuery, check_group_name};
pub use cli_runtime::{CliRuntime, CliRuntimeConfig};
pub use error::OciError;
pub use failure::{FailureKind, RuntimeFailure};
pub use features::{FeatureSummary, RuntimeFeatures};
pub use find::{RUNTIME_DIRECTORIES, check_runtime, find_runtime};
pub use reply::RuntimeReply;
pub use runtime::{
    CreateCall, Created, DeleteMode, ExecCall, Executed, KillScope, OciRuntime, PreservedFd,
    RuntimeState, RuntimeStatus, StdioFds, Target,
};
pub use spec::{
    Access, BindMount, CgroupNamespace, DEFAULT_CAPABILITIES, DEFAULT_UMASK, HostFacts, Hostname,
    MASKED_PATHS, Namespace, NetworkNamespace, ProcessBuilder, READONLY_PATHS, Rights, Rlimit,
    SHM_SIZE, SpecBuilder, Terminal, UnknownCapability, UserIds, capabilities, parse_capability,
    set_window,
};
pub use version::{Verdict, version_verdict};
