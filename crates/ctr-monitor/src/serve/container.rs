//! The container as the monitor sees it: created by a helper, started by another, ended by the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ctr_exec::{Console, ConsoleSocket, ExecError};
use ctr_oci::{CreateCall, DeleteMode, StdioFds, Target};
use ctr_sys::{
    Cgroups, Deadline, DetachedMount, ExitStatus, PidRef, PidStamp, Signal, SysError,
    enter_private_mount_namespace,
};
use rustix::fs::{Mode, OFlags};

use super::RuntimeResolver;
use super::helper::{Meanwhile, Nothing, in_helper};
use super::streams::ContainerEnds;
use super::time_limit::TimeLimit;
use crate::error::WireFailure;
use crate::files;
use crate::protocol::{CreateRequest, Phase, Streams};
use ctr_exec::{ExitReport, TimedOut};

/// Beyond the runtime's own deadline, for the helper around it.
pub(super) const HELPER_MARGIN: Duration = Duration::from_secs(5);

/// For a terminal that should be there already.
pub(super) const CONSOLE_WAIT: Duration = Duration::from_secs(1);

/// What is known of the end of the first process.
pub(super) enum Ended {
    /// It lives.
    NotYet,
    /// It ended like this.
    With(ExitStatus),
    /// It ended, was not our child, and nobody can say how.
    Unseen,
}

pub(super) struct Container<'a> {
    request: CreateRequest,
    resolver: &'a dyn RuntimeResolver,
    init: PidRef,
    phase: Phase,
    time: TimeLimit,
    /// What a reaper of all children found, before anybody asked.
    reaped: Option<ExitStatus>,
}

impl<'a> Container<'a> {
    /// Has a helper attach the mounts in a mount namespace of its own and call the runtime there, whose output is taken `meanwhile`.
    /// On failure the runtime's leftovers are deleted. Also the container's terminal, if it is to have one.
    pub(super) fn create(
        request: CreateRequest,
        mounts: Vec<OwnedFd>,
        ends: &ContainerEnds,
        meanwhile: &mut dyn Meanwhile,
        resolver: &'a dyn RuntimeResolver,
    ) -> Result<(Self, Option<Console>), WireFailure> {
        if mounts.len() != request.mounts.len() {
            return Err(WireFailure::own(
                "create",
                &request.id,
                "the number of mounts and of their descriptors differ",
            ));
        }
        let mounts: Vec<DetachedMount> = mounts.into_iter().map(DetachedMount::from_fd).collect();
        let mut keep: Vec<BorrowedFd<'_>> = mounts.iter().map(AsFd::as_fd).collect();
        keep.extend(ends.descriptors());
        let socket = match request.streams {
            Streams::Terminal => Some(ConsoleSocket::bind(&request.run_dir)?),
            Streams::Pipes | Streams::Given => None,
        };
        let path = socket.as_ref().map(ConsoleSocket::path);
        let deadline = runtime_deadline(&request);
        let margin = deadline_with_margin(&request);
        let created = in_helper("create", &keep, margin, meanwhile, || {
            attach(&request, &mounts)?;
            call_create(&request, ends, path, resolver, deadline)
        });
        let created = created.and_then(|pid| {
            let init = first_process(&request, pid)?;
            Ok((init, receive_console(&request, socket)?))
        });
        match created {
            Ok((init, console)) => {
                let container = Self {
                    request,
                    resolver,
                    init,
                    phase: Phase::Created,
                    time: TimeLimit::none(),
                    reaped: None,
                };
                Ok((container, console))
            }
            Err(failure) => {
                // The cause is told; whether the deletion works is checked by the engine, which looks at the directories itself.
                drop(delete(&request, resolver));
                Err(failure)
            }
        }
    }

    /// One that was made by another monitor, which is gone.
    pub(super) fn adopted(
        request: CreateRequest,
        init: PidRef,
        phase: Phase,
        resolver: &'a dyn RuntimeResolver,
    ) -> Self {
        let time = match phase {
            Phase::Created => TimeLimit::none(),
            Phase::Started | Phase::Ended => TimeLimit::from_now(request.timeout_ms),
        };
        Self {
            request,
            resolver,
            init,
            phase,
            time,
            reaped: None,
        }
    }

    pub(super) fn request(&self) -> &CreateRequest {
        &self.request
    }

    pub(super) fn stamp(&self) -> PidStamp {
        self.init.stamp()
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Has a helper call the runtime's `start`.
    pub(super) fn start(&mut self) -> Result<(), WireFailure> {
        if self.phase != Phase::Created {
            return Err(WireFailure::own(
                "start",
                &self.request.id,
                "it has been started",
            ));
        }
        let deadline = runtime_deadline(&self.request);
        let margin = deadline_with_margin(&self.request);
        in_helper("start", &[], margin, &mut Nothing, || {
            let runtime = resolve(&self.request, self.resolver)?;
            let root = self.request.run_dir.join(files::RUNTIME);
            let target = Target {
                root: &root,
                id: &self.request.id,
                deadline,
            };
            runtime.start(target).map_err(WireFailure::Runtime)
        })?;
        self.phase = Phase::Started;
        self.time = TimeLimit::from_now(self.request.timeout_ms);
        Ok(())
    }

    /// The runtime, in a helper process.
    pub(super) fn runtime(&self) -> Result<Box<dyn ctr_oci::OciRuntime>, WireFailure> {
        resolve(&self.request, self.resolver)
    }

    /// When [`Container::check_time`] is to be called although nothing happened.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.time.timeout()
    }

    /// Kills the first process when its time is up. What fails here is tried again: a monitor that ended over it would leave the
    /// container without any limit.
    pub(super) fn check_time(&mut self) {
        if !self.time.is_up() {
            return;
        }
        self.time.tried(&self.init.signal(Signal::KILL));
        drop(self.thaw_for_death());
    }

    /// Lets a first process die that was killed while version 1 of the control groups held it frozen.
    fn thaw_for_death(&self) -> Result<(), SysError> {
        Cgroups::detect()?.thaw_for_death(&self.request.cgroup_path)
    }

    /// Kills the first process, frozen or not.
    pub(super) fn kill(&self) -> Result<(), SysError> {
        self.init.signal(Signal::KILL)?;
        self.thaw_for_death()
    }

    /// Whether the container has ended like this because its time was up.
    pub(super) fn timed_out(&self, exit: ExitReport) -> TimedOut {
        self.time.ended_by(exit)
    }

    /// Sends a signal to the first process; one that has ended is fine.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), SysError> {
        self.init.signal(signal).map(drop)
    }

    /// A child that has ended was reaped; whether it was the first process.
    pub(super) fn note_reaped(&mut self, pid: i32, status: ExitStatus) -> bool {
        let is_init = pid == self.init.stamp().pid;
        if is_init {
            self.reaped = Some(status);
        }
        is_init
    }

    /// How the first process ended.
    pub(super) fn take_exit(&mut self) -> Result<Ended, SysError> {
        if self.init.is_alive() {
            return Ok(Ended::NotYet);
        }
        let status = match self.reaped {
            Some(status) => Some(status),
            // Made by a monitor that was killed, it is somebody else's child.
            None => match self.init.reap()? {
                None => self.init.end_as_seen_by_others()?,
                status => status,
            },
        };
        Ok(status.map_or(Ended::Unseen, Ended::With))
    }

    /// Processes of the container that the kernel killed for want of memory.
    pub(super) fn oom_kills(&self) -> u64 {
        Cgroups::detect()
            .ok()
            .and_then(|cgroups| cgroups.oom_kills(&self.request.cgroup_path))
            .unwrap_or(0)
    }
}

impl AsFd for Container<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.init.as_fd()
    }
}

fn runtime_deadline(request: &CreateRequest) -> Deadline {
    Deadline::after(Duration::from_millis(request.runtime_deadline_ms))
}

fn deadline_with_margin(request: &CreateRequest) -> Deadline {
    Deadline::after(Duration::from_millis(request.runtime_deadline_ms) + HELPER_MARGIN)
}

fn resolve(
    request: &CreateRequest,
    resolver: &dyn RuntimeResolver,
) -> Result<Box<dyn ctr_oci::OciRuntime>, WireFailure> {
    resolver
        .resolve(&request.runtime, &request.run_dir)
        .map_err(WireFailure::Runtime)
}

/// In the helper: the mounts become visible, to it and to what it starts.
fn attach(request: &CreateRequest, mounts: &[DetachedMount]) -> Result<(), WireFailure> {
    enter_private_mount_namespace()?;
    for (target, mount) in request.mounts.iter().zip(mounts) {
        let path = request.run_dir.join(&target.path);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|errno| SysError::new("open", path.display().to_string(), errno.into()))?;
        mount.attach(fd.as_fd())?;
    }
    Ok(())
}

/// In the helper: the runtime's `create`; the pid of the first process.
fn call_create(
    request: &CreateRequest,
    ends: &ContainerEnds,
    console: Option<&Path>,
    resolver: &dyn RuntimeResolver,
    deadline: Deadline,
) -> Result<i32, WireFailure> {
    let runtime = resolve(request, resolver)?;
    let in_run_dir = |name: &str| request.run_dir.join(name);
    let (root, bundle, pid_file) = (
        in_run_dir(files::RUNTIME),
        in_run_dir(files::BUNDLE),
        in_run_dir(files::PID),
    );
    let target = Target {
        root: &root,
        id: &request.id,
        deadline,
    };
    let call = CreateCall {
        bundle: &bundle,
        pid_file: &pid_file,
        stdio: StdioFds {
            stdin: ends.stdin.as_fd(),
            stdout: ends.stdout.as_fd(),
            stderr: ends.stderr.as_fd(),
        },
        console,
    };
    let created = runtime.create(target, call).map_err(WireFailure::Runtime)?;
    Ok(created.pid)
}

/// The terminal's master, which the runtime has sent before it said that it was done.
fn receive_console(
    request: &CreateRequest,
    socket: Option<ConsoleSocket>,
) -> Result<Option<Console>, WireFailure> {
    let console = socket.map(|socket| socket.receive(Deadline::after(CONSOLE_WAIT)));
    let failed = |error: ExecError| WireFailure::own("create", &request.id, &error.to_string());
    console.transpose().map_err(failed)
}

/// The monitor has not reaped anything yet, so the pid still belongs to the process that the runtime made, dead or alive.
fn first_process(request: &CreateRequest, pid: i32) -> Result<PidRef, WireFailure> {
    PidRef::capture(pid)?.ok_or_else(|| {
        WireFailure::own(
            "create",
            &request.id,
            "its first process died before the start",
        )
    })
}

fn delete(request: &CreateRequest, resolver: &dyn RuntimeResolver) -> Result<(), WireFailure> {
    let margin = deadline_with_margin(request);
    in_helper("delete", &[], margin, &mut Nothing, || {
        let runtime = resolve(request, resolver)?;
        let root: &Path = &request.run_dir.join(files::RUNTIME);
        let target = Target {
            root,
            id: &request.id,
            deadline: runtime_deadline(request),
        };
        runtime
            .delete(target, DeleteMode::Force)
            .map_err(WireFailure::Runtime)
    })
}
