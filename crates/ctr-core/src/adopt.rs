//! Another monitor for a container whose own one was killed.
//!
//! Mostly the monitor's keeper has taken its place before anybody notices. Where that was killed, too, or there was none yet, whoever takes the
//! container's lock next starts a new monitor, which takes over what the kernel and the run directory still have: the first process, the
//! named pipes, the log, exec sessions. It sees the end, restarts and cleans up as the first one would have.

use std::time::Duration;

use ctr_monitor::files;
use ctr_monitor::protocol::{AdoptRequest, Phase};
use ctr_state::Status;
use ctr_sys::{Deadline, Liveness, PidStamp};

use crate::container::LockedContainer;
use crate::error::{EngineError, chain};
use crate::init::{REPLY_WAIT, launch_monitor, reap};
use crate::release::end_keeper;

/// Sees to it that a container that lives has a monitor. An operation is not refused because that fails: the container stays without, as readers
/// see, and the next command tries again.
pub(crate) fn adopt(container: &mut LockedContainer<'_>) {
    let Some(init) = container.record().init() else {
        return;
    };
    match adopt_process(container, init) {
        Ok(()) => tracing::info!(container = %container.id(), "another monitor looks after it"),
        Err(error) => {
            tracing::warn!(container = %container.id(), error = chain(&error), "its monitor was killed, and there is no other one yet");
        }
    }
}

fn adopt_process(container: &mut LockedContainer<'_>, init: PidStamp) -> Result<(), EngineError> {
    let engine = container.engine();
    let run_dir = engine.run_dir(container.id());
    // One that has not taken over by now does not answer.
    end_keeper(&run_dir)?;
    let mut request = container.monitor_request(Vec::new())?;
    request.timeout_ms = remaining_ms(request.timeout_ms, container);
    let request = AdoptRequest {
        container: request,
        init,
        phase: if container.status() == Status::Created {
            Phase::Created
        } else {
            Phase::Started
        },
    };
    let (mut client, child) = launch_monitor(engine)?;
    match client.adopt(request, Deadline::after(REPLY_WAIT)) {
        Ok((_, monitor)) => {
            child.detach();
            container.locked_record().edit().monitor = Some(monitor);
            container.save(&[])
        }
        Err(error) => {
            drop(client);
            reap(Some(child));
            // The keeper was faster.
            match Liveness::probe(&run_dir.join(files::ALIVE))? {
                Some(_) => Ok(()),
                None => Err(error.into()),
            }
        }
    }
}

/// What is left of the time that the program may run, in ms; not 0, which would be none. One that waits for its start has it all before it.
fn remaining_ms(limit_ms: Option<u64>, container: &LockedContainer<'_>) -> Option<u64> {
    let Some(started_ns) = container.record().started_ns() else {
        return limit_ms;
    };
    let passed = container.engine().now_ns().saturating_sub(started_ns);
    let passed = Duration::from_nanos(u64::try_from(passed).unwrap_or(0));
    let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
    Some(limit_ms?.saturating_sub(passed_ms).max(1))
}
