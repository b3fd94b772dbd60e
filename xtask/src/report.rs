//! The steps of `cargo xtask test`: each announced, timed, and counted.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;

use crate::Verdict;

/// How many checks a step stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those that passed.
    pub(crate) passed: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// Those that this machine cannot run; always 0 in CI.
    pub(crate) skipped: u64,
}

impl Counts {
    /// Adds another step's counts.
    pub(crate) fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Reads the line `N passed, M failed` or `N passed, M failed, K skipped`.
    pub(crate) fn parse(line: &str) -> Option<Counts> {
        let mut counts = Counts::default();
        let mut parts = line.split(", ");
        counts.passed = number(parts.next()?, " passed")?;
        counts.failed = number(parts.next()?, " failed")?;
        if let Some(part) = parts.next() {
            counts.skipped = number(part, " skipped")?;
        }
        parts.next().is_none().then_some(counts)
    }
}

fn number(part: &str, unit: &str) -> Option<u64> {
    part.strip_suffix(unit)?.parse().ok()
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    counts: Counts,
    failed: Vec<String>,
}

impl Report {
    /// Runs one step, prints how it went and how long it took, and counts it beside the checks that it made.
    /// A failed step is remembered; the next ones run all the same.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Counts>) -> Verdict {
        println!("==> {name}");
        flush();
        let begin = Instant::now();
        let result = run();
        let seconds = begin.elapsed().as_secs_f64();
        let verdict = match result {
            Ok(counts) => {
                self.counts.add(counts);
                if counts.failed == 0 {
                    self.counts.passed += 1;
                    println!("<== {name}: ok, {seconds:.1} s");
                    Verdict::Passed
                } else {
                    println!("<== {name}: FAILED ({counts}), {seconds:.1} s");
                    Verdict::Failed
                }
            }
            Err(error) => {
                self.counts.failed += 1;
                println!("<== {name}: FAILED: {error:#}, {seconds:.1} s");
                Verdict::Failed
            }
        };
        if verdict == Verdict::Failed {
            self.failed.push(name.to_owned());
        }
        flush();
        verdict
    }

    /// Notes a step that could not be tried because the one that it needs failed; it counts as failed.
    pub(crate) fn hidden(&mut self, name: &str, behind: &str) {
        println!("<== {name}: FAILED: not tried, {behind} failed");
        self.counts.failed += 1;
        self.failed.push(name.to_owned());
    }

    /// Prints the failed steps, then the plain line of counts that ends the output.
    pub(crate) fn finish(self) -> Verdict {
        if !self.failed.is_empty() {
            println!("failed: {}", self.failed.join("; "));
        }
        println!("{}", self.counts);
        flush();
        if self.counts.failed == 0 {
            Verdict::Passed
        } else {
            Verdict::Failed
        }
    }
}

/// Keeps our lines and those of the children in order; a reader who went away is noticed by the next print.
fn flush() {
    std::io::stdout().flush().ok();
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_line_of_counts_reads_back() {
        for (passed, failed, skipped) in [(0, 0, 0), (12, 0, 0), (3, 1, 2)] {
            let counts = Counts {
                passed,
                failed,
                skipped,
            };
            assert_eq!(Counts::parse(&counts.to_string()), Some(counts));
        }
        for bad in [
            "",
            "passed",
            "1 passed",
            "x passed, 0 failed",
            "1 passed, 0 failed, 2 lost",
        ] {
            assert_eq!(Counts::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_step_counts_itself_and_its_checks() {
        let mut report = Report::default();
        let ten = Counts {
            passed: 10,
            ..Counts::default()
        };
        assert_eq!(report.step("good", || Ok(ten)), Verdict::Passed);
        assert_eq!(report.step("bad", || bail!("why")), Verdict::Failed);
        report.hidden("behind", "bad");
        assert_eq!(report.counts.to_string(), "11 passed, 2 failed");
        assert_eq!(report.finish(), Verdict::Failed);
    }
}
