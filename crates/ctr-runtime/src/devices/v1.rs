//! Device rules on cgroup v1: a default and a list of exceptions to it.
//!
//! The kernel's files take rules one by one, but a rule that agrees with the default only removes the exception for exactly the same
//! numbers: `deny c *:* w` does not take back `allow c 1:3 w`. So the list is worked out here, and what is written has no rule that
//! takes another back.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{DeviceRule, Verdict};
use crate::error::{Result, RuntimeError};

/// Writes the rules to the controller's files of the cgroup.
pub(super) fn enforce(path: &str, rules: &[DeviceRule]) -> Result<()> {
    let directory = v1_hierarchy()?.join(path.trim_start_matches('/'));
    for rule in normalise(rules)? {
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

/// The same rules as a total one, if there is any, and exceptions to it.
fn normalise(rules: &[DeviceRule]) -> Result<Vec<DeviceRule>> {
    let (total, rest) = match rules.split_first() {
        Some((first, rest)) if first.is_total() => (*first, rest),
        Some(_) | None => (DeviceRule::total(Verdict::Deny), rules),
    };
    let mut exceptions: Vec<DeviceRule> = Vec::new();
    for rule in rest {
        if rule.verdict != total.verdict {
            exceptions.push(*rule);
            continue;
        }
        for exception in &mut exceptions {
            take_back(exception, rule)?;
        }
        exceptions.retain(|exception| exception.access.bits() != 0);
    }
    exceptions.insert(0, total);
    Ok(exceptions)
}

/// Removes from `exception` what `rule` decides otherwise.
fn take_back(exception: &mut DeviceRule, rule: &DeviceRule) -> Result<()> {
    let common = exception
        .access
        .without(exception.access.without(rule.access));
    if common.bits() == 0 || !rule.meets(exception) {
        return Ok(());
    }
    if !rule.covers(exception) {
        return Err(RuntimeError::unsupported(format!(
            "the device rule \"{rule}\", which takes back a part of \"{exception}\", on cgroup v1"
        )));
    }
    exception.access = exception.access.without(rule.access);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::devices::DeviceKind;
    use crate::devices::tests::{any_rule, matches, oracle};

    fn check(rules: &[&str], expected: Option<&[&str]>) {
        let parsed: Vec<_> = rules
            .iter()
            .filter_map(|rule| DeviceRule::parse(rule))
            .collect();
        assert_eq!(parsed.len(), rules.len());
        let written = normalise(&parsed).ok();
        let written: Option<Vec<_>> = written.map(|rules| {
            rules
                .iter()
                .map(|it| format!("{} {it}", it.v1_file()))
                .collect()
        });
        let expected: Option<Vec<_>> =
            expected.map(|lines| lines.iter().map(|line| format!("devices.{line}")).collect());
        assert_eq!(written, expected, "{rules:?}");
    }

    #[test]
    fn rules_that_take_others_back_are_worked_in() {
        check(
            &["deny a", "allow c 1:3 rwm", "deny c 1:* w"],
            Some(&["deny a", "allow c 1:3 rm"]),
        );
        check(
            &["deny a", "allow c 1:3 r", "deny c *:* r", "allow c 1:3 w"],
            Some(&["deny a", "allow c 1:3 w"]),
        );
        check(
            &["allow a", "deny b 8:0 w", "allow b *:* w"],
            Some(&["allow a"]),
        );
        check(&["deny a", "allow c 1:* r", "deny c 1:3 r"], None);
        check(
            &["deny a", "allow c 1:* r", "deny b 1:3 r"],
            Some(&["deny a", "allow c 1:* r"]),
        );
    }

    /// What the kernel makes of the list: an exception that allows must name all that is asked for, one that denies any of it.
    fn kernel(list: &[DeviceRule], kind: DeviceKind, access: u32, major: u32, minor: u32) -> bool {
        let (total, exceptions) = list.split_first().unwrap();
        let mut matching = exceptions
            .iter()
            .filter(|rule| matches(rule, kind, major, minor));
        match total.verdict {
            Verdict::Deny => matching.any(|rule| access & !rule.access.bits() == 0),
            Verdict::Allow => !matching.any(|rule| access & rule.access.bits() != 0),
        }
    }

    proptest! {
        #[test]
        fn nothing_is_allowed_that_the_rules_deny(
            rules in proptest::collection::vec(any_rule(), 0..8),
            kind in prop_oneof![Just(DeviceKind::Block), Just(DeviceKind::Character)],
            access in 1_u32..8,
            major in 0_u32..4,
            minor in 0_u32..4,
        ) {
            let last = rules.iter().rposition(DeviceRule::is_total).unwrap_or(0);
            if let Ok(list) = normalise(&rules[last..]) {
                let allowed = kernel(&list, kind, access, major, minor);
                prop_assert!(!allowed || oracle(&rules, kind, access, major, minor));
            }
        }
    }
}
