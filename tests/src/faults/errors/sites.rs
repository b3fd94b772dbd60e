//! Where in the engine a call into the kernel comes from.
//!
//! Programs are built without frame pointers, and unwinding by their tables would cost more than the calls themselves. So the words of the stack
//! are looked at, from its end on: one that lies in the program's code right behind a call instruction is a return address, or was one a
//! moment ago. Functions of Rust's library and of other packages are left out, because everything goes through the same few of them.
//! What is left names a call well enough: the innermost function of the engine or of SQLite, and the engine's that called it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use nix::libc;

use super::symbols::Symbols;
use crate::faults::tracer::{Phase, Syscall};

/// How many pages of a stack are looked at.
const PAGES: u64 = 16;

/// What C programs begin with, and what the compiler puts in.
const NO_SQLITE: &[&str] = &["main", "_start", "mem", "rust_", "__rust", "_R"];

/// The engine's program, and where processes have it in their memory.
#[derive(Debug)]
pub(super) struct Sites {
    symbols: Symbols,
    /// By process; none where it is another program.
    maps: RefCell<BTreeMap<i32, Vec<Mapped>>>,
    name: String,
}

/// Code in a process's memory: from, to, and its place in the file.
type Mapped = (u64, u64, u64);

/// Whose function it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Engine,
    Sqlite,
    Other,
}

impl Sites {
    /// Of this program.
    pub(super) fn of(program: &Path) -> Result<Sites> {
        let name = program.file_name().unwrap_or_default();
        Ok(Sites {
            symbols: Symbols::read(program)?,
            maps: RefCell::default(),
            name: name.to_string_lossy().into_owned(),
        })
    }

    /// Forgets processes, whose numbers may be used again.
    pub(super) fn forget(&self) {
        self.maps.borrow_mut().clear();
    }

    /// Has to see each call of a process, to notice that it becomes another program.
    pub(super) fn see(&self, call: &Syscall) {
        if call.is(libc::SYS_execve) || call.is(libc::SYS_execveat) {
            self.maps.borrow_mut().remove(&call.pid);
        }
    }

    /// The site of a call before the kernel's work. `None` before the engine's own code runs, and in other programs.
    pub(super) fn site(&self, call: &Syscall) -> Option<String> {
        debug_assert_eq!(call.phase, Phase::Entry);
        let mut maps = self.maps.borrow_mut();
        let maps = maps
            .entry(call.pid)
            .or_insert_with(|| self.mapped(call.pid));
        if maps.is_empty() {
            return None;
        }
        let (stack, instruction) = call.place();
        let mut site = Found::default();
        // The instruction of the call itself lies in the program where no library is between.
        site.take(self.frame_at(maps, instruction));
        for page in 0..PAGES {
            let from = if page == 0 {
                stack
            } else {
                (stack & !4095) + page * 4096
            };
            let length = usize::try_from(4096 - from % 4096).unwrap_or(0);
            let bytes = call.bytes(from, length);
            for word in bytes.chunks_exact(8) {
                let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
                site.take(self.frame(maps, word));
                if site.is_complete() {
                    return site.text();
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        site.text()
    }

    fn mapped(&self, pid: i32) -> Vec<Mapped> {
        let Ok(program) = fs::read_link(format!("/proc/{pid}/exe")) else {
            return Vec::new();
        };
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_end_matches(" (deleted)");
        if name != self.name && !name.starts_with("memfd:") {
            return Vec::new();
        }
        let program = program.to_string_lossy();
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        maps.lines()
            .filter(|line| line.ends_with(program.as_ref()))
            .filter_map(code)
            .collect()
    }

    /// The function that a return address lies in.
    fn frame(&self, maps: &[Mapped], word: u64) -> Option<(&str, u64)> {
        let place = in_file(maps, word)?;
        let address = self.symbols.return_address(place)?;
        self.symbols.function(address)
    }

    fn frame_at(&self, maps: &[Mapped], instruction: u64) -> Option<(&str, u64)> {
        // Behind the call's own two bytes there is none that calls: only the function counts.
        let place = in_file(maps, instruction)?;
        let address = self.symbols.address(place)?;
        self.symbols.function(address)
    }
}

fn in_file(maps: &[Mapped], address: u64) -> Option<u64> {
    let (from, _, place) = maps
        .iter()
        .find(|(from, to, _)| (*from..*to).contains(&address))?;
    Some(address - from + place)
}

/// A line of `/proc/PID/maps`, if it is code.
fn code(line: &str) -> Option<Mapped> {
    let mut words = line.split(' ');
    let (from, to) = words.next()?.split_once('-')?;
    let rights = words.next()?;
    let place = words.next()?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    rights
        .contains('x')
        .then(|| Some((number(from)?, number(to)?, number(place)?)))?
}

/// The frames that make a site.
#[derive(Debug, Default)]
struct Found<'a> {
    sqlite: Option<(&'a str, u64)>,
    engine: Vec<(&'a str, u64)>,
}

/// How many functions of the engine a site names.
const ENGINE: usize = 2;

impl<'a> Found<'a> {
    fn take(&mut self, frame: Option<(&'a str, u64)>) {
        let Some((name, distance)) = frame else {
            return;
        };
        match owner(name) {
            Owner::Engine if self.engine.last().is_none_or(|(last, _)| *last != name) => {
                self.engine.push((name, distance));
            }
            Owner::Sqlite if self.sqlite.is_none() && self.engine.is_empty() => {
                self.sqlite = Some((name, distance));
            }
            Owner::Engine | Owner::Sqlite | Owner::Other => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.engine.len() == ENGINE
    }

    fn text(&self) -> Option<String> {
        if self.engine.is_empty() {
            return None;
        }
        let frames = self.sqlite.iter().chain(&self.engine);
        let frames: Vec<String> = frames
            .map(|(name, distance)| format!("{}+{distance:x}", plain(name)))
            .collect();
        Some(frames.join(" < "))
    }
}

fn owner(name: &str) -> Owner {
    let Some(mangled) = name.strip_prefix("_ZN") else {
        let other = NO_SQLITE.iter().any(|prefix| name.starts_with(prefix));
        return if other { Owner::Other } else { Owner::Sqlite };
    };
    let first = mangled.trim_start_matches(|letter: char| letter.is_ascii_digit());
    // A method of a trait begins with the type: `_$LT$ctr_core..Type$u20$as…`.
    let first = first.strip_prefix("_$LT$").unwrap_or(first);
    let is_engine = first.starts_with("ctr_") && !first.starts_with("ctr_tests");
    if is_engine {
        Owner::Engine
    } else {
        Owner::Other
    }
}

/// A name as people write it: the parts of a mangled one, without the hash at its end.
fn plain(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("_ZN") else {
        return name.to_owned();
    };
    let mut parts = Vec::new();
    while let Some(end) = rest.find(|letter: char| !letter.is_ascii_digit()) {
        let Some(part) = rest[..end]
            .parse()
            .ok()
            .and_then(|length: usize| rest.get(end..end + length))
        else {
            break;
        };
        parts.push(part);
        rest = &rest[end + part.len()..];
    }
    if parts.len() > 1 {
        parts.pop();
    }
    let mut text = parts.join("::");
    for (code, letters) in [
        ("_$LT$", "<"),
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$u20$", " "),
        ("$RF$", "&"),
        ("$u7b$", "{"),
        ("$u7d$", "}"),
        ("$C$", ","),
        ("..", "::"),
    ] {
        text = text.replace(code, letters);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE_FRAME: &str = "_ZN8ctr_core3run5begin17h0123456789abcdefE";

    #[test]
    fn functions_have_owners() {
        assert_eq!(owner(ENGINE_FRAME), Owner::Engine);
        let method =
            "_ZN50_$LT$ctr_sys..lock..Lock$u20$as$u20$core..Drop$GT$4drop17h0123456789abcdefE";
        assert_eq!(owner(method), Owner::Engine);
        assert_eq!(plain(method), "<ctr_sys::lock::Lock as core::Drop>::drop");
        assert_eq!(
            owner("_ZN3std2fs4File4open17h0123456789abcdefE"),
            Owner::Other
        );
        assert_eq!(owner("unixWrite"), Owner::Sqlite);
        assert_eq!(owner("main"), Owner::Other);
    }

    #[test]
    fn a_site_names_the_innermost_functions_of_ours() {
        let mut found = Found::default();
        assert!(found.text().is_none());
        found.take(Some(("seekAndWriteFd", 16)));
        found.take(Some(("unixWrite", 3)));
        found.take(None);
        found.take(Some((ENGINE_FRAME, 2)));
        found.take(Some((ENGINE_FRAME, 9)));
        assert_eq!(
            found.text().unwrap(),
            "seekAndWriteFd+10 < ctr_core::run::begin+2"
        );
        assert!(!found.is_complete());
    }
}
