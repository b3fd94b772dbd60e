//! Numbers and signals of flags.

use std::fmt::Display;
use std::str::FromStr;

use ctr_sys::Signal;

use crate::error::CommandError;

/// A whole number within the type's range.
pub(crate) fn number<T: FromStr>(
    flag: &str,
    text: &str,
    allowed: impl Display,
) -> Result<T, CommandError> {
    text.parse()
        .map_err(|_| CommandError::value(flag, text, format!("must be {allowed}")))
}

/// Seconds to wait; a negative number waits forever.
pub(crate) fn seconds(flag: &str, text: Option<&str>) -> Result<Option<i64>, CommandError> {
    text.map(|text| number(flag, text, "a number of seconds (-1 waits forever)"))
        .transpose()
}

/// A signal by name or number.
pub(crate) fn signal(flag: &str, text: &str) -> Result<Signal, CommandError> {
    text.to_ascii_uppercase().parse().map_err(|_| {
        CommandError::value(
            flag,
            text,
            "must be a signal: a name such as TERM or SIGTERM, or a number from 1 to 64",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for good in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(signal("-s", good).unwrap(), Signal::TERM, "{good}");
        }
        for bad in ["", "0", "65", "-9", "TERMINATE", "SIG", "9x"] {
            assert!(signal("-s", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_may_be_negative_and_nothing_else() {
        assert_eq!(seconds("-t", None).unwrap(), None);
        assert_eq!(seconds("-t", Some("-1")).unwrap(), Some(-1));
        let error = seconds("--time", Some("1.5")).unwrap_err();
        assert_eq!(
            error.message(),
            "--time \"1.5\": must be a number of seconds (-1 waits forever)"
        );
    }
}
