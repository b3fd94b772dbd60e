//! How long files and functions are.

use super::lex::{line_of, words};
use super::{TextFile, at};

/// Longer files have to be split by what they own.
const FILE_LINES: usize = 400;

/// Longer functions have to name their steps.
const FUNCTION_LINES: usize = 80;

/// Files and functions over the limits. `code` is the file without comments and literals.
pub(crate) fn problems(file: &TextFile, code: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES {
        problems.push(format!(
            "{}: {lines} lines, the limit is {FILE_LINES}",
            file.path
        ));
    }
    for start in words(code, "fn") {
        let Some(body) = body(&code[start..]) else {
            continue;
        };
        let first = line_of(code, start);
        let lines = line_of(code, start + body.end) - first + 1;
        if lines > FUNCTION_LINES {
            problems.push(at(
                file,
                first,
                &format!("function of {lines} lines, the limit is {FUNCTION_LINES}"),
            ));
        }
    }
    problems
}

/// Where the body of a function lies, given the code from its `fn` on; `None` for a pointer type or a function without a body.
fn body(code: &str) -> Option<std::ops::Range<usize>> {
    let name = code.strip_prefix("fn")?.trim_start();
    if name.starts_with('(') {
        return None;
    }
    let mut nested = 0_usize;
    let mut start = None;
    let mut braces = 0_usize;
    for (index, byte) in code.bytes().enumerate() {
        match (byte, start) {
            (b'(' | b'[', None) => nested += 1,
            (b')' | b']', None) => nested = nested.checked_sub(1)?,
            (b';', None) if nested == 0 => return None,
            (b'{', None) if nested == 0 => {
                start = Some(index);
                braces = 1;
            }
            (b'{', Some(_)) => braces += 1,
            (b'}', Some(begin)) => {
                braces -= 1;
                if braces == 0 {
                    return Some(begin..index);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::lex::code_only;
    use super::super::tests::file;
    use super::*;

    fn check(text: &str) -> Vec<String> {
        problems(&file("a.rs", text), &code_only(text))
    }

    #[test]
    fn long_files_are_named() {
        assert_eq!(check(&"// x\n".repeat(400)), [""; 0]);
        assert_eq!(
            check(&"// x\n".repeat(401)),
            ["a.rs: 401 lines, the limit is 400"]
        );
    }

    #[test]
    fn long_functions_are_named_at_their_first_line() {
        let exact = format!("\nfn f(a: [u8; 3]) {{\n{}}}\n", "    g();\n".repeat(78));
        assert_eq!(check(&exact), [""; 0]);
        let long = format!("\nfn f(a: [u8; 3]) {{\n{}}}\n", "    if x {}\n".repeat(79));
        assert_eq!(
            check(&long),
            ["a.rs:2: function of 81 lines, the limit is 80"]
        );
    }

    #[test]
    fn what_has_no_body_is_not_measured() {
        let tail = "const X: u8 = 1;\n".repeat(100);
        assert_eq!(
            check(&format!("trait T {{\nfn f(&self);\n{tail}}}")),
            [""; 0]
        );
        assert_eq!(
            check(&format!("struct S {{ f: fn(u8) -> u8 }}\n{tail}")),
            [""; 0]
        );
    }
}
