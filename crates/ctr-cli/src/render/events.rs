//! Events as podman shows them: a line for people, an object a line for programs.

use std::collections::BTreeMap;

use ctr_events::{Actor, Event};
use serde::Serialize;

use crate::error::CommandError;
use crate::render::json::compact;
use crate::render::ps::Width;

const NS: i64 = 1_000_000_000;

/// `TIME TYPE STATUS ID (image=…, name=…, ATTRIBUTE=…)`, to be escaped.
pub(crate) fn line(event: &Event, width: Width) -> String {
    let subject = event.subject();
    let id = width.id(&subject.id);
    let attributes = event.attributes().iter();
    let attributes: Vec<String> = attributes
        .map(|(key, value)| format!(", {key}={value}"))
        .collect();
    let attributes = attributes.concat();
    format!(
        "{} {} {} {id} (image={}, name={}{attributes})",
        time(event.time_ns()),
        subject.kind,
        event.kind(),
        subject.image,
        subject.name,
    )
}

/// `2026-11-25 17:04:05.123456789 +0000 UTC`.
fn time(ns: i64) -> String {
    let text = ctr_sys::rfc3339(ns);
    let text = text.trim_end_matches("+00:00").replacen('T', " ", 1);
    format!("{text} +0000 UTC")
}

/// The event as one line of JSON.
///
/// # Errors
/// Never for an event of the journal.
pub(crate) fn json(event: &Event) -> Result<String, CommandError> {
    compact(&Object::of(event))
}

/// podman's keys, and behind them what only this engine knows.
#[derive(Debug, Serialize)]
struct Object<'a> {
    #[serde(rename = "ContainerExitCode", skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(rename = "OOMKilled", skip_serializing_if = "Option::is_none")]
    oom_killed: Option<bool>,
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Image")]
    image: &'a str,
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(rename = "Status")]
    status: &'static str,
    /// Whole seconds since 1970.
    time: i64,
    #[serde(rename = "timeNano")]
    time_ns: i64,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, String>,
    /// The number of the event: what `--after` takes.
    sequence: u64,
    generation: u64,
    actor: &'a Actor,
}

impl<'a> Object<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            exit_code: event.exit_code(),
            oom_killed: event.oom_killed().then_some(true),
            id: &event.subject().id,
            image: &event.subject().image,
            name: &event.subject().name,
            status: event.kind().as_str(),
            time: event.time_ns().div_euclid(NS),
            time_ns: event.time_ns(),
            kind: event.subject().kind.as_str(),
            attributes: event.attributes(),
            sequence: event.seq,
            generation: event.generation(),
            actor: event.actor(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::escape::escape;
    use ctr_events::{EventKind, NewEvent, Subject, SubjectKind};
    use expect_test::expect;

    fn event(kind: EventKind, attributes: &[(&str, &str)]) -> Event {
        let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Event {
            seq: 7,
            body: NewEvent {
                time_ns: 1_795_600_800_000_000_005,
                kind,
                subject: Subject {
                    kind: SubjectKind::Container,
                    id: "0123456789abcdef".to_owned(),
                    name: "web".to_owned(),
                    image: "/srv/a\nb".to_owned(),
                },
                generation: 2,
                actor: Actor {
                    uid: 0,
                    login_uid: Some(1000),
                    pid: 42,
                    program: "ctr".to_owned(),
                },
                attributes: attributes.iter().map(text).collect(),
            },
        }
    }

    fn check_line(event: &Event, width: Width, expected: &expect_test::Expect) {
        expected.assert_eq(&escape(&line(event, width)));
    }

    #[test]
    fn lines() {
        check_line(
            &event(EventKind::Start, &[]),
            Width::Short,
            &expect![[
                r#"2026-11-25 10:00:00.000000005 +0000 UTC container start 0123456789ab (image=/srv/a\nb, name=web)"#
            ]],
        );
        let labels = [("containerExitCode", "3"), ("x", "1\n2\u{1b}[2J")];
        check_line(
            &event(EventKind::Died, &labels),
            Width::Full,
            &expect![[
                r#"2026-11-25 10:00:00.000000005 +0000 UTC container died 0123456789abcdef (image=/srv/a\nb, name=web, containerExitCode=3, x=1\n2\x1b[2J)"#
            ]],
        );
    }

    #[test]
    fn objects() {
        let ended = [
            ("containerExitCode", "137"),
            ("oomKilled", "true"),
            ("x", "\n{}\u{9b}"),
        ];
        expect![[r#"
            {"ContainerExitCode":137,"OOMKilled":true,"ID":"0123456789abcdef","Image":"/srv/a\nb","Name":"web","Status":"died","time":1795600800,"timeNano":1795600800000000005,"Type":"container","Attributes":{"containerExitCode":"137","oomKilled":"true","x":"\n{}\u009b"},"sequence":7,"generation":2,"actor":{"uid":0,"login_uid":1000,"pid":42,"program":"ctr"}}
        "#]].assert_eq(&json(&event(EventKind::Died, &ended)).unwrap());
        // A label that is called like the exit code is one.
        let label = [("containerExitCode", "0"), ("oomKilled", "true")];
        expect![[r#"
            {"ID":"0123456789abcdef","Image":"/srv/a\nb","Name":"web","Status":"start","time":1795600800,"timeNano":1795600800000000005,"Type":"container","Attributes":{"containerExitCode":"0","oomKilled":"true"},"sequence":7,"generation":2,"actor":{"uid":0,"login_uid":1000,"pid":42,"program":"ctr"}}
        "#]].assert_eq(&json(&event(EventKind::Start, &label)).unwrap());
    }
}
