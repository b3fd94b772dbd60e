//! The beginning of a monitor: its place in the run directory, then the container that it has made.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ctr_exec::frames::Stream;
use ctr_sys::{
    CgroupMode, Cgroups, Liveness, SignalFd, Subreaper, SysError, bind_seqpacket, set_subreaper,
};

use super::client::Client;
use super::clients::Clients;
use super::container::Container;
use super::intake::{Intake, with_words};
use super::keeper::Keeper;
use super::listener::Listener;
use super::log::Log;
use super::replay::Replay;
use super::sessions::Sessions;
use super::streams::Streams;
use super::{Commitment, Monitor, RuntimeResolver, cleanup};
use crate::error::WireFailure;
use crate::files;
use crate::protocol::CreateRequest;
use crate::record::ExitRecord;

/// What one process at a time has of a run.
pub(super) struct Place {
    pub(super) alive: Liveness,
    pub(super) listener: Listener,
}

impl Place {
    /// Takes the place of the container's monitor, for `asker`.
    pub(super) fn take(request: &CreateRequest, asker: &Client) -> Result<Self, WireFailure> {
        let run_dir = &request.run_dir;
        let refuse = |why: &str| WireFailure::own("serve", &request.id, why);
        let alive = Liveness::hold(&run_dir.join(files::ALIVE))?
            .ok_or_else(|| refuse("another monitor holds its liveness lock"))?;
        // Only now: whoever found the lock free before, because the engine had been killed, may be removing the run directory.
        if asker.is_gone() {
            return Err(refuse("the engine that asked for it is gone"));
        }
        if let Some(group) = &request.monitor_cgroup {
            enter_group(group)?;
        }
        set_subreaper(Subreaper::On)?;
        Ok(Self {
            alive,
            listener: Listener::new(listen(run_dir)?),
        })
    }
}

/// Binds the control socket, in the place of one that a monitor has left that was killed.
fn listen(run_dir: &Path) -> Result<OwnedFd, SysError> {
    let subject = || run_dir.display().to_string();
    match std::fs::remove_file(run_dir.join(files::CONTROL)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(SysError::new("remove the old socket in", subject(), error));
        }
        Ok(()) | Err(_) => {}
    }
    let directory =
        std::fs::File::open(run_dir).map_err(|error| SysError::new("open", subject(), error))?;
    bind_seqpacket(directory.as_fd(), files::CONTROL)
}

fn enter_group(group: &str) -> Result<(), WireFailure> {
    let cgroups = Cgroups::detect()?;
    if cgroups.mode() != CgroupMode::Unified {
        cgroups.enter(group)?;
    }
    Ok(())
}

impl<'a> Monitor<'a> {
    /// A monitor with a container that it has made.
    pub(super) fn create(
        request: CreateRequest,
        mounts: Vec<OwnedFd>,
        signals: SignalFd,
        creator: &Client,
        resolver: &'a dyn RuntimeResolver,
    ) -> Result<Self, WireFailure> {
        let place = Place::take(&request, creator)?;
        let mut log = Log::new(&request.log, &request.id, &request.run_dir)?;
        let (mut streams, ends, mounts) = Streams::of_request(&request, mounts)?;
        ExitRecord::reserve(&request.run_dir)?;
        let stdin = request.stdin;
        let mut intake = Intake::new(&mut streams, creator);
        let created = Container::create(request, mounts, &ends, &mut intake, resolver);
        let said = intake.said();
        let (container, console) = created.map_err(|failure| with_words(failure, &said))?;
        if let Some(console) = console {
            streams.use_console(console, stdin)?;
        }
        // A runtime that succeeds and says something all the same: a warning, for the container's log.
        log.write(Stream::Stderr, &said);
        Ok(Self::new(container, place, streams, log, signals))
    }

    /// A monitor in its place, whose container nobody has recorded yet.
    pub(super) fn new(
        container: Container<'a>,
        place: Place,
        streams: Streams,
        log: Log,
        signals: SignalFd,
    ) -> Self {
        Self {
            container,
            commitment: Commitment::Awaited,
            clients: Clients::default(),
            streams,
            replay: Replay::default(),
            sessions: Sessions::default(),
            log,
            signals,
            listener: place.listener,
            exit: None,
            cleanup: cleanup::Cleanup::Command,
            keeper: Keeper::soon(),
            monitors_lost: 0,
            alive: Some(place.alive),
        }
    }
}
