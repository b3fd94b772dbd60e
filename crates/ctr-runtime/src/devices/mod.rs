//! Which devices a container may use, and making it so.
//!
//! Rules come from `linux.resources.devices` of the specification; a list without any rule means that nothing is allowed. The devices
//! that every container has (`null`, `zero`, `full`, `random`, `urandom`, `tty`, the console and pseudoterminals) are allowed
//! after them. The library is never given the rules: on cgroup v1 it would allow more than they say (tun, and `mknod` of everything),
//! on cgroup v2 it would ignore them.
//!
//! Each kind of access is decided by the last rule that names it; rules that cgroup v1 cannot express so are refused there.

mod rule;
mod v1;

use std::os::fd::{AsFd, OwnedFd};

use ctr_sys::{CgroupMode, Cgroups, SysError};
use oci_spec::runtime::LinuxDeviceCgroup;

use crate::error::{Result, RuntimeError};
use crate::{bpf, sys};

pub(crate) use self::rule::{Access, DeviceKind, DeviceRule, Verdict};

/// The devices that every container has: major and minor number, `None` for all.
const ALWAYS_ALLOWED: [(u32, Option<u32>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// The rules that are in force for a container whose specification has `rules`.
pub(crate) fn effective(rules: &[LinuxDeviceCgroup]) -> Result<Vec<DeviceRule>> {
    let mut effective = vec![DeviceRule::total(Verdict::Deny)];
    for rule in rules {
        effective.push(DeviceRule::from_spec(rule)?);
    }
    effective.extend(ALWAYS_ALLOWED.map(|(major, minor)| DeviceRule {
        verdict: Verdict::Allow,
        kind: Some(DeviceKind::Character),
        major: Some(major),
        minor,
        access: Access::ALL,
    }));
    // Only the last total rule counts; what is before it would only be written in vain.
    let last = effective.iter().rposition(DeviceRule::is_total);
    effective.drain(..last.unwrap_or(0));
    Ok(effective)
}

/// Puts the rules into force for the cgroup `path` (below the root of the hierarchy). The cgroup must exist and have no children.
pub(crate) fn enforce(cgroups: &Cgroups, path: &str, rules: &[DeviceRule]) -> Result<()> {
    match cgroups.mode() {
        CgroupMode::Unified => enforce_program(cgroups, path, rules),
        CgroupMode::Legacy | CgroupMode::Hybrid => v1::enforce(path, rules),
    }
}

fn enforce_program(cgroups: &Cgroups, path: &str, rules: &[DeviceRule]) -> Result<()> {
    let directory: OwnedFd = cgroups.open_unified(path)?.ok_or_else(|| {
        RuntimeError::unsupported("enforcing device rules without a cgroup v2 hierarchy")
    })?;
    let program = sys::load_device_program(&bpf::assemble(rules))
        .map_err(|source| SysError::new("load", "the device program", source))?;
    sys::attach_device_program(directory.as_fd(), program.as_fd()).map_err(|source| {
        SysError::new(
            "attach the device program to",
            format!("cgroup {path}"),
            source,
        )
        .into()
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use oci_spec::runtime::{LinuxDeviceCgroupBuilder, LinuxDeviceType};
    use proptest::prelude::*;

    use super::*;

    impl DeviceRule {
        /// From `allow c 1:3 rwm` or `deny a`.
        pub(crate) fn parse(text: &str) -> Option<Self> {
            let mut words = text.split(' ');
            let verdict = match words.next()? {
                "allow" => Verdict::Allow,
                "deny" => Verdict::Deny,
                _ => return None,
            };
            let kind = match words.next()? {
                "a" => return Some(Self::total(verdict)),
                "b" => DeviceKind::Block,
                "c" => DeviceKind::Character,
                _ => return None,
            };
            let (major, minor) = words.next()?.split_once(':')?;
            Some(Self {
                verdict,
                kind: Some(kind),
                major: major.parse().ok(),
                minor: minor.parse().ok(),
                access: Access::parse(words.next()?)?,
            })
        }
    }

    /// Small numbers, so that rules and requests meet.
    pub(crate) fn any_rule() -> impl Strategy<Value = DeviceRule> {
        let verdict = prop_oneof![Just(Verdict::Allow), Just(Verdict::Deny)];
        let kind = prop_oneof![Just(DeviceKind::Block), Just(DeviceKind::Character)];
        let number = || proptest::option::of(0_u32..4);
        let narrow = (verdict.clone(), kind, number(), number(), 1_u32..8).prop_map(
            |(verdict, kind, major, minor, access)| DeviceRule {
                verdict,
                kind: Some(kind),
                major,
                minor,
                access: Access::from_bits(access),
            },
        );
        prop_oneof![8 => narrow, 1 => verdict.prop_map(DeviceRule::total)]
    }

    pub(crate) fn matches(rule: &DeviceRule, kind: DeviceKind, major: u32, minor: u32) -> bool {
        rule.kind.is_none_or(|own| own == kind)
            && rule.major.is_none_or(|own| own == major)
            && rule.minor.is_none_or(|own| own == minor)
    }

    /// The definition: every bit of the request is decided by the last rule that matches the device and has the bit.
    pub(crate) fn oracle(
        rules: &[DeviceRule],
        kind: DeviceKind,
        access: u32,
        major: u32,
        minor: u32,
    ) -> bool {
        [1, 2, 4]
            .into_iter()
            .filter(|bit| access & bit != 0)
            .all(|bit| {
                rules
                    .iter()
                    .filter(|rule| matches(rule, kind, major, minor))
                    .rfind(|rule| rule.access.bits() & bit != 0)
                    .is_some_and(|rule| rule.verdict == Verdict::Allow)
            })
    }

    #[test]
    fn without_rules_only_the_devices_of_every_container_are_allowed() {
        let rules = effective(&[]).unwrap();
        assert_eq!(rules.first(), Some(&DeviceRule::total(Verdict::Deny)));
        let allowed = |major, minor| oracle(&rules, DeviceKind::Character, 6, major, minor);
        assert!(allowed(1, 3) && allowed(136, 9) && allowed(5, 2));
        assert!(!allowed(10, 200) && !allowed(1, 1));
        assert!(!oracle(&rules, DeviceKind::Block, 1, 8, 0));
    }

    #[test]
    fn rules_before_a_total_one_are_left_out() {
        let narrow = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(LinuxDeviceType::C)
            .major(10)
            .minor(229)
            .access("rw")
            .build()
            .unwrap();
        let all = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .build()
            .unwrap();
        let rules = effective(&[narrow, all]).unwrap();
        assert_eq!(rules.first(), Some(&DeviceRule::total(Verdict::Allow)));
        assert_eq!(rules.len(), 1 + ALWAYS_ALLOWED.len());
    }
}
