//! A tracer of a whole tree of processes: it stops every call into the kernel, tells who makes it, and does what is decided about it.
//!
//! [`trace`] starts a command and follows everything that it starts, by `ptrace(2)`. Each process has a [`Role`]. For a role whose
//! [`Interest`] is in calls, the decider sees each of them twice, before and after the kernel's work, and answers with an [`Action`]: let it
//! go on, kill the process before the call is carried out, have the call fail instead, or let the process go its own way. Processes
//! of other roles run at full speed; only what they fork and execute is followed.
//!
//! Only what one thread has started is waited for, so other threads of this process may have children of their own. Of a process
//! that stops itself (`SIGSTOP`) the stop is ignored. Signals beyond 31 are swallowed. `x86_64` only.

mod changes;
mod event;
mod names;
mod roles;
mod start;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::process::WaitOptions;

pub(crate) use event::{Phase, Syscall};
pub(crate) use roles::{Programs, Role};
pub(crate) use start::is_alive;
use tasks::{Pending, Tasks};

use crate::harness::output::Output;
use start::{Started, Timer};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is carried out.
    Continue,
    /// The whole process is killed by SIGKILL. Before the kernel's work, the call is not carried out.
    Kill,
    /// Before the kernel's work: the call is not carried out, and fails with this error. After it, only the answer is another one.
    Fail(Errno),
    /// It is carried out, and the process is no longer traced, nor is what it starts from now on.
    Detach,
}

/// How closely processes of a role are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Every call.
    Calls,
    /// Only what they fork and execute, because the roles of those matter.
    Family,
    /// Not at all.
    Nothing,
}

/// When the tracer lets everybody go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// When the command has ended.
    End,
    /// When the command has ended and nobody has made a call that is looked at for this long.
    Quiet(Duration),
}

/// What is traced, and how.
pub(crate) struct Plan<'a> {
    pub(crate) programs: &'a Programs,
    /// By role; containers are never looked at.
    pub(crate) interest: &'a dyn Fn(Role) -> Interest,
    pub(crate) until: Until,
    /// A command that takes longer hangs, and is killed.
    pub(crate) patience: Duration,
    /// Processes that run already and are traced, too.
    pub(crate) attach: &'a [(i32, Role)],
}

/// How a traced command ended.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    /// What it said, and its exit code.
    pub(crate) output: Output,
    /// Whether it was killed because it took too long.
    pub(crate) hung: bool,
    /// How many calls of each role there were, and how many of them change something. Of roles that are looked at.
    pub(crate) calls: BTreeMap<Role, (u64, u64)>,
    /// Which processes ended as by a mistake of their own: by a signal that says so, or after a panic.
    pub(crate) crashes: Vec<String>,
}

/// Who decides.
pub(crate) type Decide<'a> = dyn FnMut(&Syscall) -> Action + 'a;

/// Runs a command and decides about its calls and those of all that it starts. Everything that still runs at the end is let go.
pub(crate) fn trace(words: &[String], plan: &Plan<'_>, decide: &mut Decide<'_>) -> Result<Traced> {
    let started = Started::start(words)?;
    let watchdog = Timer::start(plan.patience)?;
    let mut tracer = Tracer {
        plan,
        decide,
        tasks: Tasks::default(),
        root: started.pid(),
        code: None,
        hung: false,
        watchdog,
        quiet: None,
        letting_go: false,
        crashes: Vec::new(),
    };
    let result = tracer.run();
    let calls = tracer.tasks.calls();
    let code = tracer.code;
    let hung = tracer.hung;
    let crashes = std::mem::take(&mut tracer.crashes);
    drop(tracer);
    let output = started.output(code.unwrap_or(-1));
    result?;
    Ok(Traced {
        output,
        hung,
        calls,
        crashes,
    })
}

struct Tracer<'a, 'b> {
    plan: &'a Plan<'a>,
    decide: &'a mut Decide<'b>,
    tasks: Tasks,
    root: i32,
    /// How the command ended, once it has.
    code: Option<i32>,
    hung: bool,
    watchdog: Timer,
    /// Runs while nobody makes a call after the command's end.
    quiet: Option<Timer>,
    letting_go: bool,
    crashes: Vec<String>,
}

/// Signals and events of a stop, see ptrace(2).
const CALL_STOP: i32 = libc::SIGTRAP | 0x80;

impl Tracer<'_, '_> {
    fn run(&mut self) -> Result<()> {
        self.tasks.add(self.root, self.root, Role::Cli);
        start::seize(self.root)?;
        rustix::process::kill_process(start::pid(self.root)?, rustix::process::Signal::CONT)
            .context("let the command go on")?;
        for (pid, role) in self.plan.attach {
            let attached = self.attach(*pid, *role);
            // One that has ended meanwhile is none to be traced.
            if attached.is_err() && !start::is_alive(*pid)? {
                continue;
            }
            attached?;
        }
        while !self.tasks.is_empty() {
            let options = WaitOptions::from_bits_retain(
                libc::__WALL.cast_unsigned() | libc::__WNOTHREAD.cast_unsigned(),
            );
            let waited = match rustix::process::wait(options) {
                Err(Errno::INTR) => continue,
                waited => waited.context("wait for a traced process")?,
            };
            let Some((pid, status)) = waited else {
                continue;
            };
            let tid = pid.as_raw_nonzero().get();
            let raw = status.as_raw();
            if libc::WIFSTOPPED(raw) {
                self.stopped(tid, libc::WSTOPSIG(raw), raw >> 16);
            } else {
                self.ended(tid, raw)?;
            }
        }
        Ok(())
    }

    /// One that runs: all its threads.
    fn attach(&mut self, pid: i32, role: Role) -> Result<()> {
        for tid in start::threads(pid)? {
            start::seize(tid)?;
            self.tasks.add(tid, pid, role);
            ptrace::interrupt(Pid::from_raw(tid)).context("stop a process to be traced")?;
        }
        Ok(())
    }

    fn ended(&mut self, tid: i32, raw: i32) -> Result<()> {
        if self.watchdog.is(tid) {
            self.watchdog.rang();
            self.hung = self.code.is_none();
            if self.hung {
                kill(self.root);
            } else {
                self.let_go();
            }
            return Ok(());
        }
        if self.quiet.as_ref().is_some_and(|timer| timer.is(tid)) {
            let mut timer = self.quiet.take().context("it was just looked at")?;
            timer.rang();
            return self.quiet_is_over(&timer);
        }
        if let Some(role) = self.tasks.role(tid)
            && let Some(how) = roles::crash(role, raw)
        {
            self.crashes.push(format!("{} {how}", role.name()));
        }
        self.tasks.remove(tid);
        if tid == self.root {
            self.code = Some(if libc::WIFEXITED(raw) {
                libc::WEXITSTATUS(raw)
            } else {
                128 + libc::WTERMSIG(raw)
            });
            match self.plan.until {
                Until::End => self.let_go(),
                Until::Quiet(time) => {
                    self.quiet = Some(Timer::start(time)?.after(self.tasks.count()));
                }
            }
        }
        Ok(())
    }

    /// Another round when there were calls meanwhile.
    fn quiet_is_over(&mut self, timer: &Timer) -> Result<()> {
        let count = self.tasks.count();
        if timer.began_after(count) {
            self.let_go();
        } else if let Until::Quiet(time) = self.plan.until {
            self.quiet = Some(Timer::start(time)?.after(count));
        }
        Ok(())
    }

    /// Lets all processes go; those that run have to be stopped for it first.
    fn let_go(&mut self) {
        self.letting_go = true;
        for tid in self.tasks.threads() {
            // One that waits for its parent to tell of it is stopped already.
            if self.tasks.pending(tid) == Pending::Parent {
                self.resume(tid, None);
            } else {
                ptrace::interrupt(Pid::from_raw(tid)).ok();
            }
        }
    }

    fn stopped(&mut self, tid: i32, signal: i32, event: i32) {
        if signal == CALL_STOP {
            return self.at_a_call(tid);
        }
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                if let Some(child) = message(tid) {
                    self.forked(tid, child);
                }
                self.resume(tid, None);
            }
            libc::PTRACE_EVENT_EXEC => {
                // Where another thread than the first has executed, it has become the first.
                if let Some(former) = message(tid).filter(|former| *former != tid) {
                    self.tasks.remove(former);
                }
                self.tasks.executed(tid, self.plan.programs);
                self.resume(tid, None);
            }
            0 => self.resume(tid, Signal::try_from(signal).ok()),
            // A stop of a new process, one that was asked for, or one of job control.
            _ => {
                if self.tasks.is_known(tid) {
                    self.resume(tid, None);
                } else if self.letting_go {
                    ptrace::detach(Pid::from_raw(tid), None).ok();
                    self.tasks.is_gone(tid);
                } else {
                    self.tasks.wait_for_parent(tid);
                }
            }
        }
    }

    /// A process or a thread is new. Its own first stop may have come before.
    fn forked(&mut self, parent: i32, child: i32) {
        let waits = self.tasks.pending(child) == Pending::Parent;
        self.tasks.forked(parent, child);
        if waits {
            self.resume(child, None);
        }
    }

    /// Lets a thread go on until the next stop that matters.
    fn resume(&mut self, tid: i32, signal: Option<Signal>) {
        let pid = Pid::from_raw(tid);
        let interest = match self.tasks.role(tid) {
            _ if self.letting_go => Interest::Nothing,
            None | Some(Role::Container) => Interest::Nothing,
            Some(role) => (self.plan.interest)(role),
        };
        // Each of them fails only for a process that was killed meanwhile; its end is told next.
        match interest {
            Interest::Calls => ptrace::syscall(pid, signal).ok(),
            Interest::Family => ptrace::cont(pid, signal).ok(),
            Interest::Nothing => self.detach(tid, signal),
        };
    }

    fn detach(&mut self, tid: i32, signal: Option<Signal>) -> Option<()> {
        let detached = ptrace::detach(Pid::from_raw(tid), signal);
        // The command's own end is waited for in any case, as its parent.
        if detached.is_ok() && tid != self.root {
            self.tasks.remove(tid);
        }
        None
    }

    fn at_a_call(&mut self, tid: i32) {
        let thread = Pid::from_raw(tid);
        let (Ok(info), Ok(registers)) = (ptrace::syscall_info(thread), ptrace::getregs(thread))
        else {
            // Killed meanwhile; its end is told next.
            return;
        };
        if self.letting_go {
            return self.resume(tid, None);
        }
        let phase = if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            Phase::Entry
        } else {
            if let Pending::Fail(errno) = self.tasks.pending(tid) {
                self.tasks.set_pending(tid, Pending::Nothing);
                answer(thread, registers, errno);
                return self.resume(tid, None);
            }
            Phase::Exit(registers.rax.cast_signed())
        };
        let Some(call) = self.tasks.call(tid, phase, registers) else {
            return self.resume(tid, None);
        };
        match (self.decide)(&call) {
            Action::Continue => {}
            Action::Kill => kill(call.pid),
            Action::Detach => {
                self.detach(tid, None);
                return;
            }
            Action::Fail(errno) if phase == Phase::Entry => {
                self.tasks.set_pending(tid, Pending::Fail(errno));
                let mut changed = registers;
                // No call has this number.
                changed.orig_rax = u64::MAX;
                ptrace::setregs(thread, changed).ok();
            }
            Action::Fail(errno) => answer(thread, registers, errno),
        }
        self.resume(tid, None);
    }
}

/// Has a call answer with an error.
fn answer(thread: Pid, mut registers: libc::user_regs_struct, errno: Errno) {
    registers.rax = (-i64::from(errno.raw_os_error())).cast_unsigned();
    ptrace::setregs(thread, registers).ok();
}

/// The number that comes with an event.
fn message(tid: i32) -> Option<i32> {
    let number = ptrace::getevent(Pid::from_raw(tid)).ok()?;
    i32::try_from(number).ok()
}

/// Kills a process that is traced, so that its number is its own.
fn kill(pid: i32) {
    if let Ok(pid) = start::pid(pid) {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
    }
}
