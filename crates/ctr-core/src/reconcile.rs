//! Taking in what happened while nobody held the lock.
//!
//! Two things may have: a command died in the middle of an operation (its intent is in the record), and the container itself moved on
//! (its monitor's exit record, or the kernel, says so). Intents come first, because they say what the rest means.

use ctr_events::{EXIT_CODE, EventKind, NewEvent, OOM_KILLED};
use ctr_monitor::protocol::Phase;
use ctr_monitor::{ExitRecord, MonitorClient, MonitorError, StartSeen};
use ctr_state::{
    AutoRemove, ExitCause, ExitInfo, Intent, IntentKind, OomKilled, Ran, Record, StateError,
    Status, Trigger,
};
use ctr_sys::Deadline;
use std::time::Duration;

use crate::adopt::adopt;
use crate::container::LockedContainer;
use crate::error::EngineError;
use crate::exec::TakeIn;
use crate::probe::{Observed, observe, rebooted};
use crate::release::{Leftovers, release};
use crate::stop::{ask_again, is_overdue, kill_overdue};
use crate::summary::MonitorState;

/// How long a monitor may take to say how it is.
const STATUS_WAIT: Duration = Duration::from_secs(5);

/// What of that which a container's state calls for is left to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Nothing.
    Nothing,
    /// The removal of a container that is to go by itself, after something that the caller still has to do.
    Removal,
    /// A start that is to come and that nobody sees to, because the caller decides about it.
    Restart,
}

/// Brings record and reality together.
///
/// # Errors
/// [`StateError::NotFound`] when the container turned out to be removed, half or whole.
pub(crate) fn reconcile(
    mut container: LockedContainer<'_>,
    leave: Leave,
) -> Result<LockedContainer<'_>, EngineError> {
    if let Some(intent) = container.record().intent().cloned()
        && !is_own_or_alive(&container, &intent)?
    {
        container = recover(container, &intent)?;
    }
    let mut observed = observe(container.engine(), container.id(), container.record())?;
    if matches!(observed, Observed::Alive(_)) && is_overdue(&container)? {
        if let Err(error) = kill_overdue(&container) {
            // No reason to refuse what the caller wants.
            tracing::warn!(container = %container.id(), %error, "its stop cannot be carried out");
        }
        observed = observe(container.engine(), container.id(), container.record())?;
    }
    match observed {
        // Its end was seen before the machine was started anew: what starts now is decided by the boot, not by the policy.
        Observed::Inactive if is_stale(&container) => container.clean_for_start()?,
        Observed::Alive(MonitorState::Lost) => adopt(&mut container),
        Observed::Inactive | Observed::Alive(_) => {}
        Observed::Ended(exit) => take_exit(&mut container, exit)?,
        Observed::Rebooted => container = reboot(container)?,
    }
    container.take_in_sessions(TakeIn::Orphaned);
    container.drop_stale_restart()?;
    if leave != Leave::Removal && container.is_to_go()? {
        // Carried out by whoever notices first: those who should have may all be gone.
        return Err(removed(container));
    }
    if leave != Leave::Restart {
        container.hand_restart_on()?;
    }
    Ok(container)
}

/// Whether it is a container of another boot of the machine that nobody has cleaned up after.
fn is_stale(container: &LockedContainer<'_>) -> bool {
    let this_boot = container.engine().boot_id();
    container.status() == Status::Stopped && container.record().boot_id() != Some(this_boot)
}

/// A living owner without the lock has given it up on purpose (a stop that waits).
fn is_own_or_alive(container: &LockedContainer<'_>, intent: &Intent) -> Result<bool, EngineError> {
    Ok(intent.boot_id == *container.engine().boot_id() && intent.owner_alive()?)
}

fn recover<'e>(
    mut container: LockedContainer<'e>,
    intent: &Intent,
) -> Result<LockedContainer<'e>, EngineError> {
    tracing::info!(container = %container.id(), kind = ?intent.kind, "a command was cut off; finishing or taking back");
    match intent.kind {
        // Its creator never said that it was complete, so nobody was told of it.
        IntentKind::Create => Err(removed(container)),
        IntentKind::Init => cut_off(container),
        IntentKind::Start => recover_start(container),
        IntentKind::Remove if container.status() == Status::Removing => Err(removed(container)),
        // A start that failed was being taken back.
        IntentKind::Cleanup
            if matches!(
                container.status(),
                Status::Created | Status::Configured | Status::Exited
            ) =>
        {
            cut_off(container)
        }
        // Cleanup and a removal that had not begun: the status says what is to be done. What the container does is seen next.
        IntentKind::Stop | IntentKind::Cleanup | IntentKind::Remove => {
            if intent.kind == IntentKind::Stop {
                ask_again(&container)?;
            }
            container.locked_record().set_intent(None);
            container.save(&[])?;
            Ok(container)
        }
        IntentKind::Pause | IntentKind::Unpause => crate::pause::recover(container),
    }
}

/// Finishes a removal; the error that says that the container is gone, or why it could not be finished.
fn removed(container: LockedContainer<'_>) -> EngineError {
    let id = container.id().to_string();
    let name = container.name().to_string();
    let begun_ns = (container.status() == Status::Removing)
        .then(|| container.record().since_ns())
        .flatten();
    let orderly = container.status().after(Trigger::BeginRemove).is_ok();
    let result = if orderly {
        container.remove_stopped().map(drop)
    } else {
        // A container that nobody was ever told of, and that runs all the same.
        crate::remove::finish(container)
    };
    match (result, begun_ns) {
        (Ok(()), _) => StateError::NotFound { what: id }.into(),
        (Err(error), Some(since_ns)) => EngineError::RemovalStuck {
            name,
            since_ns,
            cause: Box::new(error),
        },
        (Err(error), None) => error,
    }
}

fn recover_start(mut container: LockedContainer<'_>) -> Result<LockedContainer<'_>, EngineError> {
    if container.status() == Status::Created && has_started(&container)? {
        let now = container.engine().now_ns();
        let facts = container.locked_record().edit();
        facts.started_ns = facts.started_ns.or(Some(now));
        container.locked_record().set_intent(None);
        let event = container.event(EventKind::Start);
        container.advance(Trigger::Start, &[event])?;
        return Ok(container);
    }
    cut_off(container)
}

/// Whether the program runs, or ran: its monitor says so, or has left it in its record.
fn has_started(container: &LockedContainer<'_>) -> Result<bool, EngineError> {
    let run_dir = container.engine().run_dir(container.id());
    let generation = container.record().generation();
    if let Some(mut client) = MonitorClient::connect(&run_dir)? {
        match client.status(Deadline::after(STATUS_WAIT)) {
            Ok(status) if status.phase != Phase::Ended => {
                return Ok(status.generation == generation && status.phase == Phase::Started);
            }
            // Busy with the start itself, which nobody waits for any more: not started, and to be taken back.
            Err(MonitorError::NoAnswer { .. }) => return Ok(false),
            // Its record says more.
            Ok(_) | Err(_) => {}
        }
    }
    let record = ExitRecord::read(&run_dir, generation)?;
    Ok(record.is_some_and(|record| record.start == StartSeen::Yes))
}

/// Takes back what a command that was killed had begun. A container that was to go by itself has nobody left who would remove it.
fn cut_off(mut container: LockedContainer<'_>) -> Result<LockedContainer<'_>, EngineError> {
    take_back(&mut container, "the command that started it was cut off")?;
    if container.config().auto_remove == AutoRemove::Yes && !container.will_restart() {
        return Err(removed(container));
    }
    Ok(container)
}

/// Undoes a start that did not get through: nothing of the run is left, and the ledger says that it never started.
pub(crate) fn take_back(
    container: &mut LockedContainer<'_>,
    reason: &str,
) -> Result<(), EngineError> {
    let engine = container.engine();
    container.announce(IntentKind::Cleanup);
    let released = container
        .save(&[])
        .and_then(|()| release(engine, &Leftovers::of(container.locked_record())));
    let finished_ns = engine.now_ns();
    let status = container.status();
    let trigger = back(container.record());
    let record = container.locked_record();
    let facts = record.edit();
    facts.init = None;
    facts.monitor = None;
    if let Ok(left) = &released {
        facts.created_paths.clone_from(left);
    }
    facts.error = Some(reason.to_owned());
    facts.finished_ns = None;
    facts.exit = Some(ExitInfo {
        cause: ExitCause::NeverStarted {
            reason: reason.to_owned(),
        },
        oom: OomKilled::No,
        monitors_lost: 0,
        finished_ns,
        reason: Some(reason.to_owned()),
    });
    // What could not be released is tried again by the next command: the intent stays for it.
    if released.is_ok() {
        record.set_intent(None);
    }
    let mut events = Vec::new();
    if status == Status::Created {
        record.advance(trigger)?;
        events.push(container.event(EventKind::Cleanup));
    }
    // Of a start by the policy: in the same transaction, so that no kill in between loses the next attempt.
    container.plan_restart(None);
    container.save(&events)?;
    released.map(drop)
}

/// What takes a Created container back to where it was before.
fn back(record: &Record) -> Trigger {
    match record.facts().history {
        Ran::Never => Trigger::Cleaned,
        Ran::Before => Trigger::TakenBack,
    }
}

/// Records an exit that somebody else has seen.
pub(crate) fn take_exit(
    container: &mut LockedContainer<'_>,
    exit: ExitInfo,
) -> Result<(), EngineError> {
    let events = [died(container, &exit)];
    let record = container.locked_record();
    let facts = record.edit();
    facts.finished_ns = Some(exit.finished_ns);
    facts.exit = Some(exit);
    facts.init = None;
    facts.monitor = None;
    container.advance(Trigger::ExitSeen, &events)
}

fn died(container: &LockedContainer<'_>, exit: &ExitInfo) -> NewEvent {
    let mut event = container.event(EventKind::Died);
    event.time_ns = exit.finished_ns;
    note_exit(&mut event, Some(exit));
    event
}

/// Says in an event how the run ended. Labels that look like it give way, also where nothing is known to have ended.
pub(crate) fn note_exit(event: &mut NewEvent, exit: Option<&ExitInfo>) {
    let code = exit.map(|exit| exit.code().to_string());
    let oom = exit.is_some_and(|exit| exit.oom == OomKilled::Yes);
    for (key, value) in [
        (EXIT_CODE, code),
        (OOM_KILLED, oom.then(|| "true".to_owned())),
    ] {
        match value {
            Some(value) => event.attributes.insert(key.to_owned(), value),
            None => event.attributes.remove(key),
        };
    }
}

/// After a reboot nothing of a run exists any more but what is recorded.
fn reboot(mut container: LockedContainer<'_>) -> Result<LockedContainer<'_>, EngineError> {
    let status = container.status();
    let exit = rebooted(container.engine(), status);
    let ran = status != Status::Created;
    let events = if ran {
        vec![died(&container, &exit)]
    } else {
        Vec::new()
    };
    let left = release(
        container.engine(),
        &Leftovers::of(container.locked_record()),
    )?;
    let facts = container.locked_record().edit();
    facts.init = None;
    facts.monitor = None;
    facts.created_paths = left;
    facts.finished_ns = ran.then_some(exit.finished_ns);
    facts.exit = Some(exit);
    let trigger = match (ran, back(container.record())) {
        (false, Trigger::TakenBack) => Trigger::TakenBack,
        _ => Trigger::Rebooted,
    };
    container.advance(trigger, &events)?;
    Ok(container)
}
