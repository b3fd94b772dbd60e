//! Exec sessions in the monitor: what clients ask about them, and what becomes of them.

use std::io::Read;
use std::os::fd::OwnedFd;

use ctr_exec::frames::Stream;
use ctr_exec::session::SessionId;

use super::Monitor;
use super::client::Role;
use super::session::{Change, Output};
use super::streams::ReadOutput;
use super::subject::{Key, Subject};
use crate::error::{MonitorError, WireFailure};
use crate::protocol::{
    ClientInput, ExecRequest, ExecStart, ExecStartRequest, Phase, Reply, SessionSignal,
};

/// The most bytes that the description of a process has: more than the kernel takes as arguments and environment.
const MAX_PROCESS: u64 = 8 * 1024 * 1024;

impl Monitor<'_> {
    /// Makes a session, and starts it where that was asked for: then the answer comes when the process exists.
    pub(super) fn exec(
        &mut self,
        index: usize,
        request: &ExecRequest,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Option<Reply>, WireFailure> {
        self.require_running()?;
        self.require_client(index, "execute a process in")?;
        let mut descriptors = descriptors.into_iter();
        let process = self.read_process(descriptors.next())?;
        let key = self.sessions.create(&self.container, request, &process)?;
        let Some(start) = &request.start else {
            return Ok(Some(Reply::Done));
        };
        let begun = self.begin_session(index, key, start, descriptors.collect());
        if begun.is_err() {
            self.discard_session(key);
        }
        begun
    }

    /// Starts a session that was made before.
    pub(super) fn start_session(
        &mut self,
        index: usize,
        request: &ExecStartRequest,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Option<Reply>, WireFailure> {
        self.require_running()?;
        self.require_client(index, "execute a process in")?;
        let key = self.session(&request.session)?;
        self.begin_session(index, key, &request.start, descriptors)
    }

    /// Whoever was told that it failed, because the monitor stood still for long, must not have it carried out all the same.
    fn require_client(&self, index: usize, what: &'static str) -> Result<(), WireFailure> {
        match self.clients.get(index) {
            Some(client) if !client.is_gone() => Ok(()),
            Some(_) | None => {
                let id = &self.container.request().id;
                Err(WireFailure::own(what, id, "whoever asked for it is gone"))
            }
        }
    }

    fn begin_session(
        &mut self,
        index: usize,
        key: Key,
        start: &ExecStart,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Option<Reply>, WireFailure> {
        let Some(client) = self.clients.get(index).map(super::client::Client::id) else {
            return Ok(None);
        };
        if let Some(session) = self.sessions.get_mut(key) {
            session.begin(client, start, descriptors)?;
        }
        if start.foreground.is_some() {
            // From now on its input is the session's, and its end is noticed.
            let subject = Subject::Session(key);
            self.clients
                .attach(index, subject, Role::Foreground, ClientInput::Taken);
        }
        self.launch_sessions();
        Ok(None)
    }

    /// Sends a signal to a session that runs.
    pub(super) fn signal_session(&mut self, request: &SessionSignal) -> Result<(), WireFailure> {
        let key = self.session(&request.session)?;
        let session = self.sessions.get_mut(key);
        session.map_or(Ok(()), |session| {
            session.signal(request.signal, request.scope)
        })
    }

    /// Forgets a session that was never started.
    pub(super) fn remove_session(&mut self, id: &SessionId) -> Result<(), WireFailure> {
        let key = self.session(id)?;
        let is_created = self
            .sessions
            .get(key)
            .is_some_and(super::session::Session::is_created);
        if !is_created {
            let why = "it has been started";
            return Err(WireFailure::own("remove exec session", id.short(), why));
        }
        self.discard_session(key);
        Ok(())
    }

    fn discard_session(&mut self, key: Key) {
        if let Some(session) = self.sessions.get(key) {
            session.forget_directory();
        }
        self.sessions.forget(key, &self.container.request().run_dir);
    }

    /// The session with this id, if it is not over.
    pub(super) fn session(&self, id: &SessionId) -> Result<Key, WireFailure> {
        self.sessions.find(id).ok_or_else(|| {
            let why = "there is none that has not ended";
            WireFailure::own("find exec session", id.short(), why)
        })
    }

    fn require_running(&self) -> Result<(), WireFailure> {
        let why = match (self.container.phase(), &self.exit) {
            (Phase::Started, None) => return Ok(()),
            (Phase::Created, _) => "it has not been started",
            (Phase::Started | Phase::Ended, _) => "it has ended",
        };
        let id = &self.container.request().id;
        Err(WireFailure::own("execute a process in", id, why))
    }

    fn read_process(&self, file: Option<OwnedFd>) -> Result<Vec<u8>, WireFailure> {
        let fail =
            |why: &str| WireFailure::own("execute a process in", &self.container.request().id, why);
        let file = file.ok_or_else(|| fail("the request came without its process"))?;
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(MAX_PROCESS + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| fail(&format!("its process cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_PROCESS {
            return Err(fail("the description of its process is too long"));
        }
        Ok(bytes)
    }

    /// Does what there is to do for a session.
    pub(super) fn serve_session(&mut self, key: Key) {
        let subject = Subject::Session(key);
        let room = self.clients.have_room(subject);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if room == ReadOutput::Yes {
            for (stream, bytes) in session.read() {
                self.clients.send_output(subject, stream, &bytes);
            }
        }
        let (output, change) = session.step();
        self.publish(key, &output, change);
    }

    /// Does what time has made due.
    pub(super) fn see_to_sessions(&mut self) -> Result<(), MonitorError> {
        for key in self.sessions.due() {
            self.serve_session(key);
        }
        self.sessions.reap(&mut self.container)?;
        self.launch_sessions();
        Ok(())
    }

    fn launch_sessions(&mut self) {
        for (key, change) in self.sessions.launch(&self.container) {
            self.publish(key, &Vec::new(), Some(change));
        }
    }

    /// The container has ended, and with it every session.
    pub(super) fn end_sessions(&mut self) {
        for key in self.sessions.keys() {
            if let Some(session) = self.sessions.get_mut(key) {
                let (output, change) = session.end_with_container();
                self.publish(key, &output, change);
            }
        }
    }

    fn publish(&mut self, key: Key, output: &Output, change: Option<Change>) {
        self.send_session_output(key, output);
        match change {
            None => {}
            Some(Change::Started {
                client,
                process,
                output,
            }) => {
                if let Some(client) = self.clients.find(client) {
                    client.reply(&Reply::SessionStarted { process });
                }
                self.send_session_output(key, &output);
            }
            Some(Change::Failed { client, failure }) => {
                self.sessions.start_failed();
                if let Some(client) = self.clients.find(client) {
                    client.detach();
                    client.reply(&Reply::Failed(failure));
                }
                self.forget_session(key);
            }
            Some(Change::Ended(end)) => {
                self.clients.end_session(key, &Reply::SessionExit(end));
                self.forget_session(key);
            }
        }
    }

    fn send_session_output(&mut self, key: Key, output: &[(Stream, Vec<u8>)]) {
        for (stream, bytes) in output {
            self.clients
                .send_output(Subject::Session(key), *stream, bytes);
        }
    }

    fn forget_session(&mut self, key: Key) {
        self.sessions.forget(key, &self.container.request().run_dir);
    }

    /// A client has gone without a word: what ran in its foreground may not like that.
    pub(super) fn see_to_lost_client(&mut self, index: usize) {
        let Some(client) = self.clients.get(index) else {
            return;
        };
        let input = client.owns_stdin().then_some(client.subject());
        let foreground = client.foreground_of();
        match input {
            Some(Subject::Container) => self.streams.lose_stdin(),
            Some(Subject::Session(key)) => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.lose_stdin();
                }
            }
            None => {}
        }
        if let Some(Subject::Session(key)) = foreground
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.lose_client();
        }
    }
}
