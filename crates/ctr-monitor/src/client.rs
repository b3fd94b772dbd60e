//! The engine's side of a connection.

mod sessions;
mod status;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_exec::frames::{self, Frame, Receiver};
use ctr_sys::{
    Cgroups, Child, Deadline, Launch, PidStamp, Ready, SignalFd, connect_seqpacket,
    protected_executable, seqpacket_pair, wait_either, wait_readable,
};

use crate::answer::{gone, unexpected, would_block};
use crate::error::MonitorError;
use crate::files;
use crate::protocol::{
    AdoptRequest, AttachRequest, CreateRequest, Envelope, Reply, Request, VERSION,
};

/// How to start a monitor.
#[derive(Clone, Debug)]
pub struct MonitorLaunch {
    /// The program, which is executed from a place that a container cannot write to.
    pub program: PathBuf,
    /// Its arguments; the number of the connection's descriptor follows as the last one.
    pub args: Vec<String>,
    /// An empty directory outside the program's one, see [`protected_executable`].
    pub empty_dir: PathBuf,
    /// The control group for monitors, entered at birth on a pure version 2 machine.
    pub cgroup: String,
}

/// The descriptor number on which a monitor finds its first connection.
const CONNECTION: i32 = 3;

/// A connection to a monitor. One request at a time; frames of streams that arrive meanwhile are kept for [`MonitorClient::try_next_frame`].
#[derive(Debug)]
pub struct MonitorClient {
    connection: OwnedFd,
    receiver: Receiver,
    early: VecDeque<Frame>,
}

impl MonitorClient {
    /// Starts a monitor: own session, nothing inherited but the connection.
    ///
    /// # Errors
    /// [`MonitorError::NoProgram`] when the program cannot be executed.
    pub fn spawn(launch: &MonitorLaunch, cgroups: &Cgroups) -> Result<(Self, Child), MonitorError> {
        let program =
            protected_executable(&launch.program, &launch.empty_dir).map_err(|source| {
                MonitorError::NoProgram {
                    path: launch.program.clone(),
                    source,
                }
            })?;
        let (ours, theirs) = seqpacket_pair()?;
        let mut monitor = Launch::executable(program, &launch.program)
            .args(&launch.args)
            .arg(CONNECTION.to_string())
            .fd(CONNECTION, theirs)
            .umask(0o077)
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .new_session();
        if let Some(directory) = cgroups.open_unified(&launch.cgroup)? {
            monitor = monitor.cgroup(directory);
        }
        let child = monitor.spawn().map_err(|source| MonitorError::NoProgram {
            path: launch.program.clone(),
            source,
        })?;
        Ok((Self::new(ours), child))
    }

    /// Connects to the monitor of a run directory; `None` when nobody listens there.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn connect(run_dir: &Path) -> Result<Option<Self>, MonitorError> {
        let flags =
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let dir = match rustix::fs::open(run_dir, flags, rustix::fs::Mode::empty()) {
            Ok(dir) => dir,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => {
                let subject = run_dir.display().to_string();
                return Err(ctr_sys::SysError::new("open", subject, errno.into()).into());
            }
        };
        match connect_seqpacket(dir.as_fd(), files::CONTROL) {
            Ok(connection) => Ok(Some(Self::new(connection))),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn new(connection: OwnedFd) -> Self {
        Self {
            connection,
            receiver: Receiver::new(),
            early: VecDeque::new(),
        }
    }

    /// Has the container created; the stamps of its first process and of the monitor.
    ///
    /// # Errors
    /// [`MonitorError::Runtime`] when the runtime failed; the monitor has then taken everything back and ends.
    pub fn create(
        &mut self,
        request: CreateRequest,
        mounts: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<(PidStamp, PidStamp), MonitorError> {
        self.create_interruptible(request, mounts, deadline, None)
    }

    /// As [`MonitorClient::create`], but gives up when a signal to end arrives on `signals`.
    ///
    /// # Errors
    /// As [`MonitorClient::create`]; [`MonitorError::Interrupted`]: the monitor takes everything back when this client is dropped.
    pub fn create_interruptible(
        &mut self,
        request: CreateRequest,
        mounts: &[BorrowedFd<'_>],
        deadline: Deadline,
        signals: Option<&SignalFd>,
    ) -> Result<(PidStamp, PidStamp), MonitorError> {
        let request = Request::Create(Box::new(request));
        self.send(&request, mounts)?;
        let reply = self.reply(request.verb(), deadline, signals)?;
        let Reply::Created { init, monitor } = reply else {
            return Err(unexpected(&reply));
        };
        Ok((init, monitor))
    }

    /// Has a monitor that was just started look after a container whose own one was killed; the stamps of its first process and of the
    /// monitor.
    ///
    /// # Errors
    /// [`MonitorError::Failed`] when another monitor is there, or the container has ended; the new monitor ends then.
    pub fn adopt(
        &mut self,
        request: AdoptRequest,
        deadline: Deadline,
    ) -> Result<(PidStamp, PidStamp), MonitorError> {
        let request = Request::Adopt(Box::new(request));
        let reply = self.ask(&request, &[], deadline)?;
        let Reply::Created { init, monitor } = reply else {
            return Err(unexpected(&reply));
        };
        Ok((init, monitor))
    }

    /// Has the monitor keep the container when this connection ends.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn commit(&mut self, deadline: Deadline) -> Result<(), MonitorError> {
        self.done(&Request::Commit, deadline)
    }

    /// Starts the container's program.
    ///
    /// # Errors
    /// [`MonitorError::Runtime`] when the runtime failed.
    pub fn start(&mut self, deadline: Deadline) -> Result<(), MonitorError> {
        self.done(&Request::Start, deadline)
    }

    /// Subscribes to the output.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn attach(
        &mut self,
        request: AttachRequest,
        deadline: Deadline,
    ) -> Result<(), MonitorError> {
        self.done(&Request::Attach(request), deadline)
    }

    /// Tells the monitor that its container has been cleaned up after.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn cleaned(&mut self, deadline: Deadline) -> Result<(), MonitorError> {
        self.done(&Request::Cleaned, deadline)
    }

    /// Has the monitor kill the container and end.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn abandon(&mut self, deadline: Deadline) -> Result<(), MonitorError> {
        self.done(&Request::Abandon, deadline)
    }

    fn done(&mut self, request: &Request, deadline: Deadline) -> Result<(), MonitorError> {
        let reply = self.ask(request, &[], deadline)?;
        if matches!(reply, Reply::Done) {
            return Ok(());
        }
        Err(unexpected(&reply))
    }

    fn ask(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<Reply, MonitorError> {
        self.send(request, fds)?;
        self.reply(request.verb(), deadline, None)
    }

    fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), MonitorError> {
        self.send_message(request, fds)
            .map_err(|error| gone(error, request.verb()))
    }

    fn reply(
        &mut self,
        verb: &'static str,
        deadline: Deadline,
        signals: Option<&SignalFd>,
    ) -> Result<Reply, MonitorError> {
        loop {
            if !self.wait_reply(deadline, signals)? {
                return Err(MonitorError::NoAnswer { request: verb });
            }
            match self.receiver.receive(self.connection.as_fd())? {
                Frame::End => return Err(MonitorError::Gone { request: verb }),
                Frame::Message(bytes, fds) => match Reply::parse(&bytes)? {
                    Reply::Failed(failure) => return Err(failure.into()),
                    // Not an answer: it belongs to the attached streams.
                    Reply::Exit(_) | Reply::SessionExit(_) | Reply::Dropped { .. } => {
                        self.early.push_back(Frame::Message(bytes, fds));
                    }
                    reply @ (Reply::Created { .. }
                    | Reply::Done
                    | Reply::Status(_)
                    | Reply::SessionStarted { .. }) => {
                        return Ok(reply);
                    }
                },
                data @ Frame::Data(..) => self.early.push_back(data),
            }
        }
    }

    /// Waits for a packet; false when the deadline passed first.
    fn wait_reply(
        &self,
        deadline: Deadline,
        signals: Option<&SignalFd>,
    ) -> Result<bool, MonitorError> {
        let Some(signals) = signals else {
            return Ok(wait_readable(self.connection.as_fd(), deadline)?);
        };
        while !deadline.expired() {
            match wait_either(self.connection.as_fd(), signals.as_fd(), deadline)? {
                Ready::First => return Ok(true),
                Ready::Second => {}
                Ready::Neither => continue,
            }
            while let Some(info) = signals.read()? {
                // The others are for a container that does not exist yet.
                if info.signal.asks_to_end() {
                    return Err(MonitorError::Interrupted {
                        signal: info.signal,
                    });
                }
            }
        }
        Ok(false)
    }

    fn send_message(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), MonitorError> {
        let envelope = Envelope {
            version: VERSION,
            request: request.clone(),
        };
        let bytes = serde_json::to_vec(&envelope).map_err(|error| MonitorError::BadAnswer {
            why: error.to_string(),
        })?;
        self.send_packet(&bytes, fds)
    }

    /// Has no later call on streams wait.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_nonblocking(&self) -> Result<(), MonitorError> {
        rustix::io::ioctl_fionbio(&self.connection, true)
            .map_err(|errno| ctr_sys::SysError::new("set up", "a connection", errno.into()).into())
    }

    /// Sends bytes of the standard input, or none for its end; false when the monitor has no room now (of a non-blocking connection).
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn try_send_stdin(&self, bytes: &[u8]) -> Result<bool, MonitorError> {
        let packet = frames::data_packet(frames::Stream::Stdin, bytes);
        would_block(self.send_packet(&packet, &[]))
    }

    /// Sends a request without waiting for its answer, which comes among the frames; false when the monitor has no room now (of a
    /// non-blocking connection).
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn try_send(&self, request: &Request) -> Result<bool, MonitorError> {
        would_block(self.send_message(request, &[]))
    }

    fn send_packet(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), MonitorError> {
        frames::send(self.connection.as_fd(), bytes, fds).map_err(|source| {
            MonitorError::Connection {
                operation: "write to",
                source,
            }
        })
    }

    /// Whether [`MonitorClient::try_next_frame`] has something without reading from the connection.
    pub fn has_early_frames(&self) -> bool {
        !self.early.is_empty()
    }

    /// The next frame of an attached, non-blocking connection; `None` when there is none now.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn try_next_frame(&mut self) -> Result<Option<Frame>, MonitorError> {
        if let Some(frame) = self.early.pop_front() {
            return Ok(Some(frame));
        }
        match self.receiver.receive(self.connection.as_fd()) {
            Ok(frame) => Ok(Some(frame)),
            Err(ctr_exec::ExecError::Stream { source, .. })
                if source.kind() == std::io::ErrorKind::WouldBlock =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for MonitorClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}
