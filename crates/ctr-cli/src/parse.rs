//! From the strings of the command line to types: each module one kind of value, each error the flag, the value and what is allowed.

pub(crate) mod boolean;
pub(crate) mod cid_file;
pub(crate) mod entrypoint;
pub(crate) mod env;
pub(crate) mod env_file;
pub(crate) mod filter;
pub(crate) mod format;
pub(crate) mod log;
pub(crate) mod network;
pub(crate) mod number;
pub(crate) mod pairs;
pub(crate) mod path;
pub(crate) mod runtime;
pub(crate) mod time;
pub(crate) mod volume;
