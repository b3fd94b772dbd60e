//! Sessions of a monitor that was killed, in the one that has taken its place.

use std::hash::{Hash, Hasher};

use ctr_exec::session::{Keep, OnDisconnect, SessionExit, SessionRecord, SessionState, WaitIo};
use ctr_exec::{ExitReport, TimedOut};
use ctr_sys::{Cgroups, PidRef, PidStamp, end_of_zombie};

use super::group::Group;
use super::run::Running;
use super::{Announced, ClientIs, Session, Stage, Terms};
use crate::error::WireFailure;
use crate::serve::container::Container;
use crate::serve::replay::Replay;
use crate::serve::streams::Streams;
use crate::serve::subject::{ClientId, Key};
use crate::serve::time_limit::TimeLimit;

/// What such a start is told to have failed of.
const CUT_OFF: &str = "the container's monitor was killed while it was started";

impl Session {
    /// What of it a keeper must have.
    pub(in crate::serve) fn hash_held(&self, hasher: &mut impl Hasher) {
        let stage: u8 = match &self.stage {
            Stage::Created => 0,
            Stage::Waiting(_) => 1,
            Stage::Starting(_) => 2,
            Stage::Running(_) => 3,
            Stage::Over => 4,
        };
        (self.key.0, stage, self.streams.held()).hash(hasher);
    }

    /// In a copy of a monitor that was killed: whether the session is still there to be looked after. One whose end was seen since the copy was
    /// made is not.
    pub(in crate::serve) fn take_over(&mut self) -> bool {
        self.streams.forget_input();
        let recorded = SessionRecord::read(&self.run_dir, self.id()).ok().flatten();
        let state = recorded.map(|record| record.state);
        // No copy is made while one is being started.
        match (&self.stage, state) {
            (Stage::Running(running), Some(SessionState::Running { process, .. })) => {
                running.process.stamp() == process
            }
            (Stage::Created, Some(SessionState::Created)) => true,
            _ => false,
        }
    }

    /// A session as its record tells of it. `None`: it is over, and only its record stays.
    pub(in crate::serve) fn resume(
        key: Key,
        container: &Container<'_>,
        mut record: SessionRecord,
    ) -> Result<Option<Self>, WireFailure> {
        let request = container.request();
        let running = match record.state {
            SessionState::Ended(_) | SessionState::Failed { .. } => return Ok(None),
            SessionState::Created | SessionState::Starting => None,
            SessionState::Running { process, .. } => {
                let found = PidRef::open(process)?;
                if found.is_none() {
                    record.state = SessionState::Ended(end_of(process)?);
                    record.write(&request.run_dir)?;
                    return Ok(None);
                }
                found
            }
        };
        let group = group_of(&request.cgroup_path, &record)?;
        let mut session = Self {
            key,
            record,
            run_dir: request.run_dir.clone(),
            container_group: request.cgroup_path.clone(),
            group,
            stage: Stage::Created,
            streams: Streams::default(),
            replay: Replay::default(),
            announced: Announced::Yes,
        };
        match (running, &session.record.state) {
            (Some(process), _) => {
                session.streams = Streams::reopen(session.paths().directory())?;
                session.stage = Stage::Running(Box::new(resumed(process)));
            }
            (None, SessionState::Starting) => {
                session.cut_off()?;
                return Ok(None);
            }
            (None, _) => {}
        }
        Ok(Some(session))
    }

    /// A helper was calling the runtime, and has died with its monitor: nobody can say what came of it.
    fn cut_off(&mut self) -> Result<(), WireFailure> {
        self.group.kill(&self.container_group, &self.paths());
        let why = CUT_OFF.to_owned();
        self.record.state = SessionState::Failed { why };
        match self.record.keep {
            Keep::UntilTold => self.forget_directory(),
            Keep::UntilRemoved => self.write_record()?,
        }
        Ok(())
    }
}

/// A process that goes on. What was agreed with its client is not known any more; that client can attach to it again.
fn resumed(process: PidRef) -> Running {
    Running {
        process,
        reaped: None,
        time: TimeLimit::none(),
        terms: Terms {
            timeout_ms: None,
            wait_io: WaitIo::Grace,
            on_disconnect: OnDisconnect::Keep,
            window: None,
            client: ClientId(u64::MAX),
            client_is: ClientIs::Gone,
        },
        ended: None,
    }
}

/// The group of its processes, if it was made.
fn group_of(container: &str, record: &SessionRecord) -> Result<Group, WireFailure> {
    let path = format!("{container}/{}", record.id.group());
    let directory = Cgroups::detect()?.session_directory(&path);
    let exists = directory.is_some_and(|directory| directory.is_dir());
    Ok(if exists {
        Group::Own(path)
    } else {
        Group::None
    })
}

/// The end of a process that nobody has seen.
fn end_of(process: PidStamp) -> Result<SessionExit, WireFailure> {
    Ok(SessionExit {
        exit: ExitReport::from(end_of_zombie(process)?),
        timed_out: TimedOut::No,
        finished_ns: ctr_sys::now_ns(),
        dropped: 0,
        input_read: 0,
    })
}
