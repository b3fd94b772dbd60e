//! The signals that a foreground client passes on to its container.

use ctr_sys::{Signal, SignalFd};

use crate::error::CommandError;

/// Kept by the client, each for a reason: KILL and STOP cannot be caught; CHLD, PIPE and URG are about the client itself; TTIN and
/// TTOU stop a client in the background that touches the terminal; the others tell of a fault in the client's own code.
const OWN: [&str; 14] = [
    "KILL", "STOP", "CHLD", "PIPE", "URG", "TTIN", "TTOU", "ILL", "TRAP", "ABRT", "BUS", "FPE",
    "SEGV", "SYS",
];

/// The first real-time signals, which the C library uses itself.
const RESERVED: std::ops::RangeInclusive<i32> = 32..=33;

/// Blocks everything that the container is to receive, so that nothing is lost between here and the start of the session.
///
/// # Errors
/// When the kernel refuses the signal descriptor.
pub(crate) fn block() -> Result<SignalFd, CommandError> {
    SignalFd::block(&forwarded()).map_err(|error| CommandError::failed(error.to_string()))
}

fn forwarded() -> Vec<Signal> {
    let own: Vec<Signal> = OWN.iter().filter_map(|name| name.parse().ok()).collect();
    let all = (1..=64)
        .filter(|number| !RESERVED.contains(number))
        .filter_map(Signal::new);
    all.filter(|signal| !own.contains(signal)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_send_is_forwarded_and_what_cannot_be_is_not() {
        let forwarded = forwarded();
        for name in [
            "TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "CONT", "TSTP", "ALRM",
            "RTMIN+3",
        ] {
            assert!(forwarded.contains(&name.parse().unwrap()), "{name}");
        }
        for name in OWN {
            assert!(!forwarded.contains(&name.parse().unwrap()), "{name}");
        }
        assert_eq!(forwarded.len(), 64 - OWN.len() - 2);
    }
}
