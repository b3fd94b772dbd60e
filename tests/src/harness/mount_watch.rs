//! Watches the mount table for a whole round: the engine promises never to change it, not even for a moment.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::machine::mounts;

/// The thread that watches.
pub(crate) struct MountWatch {
    stop: OwnedFd,
    thread: JoinHandle<Result<Seen>>,
}

/// What the thread saw.
#[derive(Debug, Default)]
struct Seen {
    changes: usize,
    /// Lines that were new when somebody looked; a short mount may have been gone by then.
    lines: BTreeSet<String>,
}

impl MountWatch {
    /// Begins to watch.
    pub(crate) fn start() -> Result<MountWatch> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC).context("make an eventfd")?;
        let told = stop.try_clone().context("copy an eventfd")?;
        let table = File::open("/proc/self/mountinfo").context("open the mount table")?;
        let before = lines()?;
        let thread = std::thread::spawn(move || watch(&table, &told, &before));
        Ok(MountWatch { stop, thread })
    }

    /// Ends the watch; fails when the table has changed.
    pub(crate) fn finish(self) -> Result<()> {
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).context("stop the watch")?;
        let seen = self
            .thread
            .join()
            .map_err(|_| anyhow!("the watch of the mount table panicked"))??;
        if seen.changes > 0 {
            bail!(
                "the mount table changed {} times; of the new mounts these were seen: {:#?}",
                seen.changes,
                seen.lines
            );
        }
        Ok(())
    }
}

fn lines() -> Result<BTreeSet<String>> {
    Ok(mounts()?.into_iter().map(|mount| mount.line).collect())
}

/// The kernel announces a change of the table as an exceptional condition of the open file, see proc(5).
fn watch(table: &File, stop: &OwnedFd, before: &BTreeSet<String>) -> Result<Seen> {
    let mut seen = Seen::default();
    loop {
        let mut fds = [
            PollFd::new(table, PollFlags::PRI),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error).context("watch the mount table"),
        }
        if fds[0].revents().intersects(PollFlags::PRI | PollFlags::ERR) {
            seen.changes += 1;
            seen.lines.extend(lines()?.difference(before).cloned());
        }
        if fds[1].revents().contains(PollFlags::IN) {
            return Ok(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_ends_when_told() {
        // Other programs of this machine may mount at any time: only the end is looked at.
        MountWatch::start().unwrap().finish().ok();
    }
}
