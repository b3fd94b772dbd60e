//! A monitor for a container that has lost the one that made it, and that one's keeper.
//!
//! What the kernel and the run directory still have is taken over: the first process, named pipes, exec sessions by their records. What only the
//! monitor had is gone: a terminal's master, the place in the log of what it had read, clients.

use ctr_sys::{PidRef, SignalFd};

use super::begin::Place;
use super::client::Client;
use super::container::Container;
use super::log::Log;
use super::streams::Streams;
use super::{Commitment, Monitor, RuntimeResolver};
use crate::error::WireFailure;
use crate::protocol::AdoptRequest;
use crate::record::ExitRecord;

impl<'a> Monitor<'a> {
    /// A monitor for a container that somebody else has made, and that lives.
    pub(super) fn adopt(
        request: AdoptRequest,
        signals: SignalFd,
        asker: &Client,
        resolver: &'a dyn RuntimeResolver,
    ) -> Result<Self, WireFailure> {
        let AdoptRequest {
            container: request,
            init,
            phase,
        } = request;
        let place = Place::take(&request, asker)?;
        // Before anything else is looked at: from now on nothing of its end is missed.
        let init = PidRef::open(init)?.ok_or_else(|| {
            let why = "its first process has ended";
            WireFailure::own("look after", &request.id, why)
        })?;
        let mut log = Log::new(&request.log, &request.id, &request.run_dir)?;
        let streams = Streams::reopened(&request)?;
        ExitRecord::reserve(&request.run_dir)?;
        log.note_lost_monitor();
        let container = Container::adopted(request, init, phase, resolver);
        let mut monitor = Self::new(container, place, streams, log, signals);
        monitor.commitment = Commitment::Made;
        monitor.monitors_lost = 1;
        monitor.sessions.adopt(&monitor.container)?;
        Ok(monitor)
    }
}
