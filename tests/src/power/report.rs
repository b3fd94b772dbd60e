//! What was found, as a table row and as a line of JSON.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::disk::{Change, Cut, Image};
use super::judge::{Truth, Wrong};
use super::options::PowerOptions;
use super::record::Record;
use crate::harness::runner::Counts;

/// So many of each kind are printed.
const SHOWN: usize = 3;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    images: usize,
    distinct: HashSet<u64>,
    records: usize,
    syncs: usize,
    /// How often the log was taken into the database.
    checkpoints: usize,
    promises: usize,
    wrong: BTreeMap<&'static str, usize>,
    examples: Vec<String>,
}

impl Findings {
    pub(crate) fn new(records: &[Record], truth: &Truth) -> Self {
        let database = records.iter().find_map(|record| {
            if let Record::Change(Change::Make { name, node, .. }) = record {
                (name == "state.db").then_some(*node)
            } else {
                None
            }
        });
        let is_checkpoint = |record: &&Record| matches!(record, Record::Change(Change::Sync { node, .. }) if Some(*node) == database);
        let is_sync = |record: &&Record| matches!(record, Record::Change(Change::Sync { .. }));
        Self {
            records: records.len(),
            syncs: records.iter().filter(is_sync).count(),
            checkpoints: records.iter().filter(is_checkpoint).count(),
            promises: truth.promises,
            ..Self::default()
        }
    }

    /// Takes in what was found on a disk.
    pub(crate) fn take(&mut self, image: &Image, place: (Cut, usize), wrong: Option<Wrong>) {
        self.images += 1;
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        self.distinct.insert(hasher.finish());
        let (kind, text) = match wrong {
            None => return,
            Some(Wrong::Lost(text)) => ("lost", text),
            Some(Wrong::Damaged(text)) => ("damaged", text),
            Some(Wrong::Wedged(text)) => ("wedged", text),
        };
        let count = self.wrong.entry(kind).or_default();
        *count += 1;
        if *count <= SHOWN {
            let (cut, after) = place;
            self.examples
                .push(format!("{kind}: cut {cut:?} after record {after}: {text}"));
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.wrong.get(kind).copied().unwrap_or(0)
    }

    /// How many disks had lost something.
    pub(crate) fn lost(&self) -> usize {
        self.count("lost")
    }

    /// Prints all of it; a failure is every disk with which something is wrong.
    pub(crate) fn print(
        &self,
        options: &PowerOptions,
        blind: &Findings,
        time: Duration,
    ) -> Result<Counts> {
        for example in &self.examples {
            println!("{example}");
        }
        let (lost, damaged) = (self.lost(), self.count("damaged"));
        let wedged = self.count("wedged");
        let line = json!({
            "figure": "power-loss",
            "images": self.images,
            "distinct": self.distinct.len(),
            "lost": lost,
            "damaged": damaged,
            "wedged": wedged,
            "records": self.records,
            "syncs": self.syncs,
            "checkpoints": self.checkpoints,
            "promises": self.promises,
            "seed": options.seed,
            "without_syncs": { "images": blind.images, "lost": blind.lost(), "damaged": blind.count("damaged") },
            "seconds": time.as_secs(),
        });
        println!(
            "| power loss | {} images, {} promises, {} syncs | {lost} lost, {damaged} damaged, {wedged} wedged |",
            self.images, self.promises, self.syncs
        );
        println!("{line}");
        if let Some(path) = &options.out {
            let file = File::options().create(true).append(true).open(path);
            let mut file = file.with_context(|| format!("open {}", path.display()))?;
            writeln!(file, "{line}").context("write the result")?;
        }
        let failed = u64::try_from(lost + damaged + wedged)?;
        Ok(Counts {
            passed: u64::try_from(self.images)? - failed,
            failed,
            skipped: 0,
        })
    }
}
