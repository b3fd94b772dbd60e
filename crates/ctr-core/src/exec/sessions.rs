//! Sessions as objects: looked up, looked at, signalled, waited for, removed.

use ctr_exec::WindowSize;
use ctr_exec::session::{Input, SessionId, SessionPaths, SessionRecord, SessionState, Tty};
use ctr_monitor::protocol::{
    AttachRequest as MonitorAttach, CleanupPromise, SessionSignal, SignalScope,
};
use ctr_state::ExitInfo;
use ctr_sys::{Deadline, PidStamp, Signal};
use serde::Serialize;

use super::ended::{exec_end, exit_info, finish_exec};
use crate::attach::AttachRequest;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::init::REPLY_WAIT;
use crate::remove::RemoveMode;
use crate::session::{Attached, Session};
use crate::watch::Watch;

/// A signal for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecSignal {
    /// Which.
    pub signal: Signal,
    /// Whom it reaches.
    pub scope: SignalScope,
}

/// A session as it is shown, with podman's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the form is podman's, for programs that read it"
)]
pub struct ExecInspect {
    /// Whether it can be removed without force: it has ended, or was never started.
    pub can_remove: bool,
    /// Its container.
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    /// The keys by which a client leaves; empty for none.
    pub detach_keys: String,
    /// The exit code: -1 when nobody knows it, 0 as long as there is none.
    pub exit_code: i32,
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Whether its standard error is open.
    pub open_stderr: bool,
    /// Whether its standard input is open.
    pub open_stdin: bool,
    /// Whether its standard output is open.
    pub open_stdout: bool,
    /// Whether its process exists.
    pub running: bool,
    /// The pid of its process on the host, 0 for none.
    pub pid: i32,
    /// What was asked for.
    pub process_config: ExecProcessInspect,
    /// created, starting, running, ended or failed.
    pub state: String,
    /// Why its exit code is unknown, or why it could not be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was created, nanoseconds since 1970 UTC.
    pub created_ns: i64,
}

/// What a session was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExecProcessInspect {
    /// The arguments of the program.
    pub arguments: Vec<String>,
    /// The program.
    pub entrypoint: String,
    /// Whether it has every capability.
    pub privileged: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Its user as it was typed; empty for the container's.
    pub user: String,
}

impl Engine {
    /// The session with this id, or whose id begins like this, and its container.
    ///
    /// # Errors
    /// [`EngineError::NoSession`], [`EngineError::AmbiguousSession`].
    pub fn find_exec(&self, what: &str) -> Result<(Container<'_>, SessionId), EngineError> {
        let mut found = Vec::new();
        for snapshot in self.store().list()? {
            let directory = SessionPaths::all(&self.run_dir(snapshot.id()));
            // Most containers have none.
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let ids = names.filter_map(|name| SessionId::try_from(name).ok());
            let wanted = ids.filter(|id| !what.is_empty() && id.as_str().starts_with(what));
            found.extend(wanted.map(|id| (self.container(snapshot.id()), id)));
        }
        let what = what.to_owned();
        match (found.pop(), found.is_empty()) {
            (Some(session), true) => Ok(session),
            (None, _) => Err(EngineError::NoSession { what }),
            (Some(_), false) => Err(EngineError::AmbiguousSession { what }),
        }
    }
}

impl<'e> Container<'e> {
    /// All sessions of the present run that are still known, oldest first. Takes no lock.
    ///
    /// # Errors
    /// When the run directory cannot be read.
    pub fn exec_sessions(&self) -> Result<Vec<ExecInspect>, EngineError> {
        let run_dir = self.engine().run_dir(self.id());
        let records = SessionRecord::list(&run_dir)?;
        records.iter().map(|record| self.view(record)).collect()
    }

    /// One session. Takes no lock.
    ///
    /// # Errors
    /// [`EngineError::NoSession`].
    pub fn inspect_exec(&self, id: &SessionId) -> Result<ExecInspect, EngineError> {
        self.view(&self.exec_record(id)?)
    }

    pub(super) fn exec_record(&self, id: &SessionId) -> Result<SessionRecord, EngineError> {
        let run_dir = self.engine().run_dir(self.id());
        let record = SessionRecord::read(&run_dir, id)?;
        record.ok_or_else(|| EngineError::NoSession {
            what: id.to_string(),
        })
    }

    /// What is recorded, corrected by what the kernel says.
    fn view(&self, record: &SessionRecord) -> Result<ExecInspect, EngineError> {
        let end = match record.state {
            SessionState::Created | SessionState::Failed { .. } => None,
            SessionState::Starting | SessionState::Running { .. } | SessionState::Ended(_) => {
                exec_end(self, &record.id, None)?
            }
        };
        let process = process_of(record).filter(|_| end.is_none());
        let (state, exit, reason) = match (&record.state, end) {
            (SessionState::Failed { why }, _) => ("failed", None, Some(why.clone())),
            (_, Some(end)) => {
                let exit = exit_info(&end);
                let why = "its monitor was killed before it could see the end".to_owned();
                let reason = exit.reason.clone().or((exit.code() < 0).then_some(why));
                ("ended", Some(exit), reason)
            }
            (state, None) => (state.word(), None, None),
        };
        let running = process.is_some();
        let config = &record.config;
        let mut command = config.command.iter().cloned();
        Ok(ExecInspect {
            can_remove: end.is_some() || matches!(state, "created" | "failed"),
            container_id: record.container.clone(),
            detach_keys: config.detach_keys.clone(),
            exit_code: exit.map_or(0, |exit| exit.code()),
            id: record.id.to_string(),
            open_stderr: running && config.tty == Tty::No,
            open_stdin: end.is_none() && config.input == Input::Open,
            open_stdout: running,
            running,
            pid: process.map_or(0, |process| process.pid),
            process_config: ExecProcessInspect {
                entrypoint: command.next().unwrap_or_default(),
                arguments: command.collect(),
                privileged: config.privileged,
                tty: config.tty == Tty::Yes,
                user: config.user.clone(),
            },
            state: state.to_owned(),
            reason,
            created_ns: record.created_ns,
        })
    }

    /// Sends a signal to a session.
    ///
    /// # Errors
    /// [`EngineError::NoSession`]; [`EngineError::SessionState`] when its process does not run.
    pub fn signal_exec(&self, id: &SessionId, order: ExecSignal) -> Result<(), EngineError> {
        let record = self.exec_record(id)?;
        if exec_end(self, id, None)?.is_some() || process_of(&record).is_none() {
            return Err(EngineError::session_state(
                &self.exec_record(id)?,
                "send a signal to",
            ));
        }
        let request = SessionSignal {
            session: id.clone(),
            signal: order.signal,
            scope: order.scope,
        };
        let wait = Deadline::after(REPLY_WAIT);
        Ok(self.exec_client()?.signal_session(request, wait)?)
    }

    /// Waits for the end of a session. Takes no lock, and polls nothing.
    ///
    /// # Errors
    /// [`EngineError::NoSession`]; [`EngineError::SessionState`] when it was never started, or could not be.
    pub fn wait_exec(&self, id: &SessionId) -> Result<ExitInfo, EngineError> {
        let record = self.exec_record(id)?;
        match record.state {
            SessionState::Created | SessionState::Failed { .. } => {
                return Err(EngineError::session_state(&record, "wait for"));
            }
            SessionState::Starting | SessionState::Running { .. } | SessionState::Ended(_) => {}
        }
        loop {
            let watch = Watch::of_session(self, id, process_of(&record))?;
            // Also when others have taken its record in, or the container is gone with it: then the journal knows.
            if let Some(end) = exec_end(self, id, None)? {
                return Ok(exit_info(&end));
            }
            watch.wait(Deadline::never())?;
        }
    }

    /// Gives the terminal of a session another size.
    ///
    /// # Errors
    /// [`EngineError::NoSession`]; [`EngineError::SessionState`] when it does not run.
    pub fn resize_exec(&self, id: &SessionId, size: WindowSize) -> Result<(), EngineError> {
        let record = self.exec_record(id)?;
        if process_of(&record).is_none() || exec_end(self, id, None)?.is_some() {
            return Err(EngineError::session_state(
                &record,
                "resize the terminal of",
            ));
        }
        if record.config.tty == Tty::No {
            return Err(EngineError::invalid(
                "exec session",
                &id.short(),
                "it has no terminal",
            ));
        }
        let wait = Deadline::after(REPLY_WAIT);
        Ok(self.exec_client()?.resize_session(id, size, wait)?)
    }

    /// Forgets a session that has ended or was never started; by force one that runs is killed first, with all that belongs to it.
    ///
    /// # Errors
    /// [`EngineError::NoSession`]; [`EngineError::SessionState`] when it runs.
    pub fn remove_exec(&self, id: &SessionId, mode: RemoveMode) -> Result<(), EngineError> {
        let record = self.exec_record(id)?;
        if record.state == SessionState::Created {
            return Ok(self
                .exec_client()?
                .remove_session(id, Deadline::after(REPLY_WAIT))?);
        }
        let end = match (exec_end(self, id, None)?, mode) {
            (Some(end), _) => end,
            (None, RemoveMode::Normal) => {
                return Err(EngineError::session_state(&record, "remove"));
            }
            (None, RemoveMode::Force) => self.kill_exec(id)?,
        };
        if !matches!(record.state, SessionState::Failed { .. }) {
            finish_exec(self, id, &end)?;
        }
        let run_dir = self.engine().run_dir(self.id());
        Ok(SessionPaths::new(&run_dir, id).remove()?)
    }

    fn kill_exec(&self, id: &SessionId) -> Result<ctr_exec::session::SessionExit, EngineError> {
        let order = ExecSignal {
            signal: Signal::KILL,
            scope: SignalScope::All,
        };
        match self.signal_exec(id, order) {
            // It has ended meanwhile.
            Ok(()) | Err(EngineError::SessionState { .. }) => {}
            Err(error) => return Err(error),
        }
        self.wait_exec(id)?;
        let end = exec_end(self, id, None)?;
        end.ok_or_else(|| EngineError::NoSession {
            what: id.to_string(),
        })
    }

    /// Attaches to a session that runs, beside those who are attached already.
    ///
    /// # Errors
    /// [`EngineError::NoSession`]; [`EngineError::SessionState`] when it does not run.
    pub fn attach_exec(
        &self,
        id: &SessionId,
        request: AttachRequest,
    ) -> Result<Session<'e>, EngineError> {
        let record = self.exec_record(id)?;
        let process = process_of(&record);
        let Some(process) = process.filter(|_| matches!(exec_end(self, id, None), Ok(None))) else {
            return Err(EngineError::session_state(&record, "attach to"));
        };
        let mut client = self.exec_client()?;
        let attach = MonitorAttach {
            cleanup: CleanupPromise::None,
            window: request.window,
            session: Some(id.clone()),
            input: request.input,
            replay: request.replay,
        };
        client.attach(attach, Deadline::after(REPLY_WAIT))?;
        let attached = Attached::beside_exec(id.clone(), process, record.config.tty);
        let attached = attached.with_input(request.input);
        let container = self.engine().container(self.id());
        Ok(Session::new(container, attached, client, None))
    }
}

fn process_of(record: &SessionRecord) -> Option<PidStamp> {
    match record.state {
        SessionState::Running { process, .. } => Some(process),
        SessionState::Created
        | SessionState::Starting
        | SessionState::Ended(_)
        | SessionState::Failed { .. } => None,
    }
}
