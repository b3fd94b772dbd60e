//! The wall clock, and its form in logs and on the command line.

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

/// The moment (nanoseconds since 1970 UTC) that a text names: RFC 3339, or a shortened form of it. `None` for any other text, for
/// a day or hour that does not exist, and for what 64 bits of nanoseconds cannot hold (years before 1678 or after 2261).
///
/// A date may stand alone (its midnight), seconds may be missing, a fraction has up to nine digits after a point, date and time are
/// joined by `T` or a blank. A missing zone is UTC, the zone of [`rfc3339`], so that what was printed can be given back in any form.
/// Leap seconds are not known.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let mut rest = Scanner(text);
    let days = rest.date()?;
    let mut ns = 0;
    if rest.accept(&['T', 't', ' ']) {
        ns = rest.clock()?;
    }
    let offset = rest.zone()?;
    if !rest.0.is_empty() {
        return None;
    }
    let seconds = days * DAY - offset;
    let ns = i128::from(seconds) * i128::from(NANOS) + i128::from(ns);
    i64::try_from(ns).ok()
}

/// What is still to be read of a text.
struct Scanner<'a>(&'a str);

impl Scanner<'_> {
    /// Takes the next character if it is one of these.
    fn accept(&mut self, wanted: &[char]) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A number of exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits.bytes().all(|byte| byte.is_ascii_digit());
        self.0 = rest;
        digits.parse().ok().filter(|_| number)
    }

    /// `YYYY-MM-DD` as days since 1970-01-01.
    fn date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        let month = self.accept(&['-']).then(|| self.digits(2))??;
        let day = self.accept(&['-']).then(|| self.digits(2))??;
        let days = days(year, month, day);
        // A day that the month does not have would come back as one of the next month.
        (civil(days) == (year, month, day)).then_some(days)
    }

    /// `HH:MM[:SS[.fraction]]` as nanoseconds since midnight.
    fn clock(&mut self) -> Option<i64> {
        let seconds = self.hours_and_minutes()?;
        if !self.accept(&[':']) {
            return Some(seconds * NANOS);
        }
        let second = self.digits(2).filter(|second| *second < 60)?;
        let fraction = if self.accept(&['.']) {
            self.fraction()?
        } else {
            0
        };
        Some((seconds + second) * NANOS + fraction)
    }

    /// Up to nine digits as nanoseconds.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let digits = self.0.get(..count).filter(|_| (1..=9).contains(&count))?;
        self.0 = &self.0[count..];
        format!("{digits:0<9}").parse().ok()
    }

    /// `HH:MM` as seconds.
    fn hours_and_minutes(&mut self) -> Option<i64> {
        let hour = self.digits(2).filter(|hour| *hour < 24)?;
        let minute = self.accept(&[':']).then(|| self.digits(2))??;
        (minute < 60).then_some(hour * 3600 + minute * 60)
    }

    /// `Z`, `+HH:MM`, `-HH:MM` or nothing, as seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.accept(&['+']) {
            return self.hours_and_minutes();
        }
        if self.accept(&['-']) {
            return self.hours_and_minutes().map(|seconds| -seconds);
        }
        self.accept(&['Z', 'z']);
        Some(0)
    }
}

/// The inverse of [`civil`], also for days that the month does not have: those count on into the next.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year_from_march = year - i64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
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

    #[test]
    fn what_was_printed_is_read_back() {
        // A stride that visits every day of the week, every month and the ends of what 64 bits hold.
        let stride = 86_400 * NANOS * 17 + 12_345_678_901;
        let mut ns = i64::MIN;
        loop {
            assert_eq!(parse_rfc3339(&rfc3339(ns)), Some(ns));
            match ns.checked_add(stride) {
                Some(next) => ns = next,
                None => break,
            }
        }
    }

    #[test]
    fn shortened_forms() {
        let noon = "2025-11-23T12:00:00.000000000+00:00";
        for text in [
            "2025-11-23T12:00:00Z",
            "2025-11-23t12:00:00z",
            "2025-11-23T12:00:00",
            "2025-11-23 12:00:00.0",
            "2025-11-23 12:00",
            "2025-11-23T13:00+01:00",
            "2025-11-23T00:30:00-11:30",
        ] {
            assert_eq!(
                parse_rfc3339(text).map(rfc3339).as_deref(),
                Some(noon),
                "{text}"
            );
        }
        assert_eq!(parse_rfc3339("1970-01-02"), Some(DAY * NANOS));
        assert_eq!(parse_rfc3339("1970-01-02Z"), Some(DAY * NANOS));
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00.5"), Some(NANOS / 2));
        assert_eq!(
            parse_rfc3339("2024-02-29").map(|ns| ns / NANOS),
            Some(1_709_164_800)
        );
    }

    #[test]
    fn what_is_no_moment() {
        for text in [
            "",
            "2025",
            "2025-11",
            "2025-11-23T",
            "2025-11-23T12",
            "2025-11-23T12:",
            "2025-11-23T24:00",
            "2025-11-23T12:60",
            "2025-11-23T12:00:60",
            "2025-11-23T12:00:00.",
            "2025-11-23T12:00:00.1234567890",
            "2025-11-23T12:00:00+1",
            "2025-11-23T12:00:00+24:00",
            "2025-11-23T12:00:00ZZ",
            "2025-11-23  12:00",
            "2025-1-23",
            "2025-00-10",
            "2025-13-10",
            "2025-02-29",
            "2025-04-31",
            "2025-04-00",
            "+025-04-01",
            "20é5-04-01",
            "1500-01-01",
            "9999-01-01",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
