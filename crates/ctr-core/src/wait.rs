//! Waiting for the end of a run, without the lock and without polling.
//!
//! The run that is current when the question is asked is the one that is answered: its number is kept, so a restart or a removal in
//! between changes nothing. The answer comes from the monitor's record, or, when that has been taken in already, from the ledger.

use std::time::Duration;

use ctr_events::{EventKind, Filter, Reader, Watch as JournalWatch};
use ctr_monitor::files;
use ctr_state::{ExitCause, ExitInfo, IntentKind, OomKilled, Record, StateError, Status};
use ctr_sys::{Deadline, Liveness, PidRef};

use crate::container::Container;
use crate::error::EngineError;
use crate::probe::{Observed, observe, rebooted, recorded_exit};
use crate::watch::Watch;

/// How long a monitor may take from the end of the container to its record.
const RECORD_WAIT: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// The end of the current run.
    Exit,
}

impl Container<'_> {
    /// Waits for the end of the run that is current now; at once when none is under way. A container that never ran answers with
    /// [`ExitCause::NeverStarted`].
    ///
    /// # Errors
    /// When the container is gone and its run is no longer in the ledger.
    pub fn wait(&self, until: WaitFor) -> Result<ExitInfo, EngineError> {
        let WaitFor::Exit = until;
        let generation = self.snapshot()?.record()?.generation();
        let _span =
            tracing::info_span!("wait", container = self.id().short(), generation).entered();
        loop {
            let watch = Watch::new(self, generation)?;
            if let Some(exit) = exit_of(self, generation)? {
                return Ok(exit);
            }
            watch.wait(Deadline::never())?;
        }
    }
}

/// What a wait for one of several statuses led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The run that was current when the wait began has ended, which was waited for.
    Ended(ExitInfo),
    /// The container has, or had for a moment, this status.
    Reached(Status),
}

impl Container<'_> {
    /// Waits until the container is in one of these statuses, or was for a moment since the call, and says which. `Stopped` and `Exited`
    /// both mean the end of the run that is current now, as for [`Container::wait`]; `Removing` also means that it is gone.
    ///
    /// Nothing is polled: the journal and the end of processes announce what happens.
    ///
    /// # Errors
    /// When the container is gone and none of that can happen any more.
    pub fn wait_for(&self, statuses: &[Status]) -> Result<Waited, EngineError> {
        // Watch first, then the cursor, then the status: what happens between two of them is seen by the later one.
        let mut journal = JournalWatch::start(&self.engine().layout().wake())?;
        let after = self.engine().store().last_event()?;
        let term = format!("container={}", self.id());
        let filter = Filter::parse([term]).map_err(StateError::from)?;
        let mut events = Reader::new(after, filter);
        let generation = self.snapshot()?.record()?.generation();
        let ends = statuses
            .iter()
            .any(|status| matches!(status, Status::Stopped | Status::Exited));
        loop {
            let run = Watch::new(self, generation)?;
            if ends && let Some(exit) = exit_of(self, generation)? {
                return Ok(Waited::Ended(exit));
            }
            while let Some(event) = self.engine().store().next_event(&mut events)? {
                let reached = leads_to(event.kind()).filter(|status| statuses.contains(status));
                if let Some(status) = reached {
                    return Ok(Waited::Reached(status));
                }
            }
            match self.summary() {
                Ok(summary) => {
                    match summary.status().filter(|status| statuses.contains(status)) {
                        None => {}
                        // Whether it is gone already, or about to be: the answer is the same.
                        Some(Status::Removing) => return self.gone(generation),
                        Some(status) => return Ok(Waited::Reached(status)),
                    }
                }
                Err(error) if error.is_not_found() && statuses.contains(&Status::Removing) => {
                    return self.gone(generation);
                }
                Err(error) => return Err(error),
            }
            journal.wait_beside(run.descriptors(), run.deadline())?;
        }
    }

    /// The answer to a wait for the removal, with the exit code as far as it is known.
    fn gone(&self, generation: u64) -> Result<Waited, EngineError> {
        let run = self.engine().store().exit_of(self.id(), generation)?;
        let exit = run.and_then(|run| run.ended);
        Ok(exit.map_or(Waited::Reached(Status::Removing), Waited::Ended))
    }
}

/// The status that an event reports. The end of a run is told apart by its number, and is not among them.
fn leads_to(kind: EventKind) -> Option<Status> {
    match kind {
        EventKind::Create => Some(Status::Configured),
        EventKind::Init => Some(Status::Created),
        EventKind::Start | EventKind::Unpause => Some(Status::Running),
        EventKind::Pause => Some(Status::Paused),
        // A stop that begins has no event; one that is through has been Stopping.
        EventKind::Stop => Some(Status::Stopping),
        EventKind::Attach
        | EventKind::Cleanup
        | EventKind::Died
        | EventKind::Exec
        | EventKind::ExecDied
        | EventKind::Kill
        | EventKind::Oom
        | EventKind::Remove
        | EventKind::Rename
        | EventKind::Restart
        | EventKind::Refresh
        | EventKind::Sync => None,
    }
}

/// How a run ended, as far as anybody knows now; `None`: it is under way.
pub(crate) fn exit_of(
    container: &Container<'_>,
    generation: u64,
) -> Result<Option<ExitInfo>, EngineError> {
    let engine = container.engine();
    if let Some(exit) = recorded_exit(&engine.run_dir(container.id()), generation)? {
        return Ok(Some(exit));
    }
    let observed = observed_exit(container, generation);
    // The ledger comes last: an exit is written there before the files, the status or the container change that were looked at.
    let run = engine.store().exit_of(container.id(), generation)?;
    match run.and_then(|run| run.ended) {
        Some(exit) => Ok(Some(exit)),
        None => observed,
    }
}

/// What record and kernel say of the end of a run that nobody has recorded.
fn observed_exit(
    container: &Container<'_>,
    generation: u64,
) -> Result<Option<ExitInfo>, EngineError> {
    let engine = container.engine();
    let snapshot = container.snapshot()?;
    let record = snapshot.record()?;
    Ok(match observe(engine, container.id(), record)? {
        Observed::Ended(exit) => Some(exit),
        Observed::Rebooted => Some(rebooted(engine, record.status())),
        Observed::Alive(_) => None,
        Observed::Inactive if starter(record, generation)?.is_some() => None,
        Observed::Inactive => Some(never_started(engine.now_ns())),
    })
}

/// The process that is about to start this run, while it lives.
pub(crate) fn starter(record: &Record, generation: u64) -> Result<Option<PidRef>, EngineError> {
    let intent = record
        .intent()
        .filter(|intent| intent.generation == generation);
    Ok(match intent.map(|intent| (intent.kind, intent.owner)) {
        Some((IntentKind::Init | IntentKind::Start, owner)) => PidRef::open(owner)?,
        Some((
            IntentKind::Create
            | IntentKind::Stop
            | IntentKind::Cleanup
            | IntentKind::Remove
            | IntentKind::Pause
            | IntentKind::Unpause,
            _,
        ))
        | None => None,
    })
}

fn never_started(now_ns: i64) -> ExitInfo {
    let reason = "the container was never started".to_owned();
    ExitInfo {
        cause: ExitCause::NeverStarted {
            reason: reason.clone(),
        },
        oom: OomKilled::No,
        monitors_lost: 0,
        finished_ns: now_ns,
        reason: Some(reason),
    }
}

/// Waits, after the end of a container's process, for the monitor to have recorded it. A monitor that is gone is not waited for.
pub(crate) fn wait_for_record(
    container: &Container<'_>,
    generation: u64,
) -> Result<(), EngineError> {
    let deadline = Deadline::after(RECORD_WAIT);
    let run_dir = container.engine().run_dir(container.id());
    while !deadline.expired() {
        let watch = Watch::new(container, generation)?;
        let recorded = recorded_exit(&run_dir, generation)?.is_some();
        let monitored = Liveness::probe(&run_dir.join(files::ALIVE))?.is_some();
        if recorded || !monitored {
            return Ok(());
        }
        watch.wait(deadline)?;
    }
    Ok(())
}
