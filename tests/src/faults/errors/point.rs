//! One point: a call fails as if the kernel could not do it, and what the engine makes of it is judged.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use nix::libc;
use rustix::io::Errno;

use super::sites::Sites;
use super::table::{Known, error_name, possible};
use crate::faults::matrix::operations::Operation;
use crate::faults::matrix::options::Victim;
use crate::faults::matrix::point::{claim_holds, finish, found, is_possible, recovers, watch};
use crate::faults::matrix::record::Outcome;
use crate::faults::matrix::stage::{Stage, ids_in, trouble};
use crate::faults::tracer::{Action, Phase, Programs, Role, Syscall, Traced};
use crate::harness::output::Output;

/// A call that can fail: the first of its kind at its site.
#[derive(Clone, Debug)]
pub(super) struct Call {
    number: u64,
    /// Which one of this number it was, from 1 on.
    nth: u64,
    name: String,
    site: String,
    /// What it was about when it was recorded.
    subject: String,
    pub(super) errors: Vec<Errno>,
}

/// An operation that was not disturbed.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// By the victim's name, in the order of their first appearance.
    pub(super) calls: BTreeMap<&'static str, Vec<Call>>,
    /// How many calls of each number a victim has made.
    counts: BTreeMap<(&'static str, u64), u64>,
    /// The names of calls that the table does not know.
    pub(super) unknown: BTreeSet<String>,
    /// What the command printed, without what is different each time.
    said: String,
    /// The names of the containers afterwards.
    names: Vec<String>,
}

/// One point.
#[derive(Debug)]
pub(super) struct Target<'a> {
    call: &'a Call,
    error: Errno,
    /// Made from the call, its site and the error: the same in every run of one program.
    hash: u32,
}

impl<'a> Target<'a> {
    pub(super) fn new(call: &'a Call, error: Errno) -> Target<'a> {
        let text = format!("{} {} {}", call.name, call.site, error_name(error));
        // FNV-1a.
        let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        Target { call, error, hash }
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        format!("{:08x}", self.hash)
    }

    /// The site of a call if it is this one, the nth of its number: by the site, or else by its place among those of its number. What lies
    /// on a stack from earlier is not always the same, so the first alone would miss some.
    fn met(&self, call: &Syscall, nth: u64, sites: &Sites) -> Option<String> {
        let fails = match possible(call) {
            Known::Errors(errors) => errors.contains(&self.error),
            Known::Excluded | Known::Unknown => false,
        };
        if !fails {
            return None;
        }
        let site = sites.site(call)?;
        (site == self.call.site || nth == self.call.nth).then_some(site)
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        let call = self.call;
        self.described(&call.subject, &call.site)
    }

    fn described(&self, subject: &str, site: &str) -> String {
        let (error, name) = (error_name(self.error), &self.call.name);
        format!("{error} at {name} {subject} in {site}")
    }
}

/// Runs the operation once and notes what can fail in it.
pub(super) fn record(
    stage: &mut Stage<'_>,
    operation: &Operation,
    programs: &Programs,
    sites: &Sites,
) -> Result<Recording> {
    stage.set(operation.before)?;
    sites.forget();
    let victims = Victim::ALL
        .into_iter()
        .filter(|victim| is_possible(operation, *victim));
    let victims: Vec<Victim> = victims.collect();
    let roles: Vec<Role> = victims
        .iter()
        .flat_map(|victim| victim.roles())
        .copied()
        .collect();
    let mut recording = Recording::default();
    let mut seen = BTreeSet::new();
    let watched = watch(stage, operation, &roles, programs, &mut |call| {
        sites.see(call);
        let victim = victims
            .iter()
            .find(|victim| victim.roles().contains(&call.role));
        if call.phase == Phase::Entry
            && let Some(victim) = victim
        {
            note(&mut recording, &mut seen, call, victim.name(), sites);
        }
        Action::Continue
    })?;
    let traced = watched.noted(stage);
    let output = &traced.output;
    if output.code != 0 || traced.hung {
        bail!("undisturbed: {output}");
    }
    claim_holds(stage, operation, &[])?;
    recording.said = said(output);
    recording.names = names(stage)?;
    finish(stage)?;
    for call in recording.calls.values_mut().flatten() {
        call.subject = stage.brief(&call.subject);
    }
    Ok(recording)
}

fn note(
    recording: &mut Recording,
    seen: &mut BTreeSet<(&'static str, u64, String)>,
    call: &Syscall,
    victim: &'static str,
    sites: &Sites,
) {
    let nth = recording.counts.entry((victim, call.number)).or_default();
    *nth += 1;
    let nth = *nth;
    let errors = match possible(call) {
        Known::Errors(errors) => errors,
        Known::Excluded => return,
        Known::Unknown => {
            recording.unknown.insert(call.name());
            return;
        }
    };
    let Some(site) = sites.site(call) else {
        return;
    };
    if seen.insert((victim, call.number, site.clone())) {
        let calls = recording.calls.entry(victim).or_default();
        calls.push(Call {
            number: call.number,
            nth,
            name: call.name(),
            site,
            subject: call.subject(),
            errors,
        });
    }
}

/// What became of a point.
pub(super) struct Tried {
    /// The call that failed, for people; none if it was not made.
    pub(super) met: Option<String>,
    /// What the command said, unless something is wrong.
    pub(super) result: Result<String>,
}

/// Tries a point.
pub(super) fn attempt(
    stage: &mut Stage<'_>,
    operation: &Operation,
    victim: Victim,
    (programs, sites): (&Programs, &Sites),
    target: &Target<'_>,
    recording: &Recording,
) -> Tried {
    sites.forget();
    let mut met = None;
    let mut nth = 0;
    let mut panic = None;
    let mut decide = |call: &Syscall| {
        sites.see(call);
        if call.phase != Phase::Entry {
            return Action::Continue;
        }
        if met.is_some() {
            panic = panic.take().or_else(|| panic_of(call));
        } else if call.number == target.call.number {
            nth += 1;
            let site = target.met(call, nth, sites);
            met = site.map(|site| target.described(&call.subject(), &site));
            if met.is_some() {
                return Action::Fail(target.error);
            }
        }
        Action::Continue
    };
    let watched = stage
        .set(operation.before)
        .and_then(|()| watch(stage, operation, victim.roles(), programs, &mut decide));
    let result = watched.and_then(|watched| {
        let mut traced = watched.noted(stage);
        traced.crashes.extend(panic);
        judge(stage, operation, &traced, recording)?;
        let said = brief_of(&traced.output);
        recovers(stage, operation, u64::from(target.hash))
            .map_err(|error| afterwards(error, &said))?;
        Ok(said)
    });
    Tried { met, result }
}

/// What a process says about its panic.
fn panic_of(call: &Syscall) -> Option<String> {
    if !call.is(libc::SYS_write) {
        return None;
    }
    let length = usize::try_from(call.args[2]).ok()?.min(1000);
    let text = call.bytes(call.args[1], length);
    let text = String::from_utf8_lossy(&text);
    let said = text.contains(PANICKED);
    said.then(|| format!("{}: {}", call.role.name(), text.trim()))
}

const PANICKED: &str = "panicked at";

/// What the command itself says of its end.
fn judge(
    stage: &Stage<'_>,
    operation: &Operation,
    traced: &Traced,
    recording: &Recording,
) -> Result<()> {
    let output = &traced.output;
    if traced.hung {
        let what = format!("the operation hangs: {output}");
        return Err(trouble(Outcome::Wedged, what));
    }
    if output.err().contains(PANICKED) {
        return Err(trouble(Outcome::Panic, output.to_string()));
    }
    if !traced.crashes.is_empty() {
        return Err(trouble(Outcome::Panic, traced.crashes.join("; ")));
    }
    if output.code != 0 {
        return if speaks(&output.err()) {
            Ok(())
        } else {
            let what = format!("it fails without a line that says what failed: {output}");
            Err(trouble(Outcome::Silent, what))
        };
    }
    if let Err(error) = claim_holds(stage, operation, &[]) {
        return Err(match found(&error) {
            Some(wrong) if wrong.outcome == Outcome::Wrong => {
                trouble(Outcome::FalseSuccess, wrong.what.clone())
            }
            Some(_) | None => error,
        });
    }
    let (said, names) = (said(output), names(stage)?);
    if said != recording.said || names != recording.names {
        let what = format!(
            "exit code 0, with {said:?} and {names:?} instead of {:?} and {:?}: {output}",
            recording.said, recording.names
        );
        return Err(trouble(Outcome::FalseSuccess, what));
    }
    Ok(())
}

/// Whether there is a line of an error, and more in it than the kernel's own words.
fn speaks(text: &str) -> bool {
    let names = |line: &str| {
        // The kernel's words alone name nothing, and one of them has a slash.
        let words = line.split(" (os error").next().unwrap_or_default();
        let bare = words.len() < line.len();
        words.contains([':', '"']) || (!bare && words.contains('/'))
    };
    text.lines()
        .filter_map(|line| line.strip_prefix("Error: "))
        .any(names)
}

/// Standard output, without ids.
fn said(output: &Output) -> String {
    let text = output.out();
    ids_in(&text)
        .iter()
        .fold(text.clone(), |text, id| text.replace(id, "ID"))
}

fn names(stage: &Stage<'_>) -> Result<Vec<String>> {
    let mut names: Vec<String> = stage.list()?.into_iter().map(|(name, _)| name).collect();
    names.sort();
    Ok(names)
}

/// What is wrong later, with what the command itself had said. A later command that panics is a panic, whatever else it is.
fn afterwards(error: anyhow::Error, said: &str) -> anyhow::Error {
    let Some(wrong) = found(&error) else {
        return error;
    };
    let outcome = if wrong.what.contains(PANICKED) {
        Outcome::Panic
    } else {
        wrong.outcome
    };
    trouble(outcome, format!("{}; after {said}", wrong.what))
}

/// The end of the command in one line.
fn brief_of(output: &Output) -> String {
    let error = output.err();
    let line = error.lines().next().unwrap_or_default();
    format!("exit code {}: {line}", output.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_a_thing() {
        assert!(speaks(
            "Error: read /x/y: Input/output error (os error 5)\n"
        ));
        assert!(speaks("warning\nError: container \"x\" does not exist\n"));
        assert!(!speaks("Error: Input/output error (os error 5)\n"));
        assert!(!speaks("read /x failed\n"));
        assert!(!speaks(""));
    }

    #[test]
    fn the_name_of_a_point_depends_on_call_site_and_error() {
        let call = |site: &str| Call {
            number: 1,
            nth: 1,
            name: "write".to_owned(),
            site: site.to_owned(),
            subject: String::new(),
            errors: Vec::new(),
        };
        let (one, other) = (call("a+1"), call("a+2"));
        let name = |call, error| Target::new(call, error).name();
        assert_eq!(name(&one, Errno::IO), name(&one, Errno::IO));
        assert_ne!(name(&one, Errno::IO), name(&other, Errno::IO));
        assert_ne!(name(&one, Errno::IO), name(&one, Errno::NOSPC));
        assert_eq!(name(&one, Errno::IO).len(), 8);
    }
}
