//! Containers that need others.
//!
//! What a container needs is fixed when it is created, and must exist then: so what needs comes after what is needed, in the order of
//! creation, and there are no circles. That order is the one to start in, and the opposite one the one to remove in. Locks are taken
//! one at a time.

use std::collections::{BTreeMap, BTreeSet};

use ctr_state::{
    Config, ContainerId, ExitInfo, Record, RequiredState, Requirement, Snapshot, StartReason,
    StateError, Status,
};
use ctr_sys::{Deadline, PidRef, SignalFd};

use crate::container::{Container, LockedContainer};
use crate::create::Planned;
use crate::engine::Engine;
use crate::error::{EngineError, chain};
use crate::start::StartRequest;
use crate::wait::exit_of;
use crate::watch::Watch;

/// All that a container needs, directly or not, in the order in which it is to be started.
pub(crate) struct Needs<'e> {
    engine: &'e Engine,
    needed: Vec<(ContainerId, RequiredState)>,
    /// For messages.
    name: String,
}

impl<'e> Needs<'e> {
    pub(crate) fn of(container: &Container<'e>) -> Result<Self, EngineError> {
        let snapshot = container.snapshot()?;
        let name = snapshot.name().to_string();
        Self::of_config(container.engine(), snapshot.config()?, name)
    }

    /// Of one that is about to be created with this name, or with a generated one.
    pub(crate) fn of_planned(engine: &'e Engine, planned: &Planned) -> Result<Self, EngineError> {
        let name = planned.name.as_ref().map(ToString::to_string);
        let name = name.unwrap_or_else(|| "to be created".to_owned());
        Self::of_config(engine, &planned.config, name)
    }

    fn of_config(engine: &'e Engine, config: &Config, name: String) -> Result<Self, EngineError> {
        Ok(Self {
            engine,
            needed: closure(engine, config)?,
            name,
        })
    }

    /// Starts those that are not as they must be, one after the other. `interrupt` ends a wait for one that is to end first.
    ///
    /// # Errors
    /// [`EngineError::Dependency`]; those that were started before go on.
    pub(crate) fn start(
        &self,
        reason: StartReason,
        interrupt: Option<&SignalFd>,
    ) -> Result<(), EngineError> {
        let reason = match reason {
            StartReason::Boot => StartReason::Boot,
            StartReason::User
            | StartReason::Restart
            | StartReason::Policy
            | StartReason::Dependency => StartReason::Dependency,
        };
        self.needed
            .iter()
            .try_for_each(|(id, state)| self.start_one(id, *state, reason, interrupt))
    }

    fn start_one(
        &self,
        id: &ContainerId,
        state: RequiredState,
        reason: StartReason,
        interrupt: Option<&SignalFd>,
    ) -> Result<(), EngineError> {
        let container = self.engine.container(id);
        if unmet(self.engine, id, state)?.is_none() {
            return Ok(());
        }
        let explain = |why: String| EngineError::Dependency {
            name: self.name.clone(),
            needed: name_of(self.engine, id),
            why,
        };
        let request = StartRequest::in_background(reason);
        // What it needs itself comes before it in this list.
        let started = container
            .lock("start")
            .and_then(|locked| locked.start(request));
        started.map_err(|error| explain(chain(&error)))?;
        match state {
            RequiredState::Started => Ok(()),
            RequiredState::ExitedOk => match await_end(&container, interrupt)? {
                exit if exit.code() == 0 => Ok(()),
                exit => Err(explain(ended_badly(&exit))),
            },
        }
    }
}

impl LockedContainer<'_> {
    /// Whether all that the container needs directly is as it must be, right now.
    pub(crate) fn check_dependencies(&self) -> Result<(), EngineError> {
        for (id, state) in direct(self.config()) {
            if let Some(why) = unmet(self.engine(), &id, state)? {
                return Err(EngineError::Dependency {
                    name: self.name().to_string(),
                    needed: name_of(self.engine(), &id),
                    why,
                });
            }
        }
        Ok(())
    }
}

/// What a container needs itself. A namespace to join needs its owner to run, whatever else is required of it.
fn direct(config: &Config) -> BTreeMap<ContainerId, RequiredState> {
    let required = config.requires.iter();
    let mut needed: BTreeMap<_, _> = required
        .map(|Requirement { id, condition }| (id.clone(), *condition))
        .collect();
    let joined = config.joined().into_iter();
    needed.extend(joined.map(|id| (id, RequiredState::Started)));
    needed
}

fn closure(
    engine: &Engine,
    config: &Config,
) -> Result<Vec<(ContainerId, RequiredState)>, EngineError> {
    let first = direct(config);
    if first.is_empty() {
        return Ok(Vec::new());
    }
    let snapshots = engine.store().list()?;
    let by_id: BTreeMap<&ContainerId, &Snapshot> = snapshots
        .iter()
        .map(|snapshot| (snapshot.id(), snapshot))
        .collect();
    let mut needed: BTreeMap<ContainerId, RequiredState> = BTreeMap::new();
    let mut open: Vec<(ContainerId, RequiredState)> = first.into_iter().collect();
    while let Some((id, state)) = open.pop() {
        if id == config.id {
            let reason = "it needs itself, by way of others".to_owned();
            return Err(StateError::Corrupt { id, reason }.into());
        }
        // Whoever needs it to run wins over who needs it to have ended: that one says so when it is looked at again.
        let known = needed.get(&id);
        if known == Some(&RequiredState::Started) || known == Some(&state) {
            continue;
        }
        let snapshot = by_id
            .get(&id)
            .ok_or_else(|| EngineError::not_found(id.as_str()))?;
        open.extend(direct(snapshot.config()?));
        needed.insert(id, state);
    }
    let order = snapshots.iter().map(Snapshot::id);
    Ok(order.filter_map(|id| needed.remove_entry(id)).collect())
}

/// Why a container is not as it must be; `None`: it is.
fn unmet(
    engine: &Engine,
    id: &ContainerId,
    state: RequiredState,
) -> Result<Option<String>, EngineError> {
    let summary = engine.container(id).summary()?;
    let record = summary.snapshot().record()?;
    let status = summary.status().unwrap_or(record.status());
    Ok(match (state, status) {
        (RequiredState::Started, Status::Running | Status::Paused) => None,
        (RequiredState::Started, status) => Some(format!("it is {status}, and must run")),
        (RequiredState::ExitedOk, Status::Stopped | Status::Exited) => match summary.exit() {
            // A boot does its jobs anew.
            Some(exit) if exit.code() == 0 && record.boot_id() == Some(engine.boot_id()) => None,
            Some(exit) if exit.code() == 0 => {
                Some("it has ended with code 0, but before the machine was started".to_owned())
            }
            Some(exit) => Some(ended_badly(exit)),
            None => Some("nobody knows how it has ended".to_owned()),
        },
        (RequiredState::ExitedOk, status) => {
            Some(format!("it is {status}, and must have ended with code 0"))
        }
    })
}

fn ended_badly(exit: &ExitInfo) -> String {
    let code = exit.code();
    match &exit.reason {
        Some(reason) if code < 0 => {
            format!("it must end with code 0, and its code is unknown: {reason}")
        }
        _ => format!("it must end with code 0, and has ended with {code}"),
    }
}

fn name_of(engine: &Engine, id: &ContainerId) -> String {
    let name = engine.container(id).name();
    name.unwrap_or_else(|_| id.short().to_owned())
}

/// The end of the present run of a container.
fn await_end(
    container: &Container<'_>,
    interrupt: Option<&SignalFd>,
) -> Result<ExitInfo, EngineError> {
    use std::os::fd::AsFd;
    let generation = container.snapshot()?.record()?.generation();
    loop {
        let watch = Watch::new(container, generation)?;
        if let Some(exit) = exit_of(container, generation)? {
            return Ok(exit);
        }
        watch.wait_beside(interrupt.map(AsFd::as_fd), Deadline::never())?;
        if let Some(signals) = interrupt
            && let Some(info) = signals.read()?
            && info.signal.asks_to_end()
        {
            return Err(EngineError::Interrupted {
                signal: info.signal,
            });
        }
    }
}

/// The first process of a container whose namespaces are to be joined.
pub(crate) fn init_of(
    engine: &Engine,
    name: &str,
    id: &ContainerId,
) -> Result<PidRef, EngineError> {
    let snapshot = engine.store().snapshot(id)?;
    let record = snapshot.record()?;
    let this_boot = |record: &Record| record.boot_id() == Some(engine.boot_id());
    let init = record.init().filter(|_| this_boot(record));
    let init = init.map(PidRef::open).transpose()?.flatten();
    init.ok_or_else(|| EngineError::Dependency {
        name: name.to_owned(),
        needed: snapshot.name().to_string(),
        why: "it has just ended".to_owned(),
    })
}

/// The containers that need this one, directly or not, in the order in which they are to be removed.
pub(crate) fn dependents(
    engine: &Engine,
    id: &ContainerId,
) -> Result<Vec<(ContainerId, String)>, EngineError> {
    if engine.store().snapshot(id)?.dependents().is_empty() {
        return Ok(Vec::new());
    }
    let snapshots = engine.store().list()?;
    let mut needing: BTreeSet<&ContainerId> = BTreeSet::from([id]);
    // Whatever needs another one was created after it: one pass finds all.
    for snapshot in &snapshots {
        if snapshot
            .dependencies()
            .iter()
            .any(|needed| needing.contains(needed))
        {
            needing.insert(snapshot.id());
        }
    }
    let found = snapshots.iter().rev();
    let found = found.filter(|found| found.id() != id && needing.contains(found.id()));
    Ok(found
        .map(|found| (found.id().clone(), found.name().to_string()))
        .collect())
}
