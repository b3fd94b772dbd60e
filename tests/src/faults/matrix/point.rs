//! One point: a process is killed before a call, and then everything has to be put right by one ordinary command.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};

use super::operations::{Before, CREATE, NAME, Operation, Presence};
use super::options::Victim;
use super::record::Outcome;
use super::stage::{Stage, Trouble, ids_in, trouble};
use crate::faults::tracer::{
    Action, Decide, Interest, Phase, Plan, Programs, Role, Syscall, Traced, Until, is_alive, trace,
};
use crate::harness::wait;

/// A traced command that takes longer hangs.
const HANGS: Duration = Duration::from_secs(60);

/// How long nobody does anything when all is done. Longer than a monitor waits before it makes a keeper.
const QUIET: Duration = Duration::from_millis(350);

/// Statuses in which a container may stay.
const SETTLED: &[&str] = &["created", "initialized", "running", "paused", "exited"];

/// Statuses of a container that has ended.
const ENDED: &[&str] = &["stopped", "exited"];

/// How a command is refused while a stop is under way.
const STOPPING: &str = "it is stopping since";

/// What became of it.
#[derive(Debug)]
pub(crate) struct Tried {
    /// How many calls of the victim change something, up to the kill.
    pub(crate) count: u64,
    /// The call before which it was killed.
    pub(crate) call: Option<String>,
    /// Whether it was a container's first process: then the container has ended, and the operation is none the worse.
    first: bool,
    pub(crate) traced: Traced,
}

/// Runs the operation, with the victim killed at a point if there is one.
fn operate(
    stage: &mut Stage<'_>,
    operation: &Operation,
    victim: Victim,
    programs: &Programs,
    point: Option<u64>,
) -> Result<Tried> {
    if victim == Victim::Kept
        && let Some(pid) = stage.monitor()?
    {
        wait_for_keeper(pid)?;
    }
    let mut count = 0;
    let mut call = None;
    let mut first = false;
    let mut decide = |syscall: &Syscall| {
        if syscall.phase != Phase::Entry || syscall.nth_change.is_none() || call.is_some() {
            return Action::Continue;
        }
        count += 1;
        if point == Some(count) {
            call = Some(format!("{} {}", syscall.name(), syscall.subject()));
            first = stage.is_first_process(syscall.pid);
            return Action::Kill;
        }
        Action::Continue
    };
    let watched = watch(stage, operation, victim.roles(), programs, &mut decide)?;
    let traced = watched.noted(stage);
    Ok(Tried {
        count,
        call,
        first,
        traced,
    })
}

/// What was seen of an operation.
#[derive(Debug)]
pub(crate) struct Watched {
    traced: Traced,
    /// Of containers that were being made.
    ids: Vec<String>,
}

impl Watched {
    /// The same, once its stage knows the ids.
    pub(crate) fn noted(self, stage: &mut Stage<'_>) -> Traced {
        for id in &self.ids {
            stage.note_id(id);
        }
        self.traced
    }
}

/// Runs the operation, and has somebody decide about the calls of these roles.
pub(crate) fn watch(
    stage: &Stage<'_>,
    operation: &Operation,
    roles: &[Role],
    programs: &Programs,
    decide: &mut Decide<'_>,
) -> Result<Watched> {
    let of_command = roles == Victim::Cli.roles();
    let monitor = if of_command { None } else { stage.monitor()? };
    let attach: Vec<(i32, Role)> = monitor
        .map(|pid| (pid, Role::Monitor))
        .into_iter()
        .collect();
    let plan = Plan {
        programs,
        interest: &|role| match roles.contains(&role) {
            true => Interest::Calls,
            false if of_command => Interest::Nothing,
            // By a call of its own a process becomes a keeper.
            false if role == Role::Runtime && roles.contains(&Role::Keeper) => Interest::Calls,
            false => Interest::Family,
        },
        until: if of_command {
            Until::End
        } else {
            Until::Quiet(QUIET)
        },
        patience: HANGS,
        attach: &attach,
    };
    let mut ids = Vec::new();
    let mut noted = |syscall: &Syscall| {
        if !roles.contains(&syscall.role) {
            return Action::Continue;
        }
        if syscall.phase == Phase::Entry && syscall.name().starts_with("mkdir") {
            ids.extend(ids_in(&syscall.subject()));
        }
        decide(syscall)
    };
    let words = stage.words(operation.words);
    let traced = trace(&words, &plan, &mut noted)?;
    Ok(Watched { traced, ids })
}

/// Counts the points of a victim, in a run that is not disturbed.
pub(crate) fn count(
    stage: &mut Stage<'_>,
    operation: &Operation,
    victim: Victim,
    programs: &Programs,
) -> Result<u64> {
    stage.set(operation.before)?;
    let tried = operate(stage, operation, victim, programs, None)?;
    let output = &tried.traced.output;
    if output.code != 0 || tried.traced.hung {
        bail!("undisturbed: {output}");
    }
    claim_holds(stage, operation, &[])?;
    finish(stage)?;
    Ok(tried.count)
}

/// Tries a point. An error that is a [`Trouble`] is a finding, others are failures of the harness.
pub(crate) fn attempt(
    stage: &mut Stage<'_>,
    operation: &Operation,
    victim: Victim,
    programs: &Programs,
    point: u64,
) -> (Option<String>, Result<()>) {
    let tried = stage
        .set(operation.before)
        .and_then(|()| operate(stage, operation, victim, programs, Some(point)));
    let tried = match tried {
        Ok(tried) => tried,
        Err(error) => return (None, Err(error)),
    };
    let call = tried.call.clone();
    (call, after(stage, operation, victim, &tried, point))
}

/// All that is asked after the kill.
fn after(
    stage: &mut Stage<'_>,
    operation: &Operation,
    victim: Victim,
    tried: &Tried,
    point: u64,
) -> Result<()> {
    let output = &tried.traced.output;
    if tried.traced.hung {
        return Err(trouble(
            Outcome::Wedged,
            format!("the operation hangs: {output}"),
        ));
    }
    if victim != Victim::Cli && output.code == 0 {
        claim_holds(stage, operation, if tried.first { ENDED } else { &[] })?;
    }
    recovers(stage, operation, point)
}

/// Readers answer, one ordinary command puts everything right, and nothing is left when all is removed. `point` chooses the command.
pub(crate) fn recovers(stage: &mut Stage<'_>, operation: &Operation, point: u64) -> Result<()> {
    // Readers answer at once, whatever has happened.
    stage.list()?;
    let number = usize::try_from(point)? % operation.next.len();
    let next = &operation.next[number];
    let mut follow_up = stage.ctr(next.words)?;
    // A process that was killed may have ended before its monitor says so; a status that stays is found all the same.
    wait::within(Duration::from_secs(5), || {
        if follow_up.code != 0 && follow_up.err().contains(STOPPING) {
            follow_up = stage.ctr(next.words)?;
            return Ok(None);
        }
        Ok(Some(()))
    })?;
    let words = format!("{}{}", follow_up.out(), follow_up.err());
    let refused = next.refusals.iter().any(|text| words.contains(text));
    if follow_up.code != 0 && !refused {
        return Err(trouble(Outcome::Wedged, format!("next: {follow_up}")));
    }
    settles(stage, operation)?;
    finish(stage)
}

/// A command that says that it was successful has done its work, or one of these other statuses is there.
pub(crate) fn claim_holds(stage: &Stage<'_>, operation: &Operation, other: &[&str]) -> Result<()> {
    let holds = |list: &[(String, super::stage::Seen)]| match list.first() {
        None => operation.done.is_empty(),
        Some((_, seen)) => {
            let status = seen.status.as_str();
            operation.done.contains(&status) || other.contains(&status)
        }
    };
    // What another process does afterwards may take a moment, as the removal of `--rm`.
    let mut last = Vec::new();
    let held = wait::within(Duration::from_secs(5), || {
        last = stage.list()?;
        Ok(holds(&last).then_some(()))
    })?;
    match held {
        Some(()) => Ok(()),
        None => Err(trouble(
            Outcome::Wrong,
            format!("exit code 0, but afterwards there is {last:?}"),
        )),
    }
}

/// No container stays between two statuses, and what is said of its process is true.
fn settles(stage: &Stage<'_>, operation: &Operation) -> Result<()> {
    let mut last = Vec::new();
    let settled = wait::within(Duration::from_secs(10), || {
        last = stage.list()?;
        let mut good = true;
        for (_, seen) in &last {
            good &= SETTLED.contains(&seen.status.as_str());
            if matches!(seen.status.as_str(), "running" | "paused") {
                good &= is_alive(seen.pid)?;
            }
        }
        Ok(good.then_some(()))
    })?;
    if settled.is_none() {
        return Err(trouble(
            Outcome::Wrong,
            format!("it does not settle: {last:?}"),
        ));
    }
    let names: BTreeMap<&str, usize> = last.iter().fold(BTreeMap::new(), |mut names, (name, _)| {
        *names.entry(name.as_str()).or_default() += 1;
        names
    });
    if operation.presence == Presence::Stays && !names.contains_key(NAME) {
        return Err(trouble(Outcome::Wrong, "the container is gone"));
    }
    if names.len() > 1 || names.values().any(|count| *count > 1) {
        return Err(trouble(Outcome::Wrong, format!("containers: {last:?}")));
    }
    Ok(())
}

/// Removes everything; then nothing is left, and the name is free.
pub(crate) fn finish(stage: &mut Stage<'_>) -> Result<()> {
    stage.note_ids();
    stage.must(&["rm", "-fa"])?;
    empty(stage)?;
    let leaks = stage.leaks()?;
    if !leaks.is_empty() {
        return Err(trouble(Outcome::Residue, leaks.join("; ")));
    }
    stage.must(CREATE)?;
    stage.must(&["rm", NAME])?;
    empty(stage)
}

fn empty(stage: &Stage<'_>) -> Result<()> {
    let left = stage.list()?;
    if left.is_empty() {
        return Ok(());
    }
    Err(trouble(
        Outcome::Residue,
        format!("containers stay: {left:?}"),
    ))
}

/// What kind of trouble an error is, if it is one.
pub(crate) fn found(error: &anyhow::Error) -> Option<&Trouble> {
    error.downcast_ref()
}

/// Waits until a monitor has its keeper; one that never gets one is left without.
fn wait_for_keeper(monitor: i32) -> Result<()> {
    let has_keeper = || {
        let children = fs::read_to_string(format!("/proc/{monitor}/task/{monitor}/children"));
        children
            .unwrap_or_default()
            .split_whitespace()
            .any(|child| {
                let name = fs::read_to_string(format!("/proc/{child}/comm"));
                name.is_ok_and(|name| name.trim() == "ctr-keeper")
            })
    };
    wait::within(Duration::from_secs(2), || Ok(has_keeper().then_some(())))?;
    Ok(())
}

/// Whether a victim can be there at all: nobody cleans up where nothing ran, and a keeper comes once a monitor is at rest.
pub(crate) fn is_possible(operation: &Operation, victim: Victim) -> bool {
    let runs = matches!(
        operation.before,
        Before::Running | Before::Paused | Before::Initialized
    );
    match victim {
        Victim::Cli => true,
        Victim::Kept => runs,
        Victim::Monitor | Victim::Runtime | Victim::Keeper => {
            operation.before != Before::Exited && !matches!(operation.name, "create" | "rename")
        }
        Victim::Cleanup => runs || matches!(operation.name, "run-rm" | "wait"),
    }
}
