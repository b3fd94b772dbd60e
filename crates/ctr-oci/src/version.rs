//! Which versions of the runtimes are known to be safe.
//!
//! An engine cannot make up for a runtime that is led astray by links in a root file system; it can say so. The minimums are the
//! releases that close all such holes known in mid 2026 (the newest: CVE-2026-41579 in runc, CVE-2026-115521 in crun). A
//! distribution may have patched an older version: the verdict is a reason to warn, not to refuse.

use std::cmp::Ordering;

/// What is known of a runtime's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At least the first safe version of its series.
    Ok,
    /// Older.
    Old {
        /// The first safe version to go to.
        minimum: &'static str,
    },
    /// A runtime without a known minimum, or a version that does not read as one.
    Unknown,
}

struct Minimum {
    runtime: &'static str,
    /// The first safe version of each maintained series, oldest first. A version below all of them is old, and so is one
    /// that is below the minimum of its own series.
    series: &'static [([u32; 3], &'static str)],
}

#[rustfmt::skip]
const MINIMUMS: [Minimum; 2] = [
    Minimum { runtime: "runc", series: &[([1, 3, 7], "1.3.7"), ([1, 4, 4], "1.4.4"), ([1, 5, 3], "1.5.3")] },
    Minimum { runtime: "crun", series: &[([1, 31, 0], "1.31")] },
];

/// Judges `version` (as the program prints it) of the runtime that calls itself `name`.
pub fn version_verdict(name: &str, version: &str) -> Verdict {
    let minimum = MINIMUMS.iter().find(|minimum| minimum.runtime == name);
    let (Some(minimum), Some(version)) = (minimum, Version::parse(version)) else {
        return Verdict::Unknown;
    };
    let same_series = |(safe, _): &&([u32; 3], _)| safe[..2] == version.numbers[..2];
    let newest_before = |(safe, _): &&([u32; 3], _)| safe[..2] < version.numbers[..2];
    if let Some((safe, text)) = minimum.series.iter().find(same_series) {
        return match version.compare(*safe) {
            Ordering::Less => Verdict::Old { minimum: text },
            Ordering::Equal | Ordering::Greater => Verdict::Ok,
        };
    }
    match (
        minimum.series.iter().rev().find(newest_before),
        minimum.series.first(),
    ) {
        (None, Some((_, text))) => Verdict::Old { minimum: text },
        (Some(_), _) | (None, None) => Verdict::Ok,
    }
}

struct Version {
    numbers: [u32; 3],
    /// A release candidate and the like comes before the release.
    before_release: bool,
}

impl Version {
    /// Two or three numbers, then nothing, `+build` (counts for nothing) or `-pre` / `~pre`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['+', '-', '~']).unwrap_or(text.len());
        let (plain, suffix) = text.split_at(end);
        let parts: Vec<u32> = plain
            .split('.')
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?;
        let numbers = match parts[..] {
            [major, minor] => [major, minor, 0],
            [major, minor, patch] => [major, minor, patch],
            _ => return None,
        };
        Some(Self {
            numbers,
            before_release: suffix.starts_with(['-', '~']),
        })
    }

    fn compare(&self, release: [u32; 3]) -> Ordering {
        let order = self.numbers.cmp(&release);
        if order == Ordering::Equal && self.before_release {
            return Ordering::Less;
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, version: &str, expected: Verdict) {
        assert_eq!(version_verdict(name, version), expected, "{name} {version}");
    }

    #[test]
    fn verdicts() {
        let old = |minimum| Verdict::Old { minimum };
        let table = [
            ("runc", "1.0.0-rc93", old("1.3.7")),
            ("runc", "1.1.5+ds1", old("1.3.7")),
            ("runc", "1.2.99", old("1.3.7")),
            ("runc", "1.3.6", old("1.3.7")),
            ("runc", "1.3.7-rc.1", old("1.3.7")),
            ("runc", "1.3.7~rc1", old("1.3.7")),
            ("runc", "1.3.7", Verdict::Ok),
            ("runc", "1.3.7+ds1", Verdict::Ok),
            ("runc", "v1.3.10", Verdict::Ok),
            ("runc", "1.4.0", old("1.4.4")),
            ("runc", "1.4.4", Verdict::Ok),
            ("runc", "1.5.2", old("1.5.3")),
            ("runc", "1.5.3-rc.1", old("1.5.3")),
            ("runc", "1.5.3", Verdict::Ok),
            ("runc", "1.6.0", Verdict::Ok),
            ("runc", "2.0.0", Verdict::Ok),
            ("crun", "0.17", old("1.31")),
            ("crun", "1.8.1", old("1.31")),
            ("crun", "1.30.9", old("1.31")),
            ("crun", "1.31", Verdict::Ok),
            ("crun", "1.31.1", Verdict::Ok),
            ("crun", "1.40", Verdict::Ok),
            ("youki", "0.7.0", Verdict::Unknown),
            ("builtin", "0.1.0", Verdict::Unknown),
            ("runc", "", Verdict::Unknown),
            ("runc", "1", Verdict::Unknown),
            ("runc", "1.3.7.1", Verdict::Unknown),
            ("runc", "unknown", Verdict::Unknown),
            ("runc", "1.3.99999999999", Verdict::Unknown),
            ("../runc", "1.3.7", Verdict::Unknown),
        ];
        for (name, version, expected) in table {
            check(name, version, expected);
        }
    }
}
