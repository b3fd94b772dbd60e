//! What the kernel killed in a control group for want of memory.

use std::path::Path;

use super::{Cgroups, Version, children};
use crate::kernel_file;

impl Cgroups {
    /// How many processes of the group and of those below it the kernel has killed for want of memory, by whichever limit; `None` when no
    /// memory controller tells. What was killed in a group below that has been removed since counts only in version 2. There, a tree
    /// mounted with `memory_localevents` counts the group alone.
    pub fn oom_kills(&self, path: &str) -> Option<u64> {
        // Only the hierarchy with the memory controller has such a file, whichever version it is of.
        self.directories(path)
            .find_map(|(version, directory)| match version {
                Version::One => count_tree(&directory),
                Version::Two => count(&directory.join("memory.events")),
            })
    }
}

/// Version 1 counts a victim in its own group and nowhere above.
fn count_tree(directory: &Path) -> Option<u64> {
    let own = count(&directory.join("memory.oom_control"))?;
    // A group that goes away meanwhile tells nothing any more.
    let below = children(directory).unwrap_or_default();
    let below = below.iter().filter_map(|child| count_tree(child));
    Some(below.fold(own, u64::saturating_add))
}

fn count(file: &Path) -> Option<u64> {
    parse(&kernel_file::read_text(file).ok()?)
}

/// The same line in both versions' files. Linux before 4.13 does not have it.
fn parse(text: &str) -> Option<u64> {
    let count = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
    text.lines().find_map(count)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn kills_are_told_from_other_counts() {
        let events = "low 1\nhigh 2\nmax 30\noom 4\noom_kill 5\noom_group_kill 6\n";
        assert_eq!(parse(events), Some(5));
        let control = "oom_kill_disable 1\nunder_oom 2\noom_kill 3\n";
        assert_eq!(parse(control), Some(3));
        assert_eq!(parse("oom_kill 18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn what_is_not_told_is_not_zero() {
        for text in ["", "oom_kill_disable 0\nunder_oom 0\n", "oom_kill x\n"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
