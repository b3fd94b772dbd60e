//! A process in a container, and the streams and terminals attached to it.
//!
//! What a client and the process beside a container share:
//!
//! * [`frames`]: the packets in which standard streams and messages travel;
//! * [`ConsoleSocket`] and [`Console`]: the terminal that a runtime makes for a process, delivered as a descriptor;
//! * [`RawMode`], [`WindowSize`]: the terminal in front of a person, as long as its keys go to the container;
//! * [`DetachKeys`]: how that person leaves, without any key ever being held back;
//! * [`Source`] and [`Sink`]: the client's own ends, which never block it;
//! * [`PidFile`]: waits for what a runtime writes, or for the runtime's death, whichever is first;
//! * [`session`]: a process that was added to a container, as an object with an identity, a record and an end.
//!
//! Nothing here knows an engine, a store or a monitor.
#![forbid(unsafe_code)]

mod console;
mod detach_keys;
mod error;
mod exit;
pub mod frames;
mod pid_file;
pub mod session;
mod stdio;
mod terminal;
#[cfg(test)]
mod testing;

pub use console::{Console, ConsoleSocket, EndKey};
pub use detach_keys::{DetachKeys, DetachWatch, GRAMMAR as DETACH_KEYS_GRAMMAR, Typed};
pub use error::ExecError;
pub use exit::{ExitReport, TimedOut};
pub use pid_file::PidFile;
pub use stdio::{Departure, Sink, Source, SourceKind};
pub use terminal::{RawMode, WindowSize, is_terminal};
