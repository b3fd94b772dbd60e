//! What the engine's processes do to the files below a directory, written down while they do it.
//!
//! A change is written down when the kernel has carried it out, with what was asked for when it began. A sync makes safe what had been
//! carried out when it began.

use std::collections::BTreeMap;
use std::fs;

use nix::libc;

use super::disk::{BASE, Change, Kind, Node};
use crate::faults::tracer::{Action, Phase, Role, Syscall};

/// `FALLOC_FL_KEEP_SIZE` of `fallocate(2)`.
const KEEP_SIZE: u64 = libc::FALLOC_FL_KEEP_SIZE as u64;

/// Something in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Change(Change),
    /// A worker has answered.
    Answer {
        worker: i32,
        line: String,
    },
}

/// What a call is about to do.
#[derive(Clone, Debug)]
enum Intent {
    Change(Change),
    /// A file is made if it is not there, and emptied if that was asked for.
    Open {
        path: String,
        empties: bool,
    },
    Make {
        path: String,
        kind: Kind,
    },
    Answer(i32, String),
    /// This kind of change has no place in the model yet.
    Unknown(String),
}

/// Writes down.
#[derive(Debug)]
pub(crate) struct Recorder {
    base: String,
    workers: Vec<i32>,
    pub(crate) records: Vec<Record>,
    /// How many changes there are among them.
    changes: usize,
    /// What a path leads to now.
    paths: BTreeMap<String, Node>,
    next: Node,
    /// By thread.
    intents: BTreeMap<i32, Intent>,
    /// What could not be written down.
    pub(crate) unknown: Vec<String>,
}

impl Recorder {
    /// For what happens below this directory, and the answers of these processes.
    pub(crate) fn new(base: &str, workers: Vec<i32>) -> Self {
        Self {
            base: base.to_owned(),
            workers,
            records: Vec::new(),
            changes: 0,
            paths: BTreeMap::from([(base.to_owned(), BASE)]),
            next: BASE + 1,
            intents: BTreeMap::new(),
            unknown: Vec::new(),
        }
    }

    /// Looks at a call, on both of its sides.
    pub(crate) fn see(&mut self, call: &Syscall) -> Action {
        match call.phase {
            Phase::Entry => {
                if let Some(intent) = self.intent(call) {
                    self.intents.insert(call.tid, intent);
                }
            }
            Phase::Exit(answer) => {
                if let Some(intent) = self.intents.remove(&call.tid)
                    && answer >= 0
                {
                    self.done(intent, answer);
                }
            }
        }
        Action::Continue
    }

    fn intent(&self, call: &Syscall) -> Option<Intent> {
        let args = &call.args;
        let number = i64::try_from(call.number).ok()?;
        match number {
            libc::SYS_write if args[0] == 1 && self.workers.contains(&call.pid) => {
                let bytes = call.bytes(args[1], usize::try_from(args[2]).ok()?);
                let line = String::from_utf8_lossy(&bytes).into_owned();
                Some(Intent::Answer(call.pid, line))
            }
            libc::SYS_write | libc::SYS_pwrite64 => self.write(call),
            libc::SYS_ftruncate => self.length(call, args[1]),
            // Room for later: neither the length nor what is in it changes.
            libc::SYS_fallocate if args[1] == KEEP_SIZE => None,
            libc::SYS_fallocate => self.length(call, args[2].checked_add(args[3])?),
            libc::SYS_fsync | libc::SYS_fdatasync => {
                let node = self.node(&call.descriptor(args[0]))?;
                Some(Intent::Change(Change::Sync {
                    node,
                    before: self.changes,
                }))
            }
            libc::SYS_writev
            | libc::SYS_pwritev
            | libc::SYS_pwritev2
            | libc::SYS_sendfile
            | libc::SYS_copy_file_range => self.unknown(call, &call.descriptor(args[0])),
            _ => self.naming(call, number),
        }
    }

    /// Calls that name something.
    fn naming(&self, call: &Syscall, number: i64) -> Option<Intent> {
        let args = &call.args;
        match number {
            libc::SYS_open => self.open(&at(call, None, args[0]), args[1]),
            libc::SYS_openat => self.open(&at(call, Some(args[0]), args[1]), args[2]),
            libc::SYS_mkdir => self.make(at(call, None, args[0]), Kind::Directory),
            libc::SYS_mkdirat => self.make(at(call, Some(args[0]), args[1]), Kind::Directory),
            libc::SYS_mknod => self.make(at(call, None, args[0]), Kind::File),
            libc::SYS_mknodat => self.make(at(call, Some(args[0]), args[1]), Kind::File),
            libc::SYS_unlink | libc::SYS_rmdir => self.remove(&at(call, None, args[0])),
            libc::SYS_unlinkat => self.remove(&at(call, Some(args[0]), args[1])),
            libc::SYS_rename => self.rename(&at(call, None, args[0]), &at(call, None, args[1])),
            libc::SYS_renameat | libc::SYS_renameat2 => self.rename(
                &at(call, Some(args[0]), args[1]),
                &at(call, Some(args[2]), args[3]),
            ),
            libc::SYS_truncate | libc::SYS_creat => self.unknown(call, &at(call, None, args[0])),
            libc::SYS_link | libc::SYS_symlink => self.unknown(call, &at(call, None, args[1])),
            libc::SYS_linkat => self.unknown(call, &at(call, Some(args[2]), args[3])),
            libc::SYS_symlinkat => self.unknown(call, &at(call, Some(args[1]), args[2])),
            _ => None,
        }
    }

    /// The shared index of the WAL is made anew by whoever comes first: it is no durable state. What lies in the directory of a container
    /// is the container's.
    fn counts(&self, path: &str) -> bool {
        let Some(below) = path.strip_prefix(&self.base) else {
            return false;
        };
        let below = below.trim_start_matches('/');
        let inside = below.strip_prefix("root/containers/");
        (below == "root" || below.starts_with("root/"))
            && !below.ends_with("-shm")
            && inside.is_none_or(|inside| !inside.contains('/'))
    }

    fn node(&self, path: &str) -> Option<Node> {
        self.paths.get(path).copied()
    }

    fn parent(&self, path: &str) -> Option<(Node, String)> {
        let (parent, name) = path.rsplit_once('/')?;
        Some((self.node(parent)?, name.to_owned()))
    }

    fn unknown(&self, call: &Syscall, path: &str) -> Option<Intent> {
        let text = format!("{} {path}", call.name());
        self.counts(path).then_some(Intent::Unknown(text))
    }

    fn write(&self, call: &Syscall) -> Option<Intent> {
        let args = &call.args;
        let file = self.node(&call.descriptor(args[0]))?;
        let at = if call.is(libc::SYS_pwrite64) {
            args[3]
        } else {
            position(call.tid, args[0])?
        };
        Some(Intent::Change(Change::Write {
            file,
            at: usize::try_from(at).ok()?,
            bytes: call.bytes(args[1], usize::try_from(args[2]).ok()?),
        }))
    }

    fn length(&self, call: &Syscall, length: u64) -> Option<Intent> {
        let file = self.node(&call.descriptor(call.args[0]))?;
        let length = usize::try_from(length).ok()?;
        Some(Intent::Change(Change::Length { file, length }))
    }

    fn open(&self, path: &str, flags: u64) -> Option<Intent> {
        let has = |flag: i32| flags & u64::from(flag.cast_unsigned()) != 0;
        let changes = has(libc::O_CREAT) || has(libc::O_TRUNC);
        (changes && self.counts(path)).then(|| Intent::Open {
            path: path.to_owned(),
            empties: has(libc::O_TRUNC),
        })
    }

    fn make(&self, path: String, kind: Kind) -> Option<Intent> {
        self.counts(&path).then_some(Intent::Make { path, kind })
    }

    fn remove(&self, path: &str) -> Option<Intent> {
        self.node(path)?;
        let (parent, name) = self.parent(path)?;
        Some(Intent::Change(Change::Remove { parent, name }))
    }

    fn rename(&self, from: &str, to: &str) -> Option<Intent> {
        if !self.counts(from) && !self.counts(to) {
            return None;
        }
        match (self.parent(from), self.parent(to)) {
            (Some((parent, from)), Some((other, to))) if parent == other => {
                Some(Intent::Change(Change::Rename { parent, from, to }))
            }
            _ => Some(Intent::Unknown(format!("rename {from} {to}"))),
        }
    }

    /// The kernel has done it.
    fn done(&mut self, intent: Intent, answer: i64) {
        match intent {
            Intent::Change(mut change) => {
                if let Change::Write { bytes, .. } = &mut change {
                    bytes.truncate(usize::try_from(answer).unwrap_or(0));
                }
                self.follow(&change);
                self.push(change);
            }
            Intent::Open { path, empties } => match self.node(&path) {
                Some(file) if empties => self.push(Change::Length { file, length: 0 }),
                Some(_) => {}
                None => self.made(&path, Kind::File),
            },
            Intent::Make { path, kind } => self.made(&path, kind),
            Intent::Answer(worker, line) => self.records.push(Record::Answer { worker, line }),
            Intent::Unknown(text) => self.unknown.push(text),
        }
    }

    fn push(&mut self, change: Change) {
        self.changes += 1;
        self.records.push(Record::Change(change));
    }

    fn made(&mut self, path: &str, kind: Kind) {
        let Some((parent, name)) = self.parent(path) else {
            self.unknown
                .push(format!("{path} in a directory that nobody made"));
            return;
        };
        let node = self.next;
        self.next += 1;
        self.paths.insert(path.to_owned(), node);
        self.push(Change::Make {
            parent,
            name,
            node,
            kind,
        });
    }

    /// What paths lead to after a change of names.
    fn follow(&mut self, change: &Change) {
        let path = |recorder: &Self, parent: Node, name: &str| {
            let mut paths = recorder.paths.iter();
            let found = paths.find(|(_, node)| **node == parent);
            found.map(|(path, _)| format!("{path}/{name}"))
        };
        if let Change::Remove { parent, name } = change {
            if let Some(path) = path(self, *parent, name) {
                self.paths.remove(&path);
            }
        } else if let Change::Rename { parent, from, to } = change
            && let Some(from) = path(self, *parent, from)
            && let Some(to) = path(self, *parent, to)
            && let Some(node) = self.paths.remove(&from)
        {
            self.paths.insert(to, node);
        }
    }
}

/// A path in the arguments of a call, from the root.
fn at(call: &Syscall, directory: Option<u64>, path: u64) -> String {
    let path = call.text(path);
    if path.starts_with('/') {
        return path;
    }
    let here = u64::from(libc::AT_FDCWD.cast_unsigned());
    format!("{}/{path}", call.descriptor(directory.unwrap_or(here)))
}

/// Where a descriptor stands in its file.
fn position(tid: i32, number: u64) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{tid}/fdinfo/{number}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("pos:"))?;
    line.trim().parse().ok()
}

/// Which processes are looked at: those that use the store.
pub(crate) fn uses_the_store(role: Role) -> bool {
    matches!(role, Role::Cli | Role::Cleanup)
}
