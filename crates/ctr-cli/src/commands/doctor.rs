//! `doctor`, also `system check`: what is recorded, compared with what is.

use ctr_core::{Engine, Repair, Repaired, Report};

use crate::commands::Context;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::{Format, format};
use crate::render::doctor::{finding, repaired, summary};
use crate::render::json::pretty;
use crate::settings::{self, Patience};

/// What stands below the help.
pub(crate) const CODES: &str =
    "Exit code: 0 when nothing is wrong (any more), 1 when something is, 125 for an error";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Put right what can be put right, and say what came of each
    #[arg(long)]
    repair: bool,
    /// Form of the output: json
    #[arg(short, long)]
    format: Option<String>,
}

/// Prints what does not fit together; with `--repair` what came of each repair, and what is left then.
///
/// The exit code is 0 when nothing is wrong (any more), and 1 when something is.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let format = format(args.format.as_deref())?;
    settings::require_root(&context.host)?;
    let config = settings::resolve(
        &context.globals,
        &context.host,
        context.file()?,
        Patience::Person,
    )?;
    let mut report = Engine::examine(&config)?;
    let mut repairs = Vec::new();
    if args.repair && report.findings.iter().any(|found| found.repairable) {
        repairs = Engine::repair(&config, &report);
        report = Engine::examine(&config)?;
    }
    match format {
        Format::Json => io.block(&pretty(&document(&report, &repairs)?)?),
        Format::Text => {
            for one in &repairs {
                if !matches!(one.repair, Repair::Left) {
                    io.line(&repaired(one));
                }
            }
            for found in &report.findings {
                io.line(&finding(found));
            }
            io.line(&summary(&report));
        }
    }
    Ok(if report.has_problems() {
        Outcome::No
    } else {
        Outcome::Done
    })
}

/// The report, and what came of repairs.
fn document(report: &Report, repairs: &[Repaired]) -> Result<serde_json::Value, CommandError> {
    let failed = |error| CommandError::failed(format!("show what was found: {error}"));
    let mut document = serde_json::to_value(report).map_err(failed)?;
    document["repairs"] = serde_json::to_value(repairs).map_err(failed)?;
    Ok(document)
}
