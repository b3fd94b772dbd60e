//! Another connection, when the one to the monitor has broken off before the end: its keeper has taken its place, or will, or somebody has to see
//! to a new one.

use std::os::fd::BorrowedFd;

use ctr_exec::WindowSize;
use ctr_monitor::MonitorClient;
use ctr_monitor::protocol::{AttachRequest, CleanupPromise};
use ctr_sys::Deadline;

use super::attached::{Attached, Role, Subject};
use crate::container::Container;
use crate::error::EngineError;
use crate::init::REPLY_WAIT;
use crate::reconcile::Leave;

/// `None`: there is nobody to connect to, also because the end is near. Whoever waits for that sees it.
pub(super) fn rejoin(
    attached: &Attached,
    container: &Container<'_>,
    window: Option<BorrowedFd<'_>>,
) -> Option<MonitorClient> {
    let request = AttachRequest {
        cleanup: match (attached.subject(), attached.role()) {
            (Subject::Run { .. }, Role::Owner) => CleanupPromise::Made,
            (Subject::Run { .. }, Role::Observer) | (Subject::Exec { .. }, _) => {
                CleanupPromise::None
            }
        },
        window: window.and_then(WindowSize::of),
        session: match attached.subject() {
            Subject::Run { .. } => None,
            Subject::Exec { id, .. } => Some(id.clone()),
        },
        input: attached.input(),
        replay: 0,
    };
    // The keeper answers on the socket that its monitor had.
    if let Ok(Some(client)) = connect(attached, container, &request) {
        return Some(client);
    }
    let joined =
        replaced(attached, container).and_then(|()| connect(attached, container, &request));
    match joined {
        Ok(client) => client,
        Err(error) => {
            tracing::debug!(%error, "no other monitor to attach to");
            None
        }
    }
}

fn connect(
    attached: &Attached,
    container: &Container<'_>,
    request: &AttachRequest,
) -> Result<Option<MonitorClient>, EngineError> {
    let run_dir = container.engine().run_dir(container.id());
    let Some(mut client) = MonitorClient::connect(&run_dir)? else {
        return Ok(None);
    };
    let status = client.status(Deadline::after(REPLY_WAIT))?;
    // Somebody may have started the container again meanwhile.
    let same = match attached.subject() {
        Subject::Run { generation, .. } => status.generation == *generation,
        Subject::Exec { .. } => true,
    };
    if !same {
        return Ok(None);
    }
    client.attach(request.clone(), Deadline::after(REPLY_WAIT))?;
    client.set_nonblocking()?;
    Ok(Some(client))
}

/// Whoever takes the lock has another monitor look after the container. A run that is over is left as it is: its end is looked at next.
fn replaced(attached: &Attached, container: &Container<'_>) -> Result<(), EngineError> {
    let leave = match attached.role() {
        Role::Owner => Leave::Removal,
        Role::Observer => Leave::Nothing,
    };
    container.lock_with("attach", leave).map(|locked| {
        locked.unlock();
    })
}
