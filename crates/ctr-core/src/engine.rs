//! The engine: configuration, store, and the way to containers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_events::{Actor, EventKind, NewEvent, Subject, SubjectKind};
use ctr_state::{
    Config, ContainerId, ContainerName, Export, IdOrName, Intent, IntentKind, LockedRecord, Status,
    Store, StoreConfig,
};
use ctr_sys::{BootId, Deadline, LockObserver, PidStamp, create_private_dir};

use crate::container::Container;
use crate::error::EngineError;
use crate::filter::ContainerFilter;
use crate::layout::Layout;
use crate::log_options::LogDefaults;
use crate::probe;
use crate::runtimes::Runtimes;
use crate::summary::{ListRequest, Summary};

/// How long a busy database is waited for. Its writers need microseconds.
const DATABASE_WAIT: Duration = Duration::from_secs(30);

/// The control group in which monitors live, outside every container's and the caller's.
pub(crate) const MONITOR_CGROUP: &str = "/ctr-monitors";

/// Everything an engine is told from outside: it reads no environment and has no globals.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Directory for what is to survive a reboot.
    pub root: PathBuf,
    /// Directory for what need not, on a tmpfs.
    pub runroot: PathBuf,
    /// A `ctr` program: it is started as the monitor and for cleaning up.
    pub program: PathBuf,
    /// Arguments (global flags) with which `program` finds the same engine.
    pub engine_args: Vec<String>,
    /// The runtimes known by name.
    pub runtimes: Runtimes,
    /// The runtime of containers that ask for none.
    pub default_runtime: String,
    /// The control group above those of the containers, an absolute path such as `/ctr`.
    pub cgroup_parent: String,
    /// The clock, nanoseconds since 1970 UTC.
    pub clock: fn() -> i64,
    /// The logs of containers that ask for nothing else.
    pub log: LogDefaults,
    /// Who uses the engine, for events and the ledger.
    pub actor: Actor,
    /// How long a container's lock is waited for.
    pub lock_wait: Duration,
    /// How many events the journal keeps, for example [`ctr_state::KEEP_EVENTS`].
    pub keep_events: u64,
}

/// An open engine.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    layout: Layout,
    store: Store,
    boot: BootId,
    owner: PidStamp,
}

impl Engine {
    /// Opens the engine's directories and store, and makes them where they are missing.
    ///
    /// # Errors
    /// When a directory belongs to somebody else or is writable by others, or the store cannot be opened.
    pub fn open(config: EngineConfig) -> Result<Self, EngineError> {
        let layout = Layout::open(&config.root, &config.runroot)?;
        Self::open_in(layout, config, DATABASE_WAIT)
    }

    /// Opens an engine whose directories and database are there, and makes nothing. A busy database is waited for this long.
    pub(crate) fn open_existing(config: EngineConfig, busy: Duration) -> Result<Self, EngineError> {
        let layout = Layout::at(&config.root, &config.runroot);
        Self::open_in(layout, config, busy)
    }

    fn open_in(layout: Layout, config: EngineConfig, busy: Duration) -> Result<Self, EngineError> {
        let store = Store::open(StoreConfig {
            database: layout.database(),
            wake: layout.wake(),
            locks: layout.locks(),
            busy,
            clock: config.clock,
            keep_events: config.keep_events,
        })?;
        Ok(Self {
            layout,
            store,
            boot: BootId::current()?,
            owner: PidStamp::own()?,
            config,
        })
    }

    /// The container that `what` names: a full id, a name, or the beginning of one id only.
    ///
    /// # Errors
    /// [`NotFound`](ctr_state::StateError::NotFound) and [`Ambiguous`](ctr_state::StateError::Ambiguous), inside [`EngineError::State`].
    pub fn find(&self, what: &str) -> Result<Container<'_>, EngineError> {
        let parsed: IdOrName = what.parse().map_err(|_| EngineError::not_found(what))?;
        Ok(Container::new(self, self.store.resolve(&parsed)?))
    }

    /// The container of an id that came from this engine. It is not looked up.
    pub fn container(&self, id: &ContainerId) -> Container<'_> {
        Container::new(self, id.clone())
    }

    /// All containers, in the order of their creation. Takes no lock.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<Summary>, EngineError> {
        self.select(&ListRequest {
            statuses: &Status::ALL,
            filter: ContainerFilter::default(),
            newest: None,
        })
    }

    /// Some of the containers, in the order of their creation. Takes no lock.
    ///
    /// # Errors
    /// When the store cannot be read, or `before` or `since` of the filter name no container or more than one.
    pub fn select(&self, request: &ListRequest<'_>) -> Result<Vec<Summary>, EngineError> {
        let snapshots = self.store.list()?;
        let filter = request.filter.resolved(self, &snapshots)?;
        let newest_first = snapshots.into_iter().rev();
        let locks = LockObserver::default();
        let mut selected = newest_first
            .map(|snapshot| {
                let holder = locks.holder(&self.layout.locks().join(snapshot.id().as_str()));
                probe::summary(self, snapshot).map(|summary| summary.with_holder(holder))
            })
            .filter(|summary| match summary {
                Ok(summary) => request.is_in_status(summary) && filter.matches(summary),
                // One that was removed while the others were looked at is no failure.
                Err(error) => !error.is_not_found(),
            })
            .take(request.newest.unwrap_or(usize::MAX))
            .collect::<Result<Vec<_>, _>>()?;
        selected.reverse();
        Ok(selected)
    }

    /// Removes what commands that were killed have left beside the containers: lock files of creations that never came to a row.
    ///
    /// # Errors
    /// When the store or its directory cannot be read.
    pub fn sweep(&self) -> Result<(), EngineError> {
        Ok(self.store.sweep_locks()?)
    }

    /// All that is recorded, at one moment, whether it can be understood or not. Takes no lock.
    ///
    /// # Errors
    /// Those of the store as a whole.
    pub fn export(&self) -> Result<Export, EngineError> {
        Ok(self.store().export()?)
    }

    /// The store, for what has no method here yet.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the engine was opened with.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// The directory of a container's present run.
    pub fn run_dir(&self, id: &ContainerId) -> PathBuf {
        self.layout.run(id)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn boot_id(&self) -> &BootId {
        &self.boot
    }

    /// This process.
    pub(crate) fn owner(&self) -> PidStamp {
        self.owner
    }

    pub(crate) fn now_ns(&self) -> i64 {
        (self.config.clock)()
    }

    pub(crate) fn lock_deadline(&self) -> Deadline {
        Deadline::after(self.config.lock_wait)
    }

    /// When the engine's clock shows `until_ns`; never without one.
    pub(crate) fn deadline_at(&self, until_ns: Option<i64>) -> Deadline {
        let Some(until_ns) = until_ns else {
            return Deadline::never();
        };
        let left_ns = until_ns.saturating_sub(self.now_ns());
        Deadline::after(Duration::from_nanos(u64::try_from(left_ns).unwrap_or(0)))
    }

    pub(crate) fn cgroup_path(&self, id: &ContainerId) -> String {
        format!("{}/{id}", self.config.cgroup_parent.trim_end_matches('/'))
    }

    /// The directory that the overlay around the monitor's program needs.
    pub(crate) fn empty_dir(&self) -> Result<PathBuf, EngineError> {
        let empty = self.layout.empty();
        create_private_dir(&empty)?;
        Ok(empty)
    }

    pub(crate) fn intent(&self, kind: IntentKind, generation: u64) -> Intent {
        Intent {
            kind,
            owner: self.owner,
            boot_id: self.boot.clone(),
            since_ns: self.now_ns(),
            generation,
        }
    }

    /// An event about a locked container, by this engine's user, now.
    pub(crate) fn event(&self, kind: EventKind, record: &LockedRecord<'_>) -> NewEvent {
        let generation = record.record().generation();
        self.event_of(
            kind,
            record.id(),
            record.name(),
            record.config(),
            generation,
        )
    }

    pub(crate) fn event_of(
        &self,
        kind: EventKind,
        id: &ContainerId,
        name: &ContainerName,
        config: &Config,
        generation: u64,
    ) -> NewEvent {
        NewEvent {
            time_ns: self.now_ns(),
            kind,
            subject: Subject {
                kind: SubjectKind::Container,
                id: id.to_string(),
                name: name.to_string(),
                image: image_of(&config.rootfs.path),
            },
            generation,
            actor: self.config.actor.clone(),
            attributes: config.labels.clone(),
        }
    }
}

/// What stands where an image's name will: the directory.
pub(crate) fn image_of(rootfs: &Path) -> String {
    rootfs.to_string_lossy().into_owned()
}
