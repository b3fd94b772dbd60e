//! A pid namespace with few pids, in which `ctr` runs and pids come back soon: what was recorded under one belongs to somebody else then.
//!
//! Since Linux 6.14 the largest pid is the namespace's own. On older kernels the last one that was given out is set instead.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::env::Env;
use super::process::Process;
use super::program::{Call, Running};
use super::wait;

/// The first process of the namespace. It reaps what loses its parent, as an init does, and makes victims: processes that hold every
/// signal back, so that the kernel keeps account of what was sent to them.
const SERVER: &str = r#"
last=/proc/sys/kernel/ns_last_pid
if test "$1" = few; then
    echo 400 > /proc/sys/kernel/pid_max || exit 1
    # The pids up to 300 come only once.
    for n in {1..300}; do : & done
    wait
fi
echo ready
while read -r wanted name; do
    for n in {1..50000}; do
        if test "$1" != few; then echo $((wanted - 1)) > $last || exit 1; fi
        (exec -a "$name" env --block-signal bash -c 'exec -a "$0" sleep 1000000' "$name") &
        if test $! = "$wanted"; then echo "placed $wanted"; continue 2; fi
        kill -9 $!
        wait $! 2> /dev/null
    done
    echo "no process got $wanted"
done
"#;

/// The namespace. While it is there, every call of `ctr` of the case runs in it.
pub(crate) struct PidSpace<'e> {
    env: &'e Env,
    server: Running,
    /// Its first process, as it is called outside.
    first: i32,
}

/// A process that has nothing to do with any container, and has the pid of one that had.
#[derive(Debug)]
pub(crate) struct Victim {
    /// As it is called inside.
    pub(crate) pid: i32,
    directory: PathBuf,
    /// What may not change while it lives.
    identity: String,
}

impl<'e> PidSpace<'e> {
    pub(crate) fn make(env: &'e Env) -> Result<PidSpace<'e>> {
        let kind = if has_own_pid_max()? { "few" } else { "last" };
        let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
        let server = Call::new("unshare")
            .args(unshare)
            .args(["bash", "-c", SERVER, "bash", kind])
            .open_stdin()
            .spawn()?;
        server.wait_for_stdout("ready\n")?;
        let first = only_child(server.pid())?;
        let target = first.to_string();
        env.go_through(&["nsenter", "--target", &target, "--pid", "--mount", "--"]);
        Ok(PidSpace { env, server, first })
    }

    /// `/proc/PID` of a pid of this namespace.
    fn process(&self, pid: i32) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/proc/{pid}", self.first))
    }

    /// The words of a process of this namespace.
    pub(crate) fn words(&self, pid: i32) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.process(pid).join("cmdline"));
        let text = text.with_context(|| format!("read the words of {pid}"))?;
        Ok(text
            .trim_end_matches('\0')
            .split('\0')
            .map(str::to_owned)
            .collect())
    }

    /// What a process is called inside.
    pub(crate) fn inside(process: &Process) -> Result<i32> {
        let status = super::process::directory(process.pid).join("status");
        let status = fs::read_to_string(status).context("read the state of a process")?;
        inside(&status).with_context(|| format!("{} is not inside", process.describe()))
    }

    /// The `ctr` of a call, as it is called inside: what was started enters the namespace and waits for it.
    pub(crate) fn called_by(call: &Running) -> Result<i32> {
        let child = only_child(call.pid())?;
        let process = Process::open(child)?.context("the command is there")?;
        PidSpace::inside(&process)
    }

    /// A process of this namespace, held from outside.
    pub(crate) fn hold(&self, pid: i32) -> Result<Process> {
        for entry in fs::read_dir("/proc").context("list /proc")?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(outside) = name.parse::<i32>() else {
                continue;
            };
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            if inside(&status) == Some(pid) && self.is_ours(outside) {
                return Process::open(outside)?.with_context(|| format!("{pid} is there"));
            }
        }
        bail!("no process is called {pid} inside")
    }

    /// Whether a process is in this namespace, or descends from one that is.
    fn is_ours(&self, outside: i32) -> bool {
        let namespace =
            |pid: i32| fs::read_link(super::process::directory(pid).join("ns/pid")).ok();
        let own = namespace(self.first);
        let mut next = Some(outside);
        while let Some(pid) = next {
            if own.is_some() && namespace(pid) == own {
                return true;
            }
            next = parent(pid);
        }
        false
    }

    /// Ends a process of this namespace by force; its pid is free afterwards.
    pub(crate) fn shoot(&self, pid: i32) -> Result<()> {
        let process = self.hold(pid)?;
        process.signal(Signal::KILL)?;
        wait::until("a process that was killed to be reaped", || {
            Ok((!self.process(pid).exists()).then_some(()))
        })
    }

    /// Lets pids come and go until a process of this name has this one.
    pub(crate) fn place(&mut self, pid: i32, name: &str) -> Result<Victim> {
        ensure!(!name.contains('\n'), "a name of one line");
        let before = self.server.printed().len();
        self.server.say(format!("{pid} {name}\n").as_bytes())?;
        wait::until("a process to get a pid", || {
            let printed = self.server.printed();
            ensure!(!printed.contains("no process"), "{printed}");
            Ok((printed.len() > before && printed.ends_with('\n')).then_some(()))
        })?;
        let directory = self.process(pid);
        // Two programs are executed one after the other, with the signals held back from the first one on.
        wait::until("a victim to be what it is to be", || {
            let comm = fs::read_to_string(directory.join("comm")).unwrap_or_default();
            Ok((comm == "sleep\n").then_some(()))
        })?;
        let identity = identity(&directory)?;
        Ok(Victim {
            pid,
            directory,
            identity,
        })
    }
}

impl Drop for PidSpace<'_> {
    fn drop(&mut self) {
        self.env.go_through(&[]);
    }
}

impl Victim {
    /// It lives, was sent no signal, and is where it was.
    pub(crate) fn check(&self) -> Result<()> {
        let now = identity(&self.directory).context("the victim is gone")?;
        ensure!(
            now == self.identity,
            "the victim {} was touched: {now}\n    instead of {}",
            self.pid,
            self.identity
        );
        Ok(())
    }
}

/// Start time, control groups, and how willingly the kernel kills it. A process that was sent a signal, or is held, is an error.
fn identity(directory: &Path) -> Result<String> {
    let read = |file: &str| {
        let path = directory.join(file);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let line = read("stat")?;
    let (_, fields) = line.rsplit_once(") ").context("a name in parentheses")?;
    let start = fields.split(' ').nth(19).context("a start time")?;
    let status = read("status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).with_context(|| format!("no {name}"))
    };
    for name in ["SigPnd:", "ShdPnd:"] {
        let pending = field(name)?;
        let none = pending.bytes().all(|byte| byte == b'0');
        ensure!(none, "a signal was sent to it: {name} {pending}");
    }
    let state = field("State:")?;
    ensure!(state.starts_with(['R', 'S', 'D']), "it is {state}");
    let (groups, score) = (read("cgroup")?, read("oom_score_adj")?);
    Ok(format!(
        "started at {start}, {}, {}",
        groups.trim().replace('\n', " "),
        score.trim()
    ))
}

/// The second name of a process, from its `status`: the one of the first namespace below ours.
fn inside(status: &str) -> Option<i32> {
    let mut names = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?
        .split_whitespace();
    names.nth(1)?.parse().ok()
}

fn only_child(pid: i32) -> Result<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.context("read the children of a process")?;
    children.trim().parse().context("one child")
}

fn parent(pid: i32) -> Option<i32> {
    let status = super::process::directory(pid).join("status");
    let status = fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok().filter(|pid| *pid > 0)
}

fn has_own_pid_max() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("read the release")?;
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut next = || -> Option<u32> { numbers.next()?.parse().ok() };
    let version = (next().context("a version")?, next().context("a version")?);
    Ok(version >= (6, 14))
}
