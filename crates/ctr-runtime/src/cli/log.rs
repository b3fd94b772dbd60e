//! The log file of the command line: one line for each error, in the form that callers of runc parse.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde_json::json;

use super::arguments::{Global, LogFormat};

/// Appends one line in one write; without `--log` nothing happens.
pub(crate) fn append(global: &Global, message: &str) -> io::Result<()> {
    let Some(path) = &global.log else {
        return Ok(());
    };
    let line = line(global.log_format, ctr_sys::now_ns(), message);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())
}

fn line(format: LogFormat, now_ns: i64, message: &str) -> String {
    let time = ctr_sys::rfc3339(now_ns);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let line = line(format, 0, "a \"b\"\nc");
            assert_eq!(line.matches('\n').count(), 1, "{line}");
        }
    }
}
