//! The threads that are traced, and what is known of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nix::libc::{self, user_regs_struct};
use rustix::io::Errno;

use super::changes::changes;
use super::event::{Phase, Syscall, word};
use super::roles::{Programs, Role};

/// What has to be done at a thread's next stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    Nothing,
    /// It has stopped for the first time before its parent told of it.
    Parent,
    /// The call that was not carried out answers with this.
    Fail(Errno),
}

#[derive(Clone, Copy, Debug)]
struct Task {
    process: i32,
    pending: Pending,
    /// The numbers of the call that it is in, and whether it changes something.
    nth: (u64, Option<u64>),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    threads: BTreeMap<i32, Task>,
    /// By process.
    roles: BTreeMap<i32, Role>,
    counts: BTreeMap<Role, (u64, u64)>,
    /// Let go before their parents told of them.
    gone: BTreeSet<i32>,
}

impl Tasks {
    pub(super) fn add(&mut self, tid: i32, process: i32, role: Role) {
        let task = Task {
            process,
            pending: Pending::Nothing,
            nth: (0, None),
        };
        self.threads.insert(tid, task);
        self.roles.insert(process, role);
    }

    pub(super) fn remove(&mut self, tid: i32) {
        self.threads.remove(&tid);
        self.roles.remove(&tid);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Whether its role is known.
    pub(super) fn is_known(&self, tid: i32) -> bool {
        self.role(tid).is_some()
    }

    pub(super) fn threads(&self) -> Vec<i32> {
        self.threads.keys().copied().collect()
    }

    pub(super) fn role(&self, tid: i32) -> Option<Role> {
        self.roles.get(&self.threads.get(&tid)?.process).copied()
    }

    /// One whose parent has not told of it yet.
    pub(super) fn wait_for_parent(&mut self, tid: i32) {
        let task = Task {
            process: tid,
            pending: Pending::Parent,
            nth: (0, None),
        };
        self.threads.insert(tid, task);
    }

    /// Notes one that was let go before its parent told of it.
    pub(super) fn is_gone(&mut self, tid: i32) {
        self.gone.insert(tid);
    }

    pub(super) fn pending(&self, tid: i32) -> Pending {
        self.threads
            .get(&tid)
            .map_or(Pending::Nothing, |task| task.pending)
    }

    pub(super) fn set_pending(&mut self, tid: i32, pending: Pending) {
        if let Some(task) = self.threads.get_mut(&tid) {
            task.pending = pending;
        }
    }

    /// A thread has made another one, in its own process or as a new one.
    pub(super) fn forked(&mut self, parent: i32, child: i32) {
        if self.gone.remove(&child) {
            return;
        }
        let Some(family) = self.threads.get(&parent).map(|task| task.process) else {
            return;
        };
        let Some(role) = self.role(parent) else {
            return;
        };
        if process_of(child) == Some(family) {
            self.add(child, family, role);
        } else {
            self.add(child, child, role.of_child());
        }
    }

    /// A process has executed a program; only this thread of it is left.
    pub(super) fn executed(&mut self, tid: i32, programs: &Programs) {
        let before = self.roles.get(&tid).copied().unwrap_or(Role::Container);
        let role = before.executed(tid, programs);
        self.threads
            .retain(|other, task| *other == tid || task.process != tid);
        let nth = self.threads.get(&tid).map_or((0, None), |task| task.nth);
        self.add(tid, tid, role);
        if let Some(task) = self.threads.get_mut(&tid) {
            task.nth = nth;
        }
    }

    /// How many calls there were.
    pub(super) fn count(&self) -> u64 {
        self.counts.values().map(|(calls, _)| calls).sum()
    }

    /// The calls of each role, and how many of them change something.
    pub(super) fn calls(&self) -> BTreeMap<Role, (u64, u64)> {
        self.counts.clone()
    }

    /// The call at which a thread has stopped, counted.
    pub(super) fn call(
        &mut self,
        tid: i32,
        phase: Phase,
        registers: user_regs_struct,
    ) -> Option<Syscall> {
        let pid = self.threads.get(&tid)?.process;
        let number = registers.orig_rax;
        let args = [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ];
        if phase == Phase::Entry {
            self.note_name(tid, pid, number, &args);
        }
        let role = *self.roles.get(&pid)?;
        if phase == Phase::Entry {
            let counts = self.counts.entry(role).or_default();
            counts.0 += 1;
            let change = changes(number, &args, |address| word(tid, address));
            counts.1 += u64::from(change);
            let nth = (counts.0, change.then_some(counts.1));
            self.threads.get_mut(&tid)?.nth = nth;
        }
        let (nth, nth_change) = self.threads.get(&tid)?.nth;
        Some(Syscall {
            role,
            pid,
            tid,
            number,
            args,
            phase,
            nth,
            nth_change,
            registers,
        })
    }

    /// A process that gives itself a name may say by it what it is from now on.
    fn note_name(&mut self, tid: i32, pid: i32, number: u64, args: &[u64; 6]) {
        let names = libc::SYS_prctl.cast_unsigned() == number
            && args[0] == u64::from(libc::PR_SET_NAME.cast_unsigned());
        if names && let Some(role) = self.roles.get_mut(&pid) {
            let bytes = super::event::read(tid, args[1], 16);
            let length = bytes.iter().position(|byte| *byte == 0);
            let name = &bytes[..length.unwrap_or(bytes.len())];
            *role = role.named(&String::from_utf8_lossy(name));
        }
    }
}

/// The process that a thread belongs to.
fn process_of(tid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}
