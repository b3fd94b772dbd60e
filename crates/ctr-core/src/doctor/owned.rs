//! What a running container owns: its control group, its mounts, what its runtime remembers.

use std::os::fd::AsRawFd;
use std::path::Path;

use ctr_monitor::files;
use ctr_state::Status;
use ctr_sys::{PidRef, Root, SysError, parse_mountinfo};

use super::containers::Known;
use super::finding::FindingKind;
use super::look::Examiner;
use crate::error::EngineError;

impl Examiner<'_> {
    /// One that lives has all of it.
    pub(super) fn resources(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let Some(init) = known.record.init().map(PidRef::open).transpose()?.flatten() else {
            // Its end is being seen, or its monitor stands still.
            return Ok(());
        };
        self.group(known, &init)?;
        self.runtime_state(known);
        self.mounted(known, &init)
    }

    fn group(&mut self, known: &Known<'_>, init: &PidRef) -> Result<(), EngineError> {
        let Some(cgroups) = self.cgroups.clone() else {
            return Ok(());
        };
        self.checked.control_groups += 1;
        let path = &known.config.cgroup_path;
        let subject = || known.subject.clone().at(Path::new(path));
        if !cgroups.exists(path) {
            let why = format!("it runs, and its control group {path} is gone");
            self.found(FindingKind::ControlGroupMissing, subject(), why);
            return Ok(());
        }
        let pid = init.stamp().pid;
        if !cgroups.processes(path)?.contains(&pid) {
            let why = format!(
                "its first process {pid} is not in its control group {path}: a kill would not reach it"
            );
            self.found(FindingKind::OutsideControlGroup, subject(), why);
        }
        let frozen = cgroups.is_frozen(path)?;
        match (known.record.status(), frozen) {
            (Status::Running, true) => {
                let why = "somebody has frozen its processes, and it is recorded as running";
                self.found(FindingKind::FrozenUnrecorded, known.subject.clone(), why);
            }
            (Status::Paused, false) => {
                let why = "somebody has let its processes go on, and it is recorded as paused";
                self.found(FindingKind::ThawedUnrecorded, known.subject.clone(), why);
            }
            _ => {}
        }
        Ok(())
    }

    /// One that does not run has no control group.
    pub(super) fn group_left(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let Some(cgroups) = self.cgroups.clone() else {
            return Ok(());
        };
        self.checked.control_groups += 1;
        let path = &known.config.cgroup_path;
        if !cgroups.exists(path) {
            return Ok(());
        }
        let subject = known.subject.clone().at(Path::new(path));
        match cgroups.processes(path)?.as_slice() {
            [] => {
                let why = format!("it does not run, and its control group {path} is still there");
                self.found(FindingKind::ControlGroupLeft, subject, why);
            }
            [first, more @ ..] => {
                let why = format!(
                    "it is recorded as {}, and process {first}{} in its control group {path}",
                    known.record.status(),
                    match more.len() {
                        0 => " is".to_owned(),
                        count => format!(" and {count} more are"),
                    }
                );
                self.found(FindingKind::ProcessesLeft, subject, why);
            }
        }
        Ok(())
    }

    fn runtime_state(&mut self, known: &Known<'_>) {
        let root = known.run_dir.join(files::RUNTIME);
        let own = root.join(known.config.id.as_str());
        if !own.exists() {
            let why = format!(
                "it runs, and its runtime has forgotten it: {} is gone",
                own.display()
            );
            self.found(FindingKind::RuntimeStateMissing, known.subject.clone(), why);
        }
        for path in super::strangers::entries(&root) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Names with a dot are a runtime's notes of its own.
            if path != own && !name.starts_with('.') {
                let why = format!(
                    "its runtime remembers something else in its run directory: {}",
                    path.display()
                );
                let subject = known.subject.clone().at(&path);
                self.found(FindingKind::RuntimeStateUnknown, subject, why);
            }
        }
    }

    /// Whether there is a mount of its own wherever the container was to have one.
    fn mounted(&mut self, known: &Known<'_>, init: &PidRef) -> Result<(), EngineError> {
        if known.config.volumes.is_empty() {
            return Ok(());
        }
        let process = format!("/proc/{}", init.stamp().pid);
        let table = format!("{process}/mountinfo");
        let bytes = std::fs::read(&table).map_err(|error| SysError::new("read", table, error))?;
        let mounts = parse_mountinfo(&String::from_utf8_lossy(&bytes));
        let root = Root::open(Path::new(&format!("{process}/root")))?;
        if !init.is_alive() {
            // All of this may have been another process's.
            return Ok(());
        }
        for volume in &known.config.volumes {
            let inside = root.open_path(&volume.destination);
            let mount = inside.ok().and_then(|found| mount_id(&found));
            let mounted = mounts
                .iter()
                .any(|entry| Some(entry.id) == mount && entry.mount_point != Path::new("/"));
            if !mounted {
                let why = format!(
                    "{} is not mounted in it any more",
                    volume.destination.display()
                );
                let subject = known.subject.clone().at(&volume.destination);
                self.found(FindingKind::MountMissing, subject, why);
            }
        }
        Ok(())
    }
}

/// On which mount an open file lies, `proc_pid_fdinfo(5)`.
fn mount_id(file: &impl AsRawFd) -> Option<u64> {
    let path = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    line.trim().parse().ok()
}
