//! All exec sessions of the container, and what ended ones have left.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;
use std::time::Duration;

use ctr_exec::session::{SessionId, SessionPaths, SessionRecord};
use ctr_sys::{Cgroups, ExitStatus, reap_any};

use super::container::Container;
use super::leftovers::Leftovers;
use super::poll_set::{PollSet, Token};
use super::session::{Change, Session};
use super::strays;
use super::streams::{Input, ReadOutput};
use super::subject::{Key, Subject};
use crate::error::{MonitorError, WireFailure};
use crate::protocol::ExecRequest;

/// So many helpers call the runtime at the same time; more would only wait for a processor.
const HELPERS: usize = 8;
/// So many helpers are started one after the other before orphans are reaped, which waits for all helpers.
const LAUNCHES: u32 = 64;
/// So many sessions exist at most; each has descriptors and memory.
const MOST: usize = 1024;
/// Of ended sessions that are kept, or whose end nobody has taken note of, so many stay.
const KEPT: usize = 512;

#[derive(Default)]
pub(super) struct Sessions {
    list: BTreeMap<Key, Session>,
    next: u64,
    boot_id: String,
    pub(super) leftovers: Leftovers,
    /// Control groups of ended sessions that still have processes.
    groups: Vec<String>,
    /// Ended sessions whose directory is still there, as far as this monitor knows; the oldest first.
    kept: VecDeque<SessionId>,
    /// Helpers since orphans were reaped last.
    launches: u32,
    reaping: Reaping,
    /// Whether a runtime has failed that may have made a process all the same.
    strays: Strays,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Strays {
    #[default]
    None,
    Possible,
}

/// Whether children have ended that nobody has reaped.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reaping {
    #[default]
    Done,
    Due,
}

impl Sessions {
    /// Makes a session that waits for its start.
    pub(super) fn create(
        &mut self,
        container: &Container<'_>,
        request: &ExecRequest,
        process: &[u8],
    ) -> Result<Key, WireFailure> {
        let refuse = |why: &str| {
            Err(WireFailure::own(
                "make an exec session in",
                &container.request().id,
                why,
            ))
        };
        if self.list.len() >= MOST {
            return refuse("it has too many exec sessions already");
        }
        if self.find(&request.session).is_some() || self.kept.contains(&request.session) {
            return refuse("the id of the session is in use");
        }
        if self.boot_id.is_empty() {
            ctr_sys::BootId::current()?
                .as_str()
                .clone_into(&mut self.boot_id);
        }
        let key = Key(self.next);
        let session = Session::create(key, container, request, &self.boot_id, process)?;
        self.next += 1;
        self.list.insert(key, session);
        Ok(key)
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<Key> {
        let found = self.list.values().find(|session| session.id() == id);
        found.map(Session::key)
    }

    pub(super) fn get(&self, key: Key) -> Option<&Session> {
        self.list.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Session> {
        self.list.get_mut(&key)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.list.keys().copied().collect()
    }

    pub(super) fn input(&self, key: Key) -> Input {
        self.get(key).map_or(Input::Wanted, Session::input)
    }

    /// Adds what is to be waited for.
    pub(super) fn add_to<'a>(
        &'a self,
        set: &mut PollSet<'a>,
        room: impl Fn(Subject) -> ReadOutput,
    ) {
        for (key, session) in &self.list {
            let room = room(Subject::Session(*key));
            set.add(Token::Session(*key), |fds| session.add_to(fds, room));
        }
        self.leftovers.add_to(set);
    }

    /// When [`Sessions::due`] has something although nothing happened.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.list.values().filter_map(Session::timeout).min()
    }

    /// The sessions that have something to do because time has passed.
    pub(super) fn due(&self) -> Vec<Key> {
        let is_due = |session: &&Session| session.timeout() == Some(Duration::ZERO);
        self.list
            .values()
            .filter(is_due)
            .map(Session::key)
            .collect()
    }

    /// Starts those that wait, as far as there is room for helpers: what went wrong at once.
    pub(super) fn launch(&mut self, container: &Container<'_>) -> Vec<(Key, Change)> {
        let mut changes = Vec::new();
        while self.working() < HELPERS && self.launches < LAUNCHES {
            let mut waiting = self
                .list
                .values_mut()
                .filter(|session| session.is_waiting());
            let Some(session) = waiting.next() else {
                break;
            };
            self.launches += 1;
            let key = session.key();
            changes.extend(session.launch(container).map(|change| (key, change)));
        }
        changes
    }

    fn working(&self) -> usize {
        let starting = self.list.values().filter(|session| session.is_starting());
        starting.count()
    }

    /// Whether a helper is at work for one, or about to be.
    pub(super) fn are_starting(&self) -> bool {
        let mut list = self.list.values();
        list.any(|session| session.is_starting() || session.is_waiting())
    }

    /// What of them a keeper must have.
    pub(super) fn hash_held(&self, hasher: &mut impl Hasher) {
        for session in self.list.values() {
            session.hash_held(hasher);
        }
    }

    /// In the place of a monitor that was killed: what has become of the sessions since this copy of them was made.
    pub(super) fn take_over(&mut self, container: &Container<'_>) -> Result<(), MonitorError> {
        self.list.retain(|_, session| session.take_over());
        self.kept.clear();
        Ok(self.adopt(container)?)
    }

    /// Takes over those that only their records tell of.
    pub(super) fn adopt(&mut self, container: &Container<'_>) -> Result<(), WireFailure> {
        for record in SessionRecord::list(&container.request().run_dir)? {
            if self.find(&record.id).is_some() {
                continue;
            }
            let (key, id) = (Key(self.next), record.id.clone());
            // One that cannot be taken over must not cost the container its monitor.
            match Session::resume(key, container, record) {
                Ok(Some(session)) => {
                    self.next += 1;
                    self.list.insert(key, session);
                }
                Ok(None) | Err(_) => self.kept.push_back(id),
            }
        }
        Ok(())
    }

    /// A runtime has failed.
    pub(super) fn start_failed(&mut self) {
        self.strays = Strays::Possible;
    }

    /// Children have ended.
    pub(super) fn child_ended(&mut self) {
        self.reaping = Reaping::Due;
    }

    /// Reaps what has ended, orphans of the container and of the runtime included; not while a helper works, because the process that it
    /// is going to name must not lose its pid before it is known.
    pub(super) fn reap(&mut self, container: &mut Container<'_>) -> Result<(), MonitorError> {
        if self.working() > 0 {
            return Ok(());
        }
        self.launches = 0;
        if self.strays == Strays::Possible {
            let known: Vec<_> = self.list.values().filter_map(Session::process).collect();
            strays::kill(container.stamp(), &known)?;
            self.strays = Strays::None;
        }
        if self.reaping == Reaping::Due {
            while let Some((pid, status)) = reap_any()? {
                if !container.note_reaped(pid, status) {
                    self.note_reaped(pid, status);
                }
            }
            self.reaping = Reaping::Done;
        }
        Ok(())
    }

    fn note_reaped(&mut self, pid: i32, status: ExitStatus) {
        for session in self.list.values_mut() {
            if session.note_reaped(pid, status) {
                return;
            }
        }
    }

    /// Forgets a session that is over, or was never started; its record stays where somebody may ask for it.
    pub(super) fn forget(&mut self, key: Key, run_dir: &std::path::Path) {
        let Some(session) = self.list.remove(&key) else {
            return;
        };
        let id = session.id().clone();
        let (group, pipes) = session.into_leftovers();
        self.leftovers.add(pipes);
        self.groups.extend(group);
        if let Ok(cgroups) = Cgroups::detect() {
            // One that still has processes refuses, and is tried again with the next session.
            self.groups.retain(|group| cgroups.remove(group).is_err());
        }
        let paths = SessionPaths::new(run_dir, &id);
        if paths.directory().exists() {
            self.kept.push_back(id);
        }
        while self.kept.len() > KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            drop(SessionPaths::new(run_dir, &oldest).remove());
        }
    }
}
