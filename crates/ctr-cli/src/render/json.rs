//! JSON output. Beside what JSON itself demands, DEL, C1 and bidirectional controls are written as `\uXXXX`: the document means the
//! same, and a terminal that shows it is safe.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::error::CommandError;
use crate::render::escape::is_unsafe;

/// The value as JSON on one line, with a line end.
///
/// # Errors
/// When the value has no JSON form.
pub(crate) fn compact(value: &impl Serialize) -> Result<String, CommandError> {
    written(value, CompactFormatter)
}

/// The value as indented JSON, with a line end.
///
/// # Errors
/// When the value has no JSON form (a map whose keys are no strings).
pub(crate) fn pretty(value: &impl Serialize) -> Result<String, CommandError> {
    written(value, PrettyFormatter::new())
}

fn written(value: &impl Serialize, layout: impl Formatter) -> Result<String, CommandError> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Safe(layout));
    let written = value.serialize(&mut serializer);
    written.map_err(|error| CommandError::failed(format!("write JSON: {error}")))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(|error| CommandError::failed(format!("write JSON: {error}")))
}

/// A layout with safe strings.
struct Safe<F>(F);

impl<F: Formatter> Formatter for Safe<F> {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| is_unsafe(*c)) {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::{Value, json};

    #[test]
    fn unsafe_characters_are_spelled_out_and_mean_the_same() {
        let value = json!([{"name": "a\u{1b}\u{9b}b\u{202e}\u{7f}é\"\\\n", "list": [], "map": {}}, 1, null]);
        let text = pretty(&value).unwrap();
        expect![[r#"
            [
              {
                "list": [],
                "map": {},
                "name": "a\u001b\u009bb\u202e\u007fé\"\\\n"
              },
              1,
              null
            ]
        "#]]
        .assert_eq(&text);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        let line = compact(&value).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn an_empty_list_is_two_brackets() {
        assert_eq!(pretty(&json!([])).unwrap(), "[]\n");
    }
}
