//! The restart policy: whether a container whose run is over is started again, and when. Decisions only; [`crate::restart`] acts on
//! them.

use std::time::Duration;

use ctr_state::{ExitCause, ExitInfo, Facts, Ran, RestartPolicy, StartReason, Status, StopReason};

/// How long the first restart in a row is put off.
const SHORTEST: Duration = Duration::from_millis(100);
/// And the longest of those that follow, each twice as long as the one before.
const LONGEST: Duration = Duration::from_secs(60);
/// After a run that was as long as this, the next restart is put off no longer than the first one.
const LONG_RUN: Duration = Duration::from_secs(10);

/// How long after its end a container is to be started again; `None`: it is not, or its run is not over.
///
/// A stop that somebody asked for is obeyed, for whatever reason it was. A run that a reboot ended is the business of the boot, and one
/// that somebody else's command could not even start is that command's.
pub(crate) fn delay(policy: RestartPolicy, facts: &Facts) -> Option<Duration> {
    let exit = facts.exit.as_ref()?;
    if facts.stop_requested.is_some() || !counts(facts, exit) {
        return None;
    }
    let wanted = match policy {
        RestartPolicy::No => false,
        RestartPolicy::OnFailure { retries } => {
            let left = retries.is_none_or(|retries| facts.restart_count < retries);
            exit.code() != 0 && left
        }
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
    };
    wanted.then(|| next_delay(facts, exit))
}

fn counts(facts: &Facts, exit: &ExitInfo) -> bool {
    match exit.cause {
        ExitCause::Exited { .. }
        | ExitCause::Signaled { .. }
        | ExitCause::Timeout
        | ExitCause::Lost => facts.started_ns.is_some(),
        ExitCause::NeverStarted { .. } => facts.start_reason == StartReason::Policy,
        ExitCause::Reboot => false,
    }
}

fn next_delay(facts: &Facts, exit: &ExitInfo) -> Duration {
    let run_ns = facts
        .started_ns
        .map_or(0, |started_ns| exit.finished_ns.saturating_sub(started_ns));
    let run = Duration::from_nanos(u64::try_from(run_ns).unwrap_or(0));
    if run >= LONG_RUN {
        return SHORTEST;
    }
    let last = Duration::from_millis(facts.backoff_ms);
    (last * 2).clamp(SHORTEST, LONGEST)
}

/// Whether a container is started when the machine is.
///
/// One that never ran is not: nobody has asked for it yet.
pub(crate) fn starts_on_boot(policy: RestartPolicy, status: Status, facts: &Facts) -> bool {
    if facts.history == Ran::Never {
        return false;
    }
    match status {
        Status::Configured | Status::Created | Status::Removing => return false,
        Status::Running | Status::Paused | Status::Stopping | Status::Stopped | Status::Exited => {}
    }
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::UnlessStopped => match facts.stop_requested {
            Some(StopReason::User | StopReason::Kill) => false,
            Some(StopReason::Shutdown | StopReason::Restart) | None => true,
        },
        RestartPolicy::No | RestartPolicy::OnFailure { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_state::OomKilled;
    use ctr_sys::Signal;

    const SECOND: i64 = 1_000_000_000;

    /// A run of one second that ended so.
    fn ended(cause: ExitCause) -> Facts {
        Facts {
            started_ns: Some(5 * SECOND),
            history: Ran::Before,
            exit: Some(ExitInfo {
                cause,
                oom: OomKilled::No,
                monitors_lost: 0,
                finished_ns: 6 * SECOND,
                reason: None,
            }),
            ..Facts::default()
        }
    }

    fn code(code: i32) -> Facts {
        ended(ExitCause::Exited { code })
    }

    /// In ms.
    fn check(policy: &str, facts: &Facts, expected: Option<u128>) {
        let found = delay(policy.parse().unwrap(), facts);
        assert_eq!(
            found.map(|delay| delay.as_millis()),
            expected,
            "{policy} {facts:?}"
        );
    }

    #[test]
    fn the_policy_and_the_code_decide() {
        for (policy, success, failure) in [
            ("no", None, None),
            ("on-failure", None, Some(100)),
            ("always", Some(100), Some(100)),
            ("unless-stopped", Some(100), Some(100)),
        ] {
            check(policy, &code(0), success);
            check(policy, &code(3), failure);
            check(policy, &ended(ExitCause::Lost), failure);
            check(policy, &ended(ExitCause::Timeout), failure);
            let signal = Signal::KILL;
            check(policy, &ended(ExitCause::Signaled { signal }), failure);
            check(policy, &ended(ExitCause::Reboot), None);
            check(policy, &Facts::default(), None);
        }
    }

    #[test]
    fn who_was_asked_to_stop_stays_down() {
        for reason in [
            StopReason::User,
            StopReason::Kill,
            StopReason::Shutdown,
            StopReason::Restart,
        ] {
            let facts = Facts {
                stop_requested: Some(reason),
                ..code(3)
            };
            check("always", &facts, None);
        }
    }

    #[test]
    fn retries_are_counted() {
        let after = |restart_count| Facts {
            restart_count,
            ..code(3)
        };
        check("on-failure:2", &after(1), Some(100));
        check("on-failure:2", &after(2), None);
        check("on-failure", &after(1000), Some(100));
    }

    #[test]
    fn each_delay_is_twice_the_last_until_a_long_run() {
        for (last, next) in [(0, 100), (100, 200), (25_600, 51_200), (51_200, 60_000)] {
            let facts = Facts {
                backoff_ms: last,
                ..code(3)
            };
            check("always", &facts, Some(next));
            let long = Facts {
                started_ns: Some(-4 * SECOND),
                ..facts
            };
            check("always", &long, Some(100));
        }
    }

    #[test]
    fn a_start_that_failed_counts_only_when_the_policy_began_it() {
        let reason = "no such file".to_owned();
        let failed = |start_reason| Facts {
            started_ns: None,
            start_reason,
            ..ended(ExitCause::NeverStarted {
                reason: reason.clone(),
            })
        };
        check("always", &failed(StartReason::Policy), Some(100));
        check("always", &failed(StartReason::User), None);
        check("always", &failed(StartReason::Boot), None);
    }

    #[test]
    fn what_starts_on_boot() {
        let starts = |policy: &str, status, stop_requested| {
            let facts = Facts {
                stop_requested,
                ..code(0)
            };
            starts_on_boot(policy.parse().unwrap(), status, &facts)
        };
        let user = Some(StopReason::User);
        assert!(starts("always", Status::Exited, user));
        assert!(!starts("unless-stopped", Status::Exited, user));
        assert!(!starts(
            "unless-stopped",
            Status::Exited,
            Some(StopReason::Kill)
        ));
        assert!(starts(
            "unless-stopped",
            Status::Exited,
            Some(StopReason::Shutdown)
        ));
        assert!(starts("unless-stopped", Status::Running, None));
        assert!(!starts("on-failure", Status::Exited, None));
        assert!(!starts("no", Status::Exited, None));
        assert!(!starts("always", Status::Configured, None));
        let never = Facts::default();
        assert!(!starts_on_boot(
            RestartPolicy::Always,
            Status::Exited,
            &never
        ));
    }
}
