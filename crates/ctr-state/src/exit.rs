//! How a run ended.

use ctr_sys::Signal;
use serde::{Deserialize, Serialize};

/// The code that stands for "nobody knows": never 0, so that it cannot be taken for success.
const UNKNOWN: i32 = -1;
/// The code of a run that was ended because its time was up.
const TIMED_OUT: i32 = 255;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitInfo {
    /// By what it ended.
    pub cause: ExitCause,
    /// Whether the kernel killed in it for want of memory.
    pub oom: OomKilled,
    /// When: nanoseconds since 1970-01-01 UTC.
    pub finished_ns: i64,
    /// More about it, for people.
    #[serde(default)]
    pub reason: Option<String>,
    /// How many of its monitors were killed, and replaced, before it ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub monitors_lost: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde calls it with"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl ExitInfo {
    /// The exit code: that of the program, 128 plus the number of the signal that ended it, 255 when its time was up,
    /// and -1 when it is not known or there was no program.
    pub fn code(&self) -> i32 {
        match self.cause {
            ExitCause::Exited { code } => code,
            ExitCause::Signaled { signal } => 128 + signal.number(),
            ExitCause::Timeout => TIMED_OUT,
            ExitCause::Lost | ExitCause::Reboot | ExitCause::NeverStarted { .. } => UNKNOWN,
        }
    }
}

/// By what a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExitCause {
    /// The program ended.
    Exited {
        /// With this code.
        code: i32,
    },
    /// A signal ended the program.
    Signaled {
        /// This one.
        signal: Signal,
    },
    /// It had run for as long as it was allowed to.
    Timeout,
    /// The monitor that should have seen the end was gone.
    Lost,
    /// The machine was started anew.
    Reboot,
    /// The program was never started.
    NeverStarted {
        /// Why not.
        reason: String,
    },
}

/// Whether the kernel killed for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OomKilled {
    /// It did not.
    No,
    /// It did.
    Yes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cause: ExitCause, code: i32) {
        let exit = ExitInfo {
            cause,
            oom: OomKilled::No,
            monitors_lost: 0,
            finished_ns: 1,
            reason: None,
        };
        assert_eq!(exit.code(), code);
        let json = serde_json::to_string(&exit).unwrap();
        assert_eq!(serde_json::from_str::<ExitInfo>(&json).unwrap(), exit);
    }

    #[test]
    fn codes() {
        check(ExitCause::Exited { code: 3 }, 3);
        let signal = Signal::KILL;
        check(ExitCause::Signaled { signal }, 137);
        check(ExitCause::Timeout, 255);
        check(ExitCause::Lost, -1);
        check(ExitCause::Reboot, -1);
        let reason = "no such file".to_owned();
        check(ExitCause::NeverStarted { reason }, -1);
    }
}
