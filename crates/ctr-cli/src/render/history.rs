//! The runs of a container: a line for people, an object for programs.

use ctr_events::Actor;
use ctr_state::{ExitCause, ExitInfo, OomKilled, Run, StartReason, StopReason};
use ctr_sys::{Signal, rfc3339};
use serde::Serialize;

use crate::render::duration::between;
use crate::render::table::Table;

const HEADER: [&str; 6] = [
    "RUN",
    "STARTED",
    "STARTED BY",
    "RAN FOR",
    "CODE",
    "HOW IT ENDED",
];

/// The table, oldest run first.
pub(crate) fn table(runs: &[Run], now_ns: i64) -> String {
    let mut table = Table::new(&HEADER);
    for run in runs {
        let started = run.started_ns.unwrap_or(run.created_ns);
        let lasted = match (&run.ended, run.started_ns) {
            (Some(exit), Some(started_ns)) => between(started_ns, exit.finished_ns),
            (None, Some(started_ns)) => between(started_ns, now_ns),
            (_, None) => "-".to_owned(),
        };
        let code = run
            .ended
            .as_ref()
            .map_or_else(|| "-".to_owned(), |exit| exit.code().to_string());
        table.row(&[
            &run.generation.to_string(),
            &moment(started),
            &starter(run),
            &lasted,
            &code,
            &ending(run),
        ]);
    }
    table.render()
}

/// `2026-11-25 17:04:05.123 UTC`.
fn moment(ns: i64) -> String {
    let text = rfc3339(ns).replacen('T', " ", 1);
    format!("{} UTC", text.get(..23).unwrap_or(&text))
}

fn starter(run: &Run) -> String {
    match run.start_reason {
        StartReason::User => actor(&run.started_by),
        StartReason::Restart => format!("restart by {}", actor(&run.started_by)),
        StartReason::Policy => "restart policy".to_owned(),
        StartReason::Boot => "boot".to_owned(),
        StartReason::Dependency => format!("dependent, {}", actor(&run.started_by)),
    }
}

fn actor(actor: &Actor) -> String {
    match actor.login_uid {
        Some(login) if login != actor.uid => {
            format!(
                "{} ({}, uid {}, login {login})",
                actor.program, actor.pid, actor.uid
            )
        }
        Some(_) | None => format!("{} ({}, uid {})", actor.program, actor.pid, actor.uid),
    }
}

/// How a run ended and who had a part in it.
fn ending(run: &Run) -> String {
    let Some(exit) = &run.ended else {
        return "it has not".to_owned();
    };
    let mut text = cause(exit, run.stop_reason);
    if let Some(by) = &run.ended_by {
        let asked = match run.stop_reason {
            Some(StopReason::User) => "stopped by",
            Some(StopReason::Kill) => "signalled by",
            Some(StopReason::Shutdown) => "stopped for the shutdown by",
            Some(StopReason::Restart) => "stopped for a restart by",
            None => "ended by",
        };
        text = format!("{text}, {asked} {}", actor(by));
    }
    text
}

fn cause(exit: &ExitInfo, stop: Option<StopReason>) -> String {
    let text = cause_alone(exit, stop);
    match exit.monitors_lost {
        _ if exit.cause == ExitCause::Lost => text,
        0 => text,
        1 => format!("{text}; its monitor was killed before"),
        lost => format!("{text}; its monitor was killed {lost} times before"),
    }
}

fn cause_alone(exit: &ExitInfo, stop: Option<StopReason>) -> String {
    let oom = exit.oom == OomKilled::Yes;
    let text = match &exit.cause {
        ExitCause::Exited { code: 0 } => "ended".to_owned(),
        ExitCause::Exited { code } => format!("failed with code {code}"),
        ExitCause::Signaled { signal } if oom && *signal == Signal::KILL && stop.is_none() => {
            return "out of memory: killed by the kernel".to_owned();
        }
        ExitCause::Signaled { signal } => format!("killed by {signal}"),
        ExitCause::Timeout => "killed because its time was up".to_owned(),
        ExitCause::Lost => "unknown: its monitor was lost".to_owned(),
        ExitCause::Reboot => "ended by a reboot".to_owned(),
        ExitCause::NeverStarted { reason } => format!("never started: {reason}"),
    };
    if oom {
        return format!("{text}; a process in it was killed for want of memory");
    }
    text
}

/// One run for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Object<'a> {
    id: &'a str,
    name: &'a str,
    generation: u64,
    start_reason: StartReason,
    started_by: &'a Actor,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    exit_code: Option<i32>,
    /// `exited`, `signaled`, `timeout`, `lost`, `reboot`, `never_started`; none while it runs.
    cause: Option<&'a ExitCause>,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    /// How many of its monitors were killed, and replaced, before its end.
    monitors_lost: u32,
    stop_reason: Option<StopReason>,
    ended_by: Option<&'a Actor>,
    reason: Option<&'a str>,
}

/// The runs, in the same order.
pub(crate) fn json(runs: &[Run]) -> Vec<Object<'_>> {
    runs.iter().map(object).collect()
}

fn object(run: &Run) -> Object<'_> {
    let exit = run.ended.as_ref();
    Object {
        id: run.container_id.as_str(),
        name: run.container_name.as_str(),
        generation: run.generation,
        start_reason: run.start_reason,
        started_by: &run.started_by,
        created_at: rfc3339(run.created_ns),
        started_at: run.started_ns.map(rfc3339),
        finished_at: exit.map(|exit| rfc3339(exit.finished_ns)),
        exit_code: exit.map(ExitInfo::code),
        cause: exit.map(|exit| &exit.cause),
        oom_killed: exit.is_some_and(|exit| exit.oom == OomKilled::Yes),
        monitors_lost: exit.map_or(0, |exit| exit.monitors_lost),
        stop_reason: run.stop_reason,
        ended_by: run.ended_by.as_ref(),
        reason: exit.and_then(|exit| exit.reason.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn by(program: &str) -> Actor {
        Actor {
            uid: 0,
            login_uid: Some(1000),
            pid: 7,
            program: program.to_owned(),
        }
    }

    fn check(cause: ExitCause, oom: OomKilled, stop: Option<StopReason>, expected: &Expect) {
        let run = Run {
            container_id: "0123456789abcdef".repeat(4).parse().unwrap(),
            container_name: "web".parse().unwrap(),
            generation: 1,
            started_by: by("ctr"),
            created_ns: 1,
            started_ns: Some(1),
            ended: Some(ExitInfo {
                cause,
                oom,
                monitors_lost: 0,
                finished_ns: 2_000_000_001,
                reason: None,
            }),
            ended_by: stop.map(|_| by("ctr")),
            start_reason: StartReason::User,
            stop_reason: stop,
        };
        expected.assert_eq(&ending(&run));
    }

    #[test]
    fn endings_are_told_apart() {
        let killed = ExitCause::Signaled {
            signal: Signal::KILL,
        };
        check(
            ExitCause::Exited { code: 0 },
            OomKilled::No,
            None,
            &expect!["ended"],
        );
        check(
            ExitCause::Exited { code: 3 },
            OomKilled::Yes,
            None,
            &expect!["failed with code 3; a process in it was killed for want of memory"],
        );
        check(
            killed.clone(),
            OomKilled::Yes,
            None,
            &expect!["out of memory: killed by the kernel"],
        );
        check(
            killed.clone(),
            OomKilled::No,
            None,
            &expect!["killed by SIGKILL"],
        );
        check(
            killed.clone(),
            OomKilled::No,
            Some(StopReason::Kill),
            &expect!["killed by SIGKILL, signalled by ctr (7, uid 0, login 1000)"],
        );
        check(
            killed,
            OomKilled::No,
            Some(StopReason::User),
            &expect!["killed by SIGKILL, stopped by ctr (7, uid 0, login 1000)"],
        );
        check(
            ExitCause::Timeout,
            OomKilled::No,
            None,
            &expect!["killed because its time was up"],
        );
        check(
            ExitCause::Reboot,
            OomKilled::No,
            None,
            &expect!["ended by a reboot"],
        );
    }

    #[test]
    fn moments_are_short() {
        assert_eq!(moment(1_500_000_000), "1970-01-01 00:00:01.500 UTC");
    }
}
