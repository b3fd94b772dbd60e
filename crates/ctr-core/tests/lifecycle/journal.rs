//! What the journal says, read on and on.

use std::time::Duration;

use ctr_events::{Cursor, Event, EventKind, Filter, Follow};
use ctr_state::StoreConfig;
use ctr_sys::Deadline;

use crate::fixture::GUARD;

/// The journal, read on.
pub(crate) struct Journal(Follow);

impl Journal {
    /// From its beginning.
    pub(crate) fn open(store: &StoreConfig) -> Self {
        let (filter, start) = (Filter::default(), Cursor::start());
        Self(Follow::open(&store.database, &store.wake, start, filter).unwrap())
    }

    /// What has happened since the last look.
    pub(crate) fn news(&mut self) -> Vec<Event> {
        let mut news = Vec::new();
        while let Some(event) = self.0.next(Deadline::after(Duration::ZERO)).unwrap() {
            news.push(event);
        }
        news
    }

    /// The same as words.
    pub(crate) fn words(&mut self) -> String {
        words(&self.news())
    }

    /// What happens up to an event of this kind.
    pub(crate) fn until(&mut self, kind: EventKind) -> Vec<Event> {
        let mut news = Vec::new();
        loop {
            let event = self.0.next(Deadline::after(GUARD)).unwrap();
            let event = event.unwrap_or_else(|| panic!("no {kind} after {}", words(&news)));
            news.push(event);
            if news.last().unwrap().kind() == kind {
                return news;
            }
        }
    }
}

/// How often something has happened.
pub(crate) fn count(events: &[Event], kind: EventKind) -> usize {
    events.iter().filter(|event| event.kind() == kind).count()
}

pub(crate) fn words(events: &[Event]) -> String {
    let words: Vec<&str> = events.iter().map(|event| event.kind().as_str()).collect();
    words.join(" ")
}
