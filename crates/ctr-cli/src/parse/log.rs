//! The log of a new container: `--log-driver`, `--log-opt`, and the `[log]` table of the configuration file.

use std::path::PathBuf;

use ctr_core::LogOptions;
use ctr_state::LogDriver;

use crate::error::CommandError;

const DRIVER: &str = "--log-driver";
const OPTION: &str = "--log-opt";

/// Bytes of each unit, powers of ten as podman and docker count them for logs.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("t", 1_000_000_000_000),
];

/// What the flags say; the last of an option wins.
pub(crate) fn options(
    driver: Option<&str>,
    entries: &[String],
) -> Result<LogOptions, CommandError> {
    let mut options = LogOptions {
        driver: driver.map(self::driver).transpose()?,
        ..LogOptions::default()
    };
    for entry in entries {
        let refuse = |why: &str| Err(CommandError::value(OPTION, entry, why));
        let Some((key, value)) = entry.split_once('=') else {
            return refuse("must be KEY=VALUE; the keys are path, max-size, max-file and tag");
        };
        match key {
            "path" if !value.starts_with('/') => {
                return refuse("the path must be absolute");
            }
            "path" => options.path = Some(PathBuf::from(value)),
            "max-size" => match size(value) {
                Some(size) => options.max_size = Some(size),
                None => return refuse(SIZE),
            },
            "max-file" => match value.parse() {
                Ok(files @ 1..) => options.max_files = Some(files),
                Ok(0) | Err(_) => return refuse("must be a number of files, at least 1"),
            },
            "tag" if value.is_empty() => return refuse("the tag is empty"),
            "tag" => options.tag = Some(value.to_owned()),
            _ => return refuse("the options of logs are path, max-size, max-file and tag"),
        }
    }
    Ok(options)
}

fn driver(text: &str) -> Result<LogDriver, CommandError> {
    text.parse()
        .map_err(|error| CommandError::value(DRIVER, text, error))
}

/// What a size must be.
pub(crate) const SIZE: &str = "must be a size such as 500k, 10m or 1.5g (0 for no limit)";

/// A size in bytes: a number, perhaps with a fraction, with a unit or none, in either case, with or without `b`. -1 is 0, no limit, as
/// podman has it.
pub(crate) fn size(text: &str) -> Option<u64> {
    if text == "-1" {
        return Some(0);
    }
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let unit = unit.trim_start();
    let unit = unit.strip_suffix('b').unwrap_or(unit);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(*factor)?;
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(*factor) / u128::from(scale);
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn refused(driver: Option<&str>, option: &str, expected: &Expect) {
        let Err(error) = options(driver, &[option.to_owned()]) else {
            panic!("accepted")
        };
        expected.assert_eq(error.message());
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("-1", 0),
            ("10", 10),
            ("10k", 10_000),
            ("10KB", 10_000),
            ("10 kb", 10_000),
            ("64M", 64_000_000),
            ("1.5g", 1_500_000_000),
            ("0.5b", 0),
            ("2t", 2_000_000_000_000),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in [
            "",
            "k",
            "-2",
            "+1",
            "1x",
            "1kk",
            "1.",
            ".5",
            "1.2.3",
            "1e3",
            "99999999999t",
            "1 0",
            "١",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn all_options_the_last_of_each() {
        let entries = [
            "path=/x/y",
            "max-size=1k",
            "max-size=2k",
            "max-file=3",
            "tag=a=b",
        ]
        .map(str::to_owned);
        let expected = LogOptions {
            driver: Some(LogDriver::K8sFile),
            path: Some("/x/y".into()),
            max_size: Some(2000),
            max_files: Some(3),
            tag: Some("a=b".to_owned()),
        };
        assert_eq!(options(Some("json-file"), &entries).unwrap(), expected);
        assert_eq!(options(None, &[]).unwrap(), LogOptions::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(
            Some("syslog"),
            "max-size=1",
            &expect![[
                r#"--log-driver "syslog": the log drivers are k8s-file (also as json-file), journald, none and passthrough"#
            ]],
        );
        refused(
            None,
            "max-size",
            &expect![[
                r#"--log-opt "max-size": must be KEY=VALUE; the keys are path, max-size, max-file and tag"#
            ]],
        );
        refused(
            None,
            "max-size=big",
            &expect![[
                r#"--log-opt "max-size=big": must be a size such as 500k, 10m or 1.5g (0 for no limit)"#
            ]],
        );
        refused(
            None,
            "max-file=0",
            &expect![[r#"--log-opt "max-file=0": must be a number of files, at least 1"#]],
        );
        refused(
            None,
            "path=../../x",
            &expect![[r#"--log-opt "path=../../x": the path must be absolute"#]],
        );
        refused(
            None,
            "tag=",
            &expect![[r#"--log-opt "tag=": the tag is empty"#]],
        );
        refused(
            None,
            "compress=true",
            &expect![[
                r#"--log-opt "compress=true": the options of logs are path, max-size, max-file and tag"#
            ]],
        );
    }
}
