//! How long a container's program may run.

use std::time::Duration;

use ctr_sys::{Deadline, Delivery, Signal, SysError};

use ctr_exec::{ExitReport, TimedOut};

/// A container that was frozen just after it had been killed is thawed after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// The time of one run.
pub(super) struct TimeLimit {
    /// When the first process is to be killed, or, once it has been, looked at again.
    next: Deadline,
    killed: Killed,
}

/// Whether the first process has been sent the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    No,
    Yes,
}

impl TimeLimit {
    /// For a container that has not been started.
    pub(super) fn none() -> Self {
        Self::from_now(None)
    }

    /// So many ms from now; `None` for no limit.
    pub(super) fn from_now(millis: Option<u64>) -> Self {
        let after = |millis| Deadline::after(Duration::from_millis(millis));
        Self {
            next: millis.map_or(Deadline::never(), after),
            killed: Killed::No,
        }
    }

    /// How long until there is something to do; `None` for never.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.next.remaining()
    }

    /// Whether there is something to do.
    pub(super) fn is_up(&self) -> bool {
        self.next.expired()
    }

    /// The signal has been sent, with this outcome.
    pub(super) fn tried(&mut self, sent: &Result<Delivery, SysError>) {
        if let Ok(Delivery::Delivered) = sent {
            self.killed = Killed::Yes;
        }
        self.next = Deadline::after(AGAIN);
    }

    /// Whether such an end was the limit's doing. A program that ended by itself at that very moment was not killed.
    pub(super) fn ended_by(&self, exit: ExitReport) -> TimedOut {
        let signal = Signal::KILL;
        match (self.killed, exit == ExitReport::Signaled { signal }) {
            (Killed::Yes, true) => TimedOut::Yes,
            (Killed::No, _) | (_, false) => TimedOut::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed_by(signal: Signal) -> ExitReport {
        ExitReport::Signaled { signal }
    }

    #[test]
    fn only_a_limit_is_waited_for() {
        for limit in [TimeLimit::none(), TimeLimit::from_now(Some(u64::MAX))] {
            assert!(!limit.is_up());
        }
        assert_eq!(TimeLimit::none().timeout(), None);
        assert!(TimeLimit::from_now(Some(1_000_000)).timeout().is_some());
        assert!(TimeLimit::from_now(Some(0)).is_up());
    }

    #[test]
    fn the_time_was_up_only_if_the_signal_was_ours_and_ended_it() {
        let mut limit = TimeLimit::from_now(Some(0));
        assert_eq!(limit.ended_by(killed_by(Signal::KILL)), TimedOut::No);
        limit.tried(&Ok(Delivery::Gone));
        assert_eq!(limit.ended_by(killed_by(Signal::KILL)), TimedOut::No);
        assert!(limit.timeout().is_some());
        limit.tried(&Ok(Delivery::Delivered));
        assert_eq!(limit.ended_by(killed_by(Signal::KILL)), TimedOut::Yes);
        let others = [
            killed_by(Signal::TERM),
            ExitReport::Exited { code: 137 },
            ExitReport::Unknown,
        ];
        for exit in others {
            assert_eq!(limit.ended_by(exit), TimedOut::No);
        }
    }
}
