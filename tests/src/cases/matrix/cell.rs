//! One cell of the matrix: a container in a status, an operation, and everything that can be seen of what it did.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::events::{expected, ordered, told};
use super::operation::{Operation, faults};
use super::status::{Removal, Status, Subject, process};
use super::table::{Effect, Oracle};
use crate::harness::env::Env;
use crate::harness::output::Output;
use crate::harness::process::Process;
use crate::harness::wait;

/// The exit code of a client that SIGTERM has ended.
const TERMINATED: i32 = 143;

/// What a cell came to.
pub(super) struct Seen {
    /// As a cell of the table.
    pub(super) shown: String,
    pub(super) faults: Vec<String>,
}

impl Seen {
    /// Of a cell that could not be looked at.
    pub(super) fn nothing(error: &anyhow::Error) -> Seen {
        Seen {
            shown: "?".to_owned(),
            faults: vec![format!("{error:#}")],
        }
    }
}

/// A cell and what the page says of it.
pub(super) struct Cell<'a> {
    env: &'a Env,
    oracle: &'a Oracle,
    operation: Operation,
    status: Status,
    effect: Effect,
    /// Where it leads; `None` when the container is gone then.
    end: Option<Status>,
}

/// A container before the operation.
struct Before {
    inspect: Value,
    process: Option<Process>,
}

impl<'a> Cell<'a> {
    pub(super) fn new(
        env: &'a Env,
        oracle: &'a Oracle,
        operation: Operation,
        status: Status,
    ) -> Result<Cell<'a>> {
        let effect = oracle.effect(operation, status)?;
        let end = oracle.after(status, &effect)?;
        Ok(Cell {
            env,
            oracle,
            operation,
            status,
            effect,
            end,
        })
    }

    /// Does it and looks at everything, whatever is wrong with one of the things.
    pub(super) fn drive(&self) -> Result<Seen> {
        let mut subject = Subject::make(self.env, self.status)?;
        let inspect = subject.inspect()?;
        let before = Before {
            process: process(&inspect["State"]["Pid"])?,
            inspect,
        };
        let (answer, code) = match self.act(&subject) {
            Ok(output) => (self.answer(&subject, &before, &output), Some(output.code)),
            Err(error) => (Err(error), None),
        };
        let looks = [
            answer.context("what it answers"),
            self.settle(&mut subject)
                .context("what was begun before ends with it"),
            self.look(&subject, &before).context("what has become"),
        ];
        let kinds = ordered(self.operation, self.status, subject.events()?);
        let mut faults: Vec<String> = looks
            .into_iter()
            .filter_map(|look| look.err().map(|error| format!("{error:#}")))
            .collect();
        faults.extend(self.told(&kinds));
        faults.extend(self.leave(subject).err().map(|error| format!("{error:#}")));
        let symbol = self.symbol(code);
        let shown = told(&kinds, &self.effect, &symbol);
        Ok(Seen { shown, faults })
    }

    /// How an operation that made no move is shown: a refusal with its exit code, where that is not the usual one.
    fn symbol(&self, code: Option<i32>) -> String {
        match code {
            None => "?".to_owned(),
            Some(0) if self.effect != Effect::Refused => "=".to_owned(),
            Some(125) => "-".to_owned(),
            Some(code) => format!("- ({code})"),
        }
    }

    fn act(&self, subject: &Subject<'_>) -> Result<Output> {
        if self.operation == Operation::Attach && self.effect != Effect::Refused {
            return self.attach_and_leave(subject);
        }
        let refused = self.status == Status::Removing && self.effect == Effect::Refused;
        let removal = if refused {
            Removal::Blocked
        } else {
            Removal::Possible
        };
        subject.act(self.operation, removal)
    }

    /// A client that attaches stays until somebody ends it.
    fn attach_and_leave(&self, subject: &Subject<'_>) -> Result<Output> {
        let words = ["attach", "--no-stdin", "--sig-proxy=false", &subject.name];
        let client = self.env.call(&words).spawn()?;
        wait::until("the client to be attached", || {
            Ok((!subject.events()?.is_empty()).then_some(()))
        })?;
        client.signal(Signal::TERM)?;
        let output = client.finish()?;
        ensure!(output.code == TERMINATED, "{output}");
        Ok(Output { code: 0, ..output })
    }

    /// The exit code and the words.
    fn answer(&self, subject: &Subject<'_>, before: &Before, output: &Output) -> Result<()> {
        let code = self.operation.refusal_code();
        if self.effect != Effect::Refused {
            return output.prints(&self.operation.prints(&subject.name));
        }
        if self.status == Status::Removing && self.operation.takes_lock() {
            // Whoever takes its lock goes on with the removal, and says why that fails.
            return output.refused(125, &["remove", &subject.id]);
        }
        if code == 0 {
            return output.prints(&self.operation.prints(&subject.name));
        }
        output.refused(code, &[])?;
        self.refusal(subject, before, &output.err())
    }

    /// The message of a refusal.
    fn refusal(&self, subject: &Subject<'_>, before: &Before, message: &str) -> Result<()> {
        let (verb, name, word) = (self.operation.verb(), &subject.name, self.status.word());
        let begin = format!("Error: cannot {verb} container {name}: it is {word} since ");
        let rest = message
            .strip_prefix(&begin)
            .with_context(|| format!("{message:?} does not begin with {begin:?}"))?;
        let (since, rest) = rest
            .split_once(" (possible now: ")
            .with_context(|| format!("{message:?} does not say what is possible"))?;
        let since = since.trim_end_matches('Z');
        // The moment at which one that had ended unseen was found is only known afterwards.
        let shown = if self.status == Status::Stopped {
            subject.inspect()?["State"]["Since"].take()
        } else {
            before.inspect["State"]["Since"].clone()
        };
        let shown = shown.as_str().context("State.Since")?;
        ensure!(
            since.len() == 19 && shown.starts_with(since),
            "since {since}, and inspect says {shown}"
        );
        let (list, _) = rest.split_once(")\n").context("the list has no end")?;
        let listed: Vec<&str> = list.split(", ").collect();
        let faults = faults(self.oracle, self.status, &listed)?;
        ensure!(faults.is_empty(), "{message:?}: {}", faults.join("; "));
        Ok(())
    }

    /// Whether the operation leaves it to the monitor to clean up.
    fn is_left_to_monitor(&self) -> bool {
        self.status != Status::Stopped && self.end == Some(Status::Stopped)
    }

    /// Where the table leads, and the monitor's cleanup command after it.
    fn settled(&self) -> Option<Status> {
        if self.is_left_to_monitor() {
            return Some(Status::Exited);
        }
        self.end
    }

    /// Waits for what the operation has led to in others. What it does itself is done when it has answered.
    fn settle(&self, subject: &mut Subject<'_>) -> Result<()> {
        if self.is_left_to_monitor() {
            self.env.wait_for_cleanup(&subject.id)?;
        }
        if self.settled() == Some(self.status) {
            subject.stop_waits()
        } else {
            subject.finish_stop()
        }
    }

    /// What `inspect` and the kernel say afterwards.
    fn look(&self, subject: &Subject<'_>, before: &Before) -> Result<()> {
        let exists = subject.exists()?;
        let Some(end) = self.settled() else {
            ensure!(!exists, "it is still there");
            return ended(before);
        };
        ensure!(exists, "it is gone");
        let after = subject.inspect()?;
        let status = &after["State"]["Status"];
        ensure!(
            *status == end.word(),
            "it is {status} instead of {}",
            end.word()
        );
        self.same(before, &after)?;
        let runs = self.effect.moves().iter().filter(|name| *name == "Init");
        let generation = |value: &Value| value["State"]["Generation"].as_u64();
        let (old, new) = (generation(&before.inspect), generation(&after));
        let expected = old.context("State.Generation")? + runs.count() as u64;
        ensure!(new == Some(expected), "run {new:?} after run {old:?}");
        processes(end, before, &after)
    }

    /// What a refusal, or an operation that has nothing to do, may change: nothing.
    fn same(&self, before: &Before, after: &Value) -> Result<()> {
        let mut pair = [before.inspect.clone(), after.clone()];
        for value in &mut pair {
            self.hide(value);
        }
        let [old, new] = pair;
        match self.effect {
            Effect::Refused => ensure!(old == new, "changed: {}", difference(&old, &new)),
            Effect::Stays => {
                let (old, new) = (&old["State"], &new["State"]);
                ensure!(old == new, "changed: {}", difference(old, new));
            }
            Effect::Moves(_) => {}
        }
        Ok(())
    }

    /// Takes out what changes with good reason though nothing moves.
    fn hide(&self, inspect: &mut Value) {
        let state = &mut inspect["State"];
        if self.status == Status::Stopped {
            // An end that nobody has seen was when it was found.
            state["Since"].take();
            state["FinishedAt"].take();
        }
        if self.operation == Operation::Stop {
            // The wish is kept in every status: whoever decides about a restart respects it.
            state["StoppedByUser"].take();
        }
    }

    fn told(&self, kinds: &[String]) -> Option<String> {
        let expected = expected(self.operation, self.status, &self.effect, self.end);
        let expected = ordered(self.operation, self.status, expected);
        (kinds != expected).then(|| format!("it is told as {kinds:?} instead of {expected:?}"))
    }

    /// Removes what there is.
    fn leave(&self, mut subject: Subject<'_>) -> Result<()> {
        let id = &subject.id;
        if subject.exists()? {
            self.env
                .ctr(&["rm", "-f", id])?
                .prints(&format!("{id}\n"))?;
        }
        self.env.ctr(&["rm", "-f", id])?.prints("")?;
        subject.finish_stop()
    }
}

/// Whether the processes are those of the status.
fn processes(end: Status, before: &Before, after: &Value) -> Result<()> {
    let state = &after["State"];
    if !end.is_active() {
        ensure!(state["Pid"] == 0, "process {} is shown", state["Pid"]);
        return ended(before);
    }
    let now = process(&state["Pid"])?.context("its process is not there")?;
    ensure!(!now.ends_within(Duration::ZERO)?, "its process has ended");
    if before.inspect["State"]["Generation"] == state["Generation"] {
        ensure!(before.inspect["State"]["Pid"] == state["Pid"]);
        return Ok(());
    }
    ended(before)
}

/// Fails while the process from before lives.
fn ended(before: &Before) -> Result<()> {
    match &before.process {
        Some(process) if !process.ends_within(Duration::ZERO)? => bail!("its process lives"),
        _ => Ok(()),
    }
}

/// The fields that differ.
fn difference(old: &Value, new: &Value) -> String {
    let (Some(fields), Some(others)) = (old.as_object(), new.as_object()) else {
        return format!("{old} became {new}");
    };
    let keys = fields
        .keys()
        .chain(others.keys().filter(|key| !fields.contains_key(*key)));
    let changed = keys.filter(|key| old[*key] != new[*key]);
    let texts: Vec<String> = changed
        .map(|key| format!("{key}: {}", difference(&old[key], &new[key])))
        .collect();
    texts.join(", ")
}
