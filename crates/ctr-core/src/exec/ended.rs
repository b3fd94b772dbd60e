//! How sessions end, and how that is told.

use ctr_events::{EXEC_ID, EXIT_CODE, EventKind, Filter, NewEvent, Reader};
use ctr_exec::session::{
    Keep, News, SessionExit, SessionId, SessionPaths, SessionRecord, SessionState,
};
use ctr_exec::{ExitReport, PidFile, TimedOut};
use ctr_monitor::files;
use ctr_state::{ExitCause, ExitInfo, OomKilled, Snapshot, StateError};
use ctr_sys::{Cgroups, Liveness, PidRef, PidStamp};

use crate::container::Container;
use crate::error::EngineError;

/// How a session ended, in the terms in which runs end.
pub(crate) fn exit_info(end: &SessionExit) -> ExitInfo {
    let (cause, reason) = match end.exit {
        _ if end.timed_out == TimedOut::Yes => (
            ExitCause::Timeout,
            Some("it had run for as long as it was allowed to".to_owned()),
        ),
        ExitReport::Exited { code } => (ExitCause::Exited { code }, None),
        ExitReport::Signaled { signal } => (ExitCause::Signaled { signal }, None),
        ExitReport::Unknown => (ExitCause::Lost, None),
    };
    ExitInfo {
        cause,
        oom: OomKilled::No,
        monitors_lost: 0,
        finished_ns: end.finished_ns,
        reason,
    }
}

/// An end that nobody has seen.
fn unseen() -> SessionExit {
    SessionExit {
        exit: ExitReport::Unknown,
        timed_out: TimedOut::No,
        finished_ns: ctr_sys::now_ns(),
        dropped: 0,
        input_read: 0,
    }
}

/// How a session ended, as far as anybody knows now; `None`: it has not. The record is read, then the kernel is asked, and where the
/// record is gone, the journal.
///
/// # Errors
/// When the record is damaged, or the journal cannot be read.
pub(crate) fn exec_end(
    container: &Container<'_>,
    id: &SessionId,
    process: Option<PidStamp>,
) -> Result<Option<SessionExit>, EngineError> {
    let run_dir = container.engine().run_dir(container.id());
    // Before the record: a host that is gone by then has written all that it ever will.
    let hosted = Liveness::probe(&run_dir.join(files::ALIVE))?.is_some();
    let Some(record) = SessionRecord::read(&run_dir, id)? else {
        return Ok(Some(reported(container, id)?.unwrap_or_else(unseen)));
    };
    Ok(match record.state {
        SessionState::Ended(end) => Some(end),
        SessionState::Failed { .. } => Some(unseen()),
        SessionState::Created => (!hosted).then(unseen),
        SessionState::Starting => {
            let lives = hosted || unrecorded(container, id)?;
            (!lives).then(unseen)
        }
        SessionState::Running {
            process: recorded, ..
        } => {
            let lives = hosted || PidRef::open(process.unwrap_or(recorded))?.is_some();
            (!lives).then(unseen)
        }
    })
}

/// Whether a process lives that a runtime has made, and written down, while nobody was left to record it.
fn unrecorded(container: &Container<'_>, id: &SessionId) -> Result<bool, EngineError> {
    let run_dir = container.engine().run_dir(container.id());
    let written = PidFile::new(SessionPaths::new(&run_dir, id).pid_file()).read()?;
    let process = written.map(PidRef::capture).transpose()?.flatten();
    let (Some(process), Ok(snapshot)) = (process, container.snapshot()) else {
        return Ok(false);
    };
    // Held by now, so it is the one that the container's group lists, or was written down by a liar.
    let members = Cgroups::detect()?.processes(&snapshot.config()?.cgroup_path)?;
    Ok(members.contains(&process.stamp().pid))
}

/// What the journal says of the end of a session whose record somebody else has taken in.
fn reported(container: &Container<'_>, id: &SessionId) -> Result<Option<SessionExit>, EngineError> {
    let terms = [
        format!("container={}", container.id()),
        format!("event={}", EventKind::ExecDied),
    ];
    let filter = Filter::parse(terms).map_err(StateError::from)?;
    let mut reader = Reader::new(ctr_events::Cursor::start(), filter);
    while let Some(event) = container.engine().store().next_event(&mut reader)? {
        let attributes = event.attributes();
        if attributes.get(EXEC_ID).map(String::as_str) == Some(id.as_str()) {
            let code = attributes.get(EXIT_CODE).and_then(|code| code.parse().ok());
            let exit = match code {
                Some(code) if code >= 0 => ExitReport::Exited { code },
                Some(_) | None => ExitReport::Unknown,
            };
            return Ok(Some(SessionExit {
                exit,
                finished_ns: event.time_ns(),
                ..unseen()
            }));
        }
    }
    Ok(None)
}

/// An event about a session.
fn event(
    container: &Container<'_>,
    snapshot: &Snapshot,
    kind: EventKind,
    id: &SessionId,
) -> Result<NewEvent, EngineError> {
    let engine = container.engine();
    let generation = snapshot.record()?.generation();
    let (name, config) = (snapshot.name(), snapshot.config()?);
    let mut event = engine.event_of(kind, container.id(), name, config, generation);
    event.attributes.insert(EXEC_ID.to_owned(), id.to_string());
    Ok(event)
}

/// The event of a session's beginning, unless somebody else reports it.
pub(super) fn begun(
    container: &Container<'_>,
    snapshot: &Snapshot,
    id: &SessionId,
) -> Result<Option<NewEvent>, EngineError> {
    let paths = SessionPaths::new(&container.engine().run_dir(container.id()), id);
    if !paths.claim(News::Begun)? {
        return Ok(None);
    }
    event(container, snapshot, EventKind::Exec, id).map(Some)
}

/// Says in an event how a session ended.
pub(super) fn note_end(event: &mut NewEvent, end: &SessionExit) {
    event.time_ns = end.finished_ns;
    let code = exit_info(end).code().to_string();
    event.attributes.insert(EXIT_CODE.to_owned(), code);
}

/// Reports the end of a session, unless somebody else has, and forgets it if it was to stay no longer.
///
/// # Errors
/// When the journal cannot be written to.
pub(crate) fn finish_exec(
    container: &Container<'_>,
    id: &SessionId,
    end: &SessionExit,
) -> Result<(), EngineError> {
    let run_dir = container.engine().run_dir(container.id());
    let paths = SessionPaths::new(&run_dir, id);
    let keep = SessionRecord::read(&run_dir, id)?.map(|record| record.keep);
    if !paths.claim(News::Ended)? {
        return Ok(());
    }
    let snapshot = match container.snapshot() {
        Ok(snapshot) => snapshot,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    let begun = begun(container, &snapshot, id)?;
    let mut died = event(container, &snapshot, EventKind::ExecDied, id)?;
    note_end(&mut died, end);
    let events: Vec<NewEvent> = begun.into_iter().chain([died]).collect();
    container.engine().store().publish(&events)?;
    match keep {
        Some(Keep::UntilRemoved) => Ok(()),
        Some(Keep::UntilTold) | None => Ok(paths.remove()?),
    }
}
