//! What the verbs print that only ask.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ctr_oci::{RuntimeStatus, Target};
use serde_json::{Value, json};

use super::arguments::ListFormat;
use super::target;
use crate::error::{Result, RuntimeError, chain};
use crate::features;
use crate::record::Place;
use crate::verbs::{self, Found};

/// The document that the specification wants `state` to print.
pub(super) fn state(target: Target<'_>) -> Result<String> {
    let found = Found::new(target)?;
    Ok(pretty(&describe(target, &found)?))
}

fn describe(target: Target<'_>, found: &Found) -> Result<Value> {
    let state = found.state()?;
    let (bundle, annotations) = match &found.record {
        Some(record) => (json!(record.bundle), json!(record.annotations)),
        None => (json!(""), json!({})),
    };
    let mut document = json!({
        "ociVersion": features::OCI_VERSION_MAX,
        "id": target.id,
        "status": verbs::status_word(state.status),
        "bundle": bundle,
        "annotations": annotations,
    });
    // As runc has it: a number in every status.
    let is_stopped = state.status == RuntimeStatus::Stopped;
    if let Some(pid) = state.pid.or(is_stopped.then_some(0)) {
        document["pid"] = json!(pid);
    }
    Ok(document)
}

/// The container's processes.
pub(super) fn ps(target: Target<'_>, format: ListFormat) -> Result<String> {
    let pids = verbs::processes(target)?;
    if format == ListFormat::Json {
        return Ok(format!("{}\n", json!(pids)));
    }
    let mut rows = vec![["PID".to_owned(), "COMMAND".to_owned()]];
    for pid in pids {
        // None: it has ended by now.
        if let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) {
            rows.push([pid.to_string(), words(&command)]);
        }
    }
    Ok(table(&rows))
}

/// A command line as one line; the process has chosen it.
fn words(command: &[u8]) -> String {
    let text = String::from_utf8_lossy(command);
    let words = text.trim_end_matches('\0').replace('\0', " ");
    words.replace(char::is_control, "?")
}

/// All containers of a state directory. Those that cannot be told about are named on standard error.
pub(super) fn list(root: &Path, format: ListFormat) -> Result<String> {
    let ids = Place::ids(root)?;
    if format == ListFormat::Ids {
        return Ok(ids.into_iter().map(|id| id + "\n").collect());
    }
    let mut entries = Vec::new();
    for id in &ids {
        match entry(target(root, id)) {
            Ok(entry) => entries.push(entry),
            // Deleted meanwhile.
            Err(RuntimeError::NoSuchContainer { .. }) => {}
            Err(error) => drop(writeln!(
                std::io::stderr(),
                "Error: {id}: {}",
                chain(&error)
            )),
        }
    }
    if format == ListFormat::Json {
        return Ok(format!("{}\n", json!(entries)));
    }
    let heads = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(entries.iter().map(|entry| {
        heads.map(|head| {
            let value = &entry[head.to_ascii_lowercase()];
            let text = value
                .as_str()
                .map(|text| text.replace(char::is_control, "?"));
            text.unwrap_or_else(|| value.to_string())
        })
    }));
    Ok(table(&rows))
}

/// What `list` tells of one container, in the fields of runc.
fn entry(target: Target<'_>) -> Result<Value> {
    let found = Found::new(target)?;
    let mut entry = describe(target, &found)?;
    let spec = found.place.claimed()?;
    let root = spec.as_ref().and_then(|spec| spec.root().as_ref());
    let created = found.record.as_ref().map_or(0, |record| record.created_ns);
    let directory = found.place.own_directory();
    let metadata = directory
        .symlink_metadata()
        .map_err(RuntimeError::at("look at", &directory))?;
    if entry["pid"].is_null() {
        entry["pid"] = json!(0);
    }
    entry["rootfs"] = json!(root.map(oci_spec::runtime::Root::path));
    entry["created"] = json!(ctr_sys::rfc3339(created));
    entry["owner"] = match metadata.uid() {
        0 => json!("root"),
        uid => json!(format!("#{uid}")),
    };
    Ok(entry)
}

/// Columns, two blanks apart.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            // Writing into a String cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

pub(super) fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

pub(super) fn version() -> String {
    format!(
        "ctr oci-runtime version {}\nspec: {}\n",
        env!("CARGO_PKG_VERSION"),
        features::OCI_VERSION_MAX
    )
}
