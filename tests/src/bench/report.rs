//! The result: a table for people, a document for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::stats::{Stats, millis};

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Table,
    Json,
}

/// What a ratio is to be.
#[derive(Clone, Copy, Debug)]
enum Target {
    None,
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn met(self, ratio: f64) -> Option<bool> {
        match self {
            Target::None => None,
            Target::AtMost(bound) => Some(ratio <= bound),
            Target::AtLeast(bound) => Some(ratio >= bound),
        }
    }

    fn words(self) -> String {
        match self {
            Target::None => String::new(),
            Target::AtMost(bound) => format!("at most {bound}"),
            Target::AtLeast(bound) => format!("at least {bound}"),
        }
    }
}

/// Median of the first contender by that of the second.
const RATIOS: &[(&str, &str, &str, Target)] = &[
    ("run", "ctr", "crun", Target::AtMost(3.0)),
    ("run", "ctr", "runc", Target::None),
    ("run", "ctr-crun", "crun", Target::None),
    ("run", "ctr-runc", "runc", Target::None),
    ("run", "podman", "ctr", Target::None),
    ("run-layer", "podman", "ctr", Target::None),
    ("create", "podman", "ctr", Target::None),
    ("ps", "podman", "ctr", Target::AtLeast(8.0)),
    ("inspect", "podman", "ctr", Target::AtLeast(8.0)),
];

/// All times, by work and contender.
#[derive(Debug)]
pub(super) struct Report {
    rounds: usize,
    times: BTreeMap<(&'static str, &'static str), Vec<Duration>>,
    /// Contenders that are not installed.
    pub(super) absent: Vec<&'static str>,
}

impl Report {
    pub(super) fn new(rounds: usize) -> Report {
        Report {
            rounds,
            times: BTreeMap::new(),
            absent: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, work: &'static str, contender: &'static str, time: Duration) {
        self.times.entry((work, contender)).or_default().push(time);
    }

    fn stats(&self, work: &'static str, contender: &'static str) -> Option<Stats> {
        Stats::of(self.times.get(&(work, contender))?)
    }

    /// The ratios whose contenders both took part.
    fn ratios(&self) -> impl Iterator<Item = (String, f64, Target)> {
        RATIOS.iter().filter_map(|(work, above, below, target)| {
            let above_ms = self.stats(work, above)?.median;
            let ratio = above_ms / self.stats(work, below)?.median;
            Some((format!("{work}: {above} / {below}"), ratio, *target))
        })
    }

    pub(super) fn print(&self, form: Form) -> Result<()> {
        match form {
            Form::Table => print!("{}", self.table()),
            Form::Json => println!("{}", serde_json::to_string_pretty(&self.document())?),
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut lines = vec![format!(
            "{:<10} {:<9} {:>9} {:>9} {:>9}",
            "ms", "", "median", "p90", "least"
        )];
        for ((work, contender), times) in &self.times {
            if let Some(stats) = Stats::of(times) {
                lines.push(format!(
                    "{work:<10} {contender:<9} {:>9.2} {:>9.2} {:>9.2}",
                    stats.median, stats.p90, stats.least
                ));
            }
        }
        lines.push(String::new());
        for (name, ratio, target) in self.ratios() {
            let verdict = match target.met(ratio) {
                None => String::new(),
                Some(true) => format!("  ({}: met)", target.words()),
                Some(false) => format!("  ({}: MISSED)", target.words()),
            };
            lines.push(format!("{name:<26} {ratio:>8.2}{verdict}"));
        }
        for name in &self.absent {
            lines.push(format!("{name}: not installed"));
        }
        lines.push(format!("{} rounds", self.rounds));
        lines.join("\n") + "\n"
    }

    fn document(&self) -> Value {
        let results: Vec<Value> = self
            .times
            .iter()
            .filter_map(|((work, contender), times)| {
                let stats = Stats::of(times)?;
                let samples: Vec<f64> = times.iter().map(|time| millis(*time)).collect();
                Some(json!({
                    "work": work, "contender": contender, "median_ms": stats.median,
                    "p90_ms": stats.p90, "least_ms": stats.least, "samples_ms": samples,
                }))
            })
            .collect();
        let ratios: Vec<Value> = self
            .ratios()
            .map(|(name, ratio, target)| {
                json!({ "name": name, "ratio": ratio, "target": target.words(), "met": target.met(ratio) })
            })
            .collect();
        json!({ "rounds": self.rounds, "results": results, "ratios": ratios, "absent": self.absent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(2);
        for (work, contender, ms) in [
            ("run", "ctr", [30, 34]),
            ("run", "crun", [8, 8]),
            ("ps", "ctr", [5, 5]),
            ("ps", "podman", [50, 60]),
        ] {
            for ms in ms {
                report.add(work, contender, Duration::from_millis(ms));
            }
        }
        report.absent.push("runc");
        report
    }

    #[test]
    fn a_table_has_medians_ratios_and_verdicts() {
        let table = report().table();
        for line in [
            "run        ctr           32.00     34.00     30.00",
            "run: ctr / crun                4.00  (at most 3: MISSED)",
            "ps: podman / ctr              11.00  (at least 8: met)",
            "runc: not installed",
            "2 rounds",
        ] {
            assert!(table.lines().any(|found| found == line), "{line}\n{table}");
        }
        assert!(!table.contains("inspect"));
    }

    #[test]
    fn a_document_has_all_samples() {
        let document = report().document();
        assert_eq!(document["rounds"], 2);
        assert_eq!(document["ratios"][0]["ratio"], 4.0);
        assert_eq!(document["ratios"][0]["met"], false);
        assert_eq!(document["results"].as_array().unwrap().len(), 4);
        assert_eq!(document["results"][3]["samples_ms"], json!([30.0, 34.0]));
    }
}
