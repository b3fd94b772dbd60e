//! What was found, as a table row and as a line of JSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::checker::{Verdict, check};
use super::history::{Answer, Call, Verb};
use super::options::RaceOptions;
use super::window::Window;
use crate::harness::runner::Counts;

/// A call that takes longer is counted.
const LONG: Duration = Duration::from_secs(30);

/// So many windows without an order are printed.
const SHOWN: usize = 3;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Whether the command is asked now, and not the library.
    pub(crate) commands: bool,
    by_library: usize,
    by_command: usize,
    windows: usize,
    illegal: usize,
    undecided: usize,
    wedged: usize,
    long: usize,
    longest: Duration,
    pub(crate) leaks: Vec<String>,
    /// How often each verb was done, and refused for whatever reason.
    answers: BTreeMap<&'static str, [usize; 2]>,
}

impl Findings {
    /// Takes a window in.
    pub(crate) fn judge(&mut self, seed: u64, window: &Window) {
        self.windows += 1;
        if self.commands {
            self.by_command += window.asked;
        } else {
            self.by_library += window.asked;
        }
        for call in &window.calls {
            self.count(call);
        }
        if !window.wedged.is_empty() {
            self.wedged += window.wedged.len();
            println!(
                "window {seed}: names that cannot be freed: {:?}",
                window.wedged
            );
        }
        match check(&window.calls) {
            Verdict::Legal => {}
            Verdict::Undecided => self.undecided += 1,
            Verdict::Illegal(lines) => {
                self.illegal += 1;
                if self.illegal <= SHOWN {
                    println!("window {seed}: no order explains\n  {}", lines.join("\n  "));
                }
            }
        }
    }

    fn count(&mut self, call: &Call) {
        let took = Duration::from_nanos(u64::try_from(call.to - call.from).unwrap_or(0));
        self.longest = self.longest.max(took);
        // The end of a run is waited for as long as it takes.
        if took > LONG && call.verb != Verb::Wait {
            self.long += 1;
        }
        let answers = self.answers.entry(call.verb.word()).or_default();
        let refused = matches!(
            call.answer,
            Answer::Refused(_) | Answer::InUse(_) | Answer::Gone | Answer::Other(_)
        );
        answers[usize::from(refused)] += 1;
    }

    /// Prints all of it; a failure is whatever should be 0 and is not.
    pub(crate) fn print(&self, options: &RaceOptions, time: Duration) -> Result<Counts> {
        for leak in &self.leaks {
            println!("left behind: {leak}");
        }
        let line = json!({
            "figure": "race",
            "operations": self.by_library + self.by_command,
            "by_library": self.by_library,
            "by_command": self.by_command,
            "processes": options.processes,
            "names": options.names,
            "seed": options.seed,
            "windows": self.windows,
            "illegal": self.illegal,
            "undecided": self.undecided,
            "wedged": self.wedged,
            "leaks": self.leaks.len(),
            "longer_than_30_s": self.long,
            "longest_ms": u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX),
            "seconds": time.as_secs(),
            "done_and_refused": self.answers,
        });
        println!(
            "| concurrency | {} operations, {} processes, {} names | {} illegal, {} undecided, {} wedged, {} leaks, {} longer than 30 s |",
            self.by_library + self.by_command,
            options.processes,
            options.names,
            self.illegal,
            self.undecided,
            self.wedged,
            self.leaks.len(),
            self.long
        );
        println!("{line}");
        if let Some(path) = &options.out {
            let file = File::options().create(true).append(true).open(path);
            let mut file = file.with_context(|| format!("open {}", path.display()))?;
            writeln!(file, "{line}").context("write the result")?;
        }
        let failed = self.illegal + self.undecided + self.wedged + self.long + self.leaks.len();
        Ok(Counts {
            passed: u64::try_from(self.windows.saturating_sub(self.illegal + self.undecided))?,
            failed: u64::try_from(failed)?,
            skipped: 0,
        })
    }
}
