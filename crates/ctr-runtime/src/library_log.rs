//! Catches what libcontainer logs.
//!
//! The library tells causes (which mount, which errno) only to its log, and it logs in the container's first process too, whose
//! standard error is already the container's. While the library runs, its errors are sent to the [`Reporter`] and everything else
//! is dropped, whatever subscriber the program has installed.

use std::fmt::Write as _;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

use crate::report::Reporter;

/// Runs `work`; what is logged on this thread, and in processes cloned from it, goes to `reporter`.
pub(crate) fn capture<T>(reporter: &Reporter, work: impl FnOnce() -> T) -> T {
    let dispatch = Dispatch::new(Collector(reporter.clone()));
    tracing::dispatcher::with_default(&dispatch, work)
}

struct Collector(Reporter);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() == Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.log(&line.text());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One event as `message (field=value, …)`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn text(self) -> String {
        if self.fields.is_empty() {
            return self.message;
        }
        format!("{} ({})", self.message, self.fields)
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
            return;
        }
        let separator = if self.fields.is_empty() { "" } else { ", " };
        let _ = write!(self.fields, "{separator}{}={value:?}", field.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::pipe;

    #[test]
    fn errors_are_kept_with_their_fields_and_the_rest_is_dropped() {
        let (reporter, reports) = pipe().unwrap();
        capture(&reporter, || {
            tracing::warn!("noise");
            let path = "/dev/x";
            tracing::error!(?path, code = 2, "failed to {}", "mount");
        });
        assert_eq!(
            reports.drain().log,
            ["failed to mount (path=\"/dev/x\", code=2)"]
        );
    }
}
