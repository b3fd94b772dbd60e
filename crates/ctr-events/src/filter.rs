//! Which events a reader wants.

use crate::{Event, EventError, EventKind, SubjectKind};

/// A predicate over events, parsed from `key=value` terms.
///
/// Values of one key are alternatives, different keys must all hold. The default matches every event.
///
/// | key | value |
/// |---|---|
/// | `container` | a name or the beginning of an id; restricts to events of containers |
/// | `event`, `status` | an event kind; "die" is taken for "died" |
/// | `image` | the image or directory that the subject is made of |
/// | `label` | a label or another attribute: `KEY`, or `KEY=VALUE` |
/// | `type` | a kind of subject |
///
/// ```
/// let filter = ctr_events::Filter::parse(["container=web", "event=start", "event=died"])?;
/// assert_ne!(filter, ctr_events::Filter::default());
/// # Ok::<(), ctr_events::EventError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    containers: Vec<String>,
    kinds: Vec<EventKind>,
    subjects: Vec<SubjectKind>,
    images: Vec<String>,
    labels: Vec<Label>,
    since_ns: Option<i64>,
    until_ns: Option<i64>,
}

impl Filter {
    /// A filter of all `terms`.
    ///
    /// # Errors
    /// [`EventError::Invalid`] for the first term that is not `key=value`, has an unknown key or a value that its key
    /// does not know.
    pub fn parse<T: AsRef<str>>(terms: impl IntoIterator<Item = T>) -> Result<Self, EventError> {
        let mut filter = Self::default();
        for term in terms {
            filter.add(term.as_ref())?;
        }
        Ok(filter)
    }

    /// Adds one `key=value` term. Keys are read without regard to case.
    ///
    /// # Errors
    /// [`EventError::Invalid`], see [`Filter::parse`].
    pub fn add(&mut self, term: &str) -> Result<(), EventError> {
        let invalid = |why: &str| EventError::invalid("filter", term, why);
        let (key, value) = term
            .split_once('=')
            .ok_or_else(|| invalid("expected key=value"))?;
        if value.is_empty() {
            return Err(invalid("the value is empty"));
        }
        match key.to_ascii_lowercase().as_str() {
            "container" => self.containers.push(value.to_owned()),
            "event" | "status" => self.kinds.push(value.parse()?),
            "type" => self.subjects.push(value.parse()?),
            "image" => self.images.push(value.to_owned()),
            "label" => self.labels.push(Label::parse(value)),
            _ => return Err(invalid(KEYS)),
        }
        Ok(())
    }

    /// Only events at or after this time (nanoseconds since 1970-01-01 UTC).
    #[must_use]
    pub const fn since(mut self, time_ns: i64) -> Self {
        self.since_ns = Some(time_ns);
        self
    }

    /// Only events before this time (nanoseconds since 1970-01-01 UTC).
    #[must_use]
    pub const fn until(mut self, time_ns: i64) -> Self {
        self.until_ns = Some(time_ns);
        self
    }

    /// Whether the filter wants `event`.
    pub fn matches(&self, event: &Event) -> bool {
        let time = event.time_ns();
        self.since_ns.is_none_or(|since| time >= since)
            && self.until_ns.is_none_or(|until| time < until)
            && any_or_empty(&self.kinds, |kind| *kind == event.kind())
            && any_or_empty(&self.subjects, |kind| *kind == event.subject().kind)
            && any_or_empty(&self.containers, |wanted| is_container(event, wanted))
            && any_or_empty(&self.images, |wanted| *wanted == event.subject().image)
            && any_or_empty(&self.labels, |wanted| wanted.is_of(event))
    }
}

const KEYS: &str = "known keys are container, event (or status), image, label and type";

/// A label that an event is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    key: String,
    /// Any value when it is `None`.
    value: Option<String>,
}

impl Label {
    fn parse(text: &str) -> Self {
        let (key, value) = text
            .split_once('=')
            .map_or((text, None), |(key, value)| (key, Some(value.to_owned())));
        Self {
            key: key.to_owned(),
            value,
        }
    }

    fn is_of(&self, event: &Event) -> bool {
        let found = event.attributes().get(&self.key);
        found.is_some_and(|found| self.value.as_ref().is_none_or(|wanted| wanted == found))
    }
}

fn any_or_empty<T>(wanted: &[T], matches: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(matches)
}

fn is_container(event: &Event, wanted: &str) -> bool {
    let subject = event.subject();
    subject.kind == SubjectKind::Container
        && (subject.name == wanted || subject.id.starts_with(wanted))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Actor, NewEvent, Subject};

    fn event(kind: EventKind, id: &str, name: &str, time_ns: i64) -> Event {
        let subject = Subject {
            kind: SubjectKind::Container,
            id: id.to_owned(),
            name: name.to_owned(),
            image: format!("/srv/{name}"),
        };
        let actor = Actor {
            uid: 0,
            login_uid: None,
            pid: 1,
            program: "test".to_owned(),
        };
        Event {
            seq: 1,
            body: NewEvent {
                time_ns,
                kind,
                subject,
                generation: 0,
                actor,
                attributes: BTreeMap::from([("tier".to_owned(), name.to_owned())]),
            },
        }
    }

    /// Which of three events the terms let through: "s" started web, "d" web died, "x" started abc1 under another name.
    fn check(terms: &[&str], expected: &str) {
        let filter = Filter::parse(terms).unwrap();
        let events = [
            ('s', event(EventKind::Start, "ffff", "web", 10)),
            ('d', event(EventKind::Died, "ffff", "web", 20)),
            ('x', event(EventKind::Start, "abc1", "db", 30)),
        ];
        let seen: String = events
            .iter()
            .filter(|(_, event)| filter.matches(event))
            .map(|(mark, _)| mark)
            .collect();
        assert_eq!(seen, expected, "{terms:?}");
    }

    #[test]
    fn one_key_is_or_and_different_keys_are_and() {
        check(&[], "sdx");
        check(&["container=web"], "sd");
        check(&["container=abc"], "x");
        check(&["container=web", "container=abc"], "sdx");
        check(&["container=we"], "");
        check(&["event=start"], "sx");
        check(&["EVENT=die", "status=start"], "sdx");
        check(&["container=web", "event=died"], "d");
        check(&["type=container"], "sdx");
        check(&["image=/srv/web"], "sd");
        check(&["image=/srv"], "");
        check(&["label=tier"], "sdx");
        check(&["label=tier=db"], "x");
        check(&["Label=tier=db", "label=tier=web", "event=start"], "sx");
        check(&["label=tier="], "");
        check(&["label=tie"], "");
    }

    #[test]
    fn times_are_half_open() {
        let filter = Filter::default().since(10).until(20);
        assert!(filter.matches(&event(EventKind::Start, "a", "a", 10)));
        assert!(!filter.matches(&event(EventKind::Start, "a", "a", 20)));
        assert!(!filter.matches(&event(EventKind::Start, "a", "a", 9)));
    }

    #[test]
    fn a_bad_term_is_named() {
        for term in ["colour=red", "container", "event=", "event=x", "type=pod"] {
            let message = Filter::parse([term]).unwrap_err().to_string();
            let value = term.rsplit('=').next().unwrap();
            assert!(message.contains(value), "{term}: {message}");
        }
    }
}
