//! The start of a session: a helper process calls the runtime while the monitor goes on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use ctr_exec::session::{Input, SessionPaths, SessionState, Tty};
use ctr_exec::{Console, ConsoleSocket, ExecError, WindowSize};
use ctr_oci::{ExecCall, PreservedFd, Process, StdioFds, Target, set_window};
use ctr_sys::{Cgroups, Deadline, PidRef, Sync, SysError, create_private_dir, replace_file};

use super::group::Group;
use super::run::Running;
use super::{Change, ClientIs, Output, Session, Stage, Terms, read_all};
use crate::error::WireFailure;
use crate::files;
use crate::protocol::{ExecStart, GivenStream, StdinMode};
use crate::serve::container::{CONSOLE_WAIT, Container, HELPER_MARGIN};
use crate::serve::helper::{Brought, Helper};
use crate::serve::intake::with_words;
use crate::serve::streams::{ContainerEnds, ReadOutput, Streams};
use crate::serve::subject::ClientId;
use crate::serve::time_limit::TimeLimit;

/// Output that may come before the runtime says that the process exists; then it is left in the pipes.
const EARLY: usize = 1024 * 1024;

/// A start that was asked for.
pub(super) struct Order {
    pub(super) terms: Terms,
    ends: ContainerEnds,
    preserved: Vec<(i32, OwnedFd)>,
    runtime_deadline: Duration,
}

/// A start that a helper carries out.
pub(super) struct Starting {
    pub(super) helper: Helper,
    pub(super) terms: Terms,
    /// What the runtime has said, or the program, before it was known to exist.
    early: Output,
    bytes: usize,
}

/// Makes the directory of a session with the process that it is to execute. On failure nothing is left.
pub(super) fn make_directory(paths: &SessionPaths, process: &[u8]) -> Result<(), SysError> {
    if let Some(all) = paths.directory().parent() {
        create_private_dir(all)?;
    }
    create_private_dir(paths.directory())?;
    replace_file(&paths.process(), process, 0o600, Sync::No).inspect_err(|_| drop(paths.remove()))
}

/// A session that was made before its client was known gets the size of that one's terminal: the runtime sets it before the program begins.
fn set_console_size(paths: &SessionPaths, size: WindowSize) -> Result<(), WireFailure> {
    let mut process = read_process(paths)?;
    set_window(&mut process, size.rows, size.columns);
    let bytes = serde_json::to_vec(&process).unwrap_or_default();
    Ok(replace_file(&paths.process(), &bytes, 0o600, Sync::No)?)
}

fn read_process(paths: &SessionPaths) -> Result<Process, WireFailure> {
    let path = paths.process();
    let fail = |why: &str| WireFailure::own("read", &path.display().to_string(), why);
    let bytes = std::fs::read(&path).map_err(|error| fail(&error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| fail(&error.to_string()))
}

impl Session {
    /// Takes a start of a session that was created; [`Session::launch`] carries it out.
    pub(in crate::serve) fn begin(
        &mut self,
        client: ClientId,
        start: &ExecStart,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), WireFailure> {
        let refuse = |why: &str| {
            Err(WireFailure::own(
                "start exec session",
                self.id().short(),
                why,
            ))
        };
        if !self.is_created() {
            return refuse("it has been started before");
        }
        if descriptors.len() != start.given.len() + start.preserved.len() {
            return refuse("the number of descriptors is not the one that was announced");
        }
        let has_terminal = self.record.config.tty == Tty::Yes;
        if has_terminal && !start.given.is_empty() {
            return refuse("a session with a terminal takes no streams over");
        }
        let (given, preserved) = sort(start, descriptors);
        // The program reads from its terminal; what the runtime has for itself is empty.
        let input = if has_terminal {
            StdinMode::Null
        } else {
            self.stdin()
        };
        if let (true, Some(size)) = (has_terminal, start.window) {
            set_console_size(&self.paths(), size)?;
        }
        let is_given = given[0].is_some();
        let (mut streams, ends) = Streams::make(self.paths().directory(), input, given)?;
        if input == StdinMode::Open && !is_given {
            streams.count_input(&ends)?;
        }
        self.record.owner = start.foreground;
        self.record.state = SessionState::Starting;
        self.write_record()?;
        self.streams = streams;
        self.stage = Stage::Waiting(Box::new(Order {
            terms: Terms {
                timeout_ms: start.timeout_ms,
                wait_io: start.wait_io,
                on_disconnect: start.on_disconnect,
                window: start.window,
                client,
                client_is: ClientIs::There,
            },
            ends,
            preserved,
            runtime_deadline: Duration::from_millis(start.runtime_deadline_ms),
        }));
        Ok(())
    }

    fn stdin(&self) -> StdinMode {
        match self.record.config.input {
            Input::Null => StdinMode::Null,
            Input::Open => StdinMode::Open,
        }
    }

    /// Has a helper call the runtime.
    pub(in crate::serve) fn launch(&mut self, container: &Container<'_>) -> Option<Change> {
        if !self.is_waiting() {
            return None;
        }
        let Stage::Waiting(order) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return None;
        };
        let terms = order.terms;
        match self.start_helper(container, &order) {
            Ok(helper) => {
                self.stage = Stage::Starting(Box::new(Starting {
                    helper,
                    terms,
                    early: Vec::new(),
                    bytes: 0,
                }));
                None
            }
            Err(failure) => Some(self.failed(terms.client, failure)),
        }
    }

    fn start_helper(
        &mut self,
        container: &Container<'_>,
        order: &Order,
    ) -> Result<Helper, WireFailure> {
        self.group = Group::make(&self.container_group, self.id())?;
        let mut keep: Vec<BorrowedFd<'_>> = order.ends.descriptors().to_vec();
        keep.extend(order.preserved.iter().map(|(_, fd)| fd.as_fd()));
        let margin = Deadline::after(order.runtime_deadline + HELPER_MARGIN);
        Helper::start("exec", &keep, margin, || self.execute(container, order))
    }

    /// In the helper: the pid of the process, and its terminal.
    fn execute(
        &self,
        container: &Container<'_>,
        order: &Order,
    ) -> Result<Brought<i32>, WireFailure> {
        let paths = self.paths();
        let socket = match self.record.config.tty {
            Tty::Yes => Some(ConsoleSocket::bind(paths.directory())?),
            Tty::No => None,
        };
        let runtime = container.runtime()?;
        let root = self.run_dir.join(files::RUNTIME);
        let preserved = order.preserved.iter();
        let preserved: Vec<PreservedFd<'_>> = preserved
            .map(|(number, fd)| PreservedFd {
                number: *number,
                fd: fd.as_fd(),
            })
            .collect();
        let group = self.id().group();
        let call = ExecCall {
            process: &paths.process(),
            pid_file: &paths.pid_file(),
            stdio: StdioFds {
                stdin: order.ends.stdin.as_fd(),
                stdout: order.ends.stdout.as_fd(),
                stderr: order.ends.stderr.as_fd(),
            },
            console: socket.as_ref().map(ConsoleSocket::path),
            cgroup: match &self.group {
                Group::Own(_) => Some(&group),
                Group::None => None,
            },
            preserved: &preserved,
        };
        let deadline = Deadline::after(order.runtime_deadline);
        let terminal = match &socket {
            Some(socket) => Some(self.receive_terminal(socket, order.terms.window, deadline)?),
            None => None,
        };
        let target = Target {
            root: &root,
            id: &container.request().id,
            deadline,
        };
        let executed = runtime.exec(target, call).map_err(WireFailure::Runtime)?;
        self.adopt(executed.pid)?;
        let master = match terminal {
            Some(terminal) if terminal.wait(Deadline::after(CONSOLE_WAIT))? => {
                terminal.finish::<()>()?.1
            }
            Some(_) => {
                let why = "it did not connect to the console socket";
                return Err(ExecError::NoTerminal { why }.into());
            }
            None => None,
        };
        Ok((executed.pid, master))
    }

    /// In the helper: has another one take the terminal as soon as the runtime sends it, and see to what some runtimes forget, before the
    /// program has looked at it.
    fn receive_terminal(
        &self,
        socket: &ConsoleSocket,
        window: Option<WindowSize>,
        deadline: Deadline,
    ) -> Result<Helper, WireFailure> {
        let user = read_process(&self.paths())?.user().uid();
        Helper::start("receive a terminal", &[socket.as_fd()], deadline, || {
            let console = socket.receive(deadline)?;
            if let Some(size) = window {
                console.resize(size)?;
            }
            console.give_to(user)?;
            Ok(((), Some(console.duplicate()?)))
        })
    }

    /// In the helper: a runtime that could not make the process in its group left that to us. A process that it has named and not made is left
    /// alone.
    fn adopt(&self, pid: i32) -> Result<(), WireFailure> {
        let Some(process) = PidRef::capture_child(pid)? else {
            // It is missed by whoever asks for it next.
            return Ok(());
        };
        // A runtime's process has ended, so what it has made is a child of the monitor, as this helper is; a library's is this helper's own.
        let monitor = rustix::process::getppid();
        let own = rustix::process::getpid();
        let mut is_ours = false;
        for parent in monitor.into_iter().chain([own]) {
            is_ours |= process.is_child_of(parent.as_raw_nonzero().get())?;
        }
        let cgroups = Cgroups::detect()?;
        if let Group::Own(path) = &self.group {
            let members = cgroups.processes(&self.container_group)?;
            is_ours &= members.contains(&pid) || !process.is_alive();
            if is_ours {
                cgroups.adopt(path, &process)?;
            }
        }
        if is_ours {
            return Ok(());
        }
        let why =
            format!("process {pid}, which the runtime has named, is none that it has made here");
        Err(WireFailure::own(
            "execute a process in",
            &self.record.container,
            &why,
        ))
    }

    /// Takes the helper's answer, if it is there.
    pub(super) fn step_start(&mut self) -> Option<Change> {
        let Stage::Starting(starting) = &mut self.stage else {
            return None;
        };
        starting.take_early(&mut self.streams);
        if !starting.helper.is_ready() {
            return None;
        }
        let Stage::Starting(starting) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return None;
        };
        let Starting {
            helper,
            terms,
            early,
            ..
        } = *starting;
        let brought = helper.finish::<i32>();
        match brought.and_then(|(pid, master)| self.started(terms, pid, master)) {
            Ok(process) => {
                let mut output = early;
                output.extend(read_all(&mut self.streams));
                self.remember(&output);
                self.see_to_lost_client();
                let client = terms.client;
                Some(Change::Started {
                    client,
                    process,
                    output,
                })
            }
            Err(failure) => {
                let mut said = early;
                said.extend(read_all(&mut self.streams));
                let said: Vec<u8> = said.into_iter().flat_map(|(_, bytes)| bytes).collect();
                Some(self.failed(terms.client, with_words(failure, &said)))
            }
        }
    }

    /// The process exists: it is recorded, or it does not stay.
    fn started(
        &mut self,
        terms: Terms,
        pid: i32,
        master: Option<OwnedFd>,
    ) -> Result<ctr_sys::PidStamp, WireFailure> {
        // Nothing is reaped while a helper works, so the pid still belongs to the process that the runtime made, dead or alive.
        let process = PidRef::capture_child(pid)?.ok_or_else(|| {
            let why = "the process that the runtime has named does not exist";
            WireFailure::own("execute a process in", &self.record.container, why)
        })?;
        if let Some(master) = master {
            self.streams
                .use_console(Console::new(master)?, self.stdin())?;
            if let Some(size) = terms.window {
                self.streams.resize(size)?;
            }
        }
        let stamp = process.stamp();
        self.record.state = SessionState::Running {
            process: stamp,
            started_ns: ctr_sys::now_ns(),
        };
        self.write_record()?;
        self.stage = Stage::Running(Box::new(Running {
            process,
            reaped: None,
            time: TimeLimit::from_now(terms.timeout_ms),
            terms,
            ended: None,
        }));
        Ok(stamp)
    }
}

impl Starting {
    /// Whether output is read by now: a runtime that waits on a full pipe would never answer.
    pub(super) fn has_room(&self) -> ReadOutput {
        if self.bytes < EARLY {
            ReadOutput::Yes
        } else {
            ReadOutput::No
        }
    }

    fn take_early(&mut self, streams: &mut Streams) {
        if self.has_room() == ReadOutput::Yes {
            let output = read_all(streams);
            self.bytes += output.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            self.early.extend(output);
        }
    }
}

/// Which descriptor is for what.
fn sort(
    start: &ExecStart,
    descriptors: Vec<OwnedFd>,
) -> ([Option<OwnedFd>; 3], Vec<(i32, OwnedFd)>) {
    let mut descriptors = descriptors.into_iter();
    let mut given = [None, None, None];
    for (stream, fd) in start.given.iter().zip(descriptors.by_ref()) {
        let slot = match stream {
            GivenStream::Stdin => 0,
            GivenStream::Stdout => 1,
            GivenStream::Stderr => 2,
        };
        given[slot] = Some(fd);
    }
    (
        given,
        start.preserved.iter().copied().zip(descriptors).collect(),
    )
}
