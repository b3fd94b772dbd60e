//! Capabilities: what a process may do, `capabilities(7)`.

use std::collections::HashSet;
use std::fmt;

use oci_spec::runtime::{Capability, LinuxCapabilities};

/// The capabilities of a container's processes unless something else was asked for, as podman has them. Raw sockets, `mknod` and audit
/// messages are not among them.
pub const DEFAULT_CAPABILITIES: [Capability; 11] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// All that Linux knows, with their names, in the order of their numbers (`linux/capability.h`).
const ALL: [(Capability, &str); 41] = [
    (Capability::Chown, "CHOWN"),
    (Capability::DacOverride, "DAC_OVERRIDE"),
    (Capability::DacReadSearch, "DAC_READ_SEARCH"),
    (Capability::Fowner, "FOWNER"),
    (Capability::Fsetid, "FSETID"),
    (Capability::Kill, "KILL"),
    (Capability::Setgid, "SETGID"),
    (Capability::Setuid, "SETUID"),
    (Capability::Setpcap, "SETPCAP"),
    (Capability::LinuxImmutable, "LINUX_IMMUTABLE"),
    (Capability::NetBindService, "NET_BIND_SERVICE"),
    (Capability::NetBroadcast, "NET_BROADCAST"),
    (Capability::NetAdmin, "NET_ADMIN"),
    (Capability::NetRaw, "NET_RAW"),
    (Capability::IpcLock, "IPC_LOCK"),
    (Capability::IpcOwner, "IPC_OWNER"),
    (Capability::SysModule, "SYS_MODULE"),
    (Capability::SysRawio, "SYS_RAWIO"),
    (Capability::SysChroot, "SYS_CHROOT"),
    (Capability::SysPtrace, "SYS_PTRACE"),
    (Capability::SysPacct, "SYS_PACCT"),
    (Capability::SysAdmin, "SYS_ADMIN"),
    (Capability::SysBoot, "SYS_BOOT"),
    (Capability::SysNice, "SYS_NICE"),
    (Capability::SysResource, "SYS_RESOURCE"),
    (Capability::SysTime, "SYS_TIME"),
    (Capability::SysTtyConfig, "SYS_TTY_CONFIG"),
    (Capability::Mknod, "MKNOD"),
    (Capability::Lease, "LEASE"),
    (Capability::AuditWrite, "AUDIT_WRITE"),
    (Capability::AuditControl, "AUDIT_CONTROL"),
    (Capability::Setfcap, "SETFCAP"),
    (Capability::MacOverride, "MAC_OVERRIDE"),
    (Capability::MacAdmin, "MAC_ADMIN"),
    (Capability::Syslog, "SYSLOG"),
    (Capability::WakeAlarm, "WAKE_ALARM"),
    (Capability::BlockSuspend, "BLOCK_SUSPEND"),
    (Capability::AuditRead, "AUDIT_READ"),
    (Capability::Perfmon, "PERFMON"),
    (Capability::Bpf, "BPF"),
    (Capability::CheckpointRestore, "CHECKPOINT_RESTORE"),
];

/// Which capabilities a process is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rights {
    /// The [usual ones](DEFAULT_CAPABILITIES).
    #[default]
    Default,
    /// The usual ones and these.
    Added(Vec<Capability>),
    /// Every one that the calling process could give.
    All,
}

/// A name that no capability has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCapability {
    name: String,
    /// Names that begin in the same way.
    near: Vec<&'static str>,
}

impl std::error::Error for UnknownCapability {}

impl fmt::Display for UnknownCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no capability {:?}; ", self.name)?;
        if self.near.is_empty() {
            f.write_str("capabilities(7) lists them, and ALL means all")
        } else {
            write!(f, "near it are {}", self.near.join(", "))
        }
    }
}

/// The capability with this name, in any case, with or without `CAP_` before it.
///
/// # Errors
/// [`UnknownCapability`], with the names that begin in the same way.
pub fn parse_capability(text: &str) -> Result<Capability, UnknownCapability> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if let Some((capability, _)) = ALL.iter().find(|(_, known)| *known == name) {
        return Ok(*capability);
    }
    let beginning = name.split('_').next().unwrap_or(name);
    let is_near = |known: &&str| !beginning.is_empty() && known.starts_with(beginning);
    Err(UnknownCapability {
        name: text.to_owned(),
        near: ALL
            .iter()
            .map(|(_, known)| *known)
            .filter(is_near)
            .collect(),
    })
}

/// The capabilities whose bits are set in a mask of the kernel (`CapBnd` of `proc_pid_status(5)`).
pub(super) fn of_mask(mask: u64) -> Vec<Capability> {
    let known = ALL.iter().enumerate();
    known
        .filter(|(number, _)| mask & (1 << number) != 0)
        .map(|(_, (capability, _))| *capability)
        .collect()
}

/// The five sets for a process of this user, of what `possible` allows: a runtime fails on a capability that the caller lacks.
///
/// Root has the set as bounding, permitted and effective; anybody else may only gain it by executing a set-user-id
/// program, so permitted and effective are empty. Inheritable and ambient are always empty: what is in them would pass to
/// programs that were never meant to have it.
pub fn capabilities(uid: u32, rights: &Rights, possible: &[Capability]) -> LinuxCapabilities {
    let mut wanted: HashSet<Capability> = match rights {
        Rights::Default => DEFAULT_CAPABILITIES.into(),
        Rights::Added(more) => DEFAULT_CAPABILITIES.iter().chain(more).copied().collect(),
        Rights::All => possible.iter().copied().collect(),
    };
    wanted.retain(|capability| possible.contains(capability));
    let held = if uid == 0 {
        wanted.clone()
    } else {
        HashSet::new()
    };
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(wanted))
        .set_permitted(Some(held.clone()))
        .set_effective(Some(held))
        .set_inheritable(Some(HashSet::new()))
        .set_ambient(Some(HashSet::new()));
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_net_admin"] {
            assert_eq!(
                parse_capability(good).ok(),
                Some(Capability::NetAdmin),
                "{good}"
            );
        }
        let refused = |text| parse_capability(text).unwrap_err().to_string();
        assert!(
            refused("NET_ADMINS").ends_with("NET_BIND_SERVICE, NET_BROADCAST, NET_ADMIN, NET_RAW")
        );
        assert!(refused("").contains("capabilities(7)"));
        assert!(refused("ALL").contains("ALL means all"));
    }

    #[test]
    fn nobody_gets_what_the_caller_lacks_and_only_root_holds_any() {
        let possible = of_mask(1 << 0 | 1 << 12);
        assert_eq!(possible, [Capability::Chown, Capability::NetAdmin]);
        let sets = |uid, rights: &Rights| {
            let sets = capabilities(uid, rights, &possible);
            assert!(sets.inheritable().as_ref().is_some_and(HashSet::is_empty));
            assert!(sets.ambient().as_ref().is_some_and(HashSet::is_empty));
            assert_eq!(sets.permitted(), sets.effective());
            let size = |set: &Option<HashSet<Capability>>| set.as_ref().map_or(0, HashSet::len);
            (size(sets.bounding()), size(sets.effective()))
        };
        let added = Rights::Added(vec![Capability::NetAdmin, Capability::SysAdmin]);
        assert_eq!(sets(0, &Rights::Default), (1, 1));
        assert_eq!(sets(0, &added), (2, 2));
        assert_eq!(sets(0, &Rights::All), (2, 2));
        assert_eq!(sets(1000, &Rights::All), (2, 0));
    }
}
