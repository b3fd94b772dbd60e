//! Moments: `--since` and `--until`.
//!
//! A moment is a date and time, seconds since 1970, or a duration from now. A time without a zone is UTC, the zone of all that this
//! program prints, so that a printed time can be pasted with or without its offset.

use crate::error::CommandError;

const ALLOWED: &str = "must be a time such as 2026-11-25T17:04:05Z or 2026-11-25 (UTC without a zone), seconds since 1970, or a \
     duration such as 10m or 1h30m";

/// Nanoseconds of each unit of a duration, the longer names before those they begin with.
const UNITS: &[(&str, i128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A moment in nanoseconds since 1970 UTC; a duration lies so far back from now (`--since 10m`), a negative one ahead.
pub(crate) fn moment(flag: &str, text: &str, now_ns: i64) -> Result<i64, CommandError> {
    parse(text, |duration| i128::from(now_ns) - duration)
        .ok_or_else(|| CommandError::value(flag, text, ALLOWED))
}

/// Like [`moment`], with a duration ahead of now: how long a command that follows goes on (`events --until 10m`).
pub(crate) fn moment_ahead(flag: &str, text: &str, now_ns: i64) -> Result<i64, CommandError> {
    parse(text, |duration| i128::from(now_ns) + duration)
        .ok_or_else(|| CommandError::value(flag, text, ALLOWED))
}

fn parse(text: &str, from_now: impl Fn(i128) -> i128) -> Option<i64> {
    // What `events` prints, and podman with it.
    let time = text.strip_suffix(" +0000 UTC").unwrap_or(text);
    ctr_sys::parse_rfc3339(time)
        .or_else(|| i64::try_from(unix(text)?).ok())
        .or_else(|| i64::try_from(from_now(duration(text)?)).ok())
}

/// Seconds since 1970, perhaps with a fraction, in nanoseconds.
fn unix(text: &str) -> Option<i128> {
    let (sign, rest) = sign(text);
    let (number, rest) = Decimal::read(rest)?;
    rest.is_empty().then(|| sign * number.times(1_000_000_000))
}

/// Numbers with units, as in `1h30m`, `1.5h` or `-300ms`, in nanoseconds.
fn duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = sign(text);
    let mut total = 0;
    loop {
        let (number, after) = Decimal::read(rest)?;
        let (unit, ns) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        total += number.times(*ns);
        rest = &after[unit.len()..];
        if rest.is_empty() {
            return Some(sign * total);
        }
    }
}

fn sign(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// A decimal number, exactly: 64 bits before the point and as many digits after it as are worth a nanosecond of any unit.
struct Decimal {
    whole: i64,
    fraction: i64,
    digits: u32,
}

impl Decimal {
    const DIGITS: usize = 18;

    /// The number that a text begins with, and the rest of the text.
    fn read(text: &str) -> Option<(Self, &str)> {
        let (whole, rest) = digits(text);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let fraction = &fraction[..fraction.len().min(Self::DIGITS)];
        let number = |digits: &str| match digits {
            "" => Some(0),
            digits => digits.parse().ok(),
        };
        let decimal = Self {
            whole: number(whole)?,
            fraction: number(fraction)?,
            digits: u32::try_from(fraction.len()).ok()?,
        };
        Some((decimal, rest))
    }

    fn times(&self, unit: i128) -> i128 {
        i128::from(self.whole) * unit + i128::from(self.fraction) * unit / 10_i128.pow(self.digits)
    }
}

/// The digits that a text begins with, and the rest of the text.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const NOW: i64 = 1_000_000 * SECOND;

    fn check(text: &str, expected: i64) {
        assert_eq!(moment("--since", text, NOW), Ok(expected), "{text}");
    }

    #[test]
    fn times() {
        check("1970-01-02", 86_400 * SECOND);
        check("1970-01-01T00:00:01.5Z", SECOND * 3 / 2);
        check("1970-01-01 00:01", 60 * SECOND);
        check("1970-01-01T01:00:00+01:00", 0);
        check("1970-01-01 00:00:01.000000002 +0000 UTC", SECOND + 2);
    }

    #[test]
    fn seconds_since_1970() {
        check("0", 0);
        check("12", 12 * SECOND);
        check("1795600800.000000001", 1_795_600_800 * SECOND + 1);
        check("1.5", SECOND * 3 / 2);
        check("-1", -SECOND);
        check("9223372036.854775807", i64::MAX);
    }

    #[test]
    fn durations_lie_back_or_ahead() {
        for (text, ns) in [
            ("10m", 600 * SECOND),
            ("1h30m", 5400 * SECOND),
            ("1.5h", 5400 * SECOND),
            ("1h1.5m", 3690 * SECOND),
            (".5s", SECOND / 2),
            ("300ms", 300_000_000),
            ("2us", 2_000),
            ("2µs3ns", 2_003),
            ("0s", 0),
            ("-10m", -600 * SECOND),
            ("+1s", SECOND),
        ] {
            check(text, NOW - ns);
            assert_eq!(moment_ahead("--until", text, NOW), Ok(NOW + ns), "{text}");
        }
    }

    #[test]
    fn nothing_else() {
        for bad in [
            "",
            " ",
            "-",
            ".",
            "1d",
            "10 m",
            "m",
            "1h30",
            "1..5h",
            "1.2.3",
            "1e9",
            "0x10",
            "yesterday",
            "--1s",
            "1h-1m",
            "2026-02-30",
            "9223372037",
            "99999999999999999999",
            "9999999999h",
            "1s\n",
        ] {
            let error = moment("--since", bad, NOW).unwrap_err();
            let expected = format!("--since \"{bad}\": {ALLOWED}");
            assert_eq!(error.message(), expected);
        }
    }
}
