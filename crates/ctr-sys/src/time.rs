//! The wall clock, and its form in logs.

use rustix::time::ClockId;

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// Nanoseconds since 1970-01-01 UTC, `CLOCK_REALTIME`.
pub fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(ClockId::Realtime);
    now.tv_sec * NANOS + now.tv_nsec
}

/// A moment (nanoseconds since 1970 UTC) as RFC 3339 with nine digits and a numeric offset:
/// `2026-11-23T17:04:05.123456789+00:00`. The offset is always zero: one log must not change its zone halfway.
pub fn rfc3339(ns: i64) -> String {
    let seconds = ns.div_euclid(NANOS);
    let nanos = ns.rem_euclid(NANOS);
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let rest = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}+00:00")
}

/// Days since 1970-01-01 as year, month and day of the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_0000 = days + 719_468;
    let era = from_march_0000.div_euclid(146_097);
    let day_of_era = from_march_0000.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ns: i64, expected: &str) {
        assert_eq!(rfc3339(ns), expected);
    }

    #[test]
    fn known_moments() {
        check(0, "1970-01-01T00:00:00.000000000+00:00");
        check(-1, "1969-12-31T23:59:59.999999999+00:00");
        check(951_782_400 * NANOS, "2000-02-29T00:00:00.000000000+00:00");
        check(
            4_107_542_400 * NANOS + 5,
            "2100-03-01T00:00:00.000000005+00:00",
        );
        check(1_763_917_445 * NANOS, "2025-11-23T17:04:05.000000000+00:00");
    }
}
