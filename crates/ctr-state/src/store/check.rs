//! Whether the database holds together.
//!
//! The end of a process harms nothing: what it had not committed is not in the log. What harms is a machine that goes down while a disk
//! says that it has written what it has not, somebody who exchanges the file, or a log that is lost. So the whole database is looked at once
//! after each boot, and once for each file. A link in the run directory, which a reboot empties, tells that it was done: its target names
//! boot and file, so that it tells the truth in a run directory that outlives a reboot, too.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use ctr_sys::BootId;
use rusqlite::Connection;
use rustix::fs::CWD;

use super::StoreConfig;
use super::fault::is_damage;
use super::health::StoreIssue;
use super::read::reason;
use super::room::log;
use crate::StateError;
use crate::error::Context;

/// How thoroughly SQLite looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// At all pages.
    Quick,
    /// Also whether the indexes say what the tables do.
    Whole,
}

/// What SQLite finds.
///
/// # Errors
/// When it cannot look, for another reason than damage.
pub(super) fn faults(connection: &Connection, depth: Depth) -> Result<Vec<StoreIssue>, StateError> {
    let pragma = match depth {
        Depth::Quick => "PRAGMA quick_check(20)",
        Depth::Whole => "PRAGMA integrity_check(20)",
    };
    let mut said = Vec::new();
    let looked = connection
        .prepare(pragma)
        .and_then(|mut statement| {
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                said.push(row.get::<_, String>(0)?);
            }
            Ok(())
        })
        .context("check the database");
    match looked {
        Err(error) if is_damage(&error) => said.push(reason(&error)),
        other => other?,
    }
    let issues = said.iter().filter(|what| *what != "ok");
    let issues = issues.map(|what| issue(what));
    Ok(issues.collect())
}

/// SQLite has one list for what concerns a value and what concerns the whole.
fn issue(what: &str) -> StoreIssue {
    let of_a_value = [
        "CHECK constraint failed in ",
        "NULL value in ",
        "TEXT value in ",
        "NUMERIC value in ",
        "non-TEXT value in ",
        "non-INTEGER value in ",
    ];
    // The list of what is wrong with the pages may have such a line behind it.
    let what = what.replace('\n', "; ");
    if of_a_value.iter().any(|words| what.starts_with(words)) {
        StoreIssue::Value { what }
    } else {
        StoreIssue::Damaged { what }
    }
}

/// What is wrong with the database as a whole, unless it was found sound since the machine was started.
///
/// # Errors
/// Those of [`faults`].
pub(super) fn unsound_since_boot(
    config: &StoreConfig,
    connection: &Connection,
) -> Result<Option<String>, StateError> {
    let (link, target) = (mark(config), meaning(config));
    let is_marked = target.as_ref().is_some_and(|target| {
        rustix::fs::readlinkat(CWD, &link, Vec::new())
            .is_ok_and(|found| found.as_bytes() == target.as_bytes())
    });
    if is_marked && std::fs::symlink_metadata(log(&config.database)).is_ok() {
        return Ok(None);
    }
    let damage = faults(connection, Depth::Quick)?
        .into_iter()
        .find_map(|issue| {
            if let StoreIssue::Damaged { what } = issue {
                return Some(what);
            }
            None
        });
    if let (None, Some(target)) = (&damage, target) {
        forget(config);
        // Where it cannot be noted, it is looked at again.
        rustix::fs::symlink(target, &link).ok();
    }
    Ok(damage)
}

/// Has the database looked at again by whoever opens it next.
pub(super) fn forget(config: &StoreConfig) {
    std::fs::remove_file(mark(config)).ok();
}

fn mark(config: &StoreConfig) -> PathBuf {
    config.wake.with_file_name("checked")
}

/// What the mark says: this boot, this file.
fn meaning(config: &StoreConfig) -> Option<String> {
    let boot = BootId::current().ok()?;
    let file = std::fs::symlink_metadata(&config.database).ok()?;
    Some(format!("{boot}:{}:{}", file.dev(), file.ino()))
}
