//! The kill matrix: any process of ours may be killed at any instruction, and the next ordinary command puts everything right.
//!
//! For each operation and each kind of process that takes part in it, the operation is run once to count the calls that change
//! something. Then it is run again for each of them, each time on directories of its own, with the process killed right before that
//! call. After that: readers answer; one ordinary command (the operation again, or another one) does its work; what is said of the
//! container is true; `rm -fa` removes everything; nothing stays in the mount table, the control groups, the processes
//! and the files; and the name can be used again.

pub(super) mod operations;
pub(super) mod options;
pub(super) mod point;
pub(super) mod record;
pub(super) mod stage;

use std::io::Write;

use anyhow::{Context, Error, Result, bail};

pub(crate) use options::MatrixOptions;

use crate::faults::fake;
use crate::faults::tracer::Programs;
use crate::harness::base::{Base, find};
use crate::harness::case::Scale;
use crate::harness::profile::{Entered, Profile};
use crate::harness::runner::Counts;
use crate::harness::tree::copy_program;
use operations::Operation;
use options::{Maker, Victim};
use record::{Begin, Key, Outcome, Record, Records};
use stage::{Common, Stage, place_of};

/// What the table counts.
const COLUMNS: &[Outcome] = &[
    Outcome::Residue,
    Outcome::Wedged,
    Outcome::Wrong,
    Outcome::Missed,
];

/// Runs the points of these options; the counts of good and bad ones.
pub(crate) fn run(options: &MatrixOptions) -> Result<Counts> {
    if let Entered::No(reason) = Profile::Host.enter()? {
        bail!("the kill matrix cannot run here: {reason}");
    }
    let base = Base::make(Scale::Quick)?;
    let begin = if options.resume {
        Begin::GoOn
    } else {
        Begin::Anew
    };
    let mut matrix = Matrix {
        common: common(&base, options.maker)?,
        programs: programs(&base, options.maker)?,
        records: Records::open(options.out.as_deref(), begin)?,
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

/// What all points of a run share.
pub(super) fn common(base: &Base, maker: Maker) -> Result<Common> {
    let runtime = match maker {
        Maker::Builtin => Vec::new(),
        Maker::Runc => vec!["--runtime".to_owned(), maker.name().to_owned()],
        Maker::Fake => {
            let path = base.directory().join(fake::NAME);
            copy_program(&std::env::current_exe()?, &path)?;
            let path = path.to_str().context("a path of the tests is no text")?;
            vec!["--runtime".to_owned(), path.to_owned()]
        }
    };
    let root = base.directory().join("root");
    let root = root.to_str().context("a path of the tests is no text")?;
    Ok(Common {
        ctr: base.program().to_owned(),
        rootfs: format!("{root}:O"),
        runtime,
    })
}

/// By which names the tracer knows the runtime.
pub(super) fn programs(base: &Base, maker: Maker) -> Result<Programs> {
    let runtimes = match maker {
        Maker::Fake => vec![base.directory().join(fake::NAME)],
        Maker::Builtin => Vec::new(),
        Maker::Runc => vec![find(maker.name())?],
    };
    Ok(Programs { runtimes })
}

struct Matrix<'a> {
    common: Common,
    programs: Programs,
    records: Records,
    base: &'a Base,
    options: &'a MatrixOptions,
    number: u64,
}

impl Matrix<'_> {
    fn all(&mut self) -> Result<()> {
        let options = self.options;
        for (number, operation) in options.operations.iter().enumerate() {
            for victim in options.victims(number) {
                if point::is_possible(operation, victim) {
                    let pair = u64::try_from(number)? * 16 + victim as u64;
                    self.pair(operation, victim, pair)?;
                }
            }
        }
        Ok(())
    }

    /// All points of an operation and a victim.
    fn pair(&mut self, operation: &Operation, victim: Victim, pair: u64) -> Result<()> {
        let path = self.next_place();
        let mut stage = Stage::new(&self.common, path)?;
        let counted = point::count(&mut stage, operation, victim, &self.programs)
            .map_err(|error| described(&stage, &error));
        stage.clear();
        let count = match counted {
            Ok(count) => count,
            // Nobody was killed: what is wrong is not a point's, and bad all the same.
            Err((outcome, detail)) => {
                return self.note(&Record {
                    key: key(operation, victim, 0),
                    call: "none, it was only watched".to_owned(),
                    outcome,
                    detail,
                });
            }
        };
        println!("{} {}: {count} points", operation.name, victim.name());
        for point in self.options.points(pair, count) {
            if !self.records.has(&key(operation, victim, point)) {
                self.point(operation, victim, point)?;
            }
        }
        Ok(())
    }

    fn point(&mut self, operation: &Operation, victim: Victim, point: u64) -> Result<()> {
        let path = self.next_place();
        let mut stage = Stage::new(&self.common, path)?;
        let (call, result) = point::attempt(&mut stage, operation, victim, &self.programs, point);
        let call = call.map(|call| stage.brief(&call));
        let (outcome, detail) = match &result {
            Ok(()) if call.is_none() => (Outcome::Missed, String::new()),
            Ok(()) => (Outcome::Ok, String::new()),
            Err(error) => described(&stage, error),
        };
        if result.is_ok() {
            stage.discard()?;
        } else {
            stage.clear();
        }
        self.note(&Record {
            key: key(operation, victim, point),
            call: call.unwrap_or_default(),
            outcome,
            detail,
        })
    }

    /// Keeps a record, and says at once how to see again what is bad.
    fn note(&mut self, record: &Record) -> Result<()> {
        if !record.outcome.is_good() {
            let (operation, victim, point) = &record.key;
            println!(
                "{}: --runtime {} --op {operation} --victim {victim} --point {point}\n  killed before: {}\n  {}",
                record.outcome.name(),
                self.options.maker.name(),
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

fn key(operation: &Operation, victim: Victim, point: u64) -> Key {
    let point = point.to_string();
    (operation.name.to_owned(), victim.name().to_owned(), point)
}

/// What an error means for a point.
pub(super) fn described(stage: &Stage<'_>, error: &Error) -> (Outcome, String) {
    let (outcome, what) = match point::found(error) {
        Some(trouble) => (trouble.outcome, trouble.what.clone()),
        None => (Outcome::Wedged, format!("the harness failed: {error:#}")),
    };
    (outcome, stage.brief(&what))
}
