//! The flags by which verbs on many containers select them, where they have all of them and no others.

use ctr_core::EngineError;
use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Target, Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;

#[derive(Debug, clap::Args)]
pub(crate) struct SelectionArgs {
    /// All containers for which it makes sense
    #[arg(short, long)]
    all: bool,
    /// A container whose id this file holds
    #[arg(long, value_name = "FILE")]
    cidfile: Vec<String>,
    /// Only those that match KEY=VALUE, as in ps
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

impl SelectionArgs {
    /// Does `work` to each. `statuses` are those of the containers that `--all` and `--filter` select among.
    pub(super) fn each(
        &self,
        statuses: &[Status],
        context: &Context,
        io: &mut Io,
        work: impl Fn(&Target<'_>) -> Result<(), EngineError>,
    ) -> Result<Outcome, CommandError> {
        let wanted = Wanted {
            cid_files: &self.cidfile,
            latest: self.latest,
            all: self.all,
            filters: &self.filter,
            statuses,
            ..Wanted::named(&self.names)
        };
        let selection = wanted.selection()?;
        let engine = context.open()?;
        let targets = find(&engine, &selection)?;
        Ok(for_each(targets, io, |target, _| Ok(work(target)?)))
    }
}
