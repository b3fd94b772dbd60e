//! `create`, in the process that is given up for it: see [`crate::library`].

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::path::Path;

use ctr_oci::Created;
use ctr_sys::{Cgroups, Deadline, PidRef, Sync, SysError, replace_file};
use libcontainer::container::ContainerStatus;
use libcontainer::container::builder::ContainerBuilder;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::ThreadNameSpaceType;

use crate::error::{Result, RuntimeError};
use crate::library::{self, BuildError, Endowment, Parentage, Work};
use crate::record::{Place, Record};
use crate::spec::{self, Checked, Loopback};
use crate::{devices, sys, verbs};

/// What to create.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) root: &'a Path,
    pub(crate) id: &'a str,
    pub(crate) bundle: &'a Path,
    pub(crate) pid_file: Option<&'a Path>,
    pub(crate) endowment: Endowment<'a>,
}

/// Creates the container from the calling process. After a failure nothing of it is left, unless the error says so.
pub(crate) fn in_this_process(order: Order<'_>) -> Result<Created> {
    library::require_single_thread("creating a container")?;
    let strays = library::open_descriptors()?;
    let place = Place::new(order.root, order.id)?;
    let cgroups = Cgroups::detect()?;
    let checked = spec::load(order.bundle, cgroups.mode())?;
    checked.terminal.require_match(order.endowment.console)?;
    place.require_free()?;
    require_fresh_cgroup(&cgroups, &checked.cgroup)?;
    place.claim(&checked.spec)?;
    let created = create_claimed(order, &place, &cgroups, &checked, strays);
    created.map_err(
        |cause| match verbs::discard(&place, &cgroups, Deadline::never()) {
            Ok(()) => cause,
            Err(cleanup) => RuntimeError::Unwound {
                cause: Box::new(cause),
                cleanup: Box::new(cleanup),
            },
        },
    )
}

/// What is left of an earlier container goes; a group that somebody lives in is refused: its limits would be changed, and its
/// processes killed with the container.
fn require_fresh_cgroup(cgroups: &Cgroups, path: &str) -> Result<()> {
    if !cgroups.exists(path) {
        return Ok(());
    }
    if !cgroups.processes(path)?.is_empty() {
        return Err(RuntimeError::invalid(
            format!("cgroup {path}"),
            "has processes already",
        ));
    }
    Ok(cgroups.remove(path)?)
}

fn create_claimed(
    order: Order<'_>,
    place: &Place,
    cgroups: &Cgroups,
    checked: &Checked,
    strays: Vec<RawFd>,
) -> Result<Created> {
    let process = checked.spec.process().as_ref();
    let work = Work {
        id: place.id(),
        root: place.root(),
        endowment: order.endowment,
        terminal: checked.terminal,
        user: process.map_or(0, |process| process.user().uid()),
        oom_score_adj: process.as_ref().and_then(|process| process.oom_score_adj()),
        joined: None,
        strays,
        tasks: None,
        placed: Vec::new(),
    };
    let parentage = order.endowment.parentage;
    let pid = library::call(work, |builder| build(builder, place, parentage))?;
    // Its parent has not reaped it yet or, if it has, the pid is not in use yet: it is the first process, or none.
    let init = PidRef::capture(pid)?.ok_or_else(|| RuntimeError::Library {
        message: "the first process ended while it was being created".to_owned(),
        raw: String::new(),
    })?;
    devices::enforce(cgroups, &checked.cgroup, &checked.devices)?;
    let mut record = Record::new(order.bundle, &checked.cgroup, init.stamp())?;
    record.annotations.extend(checked.annotations.clone());
    if checked.loopback == Loopback::Up {
        bring_loopback_up(&init)?;
    }
    place.save(&record)?;
    if let Some(path) = order.pid_file {
        replace_file(path, pid.to_string().as_bytes(), 0o644, Sync::No)?;
    }
    Ok(Created { pid })
}

fn build(
    builder: ContainerBuilder,
    place: &Place,
    parentage: Parentage,
) -> std::result::Result<i32, BuildError> {
    let mut container = builder
        .as_init(place.own_directory())
        .with_systemd(false)
        .with_detach(true)
        .as_sibling(parentage == Parentage::Sibling)
        .build()?;
    let pid = container.state.pid;
    // The library executes other processes only in containers that run by its own account, which `start` does not keep.
    container.set_status(ContainerStatus::Running).save()?;
    pid.ok_or_else(|| BuildError::Library("the library names no process".to_owned()))
}

/// The calling process stays in the container's network namespace.
fn bring_loopback_up(init: &PidRef) -> Result<()> {
    let fail = |operation| {
        move |source: io::Error| {
            RuntimeError::from(SysError::new(operation, "the container's network", source))
        }
    };
    rustix::thread::move_into_thread_name_spaces(init.as_fd(), ThreadNameSpaceType::NETWORK)
        .map_err(|errno| fail("enter")(errno.into()))?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
        .map_err(|errno| fail("open a socket in")(errno.into()))?;
    sys::set_loopback_up(socket.as_fd()).map_err(fail("set lo up in"))
}
