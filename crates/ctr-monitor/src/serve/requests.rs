//! What clients ask, and the answers.

use ctr_exec::WindowSize;
use ctr_exec::frames::{Frame, Stream};

use super::cleanup::Cleanup;
use super::{Commitment, Monitor};
use crate::error::{MonitorError, WireFailure};
use crate::protocol::{CreateRequest, Envelope, MonitorStatus, Phase, Reply, Request, VERSION};

pub(super) fn parse_create(bytes: &[u8]) -> Result<CreateRequest, WireFailure> {
    let request = parse(bytes)?;
    let Request::Create(create) = request else {
        let verb = request.verb();
        return Err(WireFailure::own(verb, "the container", "there is none yet"));
    };
    Ok(*create)
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
    pub(super) fn take_requests(&mut self) {
        for index in 0..self.clients.len() {
            while let Some(frame) = self.clients.receive(index, self.streams.input()) {
                match frame {
                    Frame::Data(Stream::Stdin, bytes) if bytes.is_empty() => {
                        self.streams.end_stdin();
                    }
                    Frame::Data(Stream::Stdin, bytes) => self.streams.queue_stdin(&bytes),
                    Frame::Data(Stream::Stdout | Stream::Stderr, _) => {
                        self.clients.drop_client(index);
                    }
                    Frame::Message(bytes, _) => {
                        let reply =
                            match parse(&bytes).and_then(|request| self.answer(index, &request)) {
                                Ok(reply) => reply,
                                Err(failure) => Reply::Failed(failure),
                            };
                        self.clients.reply(index, &reply);
                    }
                    Frame::End => {
                        if self.clients.owns_stdin(index) {
                            self.streams.lose_stdin();
                        }
                        self.clients.drop_client(index);
                    }
                }
            }
        }
    }

    fn answer(&mut self, index: usize, request: &Request) -> Result<Reply, WireFailure> {
        match request {
            Request::Create(_) => Err(WireFailure::own(
                "create",
                &self.container.request().id,
                "it has been created",
            )),
            Request::Commit => {
                self.commitment = Commitment::Made;
                Ok(Reply::Done)
            }
            Request::Start => {
                self.commitment = Commitment::Made;
                self.container.start()?;
                Ok(Reply::Done)
            }
            Request::Attach(attach) => {
                if let Some(size) = attach.window {
                    self.resize(size)?;
                }
                if !self.clients.attach(index, attach.cleanup) {
                    let id = &self.container.request().id;
                    return Err(WireFailure::own(
                        "attach to",
                        id,
                        "too many clients are attached",
                    ));
                }
                if let Some(record) = self.exit.clone() {
                    self.clients.reply(index, &Reply::Done);
                    return Ok(Reply::Exit(record));
                }
                Ok(Reply::Done)
            }
            Request::Detach => {
                self.clients.detach(index);
                Ok(Reply::Done)
            }
            Request::Resize { size } => {
                self.resize(*size)?;
                Ok(Reply::Done)
            }
            Request::Signal { signal } => {
                self.container.signal(*signal)?;
                Ok(Reply::Done)
            }
            Request::Status => Ok(Reply::Status(self.status())),
            Request::Cleaned if self.exit.is_none() => Err(WireFailure::own(
                "end after",
                &self.container.request().id,
                "it has not ended",
            )),
            Request::Cleaned => {
                self.cleanup = Cleanup::Nobody;
                Ok(Reply::Done)
            }
            Request::Abandon => {
                self.abandon()?;
                Ok(Reply::Done)
            }
        }
    }

    fn resize(&self, size: WindowSize) -> Result<(), WireFailure> {
        let id = &self.container.request().id;
        let resized = self.streams.resize(size);
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
