//! One module a verb: `Args` of plain strings, and `run`, which makes a request of them, calls the engine once and renders the answer.

pub(crate) mod attach;
pub(crate) mod boot;
pub(crate) mod cleanup;
mod client;
pub(crate) mod create;
mod create_options;
mod create_request;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod exists;
pub(crate) mod export_records;
mod foreground;
pub(crate) mod history;
pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod pause;
pub(crate) mod prune;
pub(crate) mod ps;
mod ps_request;
mod ps_row;
pub(crate) mod refresh;
pub(crate) mod rename;
pub(crate) mod restart;
pub(crate) mod rm;
pub(crate) mod run;
mod selection_args;
pub(crate) mod start;
pub(crate) mod stop;
mod targets;
#[cfg(test)]
mod tests;
pub(crate) mod unpause;
pub(crate) mod version;
pub(crate) mod wait;

use std::cell::OnceCell;

use ctr_core::Engine;

use crate::cli::Globals;
use crate::config_file::ConfigFile;
use crate::error::CommandError;
use crate::host::Host;
use crate::settings::{self, Patience};

/// What every command is given beside its own arguments.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) globals: Globals,
    pub(crate) host: Host,
    /// The configuration file, once somebody has asked for it.
    file: OnceCell<ConfigFile>,
}

impl Context {
    /// What one command is given.
    pub(crate) fn new(globals: Globals, host: Host) -> Self {
        Self {
            globals,
            host,
            file: OnceCell::new(),
        }
    }

    /// The configuration file, read once for all who ask.
    ///
    /// # Errors
    /// See [`settings::read_config`].
    pub(crate) fn file(&self) -> Result<&ConfigFile, CommandError> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let read = settings::read_config(&self.globals, &self.host)?;
        Ok(self.file.get_or_init(|| read))
    }

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
        settings::require_root(&self.host)?;
        let config = settings::resolve(&self.globals, &self.host, self.file()?, patience)?;
        Ok(Engine::open(config)?)
    }
}
