//! One module a verb: `Args` of plain strings, and `run`, which makes a request of them, calls the engine once and renders the answer.

pub(crate) mod attach;
pub(crate) mod cleanup;
mod client;
pub(crate) mod create;
mod create_options;
mod create_request;
pub(crate) mod events;
pub(crate) mod exists;
mod foreground;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod ps;
mod ps_request;
mod ps_row;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod stop;
mod targets;
#[cfg(test)]
mod tests;
pub(crate) mod version;
pub(crate) mod wait;

use ctr_core::Engine;

use crate::cli::Globals;
use crate::error::CommandError;
use crate::host::Host;
use crate::settings::{self, Patience};

/// What every command is given beside its own arguments.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) globals: Globals,
    pub(crate) host: Host,
}

impl Context {
    /// Opens the engine for a person's command.
    ///
    /// # Errors
    /// See [`Context::open_patiently`].
    pub(crate) fn open(&self) -> Result<Engine, CommandError> {
        self.open_patiently(Patience::Person)
    }

    /// Opens the engine.
    ///
    /// # Errors
    /// An ordinary user, a faulty configuration, a store that cannot be used.
    pub(crate) fn open_patiently(&self, patience: Patience) -> Result<Engine, CommandError> {
        let config = settings::resolve(&self.globals, &self.host, patience)?;
        Ok(Engine::open(config)?)
    }
}
