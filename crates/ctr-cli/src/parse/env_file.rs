//! Files of environment variables: a line for each, `KEY=VALUE`, or `KEY` for the host's value; `#` begins a comment line.

use crate::error::CommandError;
use crate::host::Host;
use crate::parse::env;

/// The most bytes of such a file.
const MOST: u64 = 8 * 1024 * 1024;

/// The variables of the files, in their order.
///
/// # Errors
/// A file that cannot be read, or a line that is none, with its number.
pub(crate) fn variables(
    files: &[String],
    host: &Host,
) -> Result<Vec<(String, String)>, CommandError> {
    let mut pairs = Vec::new();
    for file in files {
        let text = read(file)?;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = env::environment(&[line.to_owned()], host);
            let at = |error: CommandError| error.about(&format!("{file}, line {}", index + 1));
            pairs.extend(entry.map_err(at)?);
        }
    }
    Ok(pairs)
}

fn read(file: &str) -> Result<String, CommandError> {
    use std::io::Read;
    let refuse = |why: String| CommandError::value("--env-file", file, why);
    let opened = std::fs::File::open(file).map_err(|error| refuse(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = opened.take(MOST + 1).read_to_end(&mut bytes);
    read.map_err(|error| refuse(error.to_string()))?;
    if bytes.len() as u64 > MOST {
        return Err(refuse("it is too large".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::host;

    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let found = variables(std::slice::from_ref(&path), &host());
        match (found, expected) {
            (Ok(pairs), Ok(expected)) => {
                let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
                assert_eq!(pairs, expected);
            }
            (Err(error), Err(part)) => assert!(
                error.message().starts_with(&format!("{path}, {part}")),
                "{}",
                error.message()
            ),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn lines() {
        check(
            "A=1\n\n# no\n  B=a b # c\nA=2",
            Ok(&[("A", "1"), ("B", "a b # c"), ("A", "2")]),
        );
        check("", Ok(&[]));
        check("A=1\n=x\n", Err("line 2: "));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = variables(&["/nonexistent/env".to_owned()], &host()).unwrap_err();
        assert!(
            error
                .message()
                .starts_with("--env-file \"/nonexistent/env\": ")
        );
    }
}
