//! The measurement itself.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::contender::Contender;
use super::engines::Field;
use super::options::{Options, Work};
use super::report::Report;
use super::stage::Stage;

/// Between two pieces of work: long enough for what the last one left to others to come to its end.
const PAUSE: Duration = Duration::from_millis(50);

/// Measures this program and prints the result. Whatever happens, what was made is removed.
pub(super) fn run(program: &Path, options: &Options) -> Result<()> {
    let stage = Stage::enter(program, options.bytes)?;
    let mut field = Field::default();
    let measured = field.fill(&stage).and_then(|()| {
        let mut report = Report::new(options.rounds, options.bytes, field.absent.clone());
        rounds(&field.present, options, &mut report)?;
        Ok(report)
    });
    let cleared = field.clear();
    let removed = stage.remove();
    measured?.print(options.form)?;
    cleared.and(removed)
}

/// The first round is not counted.
fn rounds(field: &[Contender], options: &Options, report: &mut Report) -> Result<()> {
    for round in 0..=options.rounds {
        for (work, bytes) in [(Work::Exec, 0), (Work::Cat, options.bytes)] {
            let able: Vec<&Contender> = field.iter().filter(|one| one.work == work).collect();
            if !options.includes(work) {
                continue;
            }
            for at in 0..able.len() {
                let contender = able[(at + round) % able.len()];
                let time = contender.call.time(bytes)?;
                if round > 0 {
                    report.add(work, contender.name, time);
                }
                thread::sleep(PAUSE);
            }
        }
    }
    Ok(())
}
