//! Exec sessions: processes that were added to a container, as objects.
//!
//! A session is a directory `exec/ID` in the run directory of its container. The process beside the container that hosts the session is
//! the only one that writes there: the [`SessionRecord`] is on disk before the session's process exists, and says at each moment what
//! is known of it. So whoever comes later reads what happened, also when everybody who took part was killed:
//!
//! | state | meaning |
//! |---|---|
//! | created | it waits to be started |
//! | starting | a runtime has been asked for the process, which may or may not exist |
//! | running | the process exists, and this is its identity |
//! | ended | it has ended like this |
//! | failed | it could not be started; nothing of it is left |
//!
//! The directory is volatile: it goes with the run of the container. A session of another run can therefore never be taken for one of the
//! present one.

mod id;
mod options;
mod paths;
mod record;

pub use id::{BadSessionId, SessionId};
pub use options::{BadWord, OnDisconnect, WaitIo};
pub use paths::{News, SessionPaths};
pub use record::{Input, Keep, SessionConfig, SessionExit, SessionRecord, SessionState, Tty};
