//! Whether what an engine finds on a disk is what it may find: everything that was promised, nothing that never was, and nothing half.

use std::collections::BTreeMap;

use serde_json::Value;

use super::load::Recording;
use super::record::Record;
use crate::race::client::called;
use crate::race::history::{Answer, Call, Verb};

/// What is wrong with a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Something that was promised is not there.
    Lost(String),
    /// It cannot be read, or does not fit together.
    Damaged(String),
    /// It can be read, and not be worked with.
    Wedged(String),
}

/// What is to be found.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    /// All events, as an engine tells them that has lost nothing.
    events: Vec<String>,
    /// For each record: so many events are promised when it is there.
    pub(crate) promised: Vec<usize>,
    /// How many answers promised something.
    pub(crate) promises: usize,
}

/// The words of an event.
struct Event<'a> {
    kind: &'a str,
    id: &'a str,
    name: &'a str,
    generation: u64,
    pid: i32,
}

impl<'a> Event<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ').skip(1);
        Some(Self {
            kind: words.next()?,
            id: words.next()?,
            name: words.next()?,
            generation: words.next()?.parse().ok()?,
            pid: words.next()?.parse().ok()?,
        })
    }
}

/// The texts of the events in what a worker says.
pub(crate) fn events(said: &Value) -> Vec<String> {
    let list = said["events"].as_array().map(Vec::as_slice);
    let texts = list.unwrap_or_default().iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

impl Truth {
    /// What the answers have promised: creations, renames and removals are on the disk when they are answered, and whatever was
    /// recorded before them.
    pub(crate) fn of(recording: &Recording, events: Vec<String>) -> Self {
        let mut asked: BTreeMap<i32, std::slice::Iter<'_, Call>> = recording
            .calls
            .iter()
            .map(|(worker, calls)| (*worker, calls.iter()))
            .collect();
        let mut truth = Self {
            events,
            promised: Vec::new(),
            promises: 0,
        };
        let mut promised = 0;
        for record in &recording.records {
            if let Record::Answer { worker, line } = record
                && let Some(call) = asked.get_mut(worker).and_then(Iterator::next)
                && let Some(place) = truth.place(*worker, call, line)
            {
                promised = promised.max(place + 1);
                truth.promises += 1;
            }
            truth.promised.push(promised);
        }
        truth
    }

    /// Which event an answer promises.
    fn place(&self, worker: i32, call: &Call, line: &str) -> Option<usize> {
        if call.answer != Answer::Done {
            return None;
        }
        let said: Value = serde_json::from_str(line).ok()?;
        let id = said["id"].as_str()?;
        let of = |place: &usize, kind: &str| {
            Event::parse(&self.events[*place])
                .is_some_and(|event| event.kind == kind && event.id == id)
        };
        if call.verb == Verb::Create {
            return (0..self.events.len()).find(|place| of(place, "create"));
        }
        if matches!(call.verb, Verb::Remove | Verb::RemoveByForce) {
            return (0..self.events.len()).find(|place| of(place, "remove"));
        }
        if call.verb != Verb::Rename {
            return None;
        }
        // Its own rename to that name, which is the one that was answered if it is the only one: an answer may be of a rename that
        // changed nothing, and has no event.
        let name = called(call.to_name?);
        let mut renames = (0..self.events.len()).filter(|place| {
            let event = Event::parse(&self.events[*place]);
            of(place, "rename") && event.is_some_and(|event| event.name == name)
        });
        let place = renames.next().filter(|_| renames.next().is_none())?;
        let event = Event::parse(&self.events[place])?;
        (event.pid == worker).then_some(place)
    }

    /// What is wrong with what an engine has found, when so many events were promised.
    pub(crate) fn judge(&self, said: &Value, promised: usize) -> Option<Wrong> {
        if let Some(text) = said["damaged"].as_str() {
            return Some(Wrong::Damaged(text.to_owned()));
        }
        let integrity = said["integrity"].as_str().unwrap_or("nothing was said");
        if integrity != "ok" {
            return Some(Wrong::Damaged(integrity.to_owned()));
        }
        let found = events(said);
        if self.events.get(..found.len()) != Some(&found[..]) {
            return Some(Wrong::Damaged("other events than happened".to_owned()));
        }
        if found.len() < promised {
            let first = &self.events[found.len()];
            let text = format!("{} of {promised} events, without {first}", found.len());
            return Some(Wrong::Lost(text));
        }
        if let Some(text) = rows_differ(&found, said) {
            return Some(Wrong::Damaged(text));
        }
        let wedged = said["wedged"].as_str();
        wedged.map(|text| Wrong::Wedged(text.to_owned()))
    }
}

/// A container as events tell of it.
struct Told<'a> {
    name: &'a str,
    status: &'static str,
    generation: u64,
    ran: bool,
}

/// The records and the events are written together, so they say the same.
fn rows_differ(events: &[String], said: &Value) -> Option<String> {
    let mut told: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    for event in events.iter().filter_map(|text| Event::parse(text)) {
        tell(&mut told, &event);
    }
    let rows = said["rows"].as_array()?;
    if rows.len() != told.len() {
        return Some(format!("{} rows of {} containers", rows.len(), told.len()));
    }
    rows.iter().find_map(|row| {
        let (id, name) = (row["id"].as_str()?, row["name"].as_str()?);
        let (status, generation) = (row["status"].as_str()?, row["generation"].as_u64()?);
        let known = told.get(id);
        let right = known.is_some_and(|known| {
            // Neither the number of a run to be, nor a stop or a removal that is under way, has an event.
            let under_way = matches!(status, "stopping" | "removing");
            known.name == name
                && (known.status == status || under_way)
                && (known.generation == generation || known.generation + 1 == generation)
        });
        let what = known.map(|known| (known.name, known.status, known.generation));
        (!right).then(|| format!("the events say {what:?}, the record is {row}"))
    })
}

fn tell<'a>(told: &mut BTreeMap<&'a str, Told<'a>>, event: &Event<'a>) {
    if event.kind == "create" {
        let new = Told {
            name: event.name,
            status: "created",
            generation: 0,
            ran: false,
        };
        told.insert(event.id, new);
        return;
    }
    if event.kind == "remove" {
        told.remove(event.id);
        return;
    }
    let Some(known) = told.get_mut(event.id) else {
        return;
    };
    known.generation = known.generation.max(event.generation);
    match event.kind {
        "rename" => known.name = event.name,
        "init" => known.status = "initialized",
        "start" | "unpause" => known.status = "running",
        "pause" => known.status = "paused",
        "died" => known.status = "stopped",
        "cleanup" if known.ran || known.status == "stopped" => known.status = "exited",
        "cleanup" => known.status = "created",
        _ => {}
    }
    known.ran |= event.kind == "start";
}
