//! What can be done about a store that cannot be used, and about a full disk.

use std::path::Path;

use ctr_state::StoreFault;

/// What helps when the store as a whole cannot do something.
pub(super) fn for_store(fault: &StoreFault) -> String {
    match fault {
        StoreFault::Full { directory, .. } => format!(
            "free some room on the file system of {}; stop, kill, rm, cleanup and whatever only reads work meanwhile",
            directory.display()
        ),
        StoreFault::ReadOnly { directory, .. } => format!(
            "mount it for writing (mount -o remount,rw ...), or use another --root than {}",
            directory.display()
        ),
        StoreFault::Damaged { database, .. } => format!(
            "what can be read is still shown: ctr doctor says what is wrong, ctr system export > FILE saves the records. To begin anew, stop \
             the containers, then {}. Names, configurations and history are lost then, files under containers/ are not",
            moving(database)
        ),
        StoreFault::Foreign { database, .. } => format!(
            "it was not touched. Choose another --root, or {} to begin with an empty store",
            moving(database)
        ),
        StoreFault::Untrusted { database, .. } => format!(
            "make sure of what it is, then: chown root:root {0} && chmod 600 {0}",
            database.display()
        ),
    }
}

/// The database goes with its log: one without the other is nothing.
fn moving(database: &Path) -> String {
    let path = database.display();
    format!("move it away with its log ({path}, {path}-wal and {path}-shm)")
}
