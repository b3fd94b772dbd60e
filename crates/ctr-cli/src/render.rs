//! From values to text: pure functions, tested by snapshots.

pub(crate) mod doctor;
pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod logs;
pub(crate) mod outline;
pub(crate) mod ps;
pub(crate) mod table;
