//! The log file of the command line: one line for each error, in the form that callers of runc parse.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::time::ClockId;
use serde_json::json;

use super::arguments::{Global, LogFormat};

/// Appends one line in one write; without `--log` nothing happens.
pub(crate) fn append(global: &Global, message: &str) -> io::Result<()> {
    let Some(path) = &global.log else {
        return Ok(());
    };
    let seconds = rustix::time::clock_gettime(ClockId::Realtime).tv_sec;
    let line = line(global.log_format, seconds, message);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())
}

fn line(format: LogFormat, seconds: i64, message: &str) -> String {
    let time = rfc3339(seconds);
    match format {
        LogFormat::Json => {
            format!(
                "{}\n",
                json!({ "level": "error", "msg": message, "time": time })
            )
        }
        LogFormat::Text => format!("time=\"{time}\" level=error msg={message:?}\n"),
    }
}

/// `2026-01-02T03:04:05Z`, after the days-to-civil algorithm for the proleptic Gregorian calendar: years begin in March, so that the
/// leap day is the last of its year.
fn rfc3339(seconds: i64) -> String {
    const DAYS_TO_MARCH_OF_YEAR_0: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let days = days + DAYS_TO_MARCH_OF_YEAR_0;
    let (era, day) = (
        days.div_euclid(DAYS_OF_400_YEARS),
        days.rem_euclid(DAYS_OF_400_YEARS),
    );
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in table {
            assert_eq!(rfc3339(seconds), expected);
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let line = line(format, 0, "a \"b\"\nc");
            assert_eq!(line.matches('\n').count(), 1, "{line}");
        }
    }
}
