//! A point in time after which waiting ends.

use std::time::{Duration, Instant};

/// A point on the monotonic clock, or never. Every wait of the house takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Waits for as long as it takes.
    pub const fn never() -> Self {
        Self(None)
    }

    /// `duration` from now. A duration that the clock cannot hold is the same as never.
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    /// Whether the point has passed.
    pub fn expired(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// The time left, zero when it has passed; `None` for never.
    pub fn remaining(self) -> Option<Duration> {
        self.0
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// The time left in ms as `poll(2)` takes it, rounded up so that it is not woken early; -1 for never.
    pub fn poll_millis(self) -> i32 {
        let Some(left) = self.remaining() else {
            return -1;
        };
        let millis = left.as_nanos().div_ceil(1_000_000);
        i32::try_from(millis).unwrap_or(i32::MAX)
    }

    /// The time left as `ppoll(2)` takes it; `None` for never.
    pub(crate) fn timespec(self) -> Option<rustix::time::Timespec> {
        self.remaining().map(|left| rustix::time::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        })
    }

    /// The earlier of two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Self(Some(a.min(b))),
            (a, b) => Self(a.or(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_does_not_pass_and_zero_has_passed() {
        assert!(!Deadline::never().expired());
        assert_eq!(Deadline::never().poll_millis(), -1);
        assert!(Deadline::after(Duration::ZERO).expired());
        assert_eq!(Deadline::after(Duration::ZERO).poll_millis(), 0);
        assert_eq!(Deadline::after(Duration::MAX), Deadline::never());
    }

    #[test]
    fn the_earlier_of_two() {
        let soon = Deadline::after(Duration::from_secs(1));
        assert_eq!(Deadline::never().min(soon), soon);
        assert_eq!(soon.min(Deadline::after(Duration::from_secs(9))), soon);
    }
}
