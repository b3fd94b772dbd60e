//! The verbs that make processes, and waiting for one.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ctr_oci::{DeleteMode, Target};
use ctr_sys::{Deadline, ExitStatus, PidRef, Ready, Signal, SignalFd, reap_any, wait_either};
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process};

use super::arguments::{Attachment, Changes, Creation, Executable, Execution, Global};
use super::{Answer, target};
use crate::error::{Result, RuntimeError};
use crate::library::{Endowment, Parentage, Streams};
use crate::record::Place;
use crate::{create, exec, spec, verbs};

/// Signals that are passed on to a process that is waited for.
const PASSED_ON: [Signal; 8] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::CONT,
    Signal::WINCH,
];

/// The library, and what is recorded, need names that do not depend on the working directory.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(RuntimeError::at("resolve", path))
}

fn absolute_if_given(path: Option<&PathBuf>) -> Result<Option<PathBuf>> {
    path.map(|path| absolute(path)).transpose()
}

fn endowment(console: Option<&Path>) -> Endowment<'_> {
    Endowment {
        streams: Streams::Inherited,
        console,
        parentage: Parentage::Child,
    }
}

pub(super) fn create(global: &Global, creation: &Creation) -> Result<Answer> {
    make(global, creation).map(|_| Answer::Done)
}

/// The pid of the container's first process.
fn make(global: &Global, creation: &Creation) -> Result<i32> {
    let root = absolute(&global.root)?;
    let bundle = absolute(&creation.bundle)?;
    let pid_file = absolute_if_given(creation.pid_file.as_ref())?;
    let console = absolute_if_given(creation.console.as_ref())?;
    let created = create::in_this_process(create::Order {
        root: &root,
        id: &creation.id,
        bundle: &bundle,
        pid_file: pid_file.as_deref(),
        endowment: endowment(console.as_deref()),
    })?;
    Ok(created.pid)
}

/// Creates, starts and, in the foreground, waits and deletes.
pub(super) fn run(global: &Global, creation: &Creation, attachment: Attachment) -> Result<Answer> {
    let root = absolute(&global.root)?;
    let target = target(&root, &creation.id);
    let waiter = Waiter::prepare(attachment)?;
    let pid = make(global, creation)?;
    let finish = || {
        verbs::start(target)?;
        match &waiter {
            Some(waiter) => waiter.wait(pid).map(Some),
            None => Ok(None),
        }
    };
    match finish() {
        Ok(None) => Ok(Answer::Done),
        Ok(Some(end)) => {
            verbs::delete(target, DeleteMode::Force)?;
            Ok(Answer::Code(end.code()))
        }
        Err(cause) => match verbs::delete(target, DeleteMode::Force) {
            Ok(()) => Err(cause),
            Err(cleanup) => Err(RuntimeError::Unwound {
                cause: Box::new(cause),
                cleanup: Box::new(cleanup),
            }),
        },
    }
}

pub(super) fn exec(global: &Global, execution: &Execution) -> Result<Answer> {
    let preserved = exec::Preserved::of_caller(execution.preserved)?;
    let root = absolute(&global.root)?;
    let target = target(&root, &execution.id);
    let process = match &execution.executable {
        Executable::File(path) => spec::read_process(path)?,
        Executable::Changed(changes) => changed(target, changes)?,
    };
    if process.terminal() == Some(true) && execution.attachment == Attachment::Foreground {
        return Err(RuntimeError::unsupported(
            "a terminal for a process in the foreground (without --detach and --console-socket)",
        ));
    }
    let pid_file = absolute_if_given(execution.pid_file.as_ref())?;
    let console = absolute_if_given(execution.console.as_ref())?;
    let waiter = Waiter::prepare(execution.attachment)?;
    let executed = exec::in_this_process(exec::Order {
        target,
        process,
        pid_file: pid_file.as_deref(),
        endowment: endowment(console.as_deref()),
        preserved,
        placed: &[],
        cgroup: execution.cgroup.as_deref(),
    })?;
    match waiter {
        Some(waiter) => Ok(Answer::Code(waiter.wait(executed.pid)?.code())),
        None => Ok(Answer::Done),
    }
}

/// The container's own process with changes.
fn changed(target: Target<'_>, changes: &Changes) -> Result<Process> {
    let place = Place::new(target.root, target.id)?;
    // Says so if there is no such container.
    place.record()?;
    let own = place.claimed()?.and_then(|spec| spec.process().clone());
    let mut process = own.ok_or_else(|| {
        RuntimeError::invalid(format!("container {}", target.id), "is not complete")
    })?;
    process
        .set_args(Some(changes.arguments.clone()))
        .set_terminal(Some(changes.terminal))
        .set_console_size(None);
    let mut environment = process.env().clone().unwrap_or_default();
    for variable in &changes.environment {
        let name = variable.split_once('=').map_or("", |(name, _)| name);
        environment.retain(|old| old.split_once('=').is_none_or(|(old, _)| old != name));
        environment.push(variable.clone());
    }
    process.set_env(Some(environment));
    if let Some(cwd) = &changes.cwd {
        process.set_cwd(cwd.clone());
    }
    if changes.no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    change_user(&mut process, changes);
    add_capabilities(&mut process, &changes.capabilities)?;
    Ok(process)
}

fn change_user(process: &mut Process, changes: &Changes) {
    let user = process.user_mut();
    if let Some((uid, gid)) = changes.user {
        user.set_uid(uid);
        if let Some(gid) = gid {
            user.set_gid(gid);
        }
    }
    if !changes.groups.is_empty() {
        let mut groups = user.additional_gids().clone().unwrap_or_default();
        groups.extend(&changes.groups);
        user.set_additional_gids(Some(groups));
    }
}

/// Adds to the bounding, effective and permitted sets; what is inherited stays as it is.
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<()> {
    let mut added = Capabilities::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let capability: Capability = short
            .parse()
            .map_err(|_| RuntimeError::invalid(format!("--cap {name:?}"), "no such capability"))?;
        added.insert(capability);
    }
    let mut sets: LinuxCapabilities = process.capabilities().clone().unwrap_or_default();
    let with = |set: &Option<Capabilities>| {
        let own = set.iter().flatten().copied();
        Some(own.chain(added.iter().copied()).collect::<Capabilities>())
    };
    let (bounding, effective) = (with(sets.bounding()), with(sets.effective()));
    let permitted = with(sets.permitted());
    sets.set_bounding(bounding)
        .set_effective(effective)
        .set_permitted(permitted);
    process.set_capabilities(Some(sets));
    Ok(())
}

/// Waits for a child, and passes signals on to it.
struct Waiter(SignalFd);

impl Waiter {
    /// Before the child is made, so that no signal is lost. The child resets its own mask.
    fn prepare(attachment: Attachment) -> Result<Option<Self>> {
        match attachment {
            Attachment::Foreground => Ok(Some(Self(SignalFd::block(&PASSED_ON)?))),
            Attachment::Detached => Ok(None),
        }
    }

    fn wait(&self, pid: i32) -> Result<ExitStatus> {
        // None: it has ended already, and waits to be reaped.
        if let Some(process) = PidRef::capture(pid)? {
            self.pass_on_until_end(&process)?;
        }
        while let Some((reaped, end)) = reap_any()? {
            if reaped == pid {
                return Ok(end);
            }
        }
        Err(RuntimeError::invalid(
            format!("process {pid}"),
            "was reaped by somebody else",
        ))
    }

    fn pass_on_until_end(&self, process: &PidRef) -> Result<()> {
        loop {
            match wait_either(process.as_fd(), self.0.as_fd(), Deadline::never())? {
                Ready::First => return Ok(()),
                Ready::Second => {
                    if let Some(info) = self.0.read()? {
                        process.signal(info.signal)?;
                    }
                }
                Ready::Neither => {}
            }
        }
    }
}
