//! The things that stand still: how each is brought about, and undone.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, Mode, fcntl_lock, mkfifoat};
use rustix::process::Signal;

use super::super::holders::{Hanging, Held, end_hanging_calls, hang_in};
use super::super::logs::log_path;
use super::{DEADLINE, DEADLINE_OF_DATABASE, DEADLINE_OF_RUNTIMES, Outcome};
use crate::harness::env::Env;
use crate::harness::process::{Process, directory};
use crate::harness::story::hold;
use crate::harness::tree::{self, MountPoints};

/// Lets things go on again.
pub(super) type Undo<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// A thing that is stuck.
pub(super) struct Stuck {
    pub(super) name: &'static str,
    pub(super) begin: for<'a> fn(&'a Env, &Hanging) -> Result<Undo<'a>>,
    /// The commands that are tried in every round.
    pub(super) sample: &'static [&'static str],
    pub(super) deadline: Duration,
    pub(super) outcome: Outcome,
}

/// What the container runs unless something else is said.
const QUIET: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";

/// The container `held` runs a script.
fn running(env: &Env, hanging: &Hanging, script: &str) -> Result<()> {
    // Some write as fast as they can.
    let log = ["--log-opt", "max-size=1m"];
    let flags = [
        &["--runtime", &hanging.program, "--stop-timeout", "1"][..],
        &log,
    ]
    .concat();
    env.create("held", &flags, &["sh", "-c", script])?;
    env.ctr(&["start", "held"])?.prints("held\n")?;
    env.wait_for_log("held", "ready")?;
    Ok(())
}

fn nothing<'a>() -> Undo<'a> {
    Box::new(|| Ok(()))
}

/// Holds a process, which goes on afterwards.
fn held_process<'a>(process: Process) -> Result<Undo<'a>> {
    hold(&process)?;
    Ok(Box::new(move || process.signal(Signal::CONT)))
}

pub(super) const MONITOR_STOPPED: Stuck = Stuck {
    name: "monitor stopped",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        held_process(env.monitor("held")?)
    },
    sample: &["ps -a", "logs held", "stop -t 1 held"],
    deadline: DEADLINE_OF_RUNTIMES,
    outcome: Outcome::Clear,
};

pub(super) const MONITOR_KILLED: Stuck = Stuck {
    name: "monitor killed",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        env.keeper("held")?;
        Env::shoot(&env.monitor("held")?)?;
        Ok(nothing())
    },
    sample: &["exec held true", "stop -t 1 held"],
    deadline: DEADLINE,
    outcome: Outcome::AsEver,
};

pub(super) const MONITOR_AND_KEEPER_KILLED: Stuck = Stuck {
    name: "monitor and keeper killed",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        let (monitor, keeper) = (env.monitor("held")?, env.keeper("held")?);
        // Not replaced in between.
        hold(&monitor)?;
        Env::shoot(&keeper)?;
        Env::shoot(&monitor)?;
        Ok(nothing())
    },
    sample: &["kill held", "rm -f -t 1 held"],
    deadline: DEADLINE,
    outcome: Outcome::AsEver,
};

pub(super) const MONITOR_KILLED_AND_KEEPER_STOPPED: Stuck = Stuck {
    name: "monitor killed and keeper stopped",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        let (monitor, keeper) = (env.monitor("held")?, env.keeper("held")?);
        let undo = held_process(keeper)?;
        Env::shoot(&monitor)?;
        Ok(undo)
    },
    sample: &["inspect held", "ps -a"],
    deadline: DEADLINE_OF_RUNTIMES,
    outcome: Outcome::Clear,
};

pub(super) const WRITER_STOPPED: Stuck = Stuck {
    name: "writer of the log stopped",
    begin: |env, hanging| {
        running(env, hanging, "trap 'exit 0' TERM; yes ready")?;
        let (monitor, keeper) = (env.monitor("held")?.pid, env.keeper("held")?.pid);
        let inside = env.processes_of("held")?;
        let children =
            std::fs::read_to_string(directory(monitor).join(format!("task/{monitor}/children")));
        for pid in children
            .context("the children of a monitor")?
            .split_whitespace()
        {
            let pid = pid.parse()?;
            if pid != keeper && !inside.contains(&pid) {
                let writer = Process::open(pid)?.context("the writer of the log")?;
                return held_process(writer);
            }
        }
        bail!("there is no writer of the log")
    },
    sample: &["logs held", "kill held"],
    deadline: DEADLINE,
    outcome: Outcome::AsEver,
};

pub(super) const RUNTIME_HANGS: Stuck = Stuck {
    name: "runtime hangs",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        let verbs = [
            "create", "start", "kill", "delete", "exec", "state", "pause", "resume",
        ];
        verbs.iter().try_for_each(|verb| hang_in(env, verb))?;
        Ok(Box::new(move || {
            for verb in verbs {
                let file = env.path(&format!("hang-{verb}"));
                std::fs::remove_file(file).context("let the runtime go on")?;
            }
            end_hanging_calls(env)
        }))
    },
    sample: &["ps -a", "logs held", "kill -s TERM held"],
    deadline: DEADLINE_OF_RUNTIMES,
    outcome: Outcome::Clear,
};

pub(super) const LOCK_HELD: Stuck = Stuck {
    name: "lock held by a stopped command",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        let held = Held::begin(env, "pause", &["pause", "held"])?;
        Ok(Box::new(move || held.end()))
    },
    sample: &["ps -a", "exec held true"],
    // The command that cleans up is started by monitors, and patient.
    deadline: DEADLINE_OF_RUNTIMES,
    outcome: Outcome::Clear,
};

pub(super) const FROZEN: Stuck = Stuck {
    name: "container frozen",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        env.ctr(&["pause", "held"])?.prints("held\n")?;
        Ok(nothing())
    },
    sample: &["exec held true", "rm -f -t 1 held"],
    deadline: DEADLINE,
    outcome: Outcome::Clear,
};

pub(super) const IGNORES_SIGNALS: Stuck = Stuck {
    name: "program ignores signals",
    begin: |env, hanging| {
        let script = "trap '' TERM HUP INT; echo ready; while :; do sleep 0.05; done";
        running(env, hanging, script)?;
        Ok(nothing())
    },
    sample: &["stop -t 1 held", "kill -s TERM held"],
    deadline: DEADLINE,
    outcome: Outcome::AsEver,
};

pub(super) const CLIENT_NEVER_READS: Stuck = Stuck {
    name: "a client that never reads",
    begin: |env, hanging| {
        running(env, hanging, "trap 'exit 0' TERM; yes ready")?;
        let client = env.call(&["attach", "--no-stdin", "held"]).spawn()?;
        client.wait_for_stdout("y\n")?;
        let process = Process::open(client.pid())?.context("the client is there")?;
        hold(&process)?;
        Ok(Box::new(move || {
            Env::shoot(&process)?;
            drop(client);
            Ok(())
        }))
    },
    sample: &["logs held", "stop -t 1 held"],
    deadline: DEADLINE,
    outcome: Outcome::AsEver,
};

/// Locks all of a file, as a process does that stands still in the middle of something.
fn locked<'a>(path: &Path) -> Result<Undo<'a>> {
    let file = File::options().read(true).write(true).open(path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).context("lock a file")?;
    Ok(Box::new(move || {
        drop(file);
        Ok(())
    }))
}

pub(super) const DATABASE_HELD: Stuck = Stuck {
    name: "database held exclusively",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        locked(&env.root().join("state.db"))
    },
    sample: &["ps -a", "inspect held"],
    deadline: DEADLINE_OF_DATABASE,
    outcome: Outcome::Clear,
};

pub(super) const INDEX_HELD: Stuck = Stuck {
    name: "index of the database held",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        locked(&env.root().join("state.db-shm"))
    },
    sample: &["system export"],
    deadline: DEADLINE_OF_DATABASE,
    outcome: Outcome::Clear,
};

/// Puts a named pipe that nobody reads or writes in the place of a file.
fn pipe_at(path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_file(path).context("remove a file")?;
    }
    mkfifoat(rustix::fs::CWD, path, Mode::RUSR | Mode::WUSR)
        .with_context(|| format!("make a pipe at {}", path.display()))
}

pub(super) const LOG_IS_A_PIPE: Stuck = Stuck {
    name: "log is a pipe",
    begin: |env, hanging| {
        let flags = ["--runtime", &hanging.program, "--stop-timeout", "1"];
        env.create("held", &flags, &["sh", "-c", QUIET])?;
        pipe_at(&log_path(env, "held")?)?;
        Ok(nothing())
    },
    sample: &["logs held", "logs -f held", "start held"],
    deadline: DEADLINE,
    outcome: Outcome::Clear,
};

pub(super) const RUN_DIRECTORY_GONE: Stuck = Stuck {
    name: "run directory gone",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        // Nothing is made there any more.
        env.keeper("held")?;
        tree::remove(&env.run_directory("held")?)?;
        Ok(nothing())
    },
    sample: &["ps -a", "rm -f -t 1 held"],
    deadline: DEADLINE,
    outcome: Outcome::Clear,
};

pub(super) const SOCKET_IS_A_PIPE: Stuck = Stuck {
    name: "socket of the monitor is a pipe",
    begin: |env, hanging| {
        running(env, hanging, QUIET)?;
        pipe_at(&env.run_directory("held")?.join("control.sock"))?;
        Ok(nothing())
    },
    sample: &["exec held true", "stop -t 1 held"],
    deadline: DEADLINE,
    outcome: Outcome::Clear,
};

pub(super) const USERS_ARE_A_PIPE: Stuck = Stuck {
    name: "passwd and group are pipes",
    begin: |env, hanging| {
        let root = env.own_root(MountPoints::Present)?;
        let rootfs = root.to_string_lossy().into_owned();
        let words = [
            "run",
            "-d",
            "--name",
            "held",
            "--runtime",
            &hanging.program,
            "--stop-timeout",
            "1",
            "--rootfs",
            &rootfs,
            "sh",
            "-c",
            QUIET,
        ];
        env.ctr(&words)?.id()?;
        env.wait_for_log("held", "ready")?;
        for name in ["passwd", "group"] {
            pipe_at(&root.join("etc").join(name))?;
        }
        Ok(nothing())
    },
    sample: &[
        "exec --stdio=stream -u alice held true",
        "restart -t 1 held",
    ],
    deadline: DEADLINE,
    outcome: Outcome::Clear,
};
