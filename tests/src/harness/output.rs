//! What a program said and how it ended, with the questions that cases ask of it.

use anyhow::{Result, ensure};

/// The end of a program.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// The command line.
    pub(crate) shown: String,
    /// The exit code, or 128 + n after signal n.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text.
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The exit code is this one and nothing was said on standard error; gives standard output.
    pub(crate) fn quiet(&self, code: i32) -> Result<String> {
        ensure!(
            self.code == code,
            "exit code {} instead of {code}: {self}",
            self.code
        );
        ensure!(self.stderr.is_empty(), "words on standard error: {self}");
        Ok(self.out())
    }

    /// Success without a word on standard error; gives standard output.
    pub(crate) fn ok(&self) -> Result<String> {
        self.quiet(0)
    }

    /// Success, and standard output is exactly this.
    pub(crate) fn prints(&self, expected: &str) -> Result<()> {
        self.prints_with(0, expected)
    }

    /// This exit code, nothing on standard error, and standard output is exactly this.
    pub(crate) fn prints_with(&self, code: i32, expected: &str) -> Result<()> {
        let out = self.quiet(code)?;
        ensure!(
            out == expected,
            "printed {out:?} instead of {expected:?}: {self}"
        );
        Ok(())
    }

    /// Success, and standard output is the full id of a container; gives the id.
    pub(crate) fn id(&self) -> Result<String> {
        let out = self.ok()?;
        let id = out.trim_end_matches('\n');
        ensure!(
            id.len() == 64
                && id
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            "no id: {self}"
        );
        Ok(id.to_owned())
    }

    /// A refusal: this exit code, nothing on standard output, and [`Output::one_error`] with all of these words.
    pub(crate) fn refused(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(
            self.code == code,
            "exit code {} instead of {code}: {self}",
            self.code
        );
        ensure!(self.stdout.is_empty(), "words on standard output: {self}");
        self.one_error(words)
    }

    /// One line on standard error that begins with `Error: `, at most followed by one that begins with `Hint: `. They have all
    /// of these words (letters in any case).
    pub(crate) fn one_error(&self, words: &[&str]) -> Result<()> {
        let err = self.err();
        let lines: Vec<&str> = err.lines().collect();
        let error = lines
            .first()
            .is_some_and(|line| line.starts_with("Error: "));
        let hint = lines.get(1).is_none_or(|line| line.starts_with("Hint: "));
        ensure!(
            error && hint && lines.len() <= 2,
            "standard error is not an error line, and a hint at most: {self}"
        );
        let lower = err.to_lowercase();
        for word in words {
            ensure!(
                lower.contains(&word.to_lowercase()),
                "the error does not say {word:?}: {self}"
            );
        }
        Ok(())
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {}, stdout {:?}, stderr {:?}",
            self.shown,
            self.code,
            cut(&self.out()),
            cut(&self.err())
        )
    }
}

/// Each item on a line of its own.
pub(crate) fn lines(items: impl IntoIterator<Item: std::fmt::Display>) -> String {
    let mut text = String::new();
    for item in items {
        text.push_str(&item.to_string());
        text.push('\n');
    }
    text
}

/// The beginning of a long text.
fn cut(text: &str) -> String {
    const MOST: usize = 600;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
    }
}

/// Whether a letter could move a terminal's cursor or turn a line around.
pub(crate) fn is_harmful(letter: char) -> bool {
    (letter.is_control() && letter != '\n') || letter == '\u{202e}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        Output {
            shown: "x".to_owned(),
            code,
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn a_refusal_is_one_line_with_the_words() {
        let refusal = output(125, "", "Error: no container \"X\"\n");
        assert!(refusal.refused(125, &["container", "x"]).is_ok());
        assert!(refusal.refused(1, &[]).is_err());
        assert!(refusal.refused(125, &["image"]).is_err());
        assert!(
            output(125, "", "Error: x\nHint: y\n")
                .refused(125, &["y"])
                .is_ok()
        );
        for bad in [
            "",
            "error: x\n",
            "Hint: x\n",
            "Error: x\nmore\n",
            "Error: x\nHint: y\nHint: z\n",
        ] {
            assert!(output(125, "", bad).refused(125, &[]).is_err(), "{bad}");
        }
        assert!(output(125, "x", "Error: x\n").refused(125, &[]).is_err());
    }

    #[test]
    fn success_is_quiet() {
        assert_eq!(output(0, "a\n", "").ok().unwrap(), "a\n");
        assert!(output(0, "a\n", "warning\n").ok().is_err());
        assert!(output(1, "", "").ok().is_err());
        assert!(output(0, "a\n", "").prints("b\n").is_err());
    }

    #[test]
    fn an_id_has_64_digits() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(output(0, &format!("{id}\n"), "").id().unwrap(), id);
        for bad in [
            String::new(),
            id.to_uppercase(),
            id[1..].to_owned(),
            format!("{id}\n{id}\n"),
        ] {
            assert!(output(0, &bad, "").id().is_err(), "{bad}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("é"), "é");
        assert!(cut(&"é".repeat(1000)).ends_with("… (2000 bytes)"));
    }
}
