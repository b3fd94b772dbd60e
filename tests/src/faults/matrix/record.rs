//! What became of each point: lines of JSON, and the table at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// How it went after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Everything was put right.
    Ok,
    /// The process never came to that call: it makes fewer calls in this run.
    Missed,
    /// Something stays on the machine.
    Residue,
    /// A command hangs or fails, or the name cannot be used again.
    Wedged,
    /// A status or an exit code is not true.
    Wrong,
    /// A process of ours panicked, aborted or crashed.
    Panic,
    /// A command says that it was successful, and its work is not done.
    FalseSuccess,
    /// A command failed without a line that says what failed.
    Silent,
}

impl Outcome {
    const ALL: [Outcome; 8] = [
        Outcome::Ok,
        Outcome::Missed,
        Outcome::Residue,
        Outcome::Wedged,
        Outcome::Wrong,
        Outcome::Panic,
        Outcome::FalseSuccess,
        Outcome::Silent,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Missed => "missed",
            Outcome::Residue => "residue",
            Outcome::Wedged => "wedged",
            Outcome::Wrong => "wrong",
            Outcome::Panic => "panic",
            Outcome::FalseSuccess => "false-success",
            Outcome::Silent => "silent",
        }
    }

    /// Of its column.
    fn width(self) -> usize {
        self.name().len().max(7)
    }

    /// Whether it is as it should be.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Outcome::Ok | Outcome::Missed)
    }
}

/// Whether a file is gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Anew,
    GoOn,
}

/// Operation, victim, point: a number, or another word that names it.
pub(crate) type Key = (String, String, String);

/// One point.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: Key,
    /// The call before which the process was killed, or that failed.
    pub(crate) call: String,
    pub(crate) outcome: Outcome,
    /// What is wrong, or what was said.
    pub(crate) detail: String,
}

impl Record {
    fn line(&self) -> String {
        let (operation, victim, point) = &self.key;
        let number = point.parse::<u64>().map(Value::from);
        let point = number.unwrap_or_else(|_| Value::from(point.as_str()));
        json!({
            "op": operation, "victim": victim, "point": point, "call": self.call,
            "outcome": self.outcome.name(), "detail": self.detail,
        })
        .to_string()
    }

    fn parse(line: &str) -> Option<Record> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let outcome = text("outcome")?;
        let number = value["point"].as_u64().map(|number| number.to_string());
        let point = number.or_else(|| text("point"))?;
        Some(Record {
            key: (text("op")?, text("victim")?, point),
            call: text("call")?,
            outcome: Outcome::ALL
                .into_iter()
                .find(|known| known.name() == outcome)?,
            detail: text("detail")?,
        })
    }
}

/// The records of a file and of this run.
#[derive(Debug, Default)]
pub(crate) struct Records {
    file: Option<fs::File>,
    done: BTreeSet<Key>,
    counts: BTreeMap<(String, String), BTreeMap<Outcome, u64>>,
}

impl Records {
    /// Begins a file, or goes on with it.
    pub(crate) fn open(path: Option<&Path>, begin: Begin) -> Result<Records> {
        let mut records = Records::default();
        let Some(path) = path else {
            return Ok(records);
        };
        let shown = || format!("open {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(shown)?;
        }
        let mut options = fs::File::options();
        options.create(true).append(true);
        if begin == Begin::GoOn {
            let text = fs::read_to_string(path).unwrap_or_default();
            for record in text.lines().filter_map(Record::parse) {
                records.count(&record);
            }
        } else if path.exists() {
            fs::remove_file(path).with_context(shown)?;
        }
        records.file = Some(options.open(path).with_context(shown)?);
        Ok(records)
    }

    /// Whether a point was tried.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.done.contains(key)
    }

    fn count(&mut self, record: &Record) {
        // A point that was tried twice counts once.
        if self.done.insert(record.key.clone()) {
            let (operation, victim, _) = &record.key;
            let pair = (operation.clone(), victim.clone());
            let counts = self.counts.entry(pair).or_default();
            *counts.entry(record.outcome).or_default() += 1;
        }
    }

    /// Takes one more.
    pub(crate) fn add(&mut self, record: &Record) -> Result<()> {
        self.count(record);
        if let Some(file) = &mut self.file {
            let line = format!("{}\n", record.line());
            file.write_all(line.as_bytes()).context("write a record")?;
        }
        Ok(())
    }

    /// Points of this outcome.
    pub(crate) fn sum(&self, holds: impl Fn(Outcome) -> bool) -> u64 {
        self.counts
            .values()
            .flatten()
            .filter(|(outcome, _)| holds(**outcome))
            .map(|(_, count)| count)
            .sum()
    }

    /// The table: a row for each operation and victim, and a column for each of these outcomes.
    pub(crate) fn table(&self, columns: &[Outcome]) -> String {
        let title = |outcome: &Outcome| format!(" {:>1$}", outcome.name(), outcome.width());
        let titles: String = columns.iter().map(title).collect();
        let mut lines = vec![format!("operation  victim    walked{titles}\n")];
        let row = |operation: &str, victim: &str, of: &dyn Fn(Outcome) -> u64| {
            let all: u64 = Outcome::ALL.into_iter().map(of).sum();
            let walked = all - of(Outcome::Missed);
            let cell = |outcome: &Outcome| format!(" {:1$}", of(*outcome), outcome.width());
            let cells: String = columns.iter().map(cell).collect();
            format!("{operation:10} {victim:8} {walked:7}{cells}\n")
        };
        for ((operation, victim), counts) in &self.counts {
            let of = |outcome| counts.get(&outcome).copied().unwrap_or(0);
            lines.push(row(operation, victim, &of));
        }
        let of = |outcome| self.sum(|other| other == outcome);
        lines.push(row("all", "", &of));
        lines.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(point: &str, outcome: Outcome) -> Record {
        Record {
            key: ("rm".to_owned(), "cli".to_owned(), point.to_owned()),
            call: "unlink /x".to_owned(),
            outcome,
            detail: "a \"word\"".to_owned(),
        }
    }

    #[test]
    fn a_file_is_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results/x.jsonl");
        let mut records = Records::open(Some(&path), Begin::Anew).unwrap();
        records.add(&record("1", Outcome::Ok)).unwrap();
        records.add(&record("2", Outcome::Wedged)).unwrap();
        let mut records = Records::open(Some(&path), Begin::GoOn).unwrap();
        assert!(records.has(&record("2", Outcome::Ok).key));
        records.add(&record("0e31", Outcome::Missed)).unwrap();
        assert_eq!(records.sum(|outcome| !outcome.is_good()), 1);
        let columns = [
            Outcome::Residue,
            Outcome::Wedged,
            Outcome::Wrong,
            Outcome::Missed,
        ];
        let table = records.table(&columns);
        let last = table.lines().last().unwrap();
        let words: Vec<&str> = last.split_whitespace().collect();
        assert_eq!(words, ["all", "2", "0", "1", "0", "1"]);
        let text = fs::read_to_string(&path).unwrap();
        let points = ["\"point\":1,", "\"point\":2,", "\"point\":\"0e31\","];
        for (line, point) in text.lines().zip(points) {
            assert!(line.contains(point), "{line}");
        }
        let records = Records::open(Some(&path), Begin::GoOn).unwrap();
        assert!(records.has(&record("0e31", Outcome::Ok).key));
        assert!(
            Records::open(Some(&path), Begin::Anew)
                .unwrap()
                .done
                .is_empty()
        );
    }
}
