//! Spans of time in the words that podman and docker use: one unit, rounded, never two.

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// A month is 30 days here, and a year 365.
const MONTH: i64 = 30 * DAY;
const YEAR: i64 = 365 * DAY;

/// Each unit is used from two of it on; one alone has words of its own or is said in the smaller unit.
const TWO_MINUTES: i64 = 2 * MINUTE;
const TWO_HOURS: i64 = 2 * HOUR;
const TWO_DAYS: i64 = 2 * DAY;
const TWO_WEEKS: i64 = 2 * WEEK;
const TWO_MONTHS: i64 = 2 * MONTH;
const TWO_YEARS: i64 = 2 * YEAR;

/// Nanoseconds of a second.
const NS: i64 = 1_000_000_000;

/// The time from one moment to a later one, both in nanoseconds. A clock that was set back gives the shortest span.
pub(crate) fn between(from_ns: i64, to_ns: i64) -> String {
    words(to_ns.saturating_sub(from_ns) / NS)
}

/// A number of seconds in words: below an hour what is begun does not count, from there on half an hour more is the next hour.
fn words(seconds: i64) -> String {
    if seconds < HOUR {
        return match seconds {
            ..1 => "Less than a second".to_owned(),
            1 => "1 second".to_owned(),
            2..MINUTE => format!("{seconds} seconds"),
            MINUTE..TWO_MINUTES => "About a minute".to_owned(),
            TWO_MINUTES.. => format!("{} minutes", seconds / MINUTE),
        };
    }
    let rounded = seconds.saturating_add(HOUR / 2) / HOUR * HOUR;
    match rounded {
        ..TWO_HOURS => "About an hour".to_owned(),
        TWO_HOURS..TWO_DAYS => format!("{} hours", rounded / HOUR),
        TWO_DAYS..TWO_WEEKS => format!("{} days", rounded / DAY),
        TWO_WEEKS..TWO_MONTHS => format!("{} weeks", rounded / WEEK),
        TWO_MONTHS..TWO_YEARS => format!("{} months", rounded / MONTH),
        TWO_YEARS.. => format!("{} years", rounded / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_border() {
        for (seconds, expected) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (2, "2 seconds"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 1799, "About an hour"),
            (HOUR + 1800, "2 hours"),
            (2 * DAY - 1801, "47 hours"),
            (2 * DAY, "2 days"),
            (14 * DAY - 1801, "13 days"),
            (14 * DAY, "2 weeks"),
            (60 * DAY - 1801, "8 weeks"),
            (60 * DAY, "2 months"),
            (730 * DAY - 1801, "24 months"),
            (730 * DAY, "2 years"),
            (3650 * DAY, "10 years"),
        ] {
            assert_eq!(words(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn any_two_moments_have_words() {
        assert_eq!(between(i64::MAX, i64::MIN), "Less than a second");
        assert_eq!(between(0, 1_999_999_999), "1 second");
        between(i64::MIN, i64::MAX);
    }
}
