//! One container: what its record says, and what the kernel and its files do.

use std::path::Path;
use std::time::Duration;

use ctr_monitor::{ExitRecord, MonitorError, files};
use ctr_state::{AutoRemove, Config, Intent, Record, Snapshot, Status};
use ctr_sys::{Liveness, LockHolder, LockObserver, PidRef, PidStamp};

use super::finding::{Finding, FindingKind, Subject};
use super::look::Examiner;
use super::places::Expected;
use crate::engine::Engine;
use crate::error::{EngineError, chain};

/// A command that holds a lock for so long is worth a word.
const LONG: Duration = Duration::from_secs(30);

/// A container whose record can be read.
pub(super) struct Known<'a> {
    pub(super) subject: Subject,
    pub(super) config: &'a Config,
    pub(super) record: &'a Record,
    pub(super) snapshot: &'a Snapshot,
    pub(super) run_dir: &'a Path,
}

/// Whether a command is in the middle of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Nobody is at work.
    None,
    /// A command is, or stands still in it: what does not fit together may be on its way.
    UnderWay,
    /// A command was, and was killed: all that does not fit together is what it has left.
    CutOff,
}

impl Examiner<'_> {
    pub(super) fn container(&mut self, snapshot: &Snapshot) {
        let name = format!("container {}", snapshot.id());
        let stuck = Finding::new(FindingKind::NotExamined, Subject::container(snapshot), "");
        self.step(&name, stuck, |examiner| examiner.look_into(snapshot));
        self.witness.clear();
    }

    fn look_into(&mut self, snapshot: &Snapshot) -> Result<(), EngineError> {
        self.checked.containers += 1;
        let subject = Subject::container(snapshot);
        let (Ok(config), Ok(record)) = (snapshot.config(), snapshot.record()) else {
            let why = snapshot.corrupt().unwrap_or_default();
            let why = format!("its record cannot be read, and it cannot be used: {why}");
            self.found(FindingKind::RecordUnreadable, subject, why);
            return Ok(());
        };
        self.witness = format!("{record:?}");
        let run_dir = self.layout.run(snapshot.id());
        let known = Known {
            subject,
            config,
            record,
            snapshot,
            run_dir: &run_dir,
        };
        let work = self.work(&known)?;
        self.stopped_processes(&known)?;
        if work != Work::None {
            return Ok(());
        }
        let mark = self.mark();
        self.surroundings(&known)?;
        self.state(&known)?;
        if self.mark() > mark && self.has_moved(&known)? {
            self.forget_since(mark);
        }
        Ok(())
    }

    /// Whether a command has come since the record was read.
    fn has_moved(&self, known: &Known<'_>) -> Result<bool, EngineError> {
        let Some(engine) = self.engine() else {
            return Ok(false);
        };
        let id = known.snapshot.id();
        if LockObserver::default()
            .holder(&self.layout.locks().join(id.as_str()))
            .is_some()
        {
            return Ok(true);
        }
        let fresh = engine.store().snapshot(id)?;
        Ok(fresh.record().map_or(true, |now| now != known.record))
    }

    /// Whether a command is at work, and whether it stands still.
    fn work(&mut self, known: &Known<'_>) -> Result<Work, EngineError> {
        let lock = self.layout.locks().join(known.snapshot.id().as_str());
        let holder = self.holder(&lock);
        if let Some(holder) = &holder {
            self.lock_holder(known, holder)?;
        }
        if let Some(pending) = known.record.restart()
            && let Some(owner) = pending.owner
            && pending.owner_alive()?
        {
            self.stopped_command(known, owner, holder.as_ref(), "that was to start it again")?;
        }
        let work = match known.record.intent() {
            None if holder.is_some() => Work::UnderWay,
            None => Work::None,
            Some(intent) if intent.owner_alive()? => {
                let doing = format!("in the middle of a {}", word(intent));
                self.stopped_command(known, intent.owner, holder.as_ref(), &doing)?;
                Work::UnderWay
            }
            Some(_) if holder.is_some() => Work::UnderWay,
            Some(intent) => {
                let why = format!(
                    "a command was killed in the middle of a {}, and no other one has touched the container since",
                    word(intent)
                );
                let subject = known.subject.clone();
                self.found(FindingKind::IntentAbandoned, subject, why);
                Work::CutOff
            }
        };
        Ok(work)
    }

    fn lock_holder(&mut self, known: &Known<'_>, holder: &LockHolder) -> Result<(), EngineError> {
        let Some(process) = PidRef::open(holder.stamp())? else {
            return Ok(());
        };
        let LockHolder { pid, verb, .. } = holder;
        let seconds = holder.age().as_secs();
        let subject = known.subject.clone().process(*pid);
        if process.is_stopped()? {
            let why = format!(
                "process {pid} ({verb}) stands still and has held its lock for {seconds} s: nobody else can change the container"
            );
            self.found(FindingKind::LockHolderStopped, subject, why);
        } else if holder.age() > LONG {
            let why = format!(
                "process {pid} ({verb}) has held its lock for {seconds} s, perhaps because its runtime hangs"
            );
            self.found(FindingKind::LockHeldLong, subject, why);
        }
        Ok(())
    }

    fn stopped_command(
        &mut self,
        known: &Known<'_>,
        owner: PidStamp,
        holder: Option<&LockHolder>,
        doing: &str,
    ) -> Result<(), EngineError> {
        if holder.is_some_and(|holder| holder.stamp() == owner) {
            return Ok(());
        }
        if let Some(process) = PidRef::open(owner)?
            && process.is_stopped()?
        {
            let why = format!("process {} stands still {doing}", owner.pid);
            let subject = known.subject.clone().process(owner.pid);
            self.found(FindingKind::CommandStopped, subject, why);
        }
        Ok(())
    }

    /// What the container needs, whatever its status.
    fn surroundings(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let subject = || known.subject.clone();
        let config = known.config;
        if known.record.status() == Status::Removing {
            return Ok(());
        }
        let root = &config.rootfs.path;
        if !root.is_dir() {
            let why = format!("the directory {} that it runs on is gone", root.display());
            self.found(FindingKind::RootfsMissing, subject(), why);
        }
        if let Err(error) = self.config.runtimes.check(&config.runtime) {
            let why = format!("its runtime cannot be used: {}", chain(&error));
            self.found(FindingKind::RuntimeMissing, subject(), why);
        }
        let directory = self.layout.container(known.snapshot.id());
        if !directory.is_dir() {
            let why = format!("its directory {} is gone", directory.display());
            self.found(FindingKind::DirectoryMissing, subject(), why);
        }
        self.look_at(subject().at(&directory), &directory, Expected::Directory)?;
        self.look_at(
            subject().at(known.run_dir),
            known.run_dir,
            Expected::Directory,
        )?;
        self.strays(known, &directory)
    }

    fn state(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let subject = || known.subject.clone();
        let record = known.record;
        match record.status() {
            Status::Removing => {
                let why = "its removal was begun, and nobody finishes it";
                self.found(FindingKind::RemovalUnfinished, subject(), why);
                Ok(())
            }
            Status::Stopped => self.not_cleaned_up(known),
            Status::Configured | Status::Exited => {
                self.restart(known)?;
                self.idle(known)
            }
            Status::Created | Status::Running | Status::Paused | Status::Stopping => {
                let this_boot = self.engine().map(Engine::boot_id);
                if record.boot_id() != this_boot {
                    let why = format!(
                        "it is recorded as {}, and the machine was started anew since",
                        record.status()
                    );
                    self.found(FindingKind::RebootNotTaken, subject(), why);
                    return Ok(());
                }
                self.active(known)
            }
        }
    }

    fn restart(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        if let Some(pending) = known.record.restart()
            && !pending.owner_alive()?
        {
            let why = "it is to be started again, and the process that was to see to it is gone";
            self.found(FindingKind::RestartAbandoned, known.subject.clone(), why);
        }
        Ok(())
    }

    fn not_cleaned_up(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let monitored = Liveness::probe(&known.run_dir.join(files::ALIVE))?.is_some();
        if !monitored && !super::strangers::is_being_cleaned_up(known.snapshot.id()) {
            let why = "its run is over, and nobody cleans up after it";
            self.found(FindingKind::NotCleanedUp, known.subject.clone(), why);
        }
        Ok(())
    }

    /// One that does not run has nothing of a run.
    fn idle(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let subject = || known.subject.clone();
        if let Some(monitor) = Liveness::holder(&known.run_dir.join(files::ALIVE))? {
            let pid = monitor.stamp().pid;
            let why = format!(
                "process {pid} is its monitor, and it is recorded as {}",
                known.record.status()
            );
            self.found(FindingKind::MonitorWithoutRun, subject().process(pid), why);
            return Ok(());
        }
        self.group_left(known)?;
        if known.run_dir.exists() {
            let why = format!(
                "it does not run, and {} of a run is still there",
                known.run_dir.display()
            );
            self.found(
                FindingKind::RunDirectoryLeft,
                subject().at(known.run_dir),
                why,
            );
        }
        let to_go = known.record.status() == Status::Exited
            && known.config.auto_remove == AutoRemove::Yes
            && known.record.restart().is_none()
            && known.snapshot.dependents().is_empty();
        if to_go {
            let why = "it was to be removed after its run, and is still there";
            self.found(FindingKind::RemovalDue, subject(), why);
        }
        Ok(())
    }

    /// One that runs, or should.
    fn active(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let subject = || known.subject.clone();
        let run_dir = known.run_dir;
        let lives = known.record.init().map(PidRef::open).transpose()?.flatten();
        if !run_dir.exists() && lives.is_some() {
            let why = format!(
                "it runs, and its run directory {} is gone",
                run_dir.display()
            );
            self.found(FindingKind::RunDirectoryMissing, subject(), why);
            return Ok(());
        }
        let monitor = Liveness::holder(&run_dir.join(files::ALIVE))?;
        if self.ended(known, monitor.as_ref())? {
            return Ok(());
        }
        match monitor {
            None => {
                if self.without_monitor(known)? {
                    self.resources(known)?;
                }
                self.sessions(known)
            }
            Some(monitor) => {
                if !run_dir.join(files::CONTROL).exists() {
                    let why = "the socket of its monitor is gone: no command can reach it";
                    let pid = monitor.stamp().pid;
                    let subject = subject().process(pid);
                    self.found(FindingKind::ControlSocketMissing, subject, why);
                } else if !monitor.is_stopped()? {
                    self.ask(known);
                }
                self.resources(known)?;
                self.sessions(known)
            }
        }
    }

    /// Whether its end was written down by its monitor, and what became of that.
    fn ended(&mut self, known: &Known<'_>, monitor: Option<&PidRef>) -> Result<bool, EngineError> {
        let generation = known.record.generation();
        let (kind, why) = match ExitRecord::read(known.run_dir, generation) {
            Ok(None) => return Ok(false),
            Ok(Some(_)) => (
                FindingKind::ExitNotTaken,
                "it has ended, and nobody has taken that into its record".to_owned(),
            ),
            Err(error @ MonitorError::BadRecord { .. }) => (
                FindingKind::ExitRecordDamaged,
                format!("it has ended, and how cannot be read: {error}"),
            ),
            Err(error) => return Err(error.into()),
        };
        let kept = Liveness::probe(&known.run_dir.join(files::KEEPER))?.is_some();
        let id = known.snapshot.id();
        // A monitor that is there waits for its client, or is about to have it cleaned up.
        if monitor.is_none() && !kept && !super::strangers::is_being_cleaned_up(id) {
            self.found(kind, known.subject.clone(), why);
        }
        Ok(true)
    }
}

fn word(intent: &Intent) -> String {
    format!("{:?}", intent.kind).to_lowercase()
}
