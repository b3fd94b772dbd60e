//! The built-in OCI runtime: libcontainer behind [`ctr_oci::OciRuntime`] and behind the standard OCI command line.
//!
//! [`Builtin`] is for programs that run containers; [`oci_runtime_main`] is a whole command line runtime for those who want to call it
//! as they would call runc. Both keep their state in the same form below the state directory that they are given.
//!
//! Only `create` and `exec` use the library, in a process that is given up for it; the other verbs act on what is recorded and on the kernel.
//! Around the library this crate
//! - refuses a specification that asks for what would not be enforced (seccomp, security labels, hooks, user namespaces, …) instead of
//!   ignoring it,
//! - enforces the device rules itself, on cgroup v2 with a program that the kernel asks,
//! - checks the command as the user that will execute it, and says which of "not found" and "not executable" it is,
//! - executes it with default signal handlers, an empty signal mask, and nothing open but the three standard streams,
//! - sets the loopback interface of a new network namespace up, and gives the container a session keyring of its own,
//! - gives the terminal of a process to its user and sets its size,
//! - names the first process by pid and start time, so that a signal cannot reach a stranger.
//!
//! # Limitations
//! No hooks, no seccomp, no user namespaces; the systemd cgroup driver is not
//! supported.
#![deny(unsafe_code)]

mod bpf;
mod builtin;
mod children;
mod cli;
mod create;
mod devices;
mod error;
mod exec;
mod executor;
mod features;
mod library;
mod library_log;
mod record;
mod report;
mod spec;
#[expect(
    unsafe_code,
    reason = "the system calls without a safe wrapper are here"
)]
mod sys;
mod terminal;
mod update;
mod verbs;

pub use builtin::{BUILTIN, Builtin};
pub use cli::oci_runtime_main;
