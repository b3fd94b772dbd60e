//! What clients ask, and the answers.

use std::os::fd::OwnedFd;

use ctr_exec::WindowSize;
use ctr_exec::frames::{Frame, Stream};
use ctr_exec::session::SessionId;

use super::cleanup::Cleanup;
use super::client::{Client, Role};
use super::session::Session;
use super::streams::Input;
use super::subject::Subject;
use super::{Commitment, Monitor};
use crate::error::{MonitorError, WireFailure};
use crate::protocol::{
    AdoptRequest, AttachRequest, ClientInput, CreateRequest, Envelope, MonitorStatus, Phase, Reply,
    Request, VERSION,
};

/// What a monitor is started for.
pub(super) enum First {
    Create(CreateRequest),
    Adopt(AdoptRequest),
}

pub(super) fn parse_first(bytes: &[u8]) -> Result<First, WireFailure> {
    let request = parse(bytes)?;
    let verb = request.verb();
    if let Request::Create(request) = request {
        return Ok(First::Create(*request));
    }
    if let Request::Adopt(request) = request {
        return Ok(First::Adopt(*request));
    }
    Err(WireFailure::own(verb, "the container", "there is none yet"))
}

fn parse(bytes: &[u8]) -> Result<Request, WireFailure> {
    let refuse = |why: String| WireFailure::own("understand", "a request", &why);
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
    if envelope.version != VERSION {
        return Err(refuse(format!(
            "it is of version {}, this monitor speaks version {VERSION}",
            envelope.version
        )));
    }
    Ok(envelope.request)
}

impl Monitor<'_> {
    /// Serves a client that has sent something, or is gone.
    pub(super) fn take_requests(&mut self, index: usize) {
        while let Some(frame) = self.clients.receive(index, self.input_for(index)) {
            match frame {
                Frame::Data(Stream::Stdin, bytes) => self.take_input(index, &bytes),
                Frame::Message(bytes, fds) => {
                    let answer = parse(&bytes).and_then(|request| self.answer(index, request, fds));
                    match answer {
                        Ok(Some(reply)) => self.clients.reply(index, &reply),
                        // It comes later.
                        Ok(None) => {}
                        Err(failure) => self.clients.reply(index, &Reply::Failed(failure)),
                    }
                }
                // Output of a client is not of the protocol.
                Frame::Data(Stream::Stdout | Stream::Stderr, _) | Frame::End => {
                    self.see_to_lost_client(index);
                    self.clients.drop_client(index);
                }
            }
        }
    }

    /// Whether input of this client is taken now.
    fn input_for(&self, index: usize) -> Input {
        let subject = self.clients.get(index).and_then(Client::input_subject);
        self.input_of(subject)
    }

    pub(super) fn input_of(&self, subject: Option<Subject>) -> Input {
        match subject {
            // It is thrown away.
            None => Input::Wanted,
            Some(Subject::Container) => self.streams.input(),
            Some(Subject::Session(key)) => self.sessions.input(key),
        }
    }

    /// Input of a client, or its end.
    fn take_input(&mut self, index: usize, bytes: &[u8]) {
        match self.clients.get(index).and_then(Client::input_subject) {
            None => {}
            Some(Subject::Container) if bytes.is_empty() => self.streams.end_stdin(),
            Some(Subject::Container) => self.streams.queue_stdin(bytes),
            Some(Subject::Session(key)) => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.queue_stdin(bytes);
                }
            }
        }
    }

    /// The answer to a request; `None` when it comes later.
    fn answer(
        &mut self,
        index: usize,
        request: Request,
        fds: Vec<OwnedFd>,
    ) -> Result<Option<Reply>, WireFailure> {
        let id = &self.container.request().id;
        match request {
            Request::Create(_) => {
                return Err(WireFailure::own("create", id, "it has been created"));
            }
            Request::Adopt(_) => {
                return Err(WireFailure::own("look after", id, "it has a monitor"));
            }
            Request::Exec(request) => return self.exec(index, &request, fds),
            Request::ExecStart(request) => return self.start_session(index, &request, fds),
            Request::Attach(attach) => return self.attach(index, &attach),
            Request::Status => return Ok(Some(Reply::Status(self.status()))),
            Request::Commit => self.commitment = Commitment::Made,
            Request::Start => {
                self.commitment = Commitment::Made;
                self.container.start()?;
            }
            Request::Detach => self.clients.detach(index),
            Request::Resize { size, session } => self.resize(index, session.as_ref(), size)?,
            Request::Signal { signal } => self.container.signal(signal)?,
            Request::SessionSignal(request) => self.signal_session(&request)?,
            Request::SessionRemove { session } => self.remove_session(&session)?,
            Request::Cleaned if self.exit.is_none() => {
                return Err(WireFailure::own("end after", id, "it has not ended"));
            }
            Request::Cleaned => self.cleanup = Cleanup::Nobody,
            Request::Abandon => self.abandon()?,
        }
        Ok(Some(Reply::Done))
    }

    fn attach(
        &mut self,
        index: usize,
        attach: &AttachRequest,
    ) -> Result<Option<Reply>, WireFailure> {
        let subject = match &attach.session {
            None => Subject::Container,
            Some(id) => Subject::Session(self.session(id)?),
        };
        if let (Some(size), ClientInput::Taken) = (attach.window, attach.input) {
            self.resize_subject(subject, size)?;
        }
        let role = match subject {
            Subject::Container => Role::of(attach.cleanup),
            Subject::Session(_) => Role::Observer,
        };
        if !self.clients.attach(index, subject, role, attach.input) {
            let id = &self.container.request().id;
            let why = "too many clients are attached";
            return Err(WireFailure::own("attach to", id, why));
        }
        self.clients.reply(index, &Reply::Done);
        self.replay(index, subject, attach.replay);
        match (subject, self.exit.clone()) {
            (Subject::Container, Some(record)) => Ok(Some(Reply::Exit(record))),
            (Subject::Container | Subject::Session(_), _) => Ok(None),
        }
    }

    /// What was written before a client came, for that client alone.
    fn replay(&mut self, index: usize, subject: Subject, most: u64) {
        let replay = match subject {
            Subject::Container => Some(&self.replay),
            Subject::Session(key) => self.sessions.get(key).map(Session::replay),
        };
        let parts = replay.map_or_else(Vec::new, |replay| replay.last(most));
        for (stream, bytes) in parts {
            self.clients.send_output_to(index, stream, &bytes);
        }
    }

    fn resize(
        &self,
        index: usize,
        session: Option<&SessionId>,
        size: WindowSize,
    ) -> Result<(), WireFailure> {
        let client = self.clients.get(index);
        if session.is_none() && client.is_some_and(Client::looks_on) {
            return Ok(());
        }
        let subject = match session {
            Some(id) => Subject::Session(self.session(id)?),
            None => self
                .clients
                .get(index)
                .map_or(Subject::Container, Client::subject),
        };
        self.resize_subject(subject, size)
    }

    fn resize_subject(&self, subject: Subject, size: WindowSize) -> Result<(), WireFailure> {
        let id = &self.container.request().id;
        let resized = match subject {
            Subject::Container => self.streams.resize(size),
            Subject::Session(key) => self
                .sessions
                .get(key)
                .map_or(Ok(()), |session| session.resize(size)),
        };
        resized.map_err(|error| WireFailure::own("resize the terminal of", id, &error.to_string()))
    }

    fn status(&self) -> MonitorStatus {
        MonitorStatus {
            generation: self.container.request().generation,
            phase: if self.exit.is_some() {
                Phase::Ended
            } else {
                self.container.phase()
            },
            init: self.container.stamp(),
        }
    }

    fn abandon(&mut self) -> Result<(), WireFailure> {
        self.cleanup = Cleanup::Nobody;
        if self.exit.is_none() {
            self.container.kill()?;
        }
        Ok(())
    }

    /// The engine that wanted the container died before it recorded it.
    pub(super) fn see_to_lost_creator(&mut self) -> Result<(), MonitorError> {
        if self.commitment == Commitment::Awaited && !self.clients.have_creator() {
            self.commitment = Commitment::Made;
            self.abandon().map_err(MonitorError::from)?;
        }
        Ok(())
    }
}
