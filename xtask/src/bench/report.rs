//! The result: a table for people, a document for programs, both in the form of the test program's bench.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::options::{Form, Work};
use super::stats::{Stats, millis};

/// Median of the first contender by that of the second.
const RATIOS: &[(Work, &str, &str)] = &[
    (Work::Exec, "ctr", "crun"),
    (Work::Exec, "ctr", "runc"),
    (Work::Exec, "ctr-crun", "crun"),
    (Work::Exec, "ctr-runc", "runc"),
    (Work::Exec, "podman", "ctr"),
    (Work::Exec, "docker", "ctr"),
    (Work::Cat, "ctr-stream", "crun"),
    (Work::Cat, "ctr-pass", "crun"),
    (Work::Cat, "podman", "ctr-stream"),
    (Work::Cat, "podman", "ctr-pass"),
    (Work::Cat, "docker", "ctr-stream"),
];

/// All times, by work and contender.
#[derive(Debug)]
pub(super) struct Report {
    rounds: usize,
    /// Bytes that were read at each piece of [`Work::Cat`].
    bytes: u64,
    times: BTreeMap<(Work, &'static str), Vec<Duration>>,
    /// Who does not take part, and why.
    absent: Vec<(&'static str, String)>,
    /// What the machine did beside: its load average before and after.
    load: [String; 2],
}

impl Report {
    pub(super) fn new(rounds: usize, bytes: u64, absent: Vec<(&'static str, String)>) -> Report {
        Report {
            rounds,
            bytes,
            times: BTreeMap::new(),
            absent,
            load: [load(), String::new()],
        }
    }

    pub(super) fn add(&mut self, work: Work, contender: &'static str, time: Duration) {
        self.times.entry((work, contender)).or_default().push(time);
    }

    fn stats(&self, work: Work, contender: &'static str) -> Option<Stats> {
        Stats::of(self.times.get(&(work, contender))?)
    }

    /// The ratios whose contenders both took part.
    fn ratios(&self) -> impl Iterator<Item = (String, f64)> {
        RATIOS.iter().filter_map(|(work, above, below)| {
            let ratio = self.stats(*work, above)?.median / self.stats(*work, below)?.median;
            Some((format!("{}: {above} / {below}", work.name()), ratio))
        })
    }

    /// GiB in a second, by contender.
    fn throughput(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let moved = self
            .times
            .iter()
            .filter(|((work, _), _)| *work == Work::Cat);
        moved.filter_map(|((_, contender), times)| {
            let seconds = Stats::of(times)?.median / 1e3;
            Some((*contender, self.gib() / seconds))
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "far below the 52 bits that are exact"
    )]
    fn gib(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 30)
    }

    pub(super) fn print(&mut self, form: Form) -> Result<()> {
        self.load[1] = load();
        match form {
            Form::Table => print!("{}", self.table()),
            Form::Json => println!("{}", serde_json::to_string_pretty(&self.document())?),
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut lines = vec![format!(
            "{:<10} {:<10} {:>9} {:>9} {:>9}",
            "ms", "", "median", "p90", "least"
        )];
        for ((work, contender), times) in &self.times {
            if let Some(stats) = Stats::of(times) {
                lines.push(format!(
                    "{:<10} {contender:<10} {:>9.2} {:>9.2} {:>9.2}",
                    work.name(),
                    stats.median,
                    stats.p90,
                    stats.least
                ));
            }
        }
        lines.push(String::new());
        for (name, ratio) in self.ratios() {
            lines.push(format!("{name:<26} {ratio:>8.2}"));
        }
        for (contender, speed) in self.throughput() {
            let name = format!("cat: {contender}");
            lines.push(format!("{name:<26} {speed:>8.2} GiB/s"));
        }
        for (name, why) in &self.absent {
            lines.push(format!("{name}: {why}"));
        }
        let [before, after] = &self.load;
        lines.push(format!(
            "{} rounds, cat of {} GiB, load average {before} before and {after} after",
            self.rounds,
            self.gib()
        ));
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
                    "work": work.name(), "contender": contender, "median_ms": stats.median,
                    "p90_ms": stats.p90, "least_ms": stats.least, "samples_ms": samples,
                }))
            })
            .collect();
        // No bounds are set for these: as in the test program's document, an empty one and no verdict.
        let ratios: Vec<Value> = self
            .ratios()
            .map(|(name, ratio)| json!({ "name": name, "ratio": ratio, "target": "", "met": null }))
            .collect();
        let throughput: Vec<Value> = self
            .throughput()
            .map(|(contender, speed)| json!({ "contender": contender, "gib_per_s": speed }))
            .collect();
        let absent: Vec<&str> = self.absent.iter().map(|(name, _)| *name).collect();
        json!({
            "rounds": self.rounds, "results": results, "ratios": ratios, "absent": absent,
            "throughput": throughput, "cat_bytes": self.bytes, "load_average": self.load,
        })
    }
}

/// The load average of the last minute, `proc_loadavg(5)`.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let absent = vec![("docker", "not installed".to_owned())];
        let mut report = Report::new(2, 1 << 29, absent);
        for (work, contender, ms) in [
            (Work::Exec, "ctr", [30, 34]),
            (Work::Exec, "crun", [8, 8]),
            (Work::Cat, "ctr-stream", [500, 500]),
            (Work::Cat, "crun", [250, 250]),
        ] {
            for ms in ms {
                report.add(work, contender, Duration::from_millis(ms));
            }
        }
        report
    }

    #[test]
    fn a_table_has_medians_ratios_and_throughput() {
        let table = report().table();
        for line in [
            "exec       ctr            32.00     34.00     30.00",
            "exec: ctr / crun               4.00",
            "cat: ctr-stream / crun         2.00",
            "cat: ctr-stream                1.00 GiB/s",
            "docker: not installed",
        ] {
            assert!(table.lines().any(|found| found == line), "{line}\n{table}");
        }
        assert!(table.contains("2 rounds, cat of 0.5 GiB, load average "));
        assert!(!table.contains("podman"));
    }

    #[test]
    fn a_document_has_all_samples() {
        let document = report().document();
        assert_eq!(document["ratios"][0]["ratio"], 4.0);
        assert_eq!(document["results"].as_array().unwrap().len(), 4);
        assert_eq!(document["results"][1]["samples_ms"], json!([30.0, 34.0]));
        assert_eq!(document["throughput"][0]["contender"], "crun");
        assert_eq!(document["throughput"][0]["gib_per_s"], 2.0);
    }
}
