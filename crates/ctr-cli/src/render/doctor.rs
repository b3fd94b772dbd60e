//! What an examination has found, one line each.

use ctr_core::{Finding, Repair, Repaired, Report, Severity};

/// A finding: what it is about, what is wrong, the word for it, and what can be done.
pub(crate) fn finding(finding: &Finding) -> String {
    let Finding {
        subject,
        kind,
        explanation,
        remedy,
        ..
    } = finding;
    let note = match finding.severity {
        Severity::Problem => "",
        Severity::Note => "note: ",
    };
    let who = if finding.repairable {
        "ctr doctor --repair: "
    } else {
        ""
    };
    format!("{note}{subject}: {explanation} [{kind}] ({who}{remedy})")
}

/// What came of a repair.
pub(crate) fn repaired(one: &Repaired) -> String {
    let Finding { subject, kind, .. } = &one.finding;
    match &one.repair {
        Repair::Done(how) => format!("repaired: {subject}: {how} [{kind}]"),
        Repair::Failed(why) => format!("not repaired: {subject}: {why} [{kind}]"),
        Repair::Left => format!("left: {subject}: it takes a person [{kind}]"),
    }
}

/// How much was looked at, and how much is wrong.
pub(crate) fn summary(report: &Report) -> String {
    let checked = &report.checked;
    let problems = report.problems().count();
    let found = match problems {
        0 => "nothing is wrong".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    let part = if report.complete {
        ""
    } else {
        ", and not everything could be looked at"
    };
    format!(
        "{found}{part}: {} containers, {} monitors, {} files, {} control groups and {} mounts in {} ms",
        checked.containers,
        checked.monitors,
        checked.files,
        checked.control_groups,
        checked.mounts,
        report.took_ms
    )
}
