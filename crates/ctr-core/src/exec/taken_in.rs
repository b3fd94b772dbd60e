//! Sessions whose end nobody has reported: their client is gone, or they never had one.

use ctr_events::{EXEC_ID, EventKind, NewEvent};
use ctr_exec::session::{Keep, News, SessionExit, SessionPaths, SessionRecord, SessionState};
use ctr_monitor::files;
use ctr_sys::{Liveness, PidRef};

use super::ended::{exec_end, note_end};
use crate::container::LockedContainer;
use crate::error::EngineError;

/// Of which sessions the end is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeIn {
    /// Of those that have no client, or whose client is gone: others report themselves.
    Orphaned,
    /// Of all: their records are about to go.
    All,
}

impl LockedContainer<'_> {
    /// Reports the end of sessions. What fails is left to the next command: no session stands in the way of an operation on its container.
    pub(crate) fn take_in_sessions(&mut self, which: TakeIn) {
        let run_dir = self.engine().run_dir(self.id());
        let records = SessionRecord::list_unreported(&run_dir).unwrap_or_default();
        for record in records {
            if let Err(error) = self.take_in(record, which) {
                tracing::debug!(%error, "an exec session was not taken in");
            }
        }
    }

    fn take_in(&mut self, record: SessionRecord, which: TakeIn) -> Result<(), EngineError> {
        if which == TakeIn::Orphaned && has_client(&record)? {
            return Ok(());
        }
        let run_dir = self.engine().run_dir(self.id());
        let paths = SessionPaths::new(&run_dir, &record.id);
        match &record.state {
            SessionState::Created => {}
            SessionState::Failed { .. } => {
                if record.keep == Keep::UntilTold {
                    paths.remove()?;
                }
            }
            SessionState::Ended(end) => self.report_end(&record, end)?,
            SessionState::Starting | SessionState::Running { .. } => {
                let hosted = Liveness::probe(&run_dir.join(files::ALIVE))?.is_some();
                if !hosted && let Some(end) = exec_end(&self.handle(), &record.id, None)? {
                    // Its host, which alone writes here, is gone.
                    let ended = SessionRecord {
                        state: SessionState::Ended(end),
                        ..record
                    };
                    ended.write(&run_dir)?;
                    self.report_end(&ended, &end)?;
                }
            }
        }
        Ok(())
    }

    fn report_end(&mut self, record: &SessionRecord, end: &SessionExit) -> Result<(), EngineError> {
        let run_dir = self.engine().run_dir(self.id());
        let paths = SessionPaths::new(&run_dir, &record.id);
        if paths.claim(News::Ended)? {
            let begun = paths.claim(News::Begun)?;
            let begun = begun.then(|| self.event_of_session(EventKind::Exec, record));
            let mut died = self.event_of_session(EventKind::ExecDied, record);
            note_end(&mut died, end);
            let events: Vec<NewEvent> = begun.into_iter().chain([died]).collect();
            self.save(&events)?;
        }
        match record.keep {
            Keep::UntilTold => Ok(paths.remove()?),
            Keep::UntilRemoved => Ok(()),
        }
    }
}

impl LockedContainer<'_> {
    fn event_of_session(&self, kind: EventKind, record: &SessionRecord) -> NewEvent {
        let mut event = self.event(kind);
        event
            .attributes
            .insert(EXEC_ID.to_owned(), record.id.to_string());
        event
    }
}

/// Whether somebody is there who reports the end.
fn has_client(record: &SessionRecord) -> Result<bool, EngineError> {
    match record.owner {
        Some(owner) => Ok(PidRef::open(owner)?.is_some()),
        None => Ok(false),
    }
}
