//! How a runtime may be named: by a short name that is looked up in fixed places, or by an absolute path.

use ctr_runtime::BUILTIN;

/// Names are joined to directories, so they are kept far from anything that a path could mean.
const MAX_NAME: usize = 64;

/// Accepts a name or an absolute path; the error says what is allowed.
pub(crate) fn check(name_or_path: &str) -> Result<(), &'static str> {
    let control = name_or_path.chars().any(char::is_control);
    if !control && (name_or_path.starts_with('/') || is_name(name_or_path)) {
        Ok(())
    } else {
        Err("must be builtin, a name ([a-z0-9][a-z0-9._-]*) or an absolute path")
    }
}

/// Accepts a name that a configuration file may give to a program.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    if name == BUILTIN {
        Err("the name of the built-in runtime is taken")
    } else if is_name(name) {
        Ok(())
    } else {
        Err("a runtime's name is [a-z0-9][a-z0-9._-]*, at most 64 characters")
    }
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= MAX_NAME
        && name.starts_with(word)
        && name
            .chars()
            .all(|c| word(c) || matches!(c, '.' | '_' | '-'))
}
