//! Makes text harmless for a terminal: what a container chose must not move the cursor, change the title or reorder a line.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character must not reach a terminal: C0, DEL and C1 controls, the controls of bidirectional text, and the two
/// separators that some terminals take for line ends.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with every unsafe character spelled out as Rust and C do it: `\n`, `\x1b`, `\u{202e}`. The result is one line.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        push(&mut safe, c);
    }
    Cow::Owned(safe)
}

fn push(safe: &mut String, c: char) {
    let written = match c {
        '\n' => write!(safe, "\\n"),
        '\r' => write!(safe, "\\r"),
        '\t' => write!(safe, "\\t"),
        c if !is_unsafe(c) => write!(safe, "{c}"),
        c if c.is_ascii() => write!(safe, "\\x{:02x}", u32::from(c)),
        c => write!(safe, "\\u{{{:x}}}", u32::from(c)),
    };
    written.expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_class_of_unsafe_characters() {
        for (text, expected) in [
            ("plain text, 日本語, é", "plain text, 日本語, é"),
            ("\u{1b}]0;x\u{7}a", "\\x1b]0;x\\x07a"),
            ("\u{1b}[2J", "\\x1b[2J"),
            ("\u{9b}31m", "\\u{9b}31m"),
            (
                "a\u{202e}b\u{2066}c\u{200f}",
                "a\\u{202e}b\\u{2066}c\\u{200f}",
            ),
            ("a\r\n\tb\u{7f}\0", "a\\r\\n\\tb\\x7f\\x00"),
            ("line\u{2028}separator", "line\\u{2028}separator"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in any::<String>()) {
            prop_assert!(!escape(&text).contains(is_unsafe));
        }
    }
}
