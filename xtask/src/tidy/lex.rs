//! Just enough of Rust's lexical grammar to tell code from comments and literals.

/// The source with every comment and every literal's content turned into blanks. Lines and columns stay where they are (in
/// bytes), so a place in the result is a place in the source.
pub(crate) fn code_only(source: &str) -> String {
    let mut lexer = Lexer {
        bytes: source.as_bytes(),
        at: 0,
        out: Vec::with_capacity(source.len()),
    };
    while lexer.at < lexer.bytes.len() {
        lexer.step();
    }
    String::from_utf8(lexer.out)
        .expect("blanks replace whole literals and comments, never half a character")
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Copies this many bytes.
    fn keep(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        self.out.extend_from_slice(&self.bytes[self.at..end]);
        self.at = end;
    }

    /// Blanks out this many bytes, but for line ends.
    fn blank(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        for byte in &self.bytes[self.at..end] {
            self.out.push(if *byte == b'\n' { b'\n' } else { b' ' });
        }
        self.at = end;
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (b'/', b'/') => {
                let rest = &self.bytes[self.at..];
                let length = rest.iter().position(|byte| *byte == b'\n');
                self.blank(length.unwrap_or(rest.len()));
            }
            (b'/', b'*') => self.block_comment(),
            (b'"', _) => self.string(),
            (b'\'', _) => self.quote(),
            (byte, _) if is_word(byte) => self.word(),
            _ => self.keep(1),
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.blank(2);
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.blank(2);
                }
                _ => self.blank(1),
            }
            if depth == 0 || self.at >= self.bytes.len() {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep(1);
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.blank(2),
                b'"' => return self.keep(1),
                _ => self.blank(1),
            }
        }
    }

    /// A lifetime, or a literal of one character.
    fn quote(&mut self) {
        let rest = &self.bytes[self.at + 1..];
        if rest.first() == Some(&b'\\') {
            let end = rest.iter().skip(2).position(|byte| *byte == b'\'');
            return self.blank(end.map_or(1, |end| end + 4));
        }
        let text = rest
            .get(..rest.len().min(4))
            .map(String::from_utf8_lossy)
            .unwrap_or_default();
        let width = text.chars().next().map_or(1, char::len_utf8);
        if rest.get(width) == Some(&b'\'') {
            self.blank(width + 2);
        } else {
            self.keep(1);
        }
    }

    /// An identifier, a number, or the prefix of a literal.
    fn word(&mut self) {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|byte| !is_word(*byte))
            .unwrap_or(rest.len());
        let raw = matches!(&rest[..length], b"r" | b"br" | b"cr");
        self.keep(length);
        if raw {
            self.raw_string();
        }
    }

    /// The part of a raw string behind its prefix; a raw identifier (`r#type`) has no quote and is left alone.
    fn raw_string(&mut self) {
        let rest = &self.bytes[self.at..];
        let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
        if rest.get(hashes) != Some(&b'"') {
            return;
        }
        let mut end = vec![b'"'];
        end.resize(hashes + 1, b'#');
        let body = &rest[hashes + 1..];
        let length = body
            .windows(end.len())
            .position(|window| window == end)
            .unwrap_or(body.len());
        self.keep(hashes + 1);
        self.blank(length);
        self.keep(end.len());
    }
}

/// Whether the byte can be part of an identifier; bytes of other alphabets count.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where `word` stands alone in `code`, as byte offsets.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            let after = bytes.get(at + word.len());
            !before.is_some_and(|byte| is_word(*byte)) && !after.is_some_and(|byte| is_word(*byte))
        })
}

/// The line (counted from 0) of a byte offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_turn_blank() {
        for (source, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x\\\"y\")", "f(\"    \")"),
            ("r#\"a\"b\"# c", "r#\"   \"# c"),
            ("b\"ab\" c\"d\"", "b\"  \" c\" \""),
            ("r#type + br\"x\"", "r#type + br\" \""),
            ("'a' + '\\n' + '\\'' + 'é'", "    +      +      +     "),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("'\\u{1F600}' x", "            x"),
            ("/* open", "       "),
        ] {
            let expected: String = code.to_owned();
            assert_eq!(
                code_only(source).trim_end(),
                expected.trim_end(),
                "{source}"
            );
            assert_eq!(code_only(source).len(), source.len(), "{source}");
        }
    }

    #[test]
    fn a_word_stands_alone() {
        let at: Vec<usize> = words("unsafe_code unsafe (unsafe) é_unsafe", "unsafe").collect();
        assert_eq!(at, [12, 20]);
        assert_eq!(line_of("a\nb\nc", 4), 2);
    }
}
