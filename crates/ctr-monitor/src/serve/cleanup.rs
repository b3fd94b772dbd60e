//! The command that runs when nobody else cleans up.

use std::path::Path;

use ctr_sys::{Subreaper, SysError, set_subreaper};

use crate::protocol::CleanupCommand;

/// Who cleans up after the exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cleanup {
    /// The command, as the monitor's last act, unless a client that has promised does it first.
    Command,
    /// It has been done, or the engine takes its start back.
    Nobody,
}

/// Starts the command and leaves it alone.
pub(super) fn start(command: &CleanupCommand) -> Result<(), SysError> {
    // What the command leaves behind is init's, not that of a process that is about to end.
    set_subreaper(Subreaper::Off)?;
    // Uninstalled, or being replaced right now: the monitor's own file is the same program, if an older one.
    let own = || command.launch(Path::new("/proc/self/exe"));
    command.launch(&command.program).or_else(|_| own())
}
