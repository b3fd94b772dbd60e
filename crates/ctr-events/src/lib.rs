//! A journal of what happened: typed events with gapless numbers in SQLite, filters, and followers that resume by cursor.
//!
//! An event is a row that is written *in the transaction of the change it reports*: [`Journal::append`] takes the
//! caller's transaction, so there is no change without its event and no event without its change. The number of an
//! event is the last number plus one, taken from a one-row counter in the same transaction: numbers have no gaps, their
//! order is the order of the commits, and no number is used twice, not even after old events were trimmed.
//! A [`Cursor`] is therefore all that a reader needs to resume, and it can tell "nothing new" from "you have missed
//! something" ([`EventError::Expired`]).
//!
//! [`Follow`] yields the past and then waits for the future. Writers [`touch`] a wake file after each commit and the
//! follower watches that file with inotify(7), so nobody polls the database and no reader holds a transaction open.
//!
//! The journal keeps its own tables and its own version, next to whatever else lives in the database. The types of
//! this crate carry no clock: the time of an event is given by whoever reports it.
//!
//! Deliberately absent: deleting or changing one event, numbering by time, and any knowledge of what a subject is
//! beyond its kind, id, name and image.

#![forbid(unsafe_code)]

mod database;
mod error;
mod event;
mod filter;
mod follow;
mod journal;
mod reader;
mod wake;

pub use database::{is_busy, open_database, retry_while_busy, wait_when_busy};
pub use error::EventError;
pub use event::{
    Actor, EXEC_ID, EXIT_CODE, Event, EventKind, NewEvent, OOM_KILLED, Subject, SubjectKind,
};
pub use filter::Filter;
pub use follow::Follow;
pub use journal::{Cursor, Journal, Page};
pub use reader::Reader;
pub use wake::{Watch, Woken, touch};
