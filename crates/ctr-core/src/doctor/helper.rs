//! The process that looks, and the one that listens to it.
//!
//! The helper tells before each step what it is about to do, as a line of JSON in a pipe. If nothing follows for too long it is killed;
//! one that cannot be killed (it waits for a disk) is left behind, and goes when the disk does.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_sys::{Child, Deadline, Signal, SysError, fork_helper, wait_readable};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use super::finding::{Checked, Finding, FindingKind, Report, Severity, Subject};
use super::look::Examiner;
use super::{LIMIT, LOOKS, SETTLE, STEP};
use crate::engine::EngineConfig;
use crate::error::EngineError;

/// What is left of the time for the caller itself.
const RESERVE: Duration = Duration::from_millis(250);
/// How long a helper that was killed may take to go, before it is left to itself.
const GONE: Duration = Duration::from_millis(50);
const CHUNK: usize = 16 * 1024;

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// It begins a step. If it does not come to an end, that is the finding.
    Step { name: String, stuck: Box<Finding> },
    /// A look is over, and this is what has been found in all looks.
    Look {
        number: u32,
        checked: Checked,
        findings: Vec<Finding>,
    },
    /// That was all.
    Done,
}

/// Where the helper says it.
pub(super) struct Teller<'a> {
    pipe: BorrowedFd<'a>,
    skip: &'a BTreeSet<String>,
}

impl Teller<'_> {
    /// Announces a step; false when it is to be left out.
    pub(super) fn step(&self, name: &str, stuck: Finding) -> bool {
        if self.skip.contains(name) {
            return false;
        }
        self.tell(&Message::Step {
            name: name.to_owned(),
            stuck: Box::new(stuck),
        });
        true
    }

    fn tell(&self, message: &Message) {
        let mut line = serde_json::to_vec(message).unwrap_or_default();
        line.push(b'\n');
        let mut rest = &line[..];
        while !rest.is_empty() {
            match rustix::io::write(self.pipe, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                // Nobody listens any more.
                Err(_) => return,
            }
        }
    }
}

/// How a helper ended.
enum End {
    /// It has said all.
    Done,
    /// A step did not come to an end, or was the helper's.
    Stuck { name: String, finding: Box<Finding> },
    /// The time is up.
    TimeUp,
}

/// What is known so far.
#[derive(Default)]
struct Known {
    skip: BTreeSet<String>,
    stuck: Vec<Finding>,
    looks: u32,
    checked: Checked,
    findings: Vec<Finding>,
}

pub(super) fn examine(config: &EngineConfig) -> Result<Report, EngineError> {
    let begin = Instant::now();
    let deadline = Deadline::after(LIMIT.saturating_sub(RESERVE));
    let mut known = Known::default();
    loop {
        match Helper::start(config, &known.skip, deadline)?.follow(&mut known, deadline)? {
            End::Done => break,
            End::Stuck { name, finding } if known.skip.insert(name.clone()) => {
                known.stuck.push(*finding);
            }
            // What stops every helper, though it is to be left out, is not tried for ever.
            End::Stuck { .. } | End::TimeUp => {
                let why = "not everything could be looked at within three seconds";
                let finding = Finding::new(FindingKind::NotExamined, Subject::default(), why);
                known.stuck.push(finding);
                break;
            }
        }
    }
    Ok(known.into_report(begin))
}

impl Known {
    fn into_report(mut self, begin: Instant) -> Report {
        let complete = self.stuck.is_empty();
        self.findings.append(&mut self.stuck);
        self.findings.sort_by(|one, other| {
            let key = |finding: &Finding| {
                let order = finding.severity == Severity::Note;
                (order, finding.subject.clone(), finding.kind)
            };
            key(one).cmp(&key(other))
        });
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Report {
            findings: self.findings,
            checked: self.checked,
            looks: self.looks,
            took_ms: millis(begin.elapsed()),
            limit_ms: millis(LIMIT),
            complete,
        }
    }
}

struct Helper {
    child: Child,
    pipe: OwnedFd,
}

impl Helper {
    fn start(
        config: &EngineConfig,
        skip: &BTreeSet<String>,
        deadline: Deadline,
    ) -> Result<Self, EngineError> {
        let failed = |errno: Errno| SysError::new("make", "a pipe", errno.into());
        let (pipe, write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        let child = fork_helper(&[write.as_fd()], || {
            let teller = Teller {
                pipe: write.as_fd(),
                skip,
            };
            look_until_sure(&mut Examiner::new(config, &teller), &teller, deadline);
            0
        })?;
        Ok(Self { child, pipe })
    }

    /// Listens until it is done, stuck, or the time is up. It is gone afterwards, or left behind.
    fn follow(self, known: &mut Known, deadline: Deadline) -> Result<End, EngineError> {
        let mut text = Vec::new();
        let mut at = None;
        let end = loop {
            let patience = Deadline::after(STEP).min(deadline);
            if !wait_readable(self.pipe.as_fd(), patience)? {
                if deadline.expired() {
                    break End::TimeUp;
                }
                break stuck(
                    at,
                    "looking at this did not come to an end and was given up",
                );
            }
            text.reserve(CHUNK);
            match rustix::io::read(&self.pipe, spare_capacity(&mut text)) {
                Ok(0) => break stuck(at, "the process that looked at this was killed"),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(SysError::new("read", "a pipe", errno.into()).into());
                }
            }
            if take_lines(&mut text, known, &mut at) {
                break End::Done;
            }
        };
        self.child.kill(Signal::KILL)?;
        self.child.wait_deadline(Deadline::after(GONE))?;
        Ok(end)
    }
}

fn stuck(at: Option<(String, Box<Finding>)>, why: &str) -> End {
    match at {
        Some((name, mut finding)) => {
            if finding.explanation.is_empty() {
                why.clone_into(&mut finding.explanation);
            }
            End::Stuck { name, finding }
        }
        None => End::TimeUp,
    }
}

/// Takes whole lines off the text; true when the last one said that all is said.
fn take_lines(
    text: &mut Vec<u8>,
    known: &mut Known,
    at: &mut Option<(String, Box<Finding>)>,
) -> bool {
    while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = text.drain(..=end).collect();
        match serde_json::from_slice(&line) {
            Ok(Message::Step { name, stuck }) => *at = Some((name, stuck)),
            Ok(Message::Look {
                number,
                checked,
                findings,
            }) => {
                known.looks = number;
                known.checked = checked;
                known.findings = findings;
            }
            Ok(Message::Done) => return true,
            Err(_) => {}
        }
    }
    false
}

/// In the helper: looks until nothing is left that may be a moment between two steps of a command.
fn look_until_sure(examiner: &mut Examiner<'_>, teller: &Teller<'_>, deadline: Deadline) {
    let mut seen: Option<Vec<Candidate>> = None;
    for number in 1..=LOOKS {
        let begin = Instant::now();
        let found = examiner.look();
        let sure = match seen.take() {
            None => found,
            Some(before) => seen_again(&before, found),
        };
        teller.tell(&Message::Look {
            number,
            checked: examiner.checked(),
            findings: sure.iter().map(|found| found.finding.clone()).collect(),
        });
        let next = begin.elapsed() * 2 + SETTLE;
        if sure.is_empty() || deadline.remaining().is_some_and(|left| left < next) {
            break;
        }
        seen = Some(sure);
        if number < LOOKS {
            // Nothing announces all that a command may do; what it is about to do takes much less than this.
            ctr_sys::poll(&mut [], Deadline::after(SETTLE)).ok();
        }
    }
    teller.tell(&Message::Done);
}

/// A finding, and what was recorded when it was made.
pub(super) struct Candidate {
    pub(super) finding: Finding,
    /// Of what is recorded, in any form: one that changes means that somebody is at work.
    pub(super) witness: String,
}

/// What was found before is found again, with the same recorded.
fn seen_again(before: &[Candidate], now: Vec<Candidate>) -> Vec<Candidate> {
    let again = |found: &Candidate| {
        before
            .iter()
            .any(|old| old.finding.is_same_as(&found.finding) && old.witness == found.witness)
    };
    now.into_iter().filter(|found| again(found)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(kind: FindingKind, witness: &str) -> Candidate {
        Candidate {
            finding: Finding::new(kind, Subject::default(), "x"),
            witness: witness.to_owned(),
        }
    }

    #[test]
    fn only_what_stands_still_counts() {
        let lost = FindingKind::MonitorLost;
        let before = [candidate(lost, "1"), candidate(FindingKind::EndUnseen, "1")];
        let check = |now, expected| assert_eq!(seen_again(&before, vec![now]).len(), expected);
        check(candidate(lost, "1"), 1);
        check(candidate(lost, "2"), 0);
        check(candidate(FindingKind::ExitNotTaken, "1"), 0);
    }

    #[test]
    fn lines_come_in_parts() {
        let (mut known, mut at) = (Known::default(), None);
        let finding = Finding::new(FindingKind::NotExamined, Subject::default(), "");
        let step = Message::Step {
            name: "x".to_owned(),
            stuck: Box::new(finding),
        };
        let mut line = serde_json::to_vec(&step).unwrap();
        line.push(b'\n');
        let mut text = line[..9].to_vec();
        assert!(!take_lines(&mut text, &mut known, &mut at));
        assert!(at.is_none());
        text.extend(&line[9..]);
        text.extend(b"\"Done\"\n");
        assert!(take_lines(&mut text, &mut known, &mut at));
        assert_eq!(at.unwrap().0, "x");
    }
}
