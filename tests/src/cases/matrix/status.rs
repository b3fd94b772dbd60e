//! The eight statuses, and how a container gets into each of them through the program alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::operation::Operation;
use crate::harness::env::Env;
use crate::harness::output::Output;
use crate::harness::process::Process;
use crate::harness::program::Running;

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Configured,
    Created,
    Running,
    Paused,
    Stopping,
    Stopped,
    Exited,
    Removing,
}

impl Status {
    /// All of them, in the order of the table.
    pub(super) const ALL: [Status; 8] = [
        Status::Configured,
        Status::Created,
        Status::Running,
        Status::Paused,
        Status::Stopping,
        Status::Stopped,
        Status::Exited,
        Status::Removing,
    ];

    /// The word of the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Configured => "Configured",
            Status::Created => "Created",
            Status::Running => "Running",
            Status::Paused => "Paused",
            Status::Stopping => "Stopping",
            Status::Stopped => "Stopped",
            Status::Exited => "Exited",
            Status::Removing => "Removing",
        }
    }

    /// The word of users.
    pub(super) fn word(self) -> &'static str {
        match self {
            Status::Configured => "created",
            Status::Created => "initialized",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopping => "stopping",
            Status::Stopped => "stopped",
            Status::Exited => "exited",
            Status::Removing => "removing",
        }
    }

    /// The status of a word of the table.
    pub(super) fn named(name: &str) -> Result<Status> {
        let found = Status::ALL.into_iter().find(|status| status.name() == name);
        found.with_context(|| format!("{name} is no status"))
    }

    /// Whether there are processes.
    pub(super) fn is_active(self) -> bool {
        match self {
            Status::Created | Status::Running | Status::Paused | Status::Stopping => true,
            Status::Configured | Status::Stopped | Status::Exited | Status::Removing => false,
        }
    }

    /// The events that lead to it.
    fn past(self) -> &'static [&'static str] {
        match self {
            Status::Configured | Status::Removing => &["create"],
            Status::Created => &["create", "init"],
            Status::Running | Status::Stopping | Status::Stopped => &["create", "init", "start"],
            Status::Paused => &["create", "init", "start", "pause"],
            Status::Exited => &["create", "init", "start", "kill", "died", "cleanup"],
        }
    }
}

/// A container in a status.
pub(super) struct Subject<'a> {
    env: &'a Env,
    pub(super) status: Status,
    pub(super) name: String,
    pub(super) id: String,
    /// The stop that waits for ever, of one that is stopping.
    stop: Option<Running>,
}

/// Mounts something on the directory that is its first word, where nobody else sees it, and executes the others.
const BLOCK: &str = "mkdir -p \"$0\" && mount -t tmpfs none \"$0\" && exec \"$@\"";

impl<'a> Subject<'a> {
    /// Makes a container and brings it into the status.
    pub(super) fn make(env: &'a Env, status: Status) -> Result<Subject<'a>> {
        let name = format!("c-{}", status.word());
        // A first process without handlers ignores every signal that asks; only KILL ends it.
        let command = ["sh", "-c", "echo ready; exec sleep 1000"];
        let id = env.create(&name, &["--stop-timeout", "0"], &command)?;
        let mut subject = Subject {
            env,
            status,
            name,
            id,
            stop: None,
        };
        subject.prepare()?;
        let found = env.status(&subject.id)?;
        ensure!(found == status.word(), "it is {found} to begin with");
        Ok(subject)
    }

    fn prepare(&mut self) -> Result<()> {
        match self.status {
            Status::Configured => Ok(()),
            Status::Created => self.after(&["init"]),
            Status::Running => self.start(),
            Status::Paused => {
                self.start()?;
                self.after(&["pause"])
            }
            Status::Stopping => {
                self.start()?;
                let stop = self.env.call(&["stop", "-t", "-1", &self.name]).spawn()?;
                self.stop = Some(stop);
                let words = ["wait", "--condition", "stopping", &self.id];
                self.env.ctr(&words)?.prints("-1\n")
            }
            Status::Stopped => {
                self.start()?;
                let first = self.env.first_process(&self.id)?;
                self.env.lose_monitor(&self.id)?;
                Env::shoot(&first)
            }
            Status::Exited => {
                self.start()?;
                self.after(&["kill"])?;
                self.env.wait_for_cleanup(&self.id)
            }
            Status::Removing => {
                let words = ["rm", &self.name];
                let output = self.blocked(&words)?;
                output.refused(125, &["remove", &self.id])
            }
        }
    }

    /// Starts it and waits for its program: until then a signal could meet the runtime in its place, and end it.
    fn start(&self) -> Result<()> {
        self.after(&["start"])?;
        self.env.wait_for_log(&self.id, "ready\n").map(drop)
    }

    fn after(&self, verb: &[&str]) -> Result<()> {
        let words: Vec<&str> = verb.iter().copied().chain([self.name.as_str()]).collect();
        self.env
            .ctr(&words)?
            .prints(&format!("{}\n", self.name))
            .context("on the way to the status")
    }

    /// Has the operation done. What must not happen to one that is being removed is asked for while the removal cannot be finished:
    /// whoever could finish it would.
    pub(super) fn act(&self, operation: Operation, blocked: Removal) -> Result<Output> {
        let new_name = format!("{}-renamed", self.name);
        let words = operation.words(&self.name, &new_name);
        match blocked {
            Removal::Blocked => self.blocked(&words),
            Removal::Possible => self.env.ctr(&words),
        }
    }

    /// A call in a mount namespace of its own, with a mount that keeps the container's directory from being removed.
    fn blocked(&self, words: &[&str]) -> Result<Output> {
        let directory = self.env.root().join("containers").join(&self.id);
        let mount = directory.join("blocked").to_string_lossy().into_owned();
        let through = ["unshare", "--mount", "sh", "-c", BLOCK, &mount];
        self.env.finish(self.env.call_through(&through, words))
    }

    /// What `inspect` says.
    pub(super) fn inspect(&self) -> Result<Value> {
        self.env.inspect(&self.id)
    }

    /// Whether it exists.
    pub(super) fn exists(&self) -> Result<bool> {
        let output = self.env.ctr(&["container", "exists", &self.id])?;
        Ok(output.quiet(i32::from(output.code != 0))?.is_empty() && output.code == 0)
    }

    /// The kinds of the events since it had its status.
    pub(super) fn events(&self) -> Result<Vec<String>> {
        let filter = format!("container={}", self.id);
        let words = [
            "events",
            "--stream=false",
            "--format",
            "json",
            "--filter",
            &filter,
        ];
        let events = crate::cases::events::objects(&self.env.ctr(&words)?.ok()?)?;
        let kinds = events
            .iter()
            .map(|event| event["Status"].as_str().map(str::to_owned));
        let mut kinds: Vec<String> = kinds.collect::<Option<_>>().context("an event's kind")?;
        let past = self.status.past();
        ensure!(
            kinds.len() >= past.len() && kinds[..past.len()] == *past,
            "what led to the status is told as {kinds:?} instead of {past:?}"
        );
        Ok(kinds.split_off(past.len()))
    }

    /// The stop that was begun before goes on waiting.
    pub(super) fn stop_waits(&self) -> Result<()> {
        let Some(stop) = &self.stop else {
            return Ok(());
        };
        ensure!(!stop.ends_within(Duration::ZERO)?, "the stop has ended");
        Ok(())
    }

    /// The container has ended, so the stop that was begun before ends, too, and is content.
    pub(super) fn finish_stop(&mut self) -> Result<()> {
        match self.stop.take() {
            None => Ok(()),
            Some(stop) => stop
                .finish()?
                .prints(&format!("{}\n", self.name))
                .context("the stop that was begun before"),
        }
    }
}

/// Whether the removal of one that is being removed can be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Possible,
    Blocked,
}

/// The process of a number that `inspect` shows; 0 is none.
pub(super) fn process(pid: &Value) -> Result<Option<Process>> {
    let pid = pid.as_i64().context("a pid")?;
    Process::open(i32::try_from(pid)?)
}
