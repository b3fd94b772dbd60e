//! `events`: what happened, and what happens.

use std::os::fd::BorrowedFd;

use ctr_events::{Cursor, Event, Filter, Reader, Watch, Woken};

use crate::engine::Engine;
use crate::error::EngineError;

/// Where a reader of the events begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsFrom {
    /// With the oldest event that is kept.
    Oldest,
    /// After the newest event: only what is to come.
    Now,
    /// After this event, which was the last one that the reader saw.
    After(Cursor),
}

/// Whether a reader waits for events that are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsFollow {
    /// Until the time of [`EventsRequest::until_ns`], or for ever.
    Yes,
    /// It ends after those that are there when it begins.
    No,
}

/// Which events are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsRequest {
    /// Where to begin.
    pub from: EventsFrom,
    /// Only events at or after this time, nanoseconds since 1970 UTC.
    pub since_ns: Option<i64>,
    /// Only events before this time, nanoseconds since 1970 UTC; a reader that follows ends then.
    pub until_ns: Option<i64>,
    /// What else events must be like.
    pub filter: Filter,
    /// Whether to wait for more.
    pub follow: EventsFollow,
}

/// What a reader of the events meets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsNext {
    /// This one.
    Event(Event),
    /// Nothing more was asked for.
    End,
    /// Nobody reads any more what the caller writes.
    ReaderGone,
}

/// The events of a request, one after the other. It holds no lock and no transaction between two of them.
#[derive(Debug)]
pub struct EventStream<'e> {
    engine: &'e Engine,
    watch: Watch,
    reader: Reader,
    until_ns: Option<i64>,
    /// The last event that may be returned, once that is known.
    end: Option<Cursor>,
}

impl Engine {
    /// The events that the request asks for. Takes no lock.
    ///
    /// # Errors
    /// When the journal cannot be read or its wake file cannot be watched. A cursor is looked at by the first [`EventStream::next`].
    pub fn events(&self, request: EventsRequest) -> Result<EventStream<'_>, EngineError> {
        // The watch comes before the first look: what is committed between the two wakes us.
        let watch = Watch::start(&self.layout().wake())?;
        let after = match request.from {
            EventsFrom::Oldest => Cursor::start(),
            EventsFrom::Now => self.store().last_event()?,
            EventsFrom::After(cursor) => cursor,
        };
        let mut filter = request.filter;
        if let Some(since_ns) = request.since_ns {
            filter = filter.since(since_ns);
        }
        if let Some(until_ns) = request.until_ns {
            filter = filter.until(until_ns);
        }
        let end = match request.follow {
            EventsFollow::Yes => None,
            EventsFollow::No => Some(self.store().last_event()?),
        };
        Ok(EventStream {
            engine: self,
            watch,
            reader: Reader::new(after, filter),
            until_ns: request.until_ns,
            end,
        })
    }
}

impl EventStream<'_> {
    /// Waits for the next event. `output` is the descriptor that the caller writes events to, if the wait is to end when its reader
    /// goes away.
    ///
    /// # Errors
    /// [`EventError::Expired`](ctr_events::EventError::Expired) when the events after the cursor, or after the last one returned, were
    /// trimmed before they were read, [`EventError::NotYet`](ctr_events::EventError::NotYet) for a cursor after the last event, both
    /// inside [`EngineError::State`]; whatever reading the journal meets.
    pub fn next(&mut self, output: Option<BorrowedFd<'_>>) -> Result<EventsNext, EngineError> {
        loop {
            let next = self.engine.store().next_event(&mut self.reader)?;
            match (next, self.end) {
                (Some(event), None) => return Ok(EventsNext::Event(event)),
                (Some(event), Some(end)) if event.cursor() <= end => {
                    return Ok(EventsNext::Event(event));
                }
                (_, Some(_)) => return Ok(EventsNext::End),
                (None, None) => {}
            }
            let deadline = self.engine.deadline_at(self.until_ns);
            if deadline.expired() {
                self.end = Some(self.engine.store().last_event()?);
                continue;
            }
            match self.watch.wait(output, deadline)? {
                Woken::Touched | Woken::TimedOut => {}
                Woken::ReaderGone => return Ok(EventsNext::ReaderGone),
            }
        }
    }
}
