//! Init: from a container that is only described to one that is created and waits.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use ctr_events::EventKind;
use ctr_exec::is_terminal;
use ctr_monitor::protocol::{
    CreateRequest as MonitorRequest, LogTarget, MountTarget, StdinMode as MonitorStdin,
    Streams as MonitorStreams,
};
use ctr_monitor::{MonitorClient, MonitorError, MonitorLaunch};
use ctr_state::{
    IntentKind, LogConfig, LogDriver, Operation, StartReason, Status, StdinMode, Terminal, Trigger,
};
use ctr_sys::{Cgroups, Child, Deadline, SignalFd, Sync, replace_file};

use crate::container::{Container, LockedContainer};
use crate::engine::{Engine, MONITOR_CGROUP};
use crate::error::{EngineError, chain};
use crate::explain::explain;
use crate::log_options::JOURNAL;
use crate::prepare::{Prepared, prepare};
use crate::reconcile::{Leave, take_back};
use crate::release::{Leftovers, end_monitor, made_by_others, release};

/// How long one call of a runtime may take.
pub(crate) const RUNTIME_WAIT: Duration = Duration::from_secs(240);
/// Beyond it, for the monitor around the runtime.
pub(crate) const MONITOR_WAIT: Duration = Duration::from_secs(260);
/// How long a monitor may take for what it does alone.
pub(crate) const REPLY_WAIT: Duration = Duration::from_secs(30);

/// How a container is created.
#[derive(Clone, Copy)]
pub(crate) struct Init<'a> {
    /// What the caller is about to do then: it is recorded in the same transaction.
    pub(crate) next: IntentKind,
    /// Why the run is begun.
    pub(crate) reason: StartReason,
    /// Where a signal to end may arrive.
    pub(crate) interrupt: Option<&'a SignalFd>,
    /// The caller's standard streams, for a container that takes them over.
    pub(crate) streams: Option<[BorrowedFd<'a>; 3]>,
}

impl Container<'_> {
    /// Has the runtime make the container, and leaves its program waiting to be started.
    ///
    /// # Errors
    /// As [`LockedContainer::initialize`].
    pub fn init(&self) -> Result<(), EngineError> {
        self.lock_with("init", Leave::Restart)?.initialize()
    }
}

impl LockedContainer<'_> {
    /// As [`Container::init`]. One that has stopped and was not cleaned up after is cleaned up after first.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is made already or is being removed; [`EngineError::Dependency`] when a container that it
    /// needs does not run; those of a start. Nothing of the run is left then.
    pub fn initialize(&mut self) -> Result<(), EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("init", container = self.id().short(), generation).entered();
        self.allow(Operation::Init)?;
        self.check_dependencies()?;
        if self.status() == Status::Stopped {
            self.clean_for_start()?;
        }
        let (mut client, monitor) = self.init(Init {
            // Not over yet: until the monitor has been told to keep the container, it takes all back when we die.
            next: IntentKind::Init,
            reason: StartReason::User,
            interrupt: None,
            streams: None,
        })?;
        let kept = client.commit(Deadline::after(REPLY_WAIT));
        if let Err(error) = kept {
            let error = with_name(self, error.into());
            let taken_back = take_back(self, &chain(&error));
            reap(Some(monitor));
            return Err(with_leftovers(error, taken_back));
        }
        monitor.detach();
        self.locked_record().set_intent(None);
        self.save(&[])
    }

    /// From Configured or Exited to Created.
    pub(crate) fn init(&mut self, init: Init<'_>) -> Result<(MonitorClient, Child), EngineError> {
        // Before anything has happened.
        let streams = self.taken_over(init.streams)?;
        let init = Init { streams, ..init };
        let engine = self.engine();
        let actor = engine.config().actor.clone();
        let announced = self.is_second_half_of_restart();
        // Looked at before and after this container's own claim is saved: those that end meanwhile see the claim, or are seen here.
        let mut shared = made_by_others(engine, self.id(), self.config())?;
        let record = self.locked_record();
        record.begin_generation(init.reason);
        let facts = record.edit();
        facts.boot_id = Some(engine.boot_id().clone());
        facts.started_by = Some(actor);
        self.announce(IntentKind::Init);
        let events = match init.reason {
            // The stop before it has said so.
            StartReason::Restart if announced => Vec::new(),
            StartReason::Policy | StartReason::Restart => vec![self.restart_event()],
            StartReason::User | StartReason::Boot | StartReason::Dependency => Vec::new(),
        };
        self.save(&events)?;
        let initialised = made_by_others(engine, self.id(), self.config()).and_then(|more| {
            shared.extend(more);
            self.init_announced(init, shared)
        });
        initialised.map_err(|error| {
            let error = with_name(self, error);
            // The undo of everything done so far is what recovery does too.
            let taken_back = take_back(self, &chain(&error));
            with_leftovers(error, taken_back)
        })
    }

    /// The streams that the container takes over from its starter, if it is one that does.
    fn taken_over<'a>(
        &self,
        streams: Option<[BorrowedFd<'a>; 3]>,
    ) -> Result<Option<[BorrowedFd<'a>; 3]>, EngineError> {
        let driver = self.config().log.driver;
        if driver != LogDriver::Passthrough {
            return Ok(None);
        }
        let refuse = |why: &str| Err(EngineError::invalid("log driver", &driver.name(), why));
        let Some(streams) = streams else {
            return refuse("whoever starts the container must give it its standard streams");
        };
        if streams.iter().any(|stream| is_terminal(*stream)) {
            return refuse(
                "a terminal is not handed over, as the container could type into it: redirect all three streams",
            );
        }
        Ok(Some(streams))
    }

    fn init_announced(
        &mut self,
        init: Init<'_>,
        mut shared: BTreeSet<PathBuf>,
    ) -> Result<(MonitorClient, Child), EngineError> {
        let engine = self.engine();
        // Leftovers of a run whose end nobody could clean up after would be taken for this one's.
        shared.extend(release(engine, &Leftovers::of(self.locked_record()))?);
        let name = self.locked_record().name().to_string();
        let prepared = prepare(engine, self, &name, shared)?;
        if !prepared.created_paths.is_empty() {
            self.locked_record()
                .edit()
                .created_paths
                .clone_from(&prepared.created_paths);
            self.save(&[])?;
        }
        let request = self.monitor_request(prepared.targets.clone())?;
        let (mut client, monitor) = launch_monitor(engine)?;
        let created = self.create_in(&mut client, request, &prepared, init);
        match created {
            Ok(()) => Ok((client, monitor)),
            Err(error) => {
                // Closing the connection has the monitor take everything back and end; one that does not is ended.
                drop(client);
                let ended = end_monitor(&prepared.run_dir);
                reap(Some(monitor));
                if let Err(left) = ended {
                    return Err(EngineError::unwound("start", error, left));
                }
                Err(error)
            }
        }
    }

    fn create_in(
        &mut self,
        client: &mut MonitorClient,
        request: MonitorRequest,
        prepared: &Prepared,
        init: Init<'_>,
    ) -> Result<(), EngineError> {
        let Init {
            next, interrupt, ..
        } = init;
        let deadline = Deadline::after(MONITOR_WAIT);
        let mut descriptors = prepared.descriptors();
        descriptors.extend(init.streams.into_iter().flatten());
        let created = client.create_interruptible(request, &descriptors, deadline, interrupt);
        let (init, monitor) = created.map_err(|error| explain(self.config(), error, prepared))?;
        if let Some(path) = self.config().pid_file.clone() {
            replace_file(&path, init.pid.to_string().as_bytes(), 0o644, Sync::No)?;
        }
        let facts = self.locked_record().edit();
        facts.init = Some(init);
        facts.monitor = Some(monitor);
        facts.error = None;
        self.announce(next);
        let event = self.event(EventKind::Init);
        self.advance(Trigger::Init, &[event])
    }

    /// The container as its monitor must know it.
    pub(crate) fn monitor_request(
        &self,
        mounts: Vec<MountTarget>,
    ) -> Result<MonitorRequest, EngineError> {
        let engine = self.engine();
        let config = self.config();
        let generation = self.record().generation();
        Ok(MonitorRequest {
            id: config.id.to_string(),
            generation,
            run_dir: engine.run_dir(&config.id),
            runtime: engine.config().runtimes.spec(&config.runtime)?,
            mounts,
            stdin: match config.process.stdin {
                StdinMode::Null => MonitorStdin::Null,
                StdinMode::Open => MonitorStdin::Open,
            },
            streams: match (config.log.driver, config.process.terminal) {
                (LogDriver::Passthrough, _) => MonitorStreams::Given,
                (_, Terminal::No) => MonitorStreams::Pipes,
                (_, Terminal::Yes) => MonitorStreams::Terminal,
            },
            cgroup_path: config.cgroup_path.clone(),
            monitor_cgroup: Some(MONITOR_CGROUP.to_owned()),
            log: log_target(&config.log, self.name().as_str()),
            cleanup: engine.cleanup_command(&config.id, generation),
            timeout_ms: config.timeout_s.map(|seconds| u64::from(seconds) * 1000),
            runtime_deadline_ms: u64::try_from(RUNTIME_WAIT.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// Starts a monitor that waits for what it is to do.
pub(crate) fn launch_monitor(engine: &Engine) -> Result<(MonitorClient, Child), EngineError> {
    let launch = MonitorLaunch {
        program: engine.config().program.clone(),
        args: vec!["monitor".to_owned()],
        empty_dir: engine.empty_dir()?,
        cgroup: MONITOR_CGROUP.to_owned(),
    };
    Ok(MonitorClient::spawn(&launch, &Cgroups::detect()?)?)
}

fn log_target(log: &LogConfig, name: &str) -> LogTarget {
    match log.driver {
        LogDriver::None | LogDriver::Passthrough => LogTarget::None,
        LogDriver::K8sFile => LogTarget::K8sFile {
            path: log.path.clone(),
            max_size: log.max_size,
            max_files: log.max_files,
        },
        LogDriver::Journald => LogTarget::Journald {
            socket: JOURNAL.into(),
            name: name.to_owned(),
            tag: log.tag.clone(),
        },
    }
}

/// The error of a failed start. What became of a monitor says nothing as long as nobody knows whose it was.
pub(crate) fn with_name(container: &LockedContainer<'_>, error: EngineError) -> EngineError {
    let EngineError::Monitor(lost @ (MonitorError::Gone { .. } | MonitorError::NoAnswer { .. })) =
        &error
    else {
        return error;
    };
    EngineError::MonitorFailed {
        name: container.name().to_string(),
        why: lost.to_string(),
    }
}

/// A failed start, and what could not be taken back of it.
pub(crate) fn with_leftovers(
    error: EngineError,
    taken_back: Result<(), EngineError>,
) -> EngineError {
    match taken_back {
        Ok(()) => error,
        Err(left) => EngineError::unwound("start", error, left),
    }
}

/// The monitor is our child: when it has ended, its zombie goes.
pub(crate) fn reap(monitor: Option<Child>) {
    if let Some(monitor) = monitor {
        // It has been told to end; when it does not, it is not waited for and becomes init's.
        drop(monitor.wait_deadline(Deadline::after(REPLY_WAIT)));
    }
}
