//! The lock of a container is a value, and taking it is reading the record.

mod change;

use std::io;
use std::time::Duration;

use ctr_events::NewEvent;
use ctr_sys::{Deadline, FileLock, LockError, SysError, create_private_dir};

use crate::ledger::{self, Run};
use crate::snapshot::Contents;
use crate::store::Room;
use crate::{
    Config, ContainerId, ContainerName, Durability, Facts, Intent, Record, StartReason, StateError,
    Store, Trigger,
};
use change::{delete, update};

/// The record of a container under its lock: the only way to change it.
///
/// Dropping it gives the lock up, and with it what was changed but not saved.
#[derive(Debug)]
#[must_use = "dropping it gives the lock up"]
pub struct LockedRecord<'s> {
    lock: HeldLock<'s>,
    name: ContainerName,
    config: Config,
    record: Record,
    /// The row of the ledger as it is stored, so that an unchanged one is not written again.
    run: Option<Run>,
    /// What the next save may use.
    room: Room,
}

/// A held lock file, known to the store so that the same process does not wait for itself.
#[derive(Debug)]
pub(crate) struct HeldLock<'s> {
    // Released before the id is free again: fields are dropped in this order.
    file: FileLock,
    entry: HeldEntry<'s>,
}

/// The entry of an id among those that are held.
#[derive(Debug)]
struct HeldEntry<'s> {
    store: &'s Store,
    id: ContainerId,
}

impl Drop for HeldEntry<'_> {
    fn drop(&mut self) {
        self.store.held().remove(&self.id);
    }
}

impl HeldLock<'_> {
    /// Gives the lock up together with its file: for a container that does not exist (any more). A file that cannot be
    /// removed does no harm: it is not locked, and its id is never used again.
    pub(crate) fn discard(self) {
        self.file.unlink().ok();
    }
}

impl Store {
    /// Takes the lock of a container for `verb` and reads its record.
    ///
    /// The lock is a file of its own, locked with flock(2): it dies with its holder, however that ends. Who waits is
    /// told by [`StateError::Busy`] for whom.
    ///
    /// # Errors
    /// [`StateError::NotFound`] when the container is gone, [`StateError::Busy`] when the deadline has passed,
    /// [`StateError::AlreadyHeld`] at once when this store holds the lock already, [`StateError::Corrupt`] when the
    /// record cannot be read.
    pub fn lock(
        &self,
        id: &ContainerId,
        verb: &str,
        deadline: Deadline,
    ) -> Result<LockedRecord<'_>, StateError> {
        let lock = self.acquire(id, verb, deadline)?;
        match self.snapshot(id) {
            Ok(snapshot) => {
                let (name, contents) = snapshot.into_parts()?;
                Ok(LockedRecord::new(lock, name, contents))
            }
            Err(error @ StateError::NotFound { .. }) => {
                // Nobody else would ever remove the file that asking for it has made.
                lock.discard();
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a container whose record cannot be read, after `release` has succeeded under its lock. Its runs stay in the ledger.
    ///
    /// # Errors
    /// Those of [`Store::lock`] but [`StateError::Corrupt`], that of `release`, and those of [`LockedRecord::remove`].
    pub fn remove_corrupt<E: From<StateError>>(
        &self,
        id: &ContainerId,
        verb: &str,
        deadline: Deadline,
        event: NewEvent,
        release: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let lock = self.acquire(id, verb, deadline)?;
        if let Err(error) = self.snapshot(id) {
            if matches!(error, StateError::NotFound { .. }) {
                lock.discard();
            }
            return Err(error.into());
        }
        release()?;
        delete(&lock, event, Durability::Durable)?;
        lock.discard();
        Ok(())
    }

    /// Removes lock files without a container: a creation that was killed before its row was stored leaves one, empty.
    ///
    /// # Errors
    /// When the directory or the database cannot be read.
    pub fn sweep_locks(&self) -> Result<(), StateError> {
        let directory = &self.config().locks;
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(SysError::new("read", directory.display().to_string(), error).into());
            }
        };
        for entry in entries.flatten() {
            let id = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<ContainerId>().ok());
            let Some(id) = id else {
                continue;
            };
            if !matches!(self.snapshot(&id), Err(StateError::NotFound { .. })) {
                continue;
            }
            // Held: its creator is about to store the row. Taken: the lock itself looks again, and removes the file.
            match self.lock(&id, "sweep", Deadline::after(Duration::ZERO)) {
                Ok(_)
                | Err(
                    StateError::NotFound { .. }
                    | StateError::Busy { .. }
                    | StateError::AlreadyHeld { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn acquire(
        &self,
        id: &ContainerId,
        verb: &str,
        deadline: Deadline,
    ) -> Result<HeldLock<'_>, StateError> {
        if !self.held().insert(id.clone()) {
            return Err(StateError::AlreadyHeld { id: id.clone() });
        }
        let entry = HeldEntry {
            store: self,
            id: id.clone(),
        };
        let file = self.lock_file(id, verb, deadline)?;
        Ok(HeldLock { file, entry })
    }

    fn lock_file(
        &self,
        id: &ContainerId,
        verb: &str,
        deadline: Deadline,
    ) -> Result<FileLock, StateError> {
        let directory = &self.config().locks;
        let path = directory.join(id.as_str());
        match FileLock::acquire(&path, verb, deadline) {
            // The first lock after a reboot: the directory is gone with the rest of the volatile files.
            Err(LockError::Sys(error)) if error.kind() == io::ErrorKind::NotFound => {
                create_private_dir(directory)?;
                FileLock::acquire(&path, verb, deadline)
            }
            other => other,
        }
        .map_err(|error| match error {
            LockError::Busy { holder, waited, .. } => StateError::Busy {
                what: format!("container {}", id.short()),
                holder,
                waited,
            },
            LockError::Sys(error) => error.into(),
        })
    }
}

impl<'s> LockedRecord<'s> {
    pub(crate) fn new(lock: HeldLock<'s>, name: ContainerName, contents: Contents) -> Self {
        let Contents { config, record } = contents;
        let run = Run::of(&lock.entry.id, &name, &record);
        Self {
            lock,
            name,
            config,
            record,
            run,
            room: Room::Reserve,
        }
    }

    /// The id.
    pub fn id(&self) -> &ContainerId {
        &self.lock.entry.id
    }

    /// The name.
    pub fn name(&self) -> &ContainerName {
        &self.name
    }

    /// What it was asked to be.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What has become of it, with what was changed since and not saved.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The store that the lock is of.
    pub fn store(&self) -> &'s Store {
        self.lock.entry.store
    }

    /// The facts, to be set before a [`LockedRecord::save`].
    pub fn edit(&mut self) -> &mut Facts {
        self.record.facts_mut()
    }

    /// Moves the status, in memory, as the table says.
    ///
    /// # Errors
    /// [`StateError::Illegal`], and the status stays, where the table has no such move.
    pub fn advance(&mut self, trigger: Trigger) -> Result<(), StateError> {
        let now_ns = self.store().now_ns();
        self.record
            .advance(trigger, now_ns)
            .map_err(|source| StateError::Illegal {
                id: self.id().clone(),
                source,
            })
    }

    /// Sets, or with `None` ends, what is about to be done, in memory.
    pub fn set_intent(&mut self, intent: Option<Intent>) {
        self.record.set_intent(intent);
    }

    /// Begins the next run, in memory, and returns its number: what belongs to the last run is forgotten, but for the
    /// mount points that were made and, when the restart policy begins it, the restart count. The next save opens its row in the ledger.
    pub fn begin_generation(&mut self, reason: StartReason) -> u64 {
        let now_ns = self.store().now_ns();
        // A run must not begin where there is no room for its end. Once it has begun, whatever happens to it is saved.
        self.room = Room::Free;
        self.record.begin_generation(reason, now_ns)
    }

    /// Saves the record, its row in the ledger and the events that report the change, in one transaction.
    ///
    /// # Errors
    /// Nothing was saved then. [`StateError::NotFound`] when the container was removed although the lock was held.
    pub fn save(&mut self, events: &[NewEvent], durability: Durability) -> Result<(), StateError> {
        let run = Run::of(self.id(), &self.name, &self.record);
        let changed = run.as_ref().filter(|_| run != self.run);
        let operation = match self.room {
            Room::Free => "begin a run",
            Room::Reserve => "save a record",
        };
        self.store()
            .write(operation, durability, self.room, events, |transaction| {
                update(transaction, self.id(), &self.record)?;
                changed.map_or(Ok(()), |run| ledger::put(transaction, run))
            })?;
        self.run = run;
        self.room = Room::Reserve;
        Ok(())
    }

    /// Removes the container, with the event that reports it, and then the lock. Its runs stay in the ledger.
    ///
    /// # Errors
    /// [`StateError::InUse`] when others depend on it.
    pub fn remove(self, event: NewEvent) -> Result<(), StateError> {
        delete(&self.lock, event, self.config.auto_remove.into())?;
        self.lock.discard();
        Ok(())
    }

    /// Gives the lock up.
    pub fn unlock(self) {}
}
