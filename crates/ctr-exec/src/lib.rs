//! A process in a container, and the streams attached to it.
//!
//! Two things stand here so far, used by the monitor and its clients: [`frames`], the packets in which standard streams and messages
//! travel, and [`PidFile`], which waits for what a runtime writes or for the runtime's death, whichever is first.
//!
//! # Limitations
//! Exec sessions, terminals, window sizes and detach keys are still to come; their place is here.
#![forbid(unsafe_code)]

mod error;
pub mod frames;
mod pid_file;

pub use error::ExecError;
pub use pid_file::PidFile;
