//! Where `unsafe` may stand, and that it says why it holds.

use super::lex::{line_of, words};
use super::{TextFile, at};

/// The only places with unsafe code, small enough to be read in one sitting.
const HOMES: &[&str] = &["crates/ctr-sys/", "crates/ctr-runtime/src/sys.rs"];

/// The libraries that cannot forbid it.
const EXEMPT: &[&str] = &["crates/ctr-sys/src/lib.rs", "crates/ctr-runtime/src/lib.rs"];

/// How far above an unsafe block its reason may begin, in lines.
const REASON_WITHIN: usize = 12;

/// Unsafe code outside its homes or without a reason, and libraries that do not forbid it. `code` is the file without
/// comments and literals.
pub(crate) fn problems(file: &TextFile, code: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let home = HOMES.iter().any(|home| file.path.starts_with(home));
    for offset in words(code, "unsafe") {
        let line = line_of(code, offset);
        if !home {
            problems.push(at(file, line, "unsafe code outside ctr-sys"));
        } else if acts(&code[offset..]) && !reasoned(&file.text, line) {
            problems.push(at(file, line, "unsafe code without a SAFETY comment"));
        }
    }
    let library = file.path.starts_with("crates/") && file.path.ends_with("/src/lib.rs");
    let exempt = EXEMPT.contains(&file.path.as_str());
    if library && !exempt && !code.contains("#![forbid(unsafe_code)]") {
        problems.push(format!("{}: no #![forbid(unsafe_code)]", file.path));
    }
    problems
}

/// Whether this `unsafe` is a block or an implementation, which claim that something holds; a function only hands the claim on.
fn acts(code: &str) -> bool {
    let rest = code.trim_start_matches("unsafe").trim_start();
    rest.starts_with('{') || rest.starts_with("impl")
}

/// Whether a reason stands in the comment above the line. Only comments, attributes and the beginning of the same statement
/// may lie between.
fn reasoned(text: &str, line: usize) -> bool {
    let lines: Vec<&str> = text.lines().take(line + 1).collect();
    let mut above = lines.iter().rev();
    let own = above.next().copied().unwrap_or_default();
    if says_why(own) {
        return true;
    }
    for candidate in above.take(REASON_WITHIN) {
        if says_why(candidate) {
            return true;
        }
        let trimmed = candidate.trim();
        let comment = trimmed.starts_with("//");
        let ended = trimmed.is_empty() || trimmed.ends_with([';', '}']);
        if ended && !comment {
            return false;
        }
    }
    false
}

fn says_why(line: &str) -> bool {
    line.contains("// SAFETY:")
}

#[cfg(test)]
mod tests {
    use super::super::lex::code_only;
    use super::super::tests::file;
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        problems(&file(path, text), &code_only(text))
    }

    #[test]
    fn unsafe_code_has_two_homes() {
        let text = "// SAFETY: x\nunsafe { f() }\n";
        assert_eq!(check("crates/ctr-sys/src/fds.rs", text), [""; 0]);
        assert_eq!(check("crates/ctr-runtime/src/sys.rs", text), [""; 0]);
        assert_eq!(
            check("crates/ctr-runtime/src/bpf.rs", text),
            ["crates/ctr-runtime/src/bpf.rs:2: unsafe code outside ctr-sys"]
        );
        assert_eq!(
            check(
                "crates/ctr-core/src/a.rs",
                "// unsafe\n\"unsafe\"; unsafe_code"
            ),
            [""; 0]
        );
    }

    #[test]
    fn unsafe_code_says_why_it_holds() {
        let path = "crates/ctr-sys/src/a.rs";
        for good in [
            "// SAFETY: long\n// reason\nlet x =\n    unsafe { f() };\n",
            "let x = unsafe { f() }; // SAFETY: x\n",
            "unsafe fn f() {}\nstruct S { f: unsafe extern \"C\" fn() }\n",
        ] {
            assert_eq!(check(path, good), [""; 0], "{good}");
        }
        for bad in [
            "unsafe { f() }\n",
            "unsafe impl Send for S {}\n",
            "// SAFETY: of another\nlet a = 1;\nlet x = unsafe { f() };\n",
        ] {
            assert_eq!(check(path, bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn libraries_forbid_it() {
        assert_eq!(
            check(
                "crates/ctr-core/src/lib.rs",
                "//! x\n// #![forbid(unsafe_code)]\n"
            ),
            ["crates/ctr-core/src/lib.rs: no #![forbid(unsafe_code)]"]
        );
        assert_eq!(
            check("crates/ctr-core/src/lib.rs", "#![forbid(unsafe_code)]\n"),
            [""; 0]
        );
        assert_eq!(check("crates/ctr-sys/src/lib.rs", ""), [""; 0]);
    }
}
