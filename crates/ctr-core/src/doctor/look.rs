//! One look at everything, step by step.

use std::path::Path;

use ctr_state::{ContainerId, Snapshot, StateError};
use ctr_sys::{Cgroups, LockHolder, LockObserver};

use super::finding::{Checked, Finding, FindingKind, Subject};
use super::helper::{Candidate, Teller};
use super::monitors::Question;
use crate::engine::{Engine, EngineConfig};
use crate::error::{EngineError, chain};
use crate::layout::Layout;

/// Looks, in the helper.
pub(super) struct Examiner<'a> {
    pub(super) config: &'a EngineConfig,
    pub(super) layout: Layout,
    teller: &'a Teller<'a>,
    /// Once it could be opened.
    pub(super) engine: Option<Engine>,
    /// What this look has found.
    candidates: Vec<Candidate>,
    /// Of the container that is looked at, see [`Candidate::witness`].
    pub(super) witness: String,
    pub(super) checked: Checked,
    locks: LockObserver,
    pub(super) cgroups: Option<Cgroups>,
    /// Monitors that were asked, and have not answered yet.
    pub(super) questions: Vec<Question>,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(config: &'a EngineConfig, teller: &'a Teller<'a>) -> Self {
        Self {
            config,
            layout: Layout::at(&config.root, &config.runroot),
            teller,
            engine: None,
            candidates: Vec::new(),
            witness: String::new(),
            checked: Checked::default(),
            locks: LockObserver::default(),
            cgroups: None,
            questions: Vec::new(),
        }
    }

    pub(super) fn checked(&self) -> Checked {
        self.checked
    }

    /// Looks at everything once.
    pub(super) fn look(&mut self) -> Vec<Candidate> {
        self.checked = Checked::default();
        self.locks = LockObserver::default();
        self.witness.clear();
        self.places();
        self.store();
        let listed = self.list();
        self.control_groups();
        for snapshot in listed.iter().flatten() {
            self.container(snapshot);
        }
        self.monitors();
        if listed.is_some() {
            self.strangers();
        }
        std::mem::take(&mut self.candidates)
    }

    /// Whether there is somebody to ask about what is recorded.
    fn list(&mut self) -> Option<Vec<Snapshot>> {
        self.engine.as_ref()?;
        let mut listed = None;
        let database = self.layout.database();
        let stuck = Finding::new(FindingKind::NotExamined, Subject::path(&database), "");
        self.step("list the containers", stuck, |examiner| {
            listed = examiner
                .engine()
                .map(|engine| engine.store().list())
                .transpose()?;
            Ok(())
        });
        listed
    }

    fn control_groups(&mut self) {
        let stuck = Finding::new(
            FindingKind::NotExamined,
            Subject::path(Path::new("/sys/fs/cgroup")),
            "",
        );
        self.step("find the control groups", stuck, |examiner| {
            examiner.cgroups = Some(Cgroups::detect()?);
            Ok(())
        });
    }

    /// Who has a lock. The kernel's table is not read at one moment: what changes meanwhile may hide a line, so it is asked twice.
    pub(super) fn holder(&self, lock: &Path) -> Option<LockHolder> {
        let found = self.locks.holder(lock);
        found.or_else(|| LockObserver::default().holder(lock))
    }

    pub(super) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// Something that may fail or hang, without harm to the rest. What is gone by the time it is looked at is no failure.
    pub(super) fn step(
        &mut self,
        name: &str,
        stuck: Finding,
        work: impl FnOnce(&mut Self) -> Result<(), EngineError>,
    ) {
        let subject = stuck.subject.clone();
        if !self.teller.step(name, stuck) {
            return;
        }
        match work(self) {
            Ok(()) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                let why = format!("it cannot be looked at: {}", chain(&error));
                self.found(FindingKind::CannotLook, subject, why);
            }
        }
    }

    pub(super) fn found(
        &mut self,
        kind: FindingKind,
        subject: Subject,
        explanation: impl Into<String>,
    ) {
        self.push(Finding::new(kind, subject, explanation));
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.candidates.push(Candidate {
            finding,
            witness: self.witness.clone(),
        });
    }

    /// Whether this look has found something about a path.
    pub(super) fn has_found(&self, path: &Path) -> bool {
        let about = |found: &Candidate| found.finding.subject.path.as_deref() == Some(path);
        self.candidates.iter().any(about)
    }

    /// How many candidates there are: a mark to go back to.
    pub(super) fn mark(&self) -> usize {
        self.candidates.len()
    }

    /// Forgets what was found since the mark.
    pub(super) fn forget_since(&mut self, mark: usize) {
        self.candidates.truncate(mark);
    }

    /// Whether there is no record of a container, as the store says now.
    pub(super) fn is_unknown(&self, id: &ContainerId) -> Result<bool, EngineError> {
        let Some(engine) = self.engine() else {
            return Ok(false);
        };
        match engine.store().snapshot(id) {
            Ok(_) => Ok(false),
            Err(StateError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
