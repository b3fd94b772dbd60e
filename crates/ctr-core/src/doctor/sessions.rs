//! Exec sessions: their records, and whether anybody will see their end.

use ctr_exec::session::{SessionId, SessionPaths, SessionRecord, SessionState};
use ctr_monitor::files;
use ctr_sys::{Liveness, PidRef};

use super::containers::Known;
use super::finding::FindingKind;
use super::look::Examiner;
use crate::error::EngineError;

impl Examiner<'_> {
    pub(super) fn sessions(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let hosted = Liveness::probe(&known.run_dir.join(files::ALIVE))?.is_some();
        for path in super::strangers::entries(&SessionPaths::all(known.run_dir)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let subject = known.subject.clone().at(&path);
            let Ok(id) = SessionId::try_from(name.clone().into_owned()) else {
                let why = format!("{} is what is left of an exec session", path.display());
                self.found(FindingKind::SessionLeft, subject, why);
                continue;
            };
            match SessionRecord::read(known.run_dir, &id) {
                Ok(None) if path.exists() => {
                    let why = format!("exec session {id} has a directory and no record");
                    self.found(FindingKind::SessionLeft, subject, why);
                }
                Err(error) => {
                    let why = format!("the record of exec session {id} cannot be read: {error}");
                    self.found(FindingKind::SessionUnreadable, subject, why);
                }
                Ok(Some(record)) if !hosted && !lives(&record)? => {
                    let why = format!(
                        "exec session {id} is recorded as {}, and neither its process nor the monitor is there",
                        record.state.word()
                    );
                    self.found(FindingKind::SessionOrphaned, subject, why);
                }
                Ok(None | Some(_)) => {}
            }
        }
        Ok(())
    }
}

/// Whether nothing is to be said of a session because its process lives, or because it has none.
fn lives(record: &SessionRecord) -> Result<bool, EngineError> {
    Ok(match record.state {
        SessionState::Running { process, .. } => PidRef::open(process)?.is_some(),
        SessionState::Starting => false,
        SessionState::Created | SessionState::Ended(_) | SessionState::Failed { .. } => true,
    })
}
