//! Which devices a container may use, and making it so.
//!
//! Rules come from `linux.resources.devices` of the specification; a list without any rule means that nothing is allowed. The devices
//! that every container has (`null`, `zero`, `full`, `random`, `urandom`, `tty`, the console and pseudoterminals) are allowed
//! after them. The library is never given the rules: on cgroup v1 it would allow more than they say (tun, and `mknod` of everything),
//! on cgroup v2 it would ignore them.
//!
//! Each kind of access is decided by the last rule that names it. One limit is the kernel's own: on cgroup v1 a rule with a wildcard
//! number does not undo an earlier exception for a single device.

use std::fmt;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_sys::{CgroupMode, Cgroups, SysError};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::error::{Result, RuntimeError};
use crate::{bpf, sys};

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

/// The kernel's device numbers have 12 and 20 bits, `makedev(3)`.
const LARGEST_NUMBER: i64 = (1 << 20) - 1;

/// A kind of device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceKind {
    Block,
    Character,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny,
}

/// A set of kinds of access, in the kernel's numbering: 1 `mknod`, 2 read, 4 write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access(u32);

/// One rule. `None` stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRule {
    pub(crate) verdict: Verdict,
    pub(crate) kind: Option<DeviceKind>,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) access: Access,
}

impl Access {
    const ALL: Self = Self(7);

    /// The bits as the kernel has them (`BPF_DEVCG_ACC_MKNOD`, `_READ`, `_WRITE`).
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bits = 0;
        for letter in text.chars() {
            bits |= match letter {
                'm' => 1,
                'r' => 2,
                'w' => 4,
                _ => return None,
            };
        }
        (bits != 0).then_some(Self(bits))
    }
}

impl DeviceRule {
    /// Whether it decides everything, so that no rule before it matters.
    pub(crate) fn is_total(&self) -> bool {
        self.kind.is_none()
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == Access::ALL
    }

    fn total(verdict: Verdict) -> Self {
        Self {
            verdict,
            kind: None,
            major: None,
            minor: None,
            access: Access::ALL,
        }
    }

    fn from_spec(rule: &LinuxDeviceCgroup) -> Result<Self> {
        let refuse = |why: &str| {
            let what = format!("linux.resources.devices: the rule \"{rule}\"");
            RuntimeError::invalid(what, why)
        };
        let verdict = if rule.allow() {
            Verdict::Allow
        } else {
            Verdict::Deny
        };
        let kind = match rule.typ().unwrap_or(LinuxDeviceType::A) {
            LinuxDeviceType::A => None,
            LinuxDeviceType::B => Some(DeviceKind::Block),
            LinuxDeviceType::C | LinuxDeviceType::U => Some(DeviceKind::Character),
            LinuxDeviceType::P => return Err(refuse("a FIFO is no device")),
        };
        let number = |number: Option<i64>| match number {
            None | Some(-1) => Ok(None),
            Some(value @ 0..=LARGEST_NUMBER) => Ok(u32::try_from(value).ok()),
            Some(_) => Err(refuse("no device has this number")),
        };
        let access = match rule.access().as_deref() {
            None | Some("") if kind.is_none() => Some(Access::ALL),
            text => Access::parse(text.unwrap_or_default()),
        };
        let parsed = Self {
            verdict,
            kind,
            major: number(rule.major())?,
            minor: number(rule.minor())?,
            access: access
                .ok_or_else(|| refuse("access must be some of the letters r, w and m"))?,
        };
        if kind.is_none() && !parsed.is_total() {
            // Cgroup v1 would take it for all devices and all access, whatever else it says.
            return Err(refuse(
                "a rule for all types cannot be narrowed by numbers or access",
            ));
        }
        Ok(parsed)
    }

    /// The file of the v1 controller that takes this rule.
    fn v1_file(&self) -> &'static str {
        match self.verdict {
            Verdict::Allow => "devices.allow",
            Verdict::Deny => "devices.deny",
        }
    }
}

/// The form of the v1 controller's files: `c 1:3 rwm`.
impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(kind) = self.kind else {
            return f.write_str("a");
        };
        f.write_str(match kind {
            DeviceKind::Block => "b ",
            DeviceKind::Character => "c ",
        })?;
        for (number, after) in [(self.major, ':'), (self.minor, ' ')] {
            match number {
                Some(number) => write!(f, "{number}{after}")?,
                None => write!(f, "*{after}")?,
            }
        }
        for (bit, letter) in [(2, "r"), (4, "w"), (1, "m")] {
            if self.access.0 & bit != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

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
        CgroupMode::Legacy | CgroupMode::Hybrid => enforce_v1(path, rules),
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

fn enforce_v1(path: &str, rules: &[DeviceRule]) -> Result<()> {
    let directory = v1_hierarchy()?.join(path.trim_start_matches('/'));
    for rule in rules {
        let file = directory.join(rule.v1_file());
        let written = std::fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|mut open| open.write_all(rule.to_string().as_bytes()));
        written.map_err(RuntimeError::at("write a device rule to", &file))?;
    }
    Ok(())
}

/// Where the v1 devices controller is mounted.
fn v1_hierarchy() -> Result<PathBuf> {
    let table = Path::new("/proc/self/mountinfo");
    let text = std::fs::read_to_string(table).map_err(RuntimeError::at("read", table))?;
    ctr_sys::parse_mountinfo(&text)
        .into_iter()
        .find(|entry| entry.fs_type == "cgroup" && entry.mount_point.ends_with("devices"))
        .map(|entry| entry.mount_point)
        .ok_or_else(|| {
            RuntimeError::unsupported("enforcing device rules without the v1 devices controller")
        })
}

#[cfg(test)]
pub(crate) mod tests {
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;
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
                access: Access(access),
            },
        );
        prop_oneof![8 => narrow, 1 => verdict.prop_map(DeviceRule::total)]
    }

    /// The definition: every bit of the request is decided by the last rule that matches the device and has the bit.
    pub(crate) fn oracle(
        rules: &[DeviceRule],
        kind: DeviceKind,
        access: u32,
        major: u32,
        minor: u32,
    ) -> bool {
        let matches = |rule: &&DeviceRule| {
            rule.kind.is_none_or(|own| own == kind)
                && rule.major.is_none_or(|own| own == major)
                && rule.minor.is_none_or(|own| own == minor)
        };
        [1, 2, 4]
            .into_iter()
            .filter(|bit| access & bit != 0)
            .all(|bit| {
                rules
                    .iter()
                    .filter(matches)
                    .rfind(|rule| rule.access.0 & bit != 0)
                    .is_some_and(|rule| rule.verdict == Verdict::Allow)
            })
    }

    fn spec_rule(json: &str) -> LinuxDeviceCgroup {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn rules_of_the_specification_are_read_or_refused() {
        let table = [
            (r#"{"allow":false,"access":"rwm"}"#, Some("a")),
            (r#"{"allow":false}"#, Some("a")),
            (
                r#"{"allow":true,"type":"a","major":-1,"minor":-1,"access":"rwm"}"#,
                Some("a"),
            ),
            (
                r#"{"allow":true,"type":"c","major":1,"minor":3,"access":"mrw"}"#,
                Some("c 1:3 rwm"),
            ),
            (
                r#"{"allow":true,"type":"u","major":10,"access":"r"}"#,
                Some("c 10:* r"),
            ),
            (r#"{"allow":true,"type":"b","access":"m"}"#, Some("b *:* m")),
            (r#"{"allow":true,"type":"p","access":"m"}"#, None),
            (r#"{"allow":true,"type":"c","major":-2,"access":"m"}"#, None),
            (
                r#"{"allow":true,"type":"c","major":4294967296,"access":"m"}"#,
                None,
            ),
            (r#"{"allow":true,"type":"c","major":1}"#, None),
            (r#"{"allow":true,"type":"c","major":1,"access":"rx"}"#, None),
            (
                r#"{"allow":true,"type":"a","major":1,"access":"rwm"}"#,
                None,
            ),
            (r#"{"allow":false,"access":"w"}"#, None),
        ];
        for (json, expected) in table {
            let rule = DeviceRule::from_spec(&spec_rule(json));
            assert_eq!(
                rule.ok().map(|rule| rule.to_string()).as_deref(),
                expected,
                "{json}"
            );
        }
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
