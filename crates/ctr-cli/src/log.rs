//! The engine's trace on the standard error stream, when `--log-level` asks for one; without it nothing is installed and nothing costs.

use std::io::{self, Write};

use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::error::CommandError;
use crate::render::escape::escape;

/// The words of the flag, as podman has them; the last two show what `error` shows.
const LEVELS: [(&str, Level); 7] = [
    ("trace", Level::TRACE),
    ("debug", Level::DEBUG),
    ("info", Level::INFO),
    ("warn", Level::WARN),
    ("error", Level::ERROR),
    ("fatal", Level::ERROR),
    ("panic", Level::ERROR),
];

/// Installs the subscriber of this process if a level was given.
///
/// # Errors
/// An unknown level, with the known ones.
pub(crate) fn install(level: Option<&str>) -> Result<(), CommandError> {
    let Some(word) = level else { return Ok(()) };
    let level = parse(word)?;
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        // Each operation is a span: it is told when it ends, with the time it took.
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(|| Escaped(io::stderr()))
        .finish();
    // Only a second installation in one process fails, and that keeps the first one.
    tracing::subscriber::set_global_default(subscriber).ok();
    Ok(())
}

fn parse(word: &str) -> Result<Level, CommandError> {
    let found = LEVELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, level)| *level).ok_or_else(|| {
        let names: Vec<&str> = LEVELS.iter().map(|(name, _)| *name).collect();
        CommandError::value(
            "--log-level",
            word,
            format!("must be one of {}", names.join(", ")),
        )
    })
}

/// Escapes what a container may have put into a field; the line end of each record stays. Never fails: a trace that nobody can
/// read is no reason to end.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (text, end) = text
            .strip_suffix('\n')
            .map_or((&*text, ""), |text| (text, "\n"));
        self.0
            .write_all(format!("{}{end}", escape(text)).as_bytes())
            .ok();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().ok();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_line_end_and_nothing_else() {
        let mut out = Vec::new();
        Escaped(&mut out).write_all(b"a\x1bb\nc\n").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\\x1bb\\nc\n");
    }

    #[test]
    fn levels_are_podman_words() {
        assert_eq!(parse("DEBUG").unwrap(), Level::DEBUG);
        let error = parse("loud").unwrap_err();
        assert_eq!(
            error.message(),
            "--log-level \"loud\": must be one of trace, debug, info, warn, error, fatal, panic"
        );
    }
}
