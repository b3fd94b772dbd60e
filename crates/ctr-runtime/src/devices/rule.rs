//! One device rule: what the specification says, and the form that cgroup v1 takes.

use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::error::{Result, RuntimeError};

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
    pub(super) const ALL: Self = Self(7);

    /// The bits as the kernel has them (`BPF_DEVCG_ACC_MKNOD`, `_READ`, `_WRITE`).
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// What is left of it without `other`.
    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[cfg(test)]
    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
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

    pub(super) fn total(verdict: Verdict) -> Self {
        Self {
            verdict,
            kind: None,
            major: None,
            minor: None,
            access: Access::ALL,
        }
    }

    pub(super) fn from_spec(rule: &LinuxDeviceCgroup) -> Result<Self> {
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

    /// Whether some device matches both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        fn agree<T: PartialEq + Copy>(one: Option<T>, other: Option<T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        agree(self.kind, other.kind)
            && agree(self.major, other.major)
            && agree(self.minor, other.minor)
    }

    /// Whether every device that matches `other` matches this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        fn includes<T: PartialEq + Copy>(one: Option<T>, other: Option<T>) -> bool {
            one.is_none() || one == other
        }
        includes(self.kind, other.kind)
            && includes(self.major, other.major)
            && includes(self.minor, other.minor)
    }

    /// The file of the v1 controller that takes this rule.
    pub(super) fn v1_file(&self) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
