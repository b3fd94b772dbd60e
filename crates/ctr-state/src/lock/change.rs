//! The statements behind what a lock holder does to a container.

use ctr_events::NewEvent;
use rusqlite::{Transaction, params};

use super::{HeldEntry, HeldLock, LockedRecord};
use crate::error::Context;
use crate::record::v1;
use crate::store::{Room, dependents, refuse_used_name};
use crate::{ContainerId, ContainerName, Durability, Record, StateError, Status, ledger};

impl LockedRecord<'_> {
    /// Gives the container another name, with the event that reports it, and saves. A row of the ledger keeps the name that the
    /// container had when it was written last.
    ///
    /// # Errors
    /// [`StateError::NameInUse`] when the name belongs to another container; nothing was changed then.
    pub fn rename(&mut self, name: &ContainerName, event: NewEvent) -> Result<(), StateError> {
        let (store, id) = (self.store(), self.id().clone());
        let changed = |transaction: &Transaction<'_>| {
            refuse_used_name(transaction, name)?;
            let rows = transaction
                .execute(
                    "UPDATE container SET name = ?2 WHERE id = ?1",
                    params![id.as_str(), name.as_str()],
                )
                .context("rename a container")?;
            if rows == 0 {
                return Err(StateError::not_found(&id));
            }
            Ok(())
        };
        store.write(
            "rename a container",
            Durability::Durable,
            Room::Free,
            &[event],
            changed,
        )?;
        self.name = name.clone();
        Ok(())
    }
}

pub(super) fn update(
    transaction: &Transaction<'_>,
    id: &ContainerId,
    record: &Record,
) -> Result<(), StateError> {
    if record.status() == Status::Removing {
        // From here on there is no way back, so whoever needs it must not find out only when it is gone.
        refuse_in_use(transaction, id)?;
    }
    let rows = transaction
        .execute(
            "UPDATE record SET status = ?2, generation = ?3, version = ?4, facts = ?5, intent = ?6 WHERE id = ?1",
            params![
                id.as_str(),
                record.status().word(),
                ledger::signed(record.generation()),
                v1::VERSION,
                v1::encode_facts(record),
                v1::encode_intent(record),
            ],
        )
        .context("save a record")?;
    if rows == 0 {
        return Err(StateError::not_found(id));
    }
    Ok(())
}

pub(super) fn delete(
    lock: &HeldLock<'_>,
    event: NewEvent,
    durability: Durability,
) -> Result<(), StateError> {
    let HeldEntry { store, id } = &lock.entry;
    let now_ns = store.now_ns();
    store.write(
        "remove a container",
        durability,
        Room::Reserve,
        &[event],
        |transaction| {
            refuse_in_use(transaction, id)?;
            for sql in [
                "DELETE FROM dependency WHERE id = ?1",
                "DELETE FROM record WHERE id = ?1",
            ] {
                transaction
                    .execute(sql, [id.as_str()])
                    .context("remove a record")?;
            }
            let rows = transaction
                .execute("DELETE FROM container WHERE id = ?1", [id.as_str()])
                .context("remove a container")?;
            if rows == 0 {
                return Err(StateError::not_found(id));
            }
            ledger::mark_removed(transaction, id, now_ns)
        },
    )
}

fn refuse_in_use(transaction: &Transaction<'_>, id: &ContainerId) -> Result<(), StateError> {
    let by = dependents(transaction, id)?;
    if by.is_empty() {
        return Ok(());
    }
    Err(StateError::InUse { id: id.clone(), by })
}
