//! What the engine tells of a container afterwards: its events, its runs, the commands that wait beside it.

use std::fs;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::env::Env;
use super::process::{Process, directory, marked};
use super::program::Running;
use super::wait::{PATIENCE, until};

impl Env {
    /// The events of a container so far, in order.
    pub(crate) fn events_of(&self, name: &str) -> Result<Vec<Value>> {
        let filter = format!("container={}", self.whole_id(name)?);
        let words = ["events", "--no-stream", "--format", "json", "-f", &filter];
        let text = self.ctr(&words)?.ok()?;
        let read = |line| serde_json::from_str(line).with_context(|| format!("read {line}"));
        text.lines().map(read).collect()
    }

    /// The id of a container that is there; a short name may be the beginning of another one's id. Anything else stays as it is.
    fn whole_id(&self, name: &str) -> Result<String> {
        if self.ctr(&["container", "exists", name])?.code != 0 {
            return Ok(name.to_owned());
        }
        let value = self.inspect(name)?;
        Ok(value["Id"].as_str().context("Id")?.to_owned())
    }

    /// Their kinds, in a line.
    pub(crate) fn story(&self, name: &str) -> Result<String> {
        let events = self.events_of(name)?;
        let kinds = events.iter().filter_map(|event| event["Status"].as_str());
        Ok(kinds.collect::<Vec<_>>().join(" "))
    }

    /// The story is exactly this.
    pub(crate) fn check_story(&self, name: &str, expected: &str) -> Result<()> {
        let story = self.story(name)?;
        ensure!(story == expected, "{story:?} instead of {expected:?}");
        Ok(())
    }

    /// A follower of the events of this kind, from the first one on.
    pub(crate) fn follow(&self, name: &str, kind: &str) -> Result<Running> {
        let name = format!("container={}", self.whole_id(name)?);
        let kind = format!("event={kind}");
        let words = ["events", "--after", "0", "--format", "json"];
        let filters = ["-f", &name, "-f", &kind];
        self.call(&[&words[..], &filters[..]].concat()).spawn()
    }

    /// Waits for an event of this kind in the run of this number.
    pub(crate) fn wait_for_event(&self, name: &str, kind: &str, generation: u64) -> Result<()> {
        let follower = self.follow(name, kind)?;
        follower.wait_for_stdout(&format!("\"generation\":{generation},"))
    }

    /// Waits for a status with `ctr wait`.
    pub(crate) fn wait_for_status(&self, name: &str, condition: &str) -> Result<()> {
        let words = ["wait", "--condition", condition, name];
        let output = self.ctr(&words)?;
        ensure!(output.code == 0, "{output}");
        Ok(())
    }

    /// The runs of a container, oldest first.
    pub(crate) fn past_runs(&self, name: &str) -> Result<Vec<Value>> {
        let words = ["container", "history", "--format", "json", name];
        let text = self.ctr(&words)?.ok()?;
        serde_json::from_str(&text).with_context(|| format!("read {text}"))
    }

    /// How often the policy has started the container again since a person did.
    pub(crate) fn restart_count(&self, name: &str) -> Result<u64> {
        let value = self.inspect(name)?;
        value["RestartCount"].as_u64().context("RestartCount")
    }

    /// The number of the run.
    pub(crate) fn generation(&self, name: &str) -> Result<u64> {
        let value = self.inspect(name)?;
        let number = value["State"]["Generation"].as_u64();
        number.context("State.Generation")
    }

    /// The first process of a container that runs.
    pub(crate) fn first_process(&self, name: &str) -> Result<Process> {
        let pid = self.state_number(name, "Pid")?;
        Process::open(pid)?.with_context(|| format!("the first process of {name} is there"))
    }

    /// The monitor of a container that runs.
    pub(crate) fn monitor(&self, name: &str) -> Result<Process> {
        let pid = self.state_number(name, "ConmonPid")?;
        Process::open(pid)?.with_context(|| format!("the monitor of {name} is there"))
    }

    /// The process that takes the monitor's place when that is killed, once there is one: it is made in a quiet moment.
    pub(crate) fn keeper(&self, name: &str) -> Result<Process> {
        let monitor = self.monitor(name)?;
        until("the monitor's keeper", || {
            for pid in children(monitor.pid)? {
                let comm = fs::read_to_string(directory(pid).join("comm"));
                if comm.is_ok_and(|comm| comm.trim_end() == "ctr-keeper") {
                    return Process::open(pid);
                }
            }
            Ok(None)
        })
    }

    /// Kills the monitor of a container that runs together with its keeper: nobody is left who would take its place.
    pub(crate) fn lose_monitor(&self, name: &str) -> Result<()> {
        let monitor = self.monitor(name)?;
        // It makes no other keeper then.
        hold(&monitor)?;
        let words = |pid: i32| fs::read(directory(pid).join("cmdline")).unwrap_or_default();
        // With the runtime inside our program, the first process has the monitor's words as long as it waits for its start.
        let first = self.state_number(name, "Pid")?;
        for pid in children(monitor.pid)? {
            if pid != first
                && words(pid) == words(monitor.pid)
                && let Some(keeper) = Process::open(pid)?
            {
                Env::shoot(&keeper)?;
            }
        }
        Env::shoot(&monitor)
    }

    /// Ends a process by force and waits for its end.
    pub(crate) fn shoot(process: &Process) -> Result<()> {
        process.signal(Signal::KILL)?;
        ensure!(process.ends_within(PATIENCE)?, "{}", process.describe());
        Ok(())
    }

    /// The commands that clean up after the container of this id, or wait for its restart.
    pub(crate) fn cleaners(id: &str) -> Result<Vec<Process>> {
        let mut found = marked(&[id.to_owned()])?;
        found.retain(|process| process.describe().contains(" container cleanup "));
        Ok(found)
    }

    /// Waits until nothing cleans up after the container of this id, or waits for its restart.
    pub(crate) fn wait_for_cleaners(id: &str) -> Result<()> {
        until("the end of the commands that clean up", || {
            Ok(Env::cleaners(id)?.is_empty().then_some(()))
        })
    }
}

/// The children of a process with one thread.
fn children(pid: i32) -> Result<Vec<i32>> {
    let text = fs::read_to_string(directory(pid).join(format!("task/{pid}/children")));
    let text = text.unwrap_or_default();
    let pids = text.split_whitespace().map(str::parse);
    pids.collect::<Result<_, _>>().context("read pids")
}

/// Stops a process where it stands, and waits until it stands.
pub(crate) fn hold(process: &Process) -> Result<()> {
    process.signal(Signal::STOP)?;
    until("a process to stand still", || {
        let stat = fs::read_to_string(directory(process.pid).join("stat")).unwrap_or_default();
        // After the name, which is in parentheses; a process that is gone will not move either.
        let state = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with('T'));
        Ok(state.unwrap_or(true).then_some(()))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::program::Call;
    use super::*;

    #[test]
    fn a_process_that_is_held_does_nothing_until_it_goes_on() {
        let mut child = Call::new("/bin/cat").open_stdin().spawn().unwrap();
        child.say(b"a").unwrap();
        child.wait_for_stdout("a").unwrap();
        let process = Process::open(child.pid()).unwrap().unwrap();
        hold(&process).unwrap();
        child.close_stdin();
        assert!(!process.ends_within(Duration::ZERO).unwrap());
        process.signal(Signal::CONT).unwrap();
        child.finish().unwrap();
        // One that is gone stands still for good.
        hold(&process).unwrap();
    }
}
