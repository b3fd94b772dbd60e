//! The database: whether it can be opened, what it says of itself, and who keeps others from writing to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_state::StoreIssue;
use ctr_sys::{PidRef, record_lock_holders};

use super::finding::{Finding, FindingKind, Subject};
use super::look::Examiner;
use crate::engine::Engine;
use crate::error::{EngineError, chain};

/// How long a busy database is waited for. Then a copy of it is read.
const BUSY: Duration = Duration::from_millis(300);

impl Examiner<'_> {
    pub(super) fn store(&mut self) {
        let database = self.layout.database();
        let stuck = || Finding::new(FindingKind::StoreUnusable, Subject::path(&database), "");
        self.step("who has locked the database", stuck(), |examiner| {
            examiner.blocked(&database)
        });
        self.step("open the database", stuck(), |examiner| {
            examiner.open(&database);
            Ok(())
        });
        self.step("read the database", stuck(), |examiner| {
            examiner.health(&database)
        });
    }

    fn open(&mut self, database: &Path) {
        if self.engine.is_some() {
            return;
        }
        if !database.exists() {
            let containers = self.layout.containers();
            let entries = std::fs::read_dir(containers).into_iter().flatten();
            let count = entries.count();
            if count > 0 {
                let why = format!("it is not there, and directories of {count} containers are");
                self.found(FindingKind::StoreMissing, Subject::path(database), why);
            }
            return;
        }
        match Engine::open_existing(self.config.clone(), BUSY) {
            Ok(engine) => self.engine = Some(engine),
            // That others may write to it, or own it, is what keeps it from being opened.
            Err(_) if self.has_found(database) => {}
            Err(error) => {
                let why = format!("it cannot be used: {}", chain(&error));
                self.found(FindingKind::StoreUnusable, Subject::path(database), why);
            }
        }
    }

    /// What the store says of its own health. Containers that cannot be read are found one by one.
    fn health(&mut self, database: &Path) -> Result<(), EngineError> {
        let Some(engine) = self.engine() else {
            return Ok(());
        };
        for issue in engine.store().health()? {
            let kind = match issue {
                StoreIssue::Damaged { .. } => FindingKind::StoreDamaged,
                StoreIssue::Value { .. }
                | StoreIssue::Run { .. }
                | StoreIssue::Event { .. }
                | StoreIssue::Dangling { .. } => FindingKind::StoreRowDamaged,
                StoreIssue::LogMissing => FindingKind::StoreLogMissing,
                StoreIssue::NoReserve { .. } => FindingKind::DiskNearlyFull,
                StoreIssue::Container { .. } => continue,
            };
            self.found(kind, Subject::path(database), issue.to_string());
        }
        Ok(())
    }

    /// The locks of the database are on the file of its shared index. Who has one for more than a moment stands still.
    fn blocked(&mut self, database: &Path) -> Result<(), EngineError> {
        let mut index = database.as_os_str().to_owned();
        index.push("-shm");
        let mut holders = record_lock_holders(&PathBuf::from(index))?;
        holders.dedup();
        for pid in holders {
            let Some(process) = PidRef::capture(pid)? else {
                continue;
            };
            if process.is_stopped()? {
                let why = format!(
                    "process {pid} was stopped while it wrote to the database: nobody else can, and no command comes to an end"
                );
                let subject = Subject::path(database).process(pid);
                self.found(FindingKind::StoreBlocked, subject, why);
            }
        }
        Ok(())
    }
}
