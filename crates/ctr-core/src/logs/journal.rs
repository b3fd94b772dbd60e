//! A log in the journal of the host, read with the journal's own program.
//!
//! The program is run once for what is there. To follow, it is run again from where that ended, and once more after the end of the
//! container, so that nothing is missed that the journal was slow to take in.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_state::ContainerId;
use ctr_sys::{Child, Deadline, Launch, Stdio, SysError, wait_readable};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::export::{Entries, Entry};
use super::file::Extent;
use super::record::Period;
use super::{LogItem, Partial};
use crate::error::EngineError;

/// Where the program is looked for.
const PROGRAMS: [&str; 2] = ["/usr/bin/journalctl", "/bin/journalctl"];

#[derive(Debug)]
pub(super) struct JournalReader {
    program: PathBuf,
    /// The only entries that are read.
    field: String,
    extent: Extent,
    period: Period,
    phase: Phase,
    run: Option<Run>,
    /// The last entry that was seen.
    cursor: Option<String>,
    /// While the end of what is there is looked for.
    tail: Option<Tail>,
    ready: VecDeque<LogItem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What is there.
    Present,
    /// What comes.
    Coming,
    /// What came since.
    Rest,
    Done,
}

/// The program while it runs.
#[derive(Debug)]
struct Run {
    child: Child,
    output: OwnedFd,
    entries: Entries,
}

#[derive(Debug)]
struct Tail {
    wanted: usize,
    lines: usize,
    items: VecDeque<LogItem>,
}

impl JournalReader {
    pub(super) fn open(
        id: &ContainerId,
        extent: Extent,
        period: Period,
        tail: Option<usize>,
    ) -> Result<Self, EngineError> {
        let program = PROGRAMS.iter().map(Path::new).find(|path| path.exists());
        let program = program.ok_or_else(|| {
            let why = "journalctl is not installed, and only it can read the host's journal";
            EngineError::invalid("log driver", &"journald", why)
        })?;
        Self::with_program(program, id, extent, period, tail)
    }

    fn with_program(
        program: &Path,
        id: &ContainerId,
        extent: Extent,
        period: Period,
        tail: Option<usize>,
    ) -> Result<Self, EngineError> {
        let mut reader = Self {
            program: program.to_owned(),
            field: format!("CONTAINER_ID_FULL={id}"),
            extent,
            period,
            phase: Phase::Present,
            run: None,
            cursor: None,
            tail: tail.map(|wanted| Tail {
                wanted,
                lines: 0,
                items: VecDeque::new(),
            }),
            ready: VecDeque::new(),
        };
        reader.begin(Phase::Present, &[])?;
        Ok(reader)
    }

    /// The next record; `None` when there is none (yet).
    pub(super) fn next(&mut self) -> Result<Option<LogItem>, EngineError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let Some(run) = &mut self.run else {
                return Ok(None);
            };
            if let Some(entry) = run.entries.next() {
                self.take(entry);
                continue;
            }
            match run.read() {
                Ok(0) => self.end_of_run()?,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.phase == Phase::Coming => return Ok(None),
                Err(Errno::AGAIN) => {
                    wait_readable(run.output.as_fd(), Deadline::never())?;
                }
                Err(errno) => {
                    return Err(SysError::new("read", "the host's journal", errno.into()).into());
                }
            }
        }
    }

    fn take(&mut self, mut entry: Entry) {
        if let Some(cursor) = entry.cursor.take() {
            self.cursor = Some(cursor);
        }
        let Some(item) = entry.into_item(self.period) else {
            return;
        };
        match &mut self.tail {
            Some(tail) => tail.push(item),
            None => self.ready.push_back(item),
        }
    }

    /// The program has ended.
    fn end_of_run(&mut self) -> Result<(), EngineError> {
        let Some(run) = self.run.take() else {
            return Ok(());
        };
        let status = run.child.wait()?;
        if !status.success() {
            let why = format!("it ended with {}", status.code());
            let program = self.program.display().to_string();
            return Err(SysError::invalid("read the journal with", program, &why).into());
        }
        if let Some(tail) = self.tail.take() {
            self.ready = tail.items;
        }
        if (self.phase, self.extent) == (Phase::Present, Extent::Growing) {
            return self.begin(Phase::Coming, &["--follow", "--lines=all"]);
        }
        self.phase = Phase::Done;
        Ok(())
    }

    /// No more is waited for: what has come since is the rest.
    pub(super) fn end(&mut self) -> Result<(), EngineError> {
        match self.phase {
            Phase::Coming => {
                if let Some(run) = self.run.take() {
                    run.child.kill_and_wait()?;
                }
                self.synchronise();
                self.begin(Phase::Rest, &[])
            }
            Phase::Present => {
                self.extent = Extent::Present;
                Ok(())
            }
            Phase::Rest | Phase::Done => Ok(()),
        }
    }

    /// Has the journal write what it has received. One that cannot is read as it is.
    fn synchronise(&self) {
        let sync = Launch::program(&self.program).arg("--sync").spawn();
        if let Ok(child) = sync {
            child.wait().ok();
        }
    }

    /// What becomes readable when something has come.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.run.as_ref().map(|run| run.output.as_fd())
    }

    fn begin(&mut self, phase: Phase, args: &[&str]) -> Result<(), EngineError> {
        let flags = PipeFlags::CLOEXEC;
        let (read, write) = rustix::pipe::pipe_with(flags)
            .map_err(|errno| SysError::new("open", "a pipe", errno.into()))?;
        rustix::io::ioctl_fionbio(&read, true)
            .map_err(|errno| SysError::new("set up", "a pipe", errno.into()))?;
        let mut launch = Launch::program(&self.program)
            .args(["--output=export", "--no-pager", "--quiet"])
            .args(args)
            .stdout(Stdio::Fd(write))
            .die_with_parent();
        if let Some(cursor) = &self.cursor {
            launch = launch.arg(format!("--after-cursor={cursor}"));
        }
        let child = launch.arg(&self.field).spawn()?;
        self.phase = phase;
        self.run = Some(Run {
            child,
            output: read,
            entries: Entries::default(),
        });
        Ok(())
    }
}

impl Run {
    fn read(&mut self) -> Result<usize, Errno> {
        let mut buffer = vec![0; 64 * 1024];
        let count = rustix::io::read(&self.output, &mut buffer)?;
        self.entries.push(&buffer[..count]);
        Ok(count)
    }
}

impl Drop for JournalReader {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            // Nobody wants to know any more.
            run.child.kill_and_wait().ok();
        }
    }
}

impl Tail {
    fn push(&mut self, item: LogItem) {
        self.lines += ends_line(&item);
        self.items.push_back(item);
        while self.lines > self.wanted || self.wanted == 0 && !self.items.is_empty() {
            self.lines -= self.items.pop_front().as_ref().map_or(0, ends_line);
        }
    }
}

fn ends_line(item: &LogItem) -> usize {
    match item {
        LogItem::Line(line) => usize::from(line.partial == Partial::Full),
        LogItem::Gap(_) | LogItem::Missed(_) => 0,
    }
}

#[cfg(test)]
mod tests;
