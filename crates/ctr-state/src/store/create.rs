//! New containers.

use ctr_events::NewEvent;
use ctr_sys::Deadline;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Durability, Room, Store};
use crate::error::Context;
use crate::lock::LockedRecord;
use crate::record::v1;
use crate::snapshot::{Contents, parse_column};
use crate::{
    AutoRemove, Config, ContainerId, ContainerName, Intent, Record, StateError, Status, ledger,
};

/// What a new container is made of.
#[derive(Clone, Debug)]
pub struct NewContainer {
    /// What it is asked to be.
    pub config: Config,
    /// Its name, unique among containers.
    pub name: ContainerName,
    /// The containers that it needs; they must exist.
    pub dependencies: Vec<ContainerId>,
    /// What its creator is about to do next.
    pub intent: Option<Intent>,
    /// The event that reports its creation.
    pub event: NewEvent,
}

impl Store {
    /// Adds a container, status [`Configured`](crate::Status::Configured), with its event, in one transaction.
    ///
    /// # Errors
    /// [`StateError::NameInUse`]; [`StateError::NotFound`] for a dependency that does not exist.
    pub fn create(&self, new: NewContainer, durability: Durability) -> Result<(), StateError> {
        self.insert(new, durability).map(|_| ())
    }

    /// Adds a container like [`Store::create`] and holds its lock from before it can be seen, so that nobody comes
    /// between creation and what its creator does next.
    ///
    /// # Errors
    /// Those of [`Store::create`] and of [`Store::lock`].
    pub fn create_locked(
        &self,
        new: NewContainer,
        verb: &str,
        deadline: Deadline,
        durability: Durability,
    ) -> Result<LockedRecord<'_>, StateError> {
        let lock = self.acquire(&new.config.id, verb, deadline)?;
        match self.insert(new, durability) {
            Ok((name, contents)) => Ok(LockedRecord::new(lock, name, contents)),
            Err(error) => {
                lock.discard();
                Err(error)
            }
        }
    }

    fn insert(
        &self,
        new: NewContainer,
        durability: Durability,
    ) -> Result<(ContainerName, Contents), StateError> {
        let NewContainer {
            config,
            name,
            dependencies,
            intent,
            event,
        } = new;
        let record = Record::configured(intent);
        self.write(
            "create a container",
            durability,
            Room::Free,
            &[event],
            |transaction| {
                refuse_used_name(transaction, &name)?;
                insert_container(transaction, &config, &name).context("store a new container")?;
                insert_record(transaction, &config.id, &record).context("store a new record")?;
                dependencies
                    .iter()
                    .try_for_each(|needed| insert_dependency(transaction, &config.id, needed))
            },
        )?;
        Ok((name, Contents { config, record }))
    }
}

pub(crate) fn refuse_used_name(
    transaction: &Transaction<'_>,
    name: &ContainerName,
) -> Result<(), StateError> {
    let owner = transaction
        .query_row(
            "SELECT id FROM container WHERE name = ?1",
            [name.as_str()],
            |row| parse_column(row, 0),
        )
        .optional()
        .context("look up a name")?;
    owner.map_or(Ok(()), |by| {
        Err(StateError::NameInUse {
            name: name.clone(),
            by,
        })
    })
}

fn insert_container(
    transaction: &Transaction<'_>,
    config: &Config,
    name: &ContainerName,
) -> rusqlite::Result<usize> {
    let auto_remove = match config.auto_remove {
        AutoRemove::No => 0,
        AutoRemove::Yes => 1,
    };
    transaction.execute(
        "INSERT INTO container (id, name, created_ns, auto_remove, config) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            config.id.as_str(),
            name.as_str(),
            config.created_ns,
            auto_remove,
            config.to_json(),
        ],
    )
}

fn insert_record(
    transaction: &Transaction<'_>,
    id: &ContainerId,
    record: &Record,
) -> rusqlite::Result<usize> {
    transaction.execute(
        "INSERT INTO record (id, status, generation, version, facts, intent) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            id.as_str(),
            record.status().word(),
            ledger::signed(record.generation()),
            v1::VERSION,
            v1::encode_facts(record),
            v1::encode_intent(record),
        ],
    )
}

fn insert_dependency(
    transaction: &Transaction<'_>,
    id: &ContainerId,
    needed: &ContainerId,
) -> Result<(), StateError> {
    let rows = transaction
        .execute(
            // One that is being removed is as good as gone.
            "INSERT OR IGNORE INTO dependency (id, needs)
             SELECT ?1, id FROM record WHERE id = ?2 AND status <> ?3",
            params![id.as_str(), needed.as_str(), Status::Removing.word()],
        )
        .context("store a dependency")?;
    if rows == 0 {
        return Err(StateError::not_found(needed));
    }
    Ok(())
}
