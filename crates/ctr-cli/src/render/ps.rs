//! The table and the JSON document of `ps`, with podman's columns and field names.

mod sort;

use std::collections::BTreeMap;

use ctr_state::Status;
use serde::Serialize;

use crate::render::duration::between;
use crate::render::table::Table;

pub(crate) use sort::SortKey;

const HEADER: [&str; 7] = [
    "CONTAINER ID",
    "IMAGE",
    "COMMAND",
    "CREATED",
    "STATUS",
    "PORTS",
    "NAMES",
];

/// How much of a command the table shows.
const COMMAND_CHARS: usize = 17;

/// Seconds from 1970 back to the year 1: what podman writes for a moment that never came.
const NEVER: i64 = -62_135_596_800;

const NS: i64 = 1_000_000_000;

/// Whether ids and commands are shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Short,
    Full,
}

impl Width {
    /// An id as it is shown.
    pub(crate) fn id(self, id: &str) -> &str {
        match self {
            Self::Short => id.get(..12).unwrap_or(id),
            Self::Full => id,
        }
    }
}

/// Whether the table has its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heading {
    Shown,
    Hidden,
}

/// How the last run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Exit code; -1 when nobody knows it.
    pub(crate) code: i32,
    /// Unix time in nanoseconds.
    pub(crate) at_ns: i64,
}

/// One container, as far as `ps` is concerned. Moments are Unix time in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Where the root file system comes from.
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) created_ns: i64,
    pub(crate) started_ns: Option<i64>,
    pub(crate) ended: Option<Ended>,
    /// `None` when its record is damaged.
    pub(crate) status: Option<Status>,
    /// Stands behind the status in parentheses: what is unusual about this container.
    pub(crate) remark: Option<String>,
    pub(crate) pid: Option<i32>,
    pub(crate) restarts: u32,
    pub(crate) labels: BTreeMap<String, String>,
    /// Destinations of its volumes.
    pub(crate) mounts: Vec<String>,
    pub(crate) networks: Vec<String>,
    pub(crate) auto_remove: bool,
    pub(crate) cid_file: String,
}

impl Row {
    /// A container of which nothing else is known.
    pub(crate) fn new(id: String, name: String, created_ns: i64, status: Option<Status>) -> Self {
        Self {
            id,
            name,
            image: String::new(),
            command: Vec::new(),
            created_ns,
            started_ns: None,
            ended: None,
            status,
            remark: None,
            pid: None,
            restarts: 0,
            labels: BTreeMap::new(),
            mounts: Vec::new(),
            networks: Vec::new(),
            auto_remove: false,
            cid_file: String::new(),
        }
    }

    /// The id as the table shows it.
    pub(crate) fn id(&self, width: Width) -> &str {
        width.id(&self.id)
    }

    fn command(&self, width: Width) -> String {
        let whole = self.command.join(" ");
        match width {
            Width::Short if whole.chars().count() > COMMAND_CHARS => whole
                .chars()
                .take(COMMAND_CHARS)
                .chain("...".chars())
                .collect(),
            Width::Short | Width::Full => whole,
        }
    }

    fn status_text(&self, now_ns: i64) -> String {
        let text = match (self.status, self.ended) {
            (Some(Status::Running), _) => {
                format!("Up {}", between(self.started_ns.unwrap_or(now_ns), now_ns))
            }
            (Some(Status::Stopped | Status::Exited), Some(Ended { code, at_ns })) => {
                format!("Exited ({code}) {} ago", between(at_ns, now_ns))
            }
            (_, _) => title_case(&self.state()),
        };
        match &self.remark {
            Some(remark) => format!("{text} ({remark})"),
            None => text,
        }
    }

    fn state(&self) -> String {
        self.status
            .map_or_else(|| "unknown".to_owned(), |status| status.to_string())
    }

    fn has_ended(&self) -> bool {
        matches!(self.status, Some(Status::Stopped | Status::Exited))
    }
}

fn title_case(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// The table; its header is shown even when there is nothing below it.
pub(crate) fn table(rows: &[Row], width: Width, heading: Heading, now_ns: i64) -> String {
    let mut table = match heading {
        Heading::Shown => Table::new(&HEADER),
        Heading::Hidden => Table::without_header(),
    };
    for row in rows {
        let created = format!("{} ago", between(row.created_ns, now_ns));
        let status = row.status_text(now_ns);
        table.row(&[
            row.id(width),
            &row.image,
            &row.command(width),
            &created,
            &status,
            "",
            &row.name,
        ]);
    }
    table.render()
}

/// A container in `--format json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct JsonRow {
    auto_remove: bool,
    command: Vec<String>,
    created: i64,
    created_at: String,
    #[serde(rename = "CIDFile")]
    cid_file: String,
    exited: bool,
    exited_at: i64,
    exit_code: i32,
    exposed_ports: Option<()>,
    id: String,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: &'static str,
    is_infra: bool,
    labels: BTreeMap<String, String>,
    mounts: Vec<String>,
    names: [String; 1],
    namespaces: BTreeMap<String, String>,
    networks: Vec<String>,
    pid: i32,
    pod: &'static str,
    pod_name: &'static str,
    ports: Option<()>,
    restarts: u32,
    size: Option<()>,
    started_at: i64,
    state: String,
    status: String,
}

/// The rows of the JSON document, in the same order.
pub(crate) fn json(rows: Vec<Row>, now_ns: i64) -> Vec<JsonRow> {
    rows.into_iter().map(|row| json_row(row, now_ns)).collect()
}

fn json_row(row: Row, now_ns: i64) -> JsonRow {
    JsonRow {
        state: row.state(),
        status: row.status_text(now_ns),
        exited: row.has_ended(),
        exited_at: row.ended.map_or(NEVER, |ended| ended.at_ns / NS),
        exit_code: row.ended.map_or(0, |ended| ended.code),
        auto_remove: row.auto_remove,
        command: row.command,
        created: row.created_ns / NS,
        created_at: format!("{} ago", between(row.created_ns, now_ns)),
        cid_file: row.cid_file,
        exposed_ports: None,
        id: row.id,
        image: row.image,
        image_id: "",
        is_infra: false,
        labels: row.labels,
        mounts: row.mounts,
        names: [row.name],
        namespaces: BTreeMap::new(),
        networks: row.networks,
        pid: row.pid.unwrap_or(0),
        pod: "",
        pod_name: "",
        ports: None,
        restarts: row.restarts,
        size: None,
        started_at: row.started_ns.map_or(NEVER, |ns| ns / NS),
    }
}

#[cfg(test)]
mod tests;
