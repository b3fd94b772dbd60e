//! Stopping all processes of a control group at once, and letting them go on.
//!
//! Version 1 has a hierarchy for it (`freezer.state`), version 2 a file in each group (`cgroup.freeze`). Where both are mounted, version 1 is
//! used, as other runtimes do: what they freeze is then seen here, and the other way round. A frozen group of version 1 cannot
//! even be killed; one of version 2 can.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::cgroup::{Cgroups, children, write_existing};
use crate::deadline::Deadline;
use crate::error::{Context, SysError, SysResult};
use crate::kernel_file;
use crate::poll::poll;

/// Version 1 tells nobody when a group is frozen: it is asked this often.
const STEP: Duration = Duration::from_millis(1);

/// How one group is frozen.
enum Freezer {
    /// Its `freezer.state`.
    One(PathBuf),
    /// Its directory, with `cgroup.freeze` and `cgroup.events`.
    Two(PathBuf),
}

impl Cgroups {
    /// Freezes every process of the group and waits until all stand still. False when they did not until the deadline; the group has been
    /// thawed again then.
    ///
    /// # Errors
    /// When there is no such group, no freezer, or the kernel refuses.
    pub fn freeze(&self, path: &str, deadline: Deadline) -> SysResult<bool> {
        let freezer = self.required_freezer(path)?;
        let frozen = match &freezer {
            Freezer::One(state) => freeze_one(state, deadline),
            Freezer::Two(directory) => freeze_two(directory, deadline),
        };
        match frozen {
            Ok(true) => Ok(true),
            failed => {
                // The failure itself says more than one of taking it back could.
                drop(freezer.thaw(Deadline::after(Duration::ZERO)));
                failed
            }
        }
    }

    /// Lets the processes of the group go on and waits until they do; false when they did not until the deadline.
    ///
    /// # Errors
    /// As [`Cgroups::freeze`].
    pub fn thaw(&self, path: &str, deadline: Deadline) -> SysResult<bool> {
        self.required_freezer(path)?.thaw(deadline)
    }

    /// Whether the group is frozen, by itself or with a group above it. False for a group that does not exist, and while it is being
    /// frozen.
    ///
    /// # Errors
    /// When the kernel's answer cannot be read.
    pub fn is_frozen(&self, path: &str) -> SysResult<bool> {
        match self.freezer(path) {
            None => Ok(false),
            Some(Freezer::One(state)) => {
                let text = if_there(read(&state))?;
                Ok(text.is_some_and(|text| text.trim() == "FROZEN"))
            }
            Some(Freezer::Two(directory)) => {
                let text = if_there(read(&directory.join(EVENTS)))?;
                Ok(text.is_some_and(|text| is_frozen_two(&text)))
            }
        }
    }

    /// Lets killed processes of a group die that version 1 has frozen, by the group itself or by one below it: there a signal is delivered
    /// only to who goes on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn thaw_for_death(&self, path: &str) -> SysResult<()> {
        match self.freezer(path) {
            Some(Freezer::One(state)) => thaw_tree(&state),
            Some(Freezer::Two(_)) | None => Ok(()),
        }
    }

    /// Keeps processes that are about to be killed from making others: version 1 freezes them until [`Cgroups::thaw_for_death`], version 2 kills
    /// them at once. Whatever does not work is left undone.
    pub(crate) fn forestall_forks(&self, path: &str, deadline: Deadline) {
        // Dropped: the caller looks at what is there afterwards, and has no other means.
        match self.freezer(path) {
            Some(Freezer::One(_)) => drop(self.freeze(path, deadline)),
            Some(Freezer::Two(directory)) => {
                drop(write_existing(&directory.join("cgroup.kill"), "1"));
            }
            None => {}
        }
    }

    /// The nearest group above one of version 1 that is not frozen, if the group itself is frozen by another one above it.
    ///
    /// # Errors
    /// When the kernel's answer cannot be read.
    pub(crate) fn thawed_above(&self, path: &str) -> SysResult<Option<PathBuf>> {
        let Some(Freezer::One(state)) = self.freezer(path) else {
            return Ok(None);
        };
        if !is_held(&state)? {
            return Ok(None);
        }
        for above in state.ancestors().skip(2) {
            // The uppermost one has no such file: it cannot be frozen.
            if !is_held(&above.join("freezer.state"))? {
                return Ok(Some(above.to_owned()));
            }
        }
        Ok(None)
    }

    fn freezer(&self, path: &str) -> Option<Freezer> {
        let directories: Vec<PathBuf> = self.directories(path).map(|(_, found)| found).collect();
        let one = directories.iter().map(|found| found.join("freezer.state"));
        if let Some(state) = one.into_iter().find(|state| state.exists()) {
            return Some(Freezer::One(state));
        }
        let mut directories = directories.into_iter();
        let two = directories.find(|found| found.join("cgroup.freeze").exists());
        two.map(Freezer::Two)
    }

    fn required_freezer(&self, path: &str) -> SysResult<Freezer> {
        self.freezer(path).ok_or_else(|| {
            let why = "there is no such group, or no freezer for it";
            SysError::invalid("freeze", format!("cgroup {path}"), why)
        })
    }
}

impl Freezer {
    fn thaw(&self, deadline: Deadline) -> SysResult<bool> {
        match self {
            Self::One(state) => {
                write_existing(state, "THAWED")?;
                // Thawed at once, unless a group above it is frozen.
                Ok(read(state)?.trim() == "THAWED")
            }
            Self::Two(directory) => set_two(directory, Motion::Free, deadline),
        }
    }
}

const EVENTS: &str = "cgroup.events";

fn read(path: &Path) -> SysResult<String> {
    kernel_file::read_text(path).context("read", || path.display().to_string())
}

/// `None` when the group was removed meanwhile, which an open file tells in another way than a path.
fn if_there<T>(result: SysResult<T>) -> SysResult<Option<T>> {
    let gone = [Errno::NOENT, Errno::NODEV].map(Errno::raw_os_error);
    match result {
        Err(error)
            if error
                .raw_os_error()
                .is_some_and(|errno| gone.contains(&errno)) =>
        {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Whether this `freezer.state` of version 1 says that the group is frozen or being frozen; false when it is not there.
fn is_held(state: &Path) -> SysResult<bool> {
    let text = if_there(read(state))?;
    Ok(text.is_some_and(|text| text.trim() != "THAWED"))
}

fn thaw_tree(state: &Path) -> SysResult<()> {
    if is_held(state)? {
        // Whoever removes the group just now has no need of it.
        if_there(write_existing(state, "THAWED"))?;
    }
    let below = state.parent().map(children).transpose()?;
    for child in below.unwrap_or_default() {
        thaw_tree(&child.join("freezer.state"))?;
    }
    Ok(())
}

fn freeze_one(state: &Path, deadline: Deadline) -> SysResult<bool> {
    loop {
        // Written again each time: a process that was forked meanwhile, or that the kernel had to let finish something, is
        // caught by the next attempt.
        write_existing(state, "FROZEN")?;
        if read(state)?.trim() == "FROZEN" {
            return Ok(true);
        }
        if deadline.expired() {
            return Ok(false);
        }
        std::thread::sleep(STEP);
    }
}

/// The kernel says of a group with processes of its own that it is frozen as soon as those are, whatever the groups below it do: they are
/// asked one by one.
fn freeze_two(directory: &Path, deadline: Deadline) -> SysResult<bool> {
    if !set_two(directory, Motion::Frozen, deadline)? {
        return Ok(false);
    }
    for below in children(directory)? {
        if !await_tree(&below, deadline)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits until a group and those below it are frozen. One that is removed meanwhile is fine.
fn await_tree(directory: &Path, deadline: Deadline) -> SysResult<bool> {
    let frozen =
        if_there(Events::open(directory).and_then(|events| events.wait(Motion::Frozen, deadline)))?;
    if frozen == Some(false) {
        return Ok(false);
    }
    for below in children(directory)? {
        if !await_tree(&below, deadline)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn set_two(directory: &Path, motion: Motion, deadline: Deadline) -> SysResult<bool> {
    let events = Events::open(directory)?;
    let value = match motion {
        Motion::Frozen => "1",
        Motion::Free => "0",
    };
    write_existing(&directory.join("cgroup.freeze"), value)?;
    events.wait(motion, deadline)
}

/// What the processes of a group of version 2 are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    Frozen,
    Free,
}

/// The `cgroup.events` of a group.
struct Events {
    file: OwnedFd,
    path: PathBuf,
}

impl Events {
    fn open(directory: &Path) -> SysResult<Self> {
        let path = directory.join(EVENTS);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::empty());
        let file = file.context("open", || path.display().to_string())?;
        Ok(Self { file, path })
    }

    fn wait(&self, motion: Motion, deadline: Deadline) -> SysResult<bool> {
        let name = || self.path.display().to_string();
        loop {
            let mut text = [0; 256];
            // Reading is what arms the next notification.
            let count = rustix::io::pread(&self.file, &mut text, 0).context("read", name)?;
            let text = String::from_utf8_lossy(text.get(..count).unwrap_or_default());
            if is_frozen_two(&text) == (motion == Motion::Frozen) {
                return Ok(true);
            }
            if deadline.expired() {
                return Ok(false);
            }
            poll(&mut [PollFd::new(&self.file, PollFlags::PRI)], deadline)?;
        }
    }
}

fn is_frozen_two(events: &str) -> bool {
    events.lines().any(|line| line == "frozen 1")
}
