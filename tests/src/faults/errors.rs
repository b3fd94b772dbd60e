//! The error matrix: any call into the kernel may fail, and the engine says so, and leaves nothing behind.
//!
//! Each operation is run once to note which calls its processes make from which places of the engine's code. Then it is run again for each
//! of these and each error that the kernel can answer it with, on directories of its own, with the first such call failing without having
//! been carried out. No process may panic; a command that is successful has done its work, one that is not says in a line what failed;
//! and afterwards all holds that is asked after a kill.

mod options;
mod point;
mod sites;
mod symbols;
mod table;

use std::io::Write;

use anyhow::{Result, bail};

pub(crate) use options::ErrorOptions;

use crate::faults::matrix::operations::Operation;
use crate::faults::matrix::options::Victim;
use crate::faults::matrix::point::is_possible;
use crate::faults::matrix::record::{Begin, Key, Outcome, Record, Records};
use crate::faults::matrix::stage::{Common, Stage, place_of};
use crate::faults::matrix::{common, described, programs};
use crate::faults::tracer::Programs;
use crate::harness::base::Base;
use crate::harness::case::Scale;
use crate::harness::profile::{Entered, Profile};
use crate::harness::runner::Counts;
use point::{Recording, Target, attempt, record};
use sites::Sites;

/// What the table counts.
const COLUMNS: &[Outcome] = &[
    Outcome::Panic,
    Outcome::Residue,
    Outcome::FalseSuccess,
    Outcome::Wedged,
    Outcome::Silent,
    Outcome::Wrong,
    Outcome::Missed,
];

/// Runs the points of these options; the counts of good and bad ones.
pub(crate) fn run(options: &ErrorOptions) -> Result<Counts> {
    if let Entered::No(reason) = Profile::Host.enter()? {
        bail!("the error matrix cannot run here: {reason}");
    }
    let base = Base::make(Scale::Quick)?;
    let begin = if options.common.resume {
        Begin::GoOn
    } else {
        Begin::Anew
    };
    let mut matrix = Matrix {
        common: common(&base, options.common.maker)?,
        programs: programs(&base, options.common.maker)?,
        sites: Sites::of(base.program())?,
        records: Records::open(options.common.out.as_deref(), begin)?,
        base: &base,
        options,
        number: 0,
    };
    let walked = matrix.all();
    let records = matrix.records;
    let removed = base.remove();
    walked?;
    removed?;
    print!("{}", records.table(COLUMNS));
    Ok(Counts {
        passed: records.sum(Outcome::is_good),
        failed: records.sum(|outcome| !outcome.is_good()),
        skipped: 0,
    })
}

struct Matrix<'a> {
    common: Common,
    programs: Programs,
    sites: Sites,
    records: Records,
    base: &'a Base,
    options: &'a ErrorOptions,
    number: u64,
}

impl Matrix<'_> {
    fn all(&mut self) -> Result<()> {
        let options = self.options;
        for (number, operation) in options.operations() {
            let Some(recording) = self.recorded(operation)? else {
                continue;
            };
            for victim in options.common.victims(number) {
                if is_possible(operation, victim) {
                    let pair = u64::try_from(number)? * 16 + victim as u64;
                    self.pair(operation, victim, pair, &recording)?;
                }
            }
        }
        Ok(())
    }

    /// What an operation does undisturbed; nothing where that fails already.
    fn recorded(&mut self, operation: &Operation) -> Result<Option<Recording>> {
        let path = self.next_place();
        let mut stage = Stage::new(&self.common, path)?;
        let recorded = record(&mut stage, operation, &self.programs, &self.sites)
            .map_err(|error| described(&stage, &error));
        stage.clear();
        match recorded {
            Ok(recording) => {
                if !recording.unknown.is_empty() {
                    let calls: Vec<&str> = recording.unknown.iter().map(String::as_str).collect();
                    println!("{}: no errors known of {}", operation.name, calls.join(" "));
                }
                Ok(Some(recording))
            }
            Err((outcome, detail)) => {
                self.note(&Record {
                    key: key(operation, Victim::Cli, "undisturbed".to_owned()),
                    call: "none, it was only watched".to_owned(),
                    outcome,
                    detail,
                })?;
                Ok(None)
            }
        }
    }

    /// All points of an operation and a victim.
    fn pair(
        &mut self,
        operation: &Operation,
        victim: Victim,
        pair: u64,
        recording: &Recording,
    ) -> Result<()> {
        let options = self.options;
        let calls = recording.calls.get(victim.name());
        let calls = calls.map(Vec::as_slice).unwrap_or_default();
        let targets: Vec<Target<'_>> = calls
            .iter()
            .flat_map(|call| call.errors.iter().map(move |error| (call, *error)))
            .filter(|(_, error)| options.errors.contains(error))
            .map(|(call, error)| Target::new(call, error))
            .collect();
        println!(
            "{} {}: {} sites, {} points",
            operation.name,
            victim.name(),
            calls.len(),
            targets.len()
        );
        let count = u64::try_from(targets.len())?;
        let chosen = options.common.points(pair, count);
        for (number, target) in targets.iter().enumerate() {
            let is_chosen = match &options.point {
                Some(name) => *name == target.name(),
                None => chosen.contains(&(u64::try_from(number)? + 1)),
            };
            if is_chosen && !self.records.has(&key(operation, victim, target.name())) {
                self.point(operation, victim, target, recording)?;
            }
        }
        Ok(())
    }

    fn point(
        &mut self,
        operation: &Operation,
        victim: Victim,
        target: &Target<'_>,
        recording: &Recording,
    ) -> Result<()> {
        let path = self.next_place();
        let mut stage = Stage::new(&self.common, path)?;
        let means = (&self.programs, &self.sites);
        let tried = attempt(&mut stage, operation, victim, means, target, recording);
        let call = tried.met.map(|call| stage.brief(&call));
        let (outcome, detail) = match &tried.result {
            Ok(_) if call.is_none() => (Outcome::Missed, String::new()),
            Ok(said) => (Outcome::Ok, stage.brief(said)),
            Err(error) => described(&stage, error),
        };
        if tried.result.is_ok() {
            stage.discard()?;
        } else {
            stage.clear();
        }
        self.note(&Record {
            key: key(operation, victim, target.name()),
            call: call.unwrap_or_else(|| target.shown()),
            outcome,
            detail,
        })
    }

    /// Keeps a record, and says at once how to see again what is bad.
    fn note(&mut self, record: &Record) -> Result<()> {
        if !record.outcome.is_good() {
            let (operation, victim, point) = &record.key;
            println!(
                "{}: --op {operation} --role {victim} --point {point}\n  {}\n  {}",
                record.outcome.name(),
                record.call,
                record.detail
            );
            std::io::stdout().flush().ok();
        }
        self.records.add(record)
    }

    fn next_place(&mut self) -> std::path::PathBuf {
        self.number += 1;
        place_of(self.base.directory(), self.number)
    }
}

fn key(operation: &Operation, victim: Victim, point: String) -> Key {
    (operation.name.to_owned(), victim.name().to_owned(), point)
}
