//! Exec sessions as one sees them from outside: what is said of them, and their files, processes and control groups.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::env::Env;
use super::machine::{container_cgroups, directories, processes_in};
use super::process::Process;
use super::wait;

/// An event about a session: its kind, the session, the exit code.
pub(crate) type SessionEvent = (String, String, Option<i64>);

impl Env {
    /// What `exec-inspect` says of a session.
    pub(crate) fn inspect_session(&self, id: &str) -> Result<Value> {
        let text = self.ctr(&["container", "exec-inspect", id])?.ok()?;
        let value: Value = serde_json::from_str(&text).context("read exec-inspect")?;
        ensure!(
            value.as_array().map(Vec::len) == Some(1),
            "not one session: {text}"
        );
        Ok(value[0].clone())
    }

    /// The process of a session that runs.
    pub(crate) fn session_process(&self, id: &str) -> Result<Process> {
        let value = self.inspect_session(id)?;
        let pid = value["Pid"].as_i64().context("Pid")?;
        let process = Process::open(i32::try_from(pid)?)?;
        process.with_context(|| format!("the process of {value} is there"))
    }

    /// A session is said to have ended with this code.
    pub(crate) fn check_session_code(&self, id: &str, code: i32) -> Result<()> {
        let value = self.inspect_session(id)?;
        ensure!(
            value["State"] == "ended" && value["ExitCode"] == code && value["Running"] == false,
            "not ended with {code}: {value}"
        );
        Ok(())
    }

    /// The ids that `exec-ls` has for a container.
    pub(crate) fn listed_sessions(&self, name: &str) -> Result<Vec<String>> {
        let list = self.ctr(&["container", "exec-ls", "-q", name])?.ok()?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The sessions of a container that have files, ended or not.
    pub(crate) fn session_files(&self, name: &str) -> Result<Vec<String>> {
        let value = self.inspect(name)?;
        let id = value["Id"].as_str().context("Id")?;
        let directory = self.runroot().join("run").join(id).join("exec");
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context("list the sessions of a run"),
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| name.into_string().ok()).collect())
    }

    /// The control groups of a container, one for each tree.
    pub(crate) fn control_groups(&self, name: &str) -> Result<Vec<PathBuf>> {
        let value = self.inspect(name)?;
        let id = value["Id"].as_str().context("Id")?;
        let all = container_cgroups()?.into_iter();
        let own = all.filter(|(name, _)| name.contains(id));
        Ok(own.flat_map(|(_, paths)| paths).collect())
    }

    /// Those of its sessions.
    pub(crate) fn session_groups(&self, name: &str) -> Result<Vec<PathBuf>> {
        let below = self.control_groups(name)?.into_iter();
        let below = below.flat_map(|group| directories(&group));
        let is_session = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.as_encoded_bytes().starts_with(b"exec-")
        };
        Ok(below.filter(is_session).collect())
    }

    /// The processes of a container, those of its sessions included.
    pub(crate) fn processes_of(&self, name: &str) -> Result<BTreeSet<i32>> {
        let groups = self.control_groups(name)?.into_iter();
        Ok(groups.flat_map(|group| processes_in(&group)).collect())
    }

    /// The processes of a container but for its first one, held.
    pub(crate) fn executed(&self, name: &str) -> Result<Vec<Process>> {
        let first = self.state_number(name, "Pid")?;
        let others = self.processes_of(name)?.into_iter();
        let others = others.filter(|pid| *pid != first);
        others
            .filter_map(|pid| Process::open(pid).transpose())
            .collect()
    }

    /// Only the container's own program is left, and nothing of any session.
    pub(crate) fn check_no_sessions(&self, name: &str) -> Result<()> {
        let files = self.session_files(name)?;
        ensure!(files.is_empty(), "files of sessions are left: {files:?}");
        let first = BTreeSet::from([self.state_number(name, "Pid")?]);
        // Both go right after the client has been told of the end.
        wait::until("the end of all processes of sessions", || {
            Ok((self.processes_of(name)? == first).then_some(()))
        })?;
        wait::until("the end of all control groups of sessions", || {
            Ok(self.session_groups(name)?.is_empty().then_some(()))
        })
    }

    /// The events about sessions of a container, in order.
    pub(crate) fn session_events(&self, name: &str) -> Result<Vec<SessionEvent>> {
        let mut found = Vec::new();
        for event in self.events_of(name)? {
            let kind = event["Status"].as_str().context("Status")?;
            if matches!(kind, "exec" | "exec_died") {
                let id = event["Attributes"]["execID"].as_str();
                let id = id.with_context(|| format!("no execID in {event}"))?;
                let code = event["ContainerExitCode"].as_i64();
                found.push((kind.to_owned(), id.to_owned(), code));
            }
        }
        Ok(found)
    }

    /// The kinds of all events about a session, in order, whether or not its container is still there.
    pub(crate) fn whole_story_of_session(&self, id: &str) -> Result<Vec<String>> {
        let words = ["events", "--no-stream", "--format", "json"];
        let text = self.ctr(&words)?.ok()?;
        let mut found = Vec::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).context("read an event")?;
            if event["Attributes"]["execID"] == id {
                found.push(event["Status"].as_str().context("Status")?.to_owned());
            }
        }
        Ok(found)
    }

    /// A session has begun and ended once, in this order, and with this code.
    pub(crate) fn check_session_events(&self, name: &str, id: &str, code: i64) -> Result<()> {
        let mut events = self.session_events(name)?;
        events.retain(|(_, of, _)| of == id);
        let event = |kind: &str, code: Option<i64>| -> SessionEvent {
            (kind.to_owned(), id.to_owned(), code)
        };
        let expected = [event("exec", None), event("exec_died", Some(code))];
        ensure!(events == expected, "{events:?} instead of {expected:?}");
        Ok(())
    }
}
