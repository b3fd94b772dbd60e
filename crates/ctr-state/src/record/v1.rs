//! Version 1 of the stored form of a record.
//!
//! Apart from [`Record`], so that the program can change while what it has written stays readable. Unknown fields are
//! ignored: a program that is one version newer may have added some. Status and generation are columns of their own.

use std::path::PathBuf;

use ctr_events::Actor;
use ctr_sys::{BootId, PidStamp};
use serde::{Deserialize, Serialize};

use super::{Facts, PendingRestart, Ran, Record, StartReason, StopReason};
use crate::{ExitInfo, Intent, Status, path_text};

/// The version of this form.
pub(crate) const VERSION: u32 = 1;

/// The columns of a stored record.
pub(crate) struct Stored<'a> {
    /// [`Status::word`].
    pub(crate) status: &'a str,
    pub(crate) generation: u64,
    pub(crate) version: u32,
    pub(crate) facts: &'a str,
    pub(crate) intent: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct FactsV1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    init: Option<PidStamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    monitor: Option<PidStamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot_id: Option<BootId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<ExitInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_requested: Option<StopReason>,
    #[serde(default)]
    restart_count: u32,
    #[serde(default)]
    backoff_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_until_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restart: Option<PendingRestart>,
    #[serde(default)]
    history: Ran,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(
        default,
        with = "path_text::list",
        skip_serializing_if = "Vec::is_empty"
    )]
    created_paths: Vec<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_by: Option<Actor>,
    #[serde(default)]
    start_reason: StartReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_by: Option<Actor>,
}

/// Reads a record, or says what is wrong with it.
pub(crate) fn decode(stored: &Stored<'_>) -> Result<Record, String> {
    if stored.version != VERSION {
        return Err(format!(
            "it has version {}, this program knows version {VERSION}",
            stored.version
        ));
    }
    let status = Status::from_word(stored.status)
        .ok_or_else(|| format!("its status is {:?}", stored.status))?;
    let facts: FactsV1 = serde_json::from_str(stored.facts).map_err(|error| error.to_string())?;
    let intent: Option<Intent> = stored
        .intent
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| format!("its intent: {error}"))?;
    Ok(Record {
        status,
        since_ns: facts.since_ns,
        generation: stored.generation,
        generation_ns: facts.generation_ns,
        facts: facts.into(),
        intent,
    })
}

/// The facts of a record as JSON.
pub(crate) fn encode_facts(record: &Record) -> String {
    let facts = record.facts.clone();
    let stored = FactsV1 {
        since_ns: record.since_ns,
        generation_ns: record.generation_ns,
        init: facts.init,
        monitor: facts.monitor,
        boot_id: facts.boot_id,
        started_ns: facts.started_ns,
        finished_ns: facts.finished_ns,
        exit: facts.exit,
        stop_requested: facts.stop_requested,
        restart_count: facts.restart_count,
        backoff_ms: facts.backoff_ms,
        stop_until_ns: facts.stop_until_ns,
        restart: facts.restart,
        history: facts.history,
        error: facts.error,
        created_paths: facts.created_paths,
        started_by: facts.started_by,
        start_reason: facts.start_reason,
        ended_by: facts.ended_by,
    };
    serde_json::to_string(&stored).expect("numbers, texts and text keys are always JSON")
}

/// The intent of a record as JSON.
pub(crate) fn encode_intent(record: &Record) -> Option<String> {
    let encode = |intent| serde_json::to_string(intent).expect("numbers and texts are always JSON");
    record.intent.as_ref().map(encode)
}

impl From<FactsV1> for Facts {
    fn from(stored: FactsV1) -> Self {
        Self {
            init: stored.init,
            monitor: stored.monitor,
            boot_id: stored.boot_id,
            started_ns: stored.started_ns,
            finished_ns: stored.finished_ns,
            exit: stored.exit,
            stop_requested: stored.stop_requested,
            restart_count: stored.restart_count,
            backoff_ms: stored.backoff_ms,
            stop_until_ns: stored.stop_until_ns,
            restart: stored.restart,
            history: stored.history,
            error: stored.error,
            created_paths: stored.created_paths,
            started_by: stored.started_by,
            start_reason: stored.start_reason,
            ended_by: stored.ended_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trigger;

    fn stored(facts: &str) -> Stored<'_> {
        Stored {
            status: "running",
            generation: 2,
            version: VERSION,
            facts,
            intent: None,
        }
    }

    #[test]
    fn a_record_survives() {
        let mut record = Record::configured(None);
        record.begin_generation(StartReason::Policy, 7);
        record.advance(Trigger::Init, 8).unwrap();
        record.advance(Trigger::Start, 9).unwrap();
        record.facts_mut().created_paths = vec!["/a".into()];
        record.facts_mut().stop_requested = Some(StopReason::User);
        record.facts_mut().backoff_ms = 200;
        record.facts_mut().restart = Some(PendingRestart {
            at_ns: 10,
            reason: StartReason::Policy,
            owner: None,
            boot_id: BootId::current().unwrap(),
        });
        let facts = encode_facts(&record);
        let columns = Stored {
            status: record.status().word(),
            generation: record.generation(),
            ..stored(&facts)
        };
        assert_eq!(decode(&columns).unwrap(), record);
    }

    #[test]
    fn unknown_fields_are_ignored_and_missing_ones_are_empty() {
        let record = decode(&stored(r#"{"colour":"red","started_ns":5}"#)).unwrap();
        assert_eq!(record.started_ns(), Some(5));
        assert_eq!(record.restart_count(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let check = |stored: Stored<'_>, expected: &str| {
            let reason = decode(&stored).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        };
        check(stored("{"), "EOF");
        let status = Stored {
            status: "lost",
            ..stored("{}")
        };
        check(status, "lost");
        let version = Stored {
            version: 2,
            ..stored("{}")
        };
        check(version, "version 2");
        let intent = Stored {
            intent: Some("[]"),
            ..stored("{}")
        };
        check(intent, "intent");
    }
}
