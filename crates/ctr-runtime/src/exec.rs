//! `exec`: another process in a container, made in a process that is given up for it: see [`crate::library`].

use std::ops::Range;
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctr_oci::{Executed, PreservedFd, RuntimeStatus, Target, check_group_name};
use ctr_sys::{CgroupMode, Cgroups, PidRef, Root, Signal, Sync, SysError, replace_file};
use libcontainer::container::builder::ContainerBuilder;
use oci_spec::runtime::Process;

use crate::error::{Result, RuntimeError};
use crate::executor::Placed;
use crate::library::{self, BuildError, Endowment, Parentage, Work};
use crate::record::{ExecDirectory, Record};
use crate::spec;
use crate::verbs::Found;

/// The first descriptor that is not a standard stream.
const FIRST_PRESERVED: RawFd = 3;

/// What to execute.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) target: Target<'a>,
    /// As the caller gave it: checked and corrected here.
    pub(crate) process: Process,
    pub(crate) pid_file: Option<&'a Path>,
    pub(crate) endowment: Endowment<'a>,
    pub(crate) preserved: Preserved,
    /// Descriptors that the process gets at these numbers, wherever the calling process has them.
    pub(crate) placed: &'a [PreservedFd<'a>],
    /// The group below that of the container that it is made in; `None` for the container's own.
    pub(crate) cgroup: Option<&'a str>,
}

/// How many descriptors from 3 on the process inherits from the calling one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preserved(u16);

impl Preserved {
    pub(crate) const NONE: Self = Self(0);

    /// To be asked before anything of ours is open: what the caller has not opened would be a descriptor of ours later.
    pub(crate) fn of_caller(count: u16) -> Result<Self> {
        Self::among(&library::open_descriptors()?, count)
    }

    fn among(open: &[RawFd], count: u16) -> Result<Self> {
        let preserved = Self(count);
        match preserved.range().find(|fd| !open.contains(fd)) {
            None => Ok(preserved),
            Some(missing) => Err(RuntimeError::invalid(
                format!("{count} descriptors to be preserved"),
                format!("descriptor {missing} is not open"),
            )),
        }
    }

    fn range(self) -> Range<RawFd> {
        FIRST_PRESERVED..FIRST_PRESERVED + RawFd::from(self.0)
    }
}

/// Executes the process. When this returns, its program runs.
pub(crate) fn in_this_process(order: Order<'_>) -> Result<Executed> {
    library::require_single_thread("executing a process")?;
    let mut strays = library::open_descriptors()?;
    strays.retain(|fd| !order.preserved.range().contains(fd));
    let placed = placed(order.placed)?;
    let found = Found::new(order.target)?;
    let (Some(record), Some(init)) = (&found.record, &found.process) else {
        return Err(found.wrong_status()?);
    };
    match found.state()?.status {
        RuntimeStatus::Created | RuntimeStatus::Running => {}
        // Frozen with the others, the process would never come to its program.
        RuntimeStatus::Creating | RuntimeStatus::Stopped | RuntimeStatus::Paused => {
            return Err(found.wrong_status()?);
        }
    }
    let membership = Membership::of(record, init, order.cgroup)?;
    let mut process = order.process;
    if let Some(first) = found
        .place
        .claimed()?
        .and_then(|spec| spec.process().clone())
    {
        complete(&mut process, &first);
    }
    let (process, terminal) = spec::check_process(process, &root_of(init)?)?;
    terminal.require_match(order.endowment.console)?;
    let directory = found.place.prepare_exec(&process)?;
    let work = Work {
        id: found.place.id(),
        root: directory.root(),
        endowment: order.endowment,
        terminal,
        user: process.user().uid(),
        oom_score_adj: process.oom_score_adj(),
        joined: found.process,
        strays,
        tasks: membership.tasks,
        placed,
    };
    let join = Join {
        directory: &directory,
        group: membership.group,
        parentage: order.endowment.parentage,
        preserved: order.preserved,
    };
    let pid = library::call(work, |builder| build(builder, &join))?;
    if let Some(path) = order.pid_file
        && let Err(error) = replace_file(path, pid.to_string().as_bytes(), 0o644, Sync::No)
    {
        // A caller that is told of a failure expects nobody to run.
        if let Some(process) = PidRef::capture(pid)? {
            process.signal(Signal::KILL)?;
        }
        return Err(error.into());
    }
    Ok(Executed { pid })
}

/// A process that names no limits has those of the container's `first` one: not those of the caller, which may have none.
fn complete(process: &mut Process, first: &Process) {
    if process.rlimits().as_ref().is_none_or(Vec::is_empty) {
        process.set_rlimits(first.rlimits().clone());
    }
    if process.oom_score_adj().is_none() {
        process.set_oom_score_adj(first.oom_score_adj());
    }
}

/// The container's root as its first process sees it: on the host's side it may not be mounted at all.
fn root_of(init: &PidRef) -> Result<Root> {
    let path = PathBuf::from(format!("/proc/{}/root", init.stamp().pid));
    let root = Root::open(&path)?;
    if init.is_alive() {
        return Ok(root);
    }
    // The pid may have become somebody else's by then.
    let gone = std::io::Error::from(rustix::io::Errno::SRCH);
    Err(RuntimeError::at("open", &path)(gone))
}

/// Copies of the descriptors that lie above all numbers that they are to have: none is in the way of another then. Made here, because the
/// limits of the process itself may be narrow. The originals are strays.
fn placed(wanted: &[PreservedFd<'_>]) -> Result<Vec<Placed>> {
    let highest = PreservedFd::highest(wanted)
        .map_err(|error| RuntimeError::invalid("descriptors to be preserved", error.to_string()))?;
    let copies = wanted.iter().map(|kept| {
        let copy = rustix::io::fcntl_dupfd_cloexec(kept.fd, highest + 1);
        let copy = copy
            .map_err(|errno| SysError::new("copy", "a descriptor to be preserved", errno.into()))?;
        Ok(Placed {
            source: Arc::new(copy),
            number: kept.number,
        })
    });
    copies.collect()
}

/// Where the process goes among the control groups.
struct Membership {
    /// Below the container's group, for the library.
    group: Option<String>,
    /// For the process itself.
    tasks: Option<OwnedFd>,
}

impl Membership {
    fn of(record: &Record, init: &PidRef, wanted: Option<&str>) -> Result<Self> {
        let Some(wanted) = wanted else {
            let group = group_below(record, init)?;
            return Ok(Self { group, tasks: None });
        };
        check_group_name(wanted)
            .map_err(|error| RuntimeError::invalid("exec", error.to_string()))?;
        if CgroupMode::is_unified()? {
            let group = Some(wanted.to_owned());
            return Ok(Self { group, tasks: None });
        }
        // The library would look for the group in every hierarchy.
        let cgroups = Cgroups::detect()?;
        let directory = cgroups.session_directory(&format!("{}/{wanted}", record.cgroup));
        let tasks = directory.map(|directory| {
            let path = directory.join("tasks");
            let file = std::fs::OpenOptions::new().write(true).open(&path);
            file.map(OwnedFd::from)
                .map_err(RuntimeError::at("open", &path))
        });
        Ok(Self {
            group: None,
            tasks: tasks.transpose()?,
        })
    }
}

/// The group of the first process below that of the container, if it has moved (a service manager does): on cgroup v2 a group with
/// others below it takes no process.
fn group_below(record: &Record, init: &PidRef) -> Result<Option<String>> {
    if !CgroupMode::is_unified()? {
        return Ok(None);
    }
    let path = PathBuf::from(format!("/proc/{}/cgroup", init.stamp().pid));
    let text = std::fs::read_to_string(&path).map_err(RuntimeError::at("read", &path))?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    let below = own.and_then(|own| own.strip_prefix(record.cgroup.as_str()));
    let below = below.and_then(|below| below.strip_prefix('/'));
    Ok(below.map(str::to_owned))
}

struct Join<'a> {
    directory: &'a ExecDirectory,
    group: Option<String>,
    parentage: Parentage,
    preserved: Preserved,
}

fn build(builder: ContainerBuilder, join: &Join<'_>) -> std::result::Result<i32, BuildError> {
    let pid = builder
        .with_preserved_fds(i32::from(join.preserved.0))
        .as_tenant()
        .with_detach(true)
        .as_sibling(join.parentage == Parentage::Sibling)
        .with_sub_cgroup(join.group.clone())
        .with_process(Some(join.directory.process()))
        .build()?;
    Ok(pid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preserved_descriptors_are_open() {
        let check = |count, missing: Option<&str>| {
            let found = Preserved::among(&[3, 4, 9], count).map_err(|error| error.to_string());
            match missing {
                None => assert_eq!(found, Ok(Preserved(count))),
                Some(part) => assert!(found.is_err_and(|error| error.contains(part)), "{count}"),
            }
        };
        check(0, None);
        check(2, None);
        check(3, Some("descriptor 5 is not open"));
        check(u16::MAX, Some("descriptor 5 is not open"));
    }
}
