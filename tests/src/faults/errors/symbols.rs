//! The functions of a program, from the symbol table of its ELF file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A program's file with its functions.
#[derive(Debug)]
pub(super) struct Symbols {
    file: Vec<u8>,
    /// What of the file is code: where it lies there, its length, and the address it has in the program.
    code: Vec<(u64, u64, u64)>,
    /// From, to, and where the name begins in the file; ordered.
    functions: Vec<(u64, u64, usize)>,
}

/// See elf(5).
const PT_LOAD: u64 = 1;
const PF_X: u64 = 1;
const SHT_SYMTAB: u64 = 2;
const STT_FUNC: u8 = 2;
const SYMBOL: usize = 24;

impl Symbols {
    /// Reads a program. One that was stripped has no functions, and is refused.
    pub(super) fn read(path: &Path) -> Result<Symbols> {
        let file = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        ensure!(
            file.starts_with(b"\x7fELF\x02"),
            "{} is no program",
            path.display()
        );
        let mut symbols = Symbols {
            file,
            code: Vec::new(),
            functions: Vec::new(),
        };
        symbols.find_code().context("its segments cannot be read")?;
        symbols.find_functions();
        ensure!(
            !symbols.functions.is_empty(),
            "{} has no symbols: call sites need a program of the development profile",
            path.display()
        );
        Ok(symbols)
    }

    /// A number of so many bytes.
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.file.get(at..at.checked_add(length)?)?;
        let fold = |sum, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(bytes.iter().rev().fold(0, fold))
    }

    fn place(&self, at: usize) -> Option<usize> {
        usize::try_from(self.number(at, 8)?).ok()
    }

    /// Where the entries of a table begin: the place of the table, and those of the size and the count of its entries.
    fn entries(&self, table: usize, size: usize, count: usize) -> Option<Vec<usize>> {
        let first = self.place(table)?;
        let size = usize::try_from(self.number(size, 2)?).ok()?;
        let count = usize::try_from(self.number(count, 2)?).ok()?;
        Some((0..count).map(|number| first + number * size).collect())
    }

    fn find_code(&mut self) -> Option<()> {
        for at in self.entries(0x20, 0x36, 0x38)? {
            if self.number(at, 4)? == PT_LOAD && self.number(at + 4, 4)? & PF_X != 0 {
                let segment = (
                    self.number(at + 8, 8)?,
                    self.number(at + 32, 8)?,
                    self.number(at + 16, 8)?,
                );
                self.code.push(segment);
            }
        }
        Some(())
    }

    fn find_functions(&mut self) -> Option<()> {
        let sections = self.entries(0x28, 0x3a, 0x3c)?;
        let table = sections
            .iter()
            .find(|at| self.number(**at + 4, 4) == Some(SHT_SYMTAB))?;
        let names = sections.get(usize::try_from(self.number(table + 0x28, 4)?).ok()?)?;
        let names = self.place(names + 0x18)?;
        let (from, size) = (self.place(table + 0x18)?, self.place(table + 0x20)?);
        let mut functions = Vec::new();
        for at in (from..from + size).step_by(SYMBOL) {
            let (start, length) = (self.number(at + 8, 8)?, self.number(at + 16, 8)?);
            if self.file.get(at + 4)? & 0xf == STT_FUNC && length > 0 {
                let name = usize::try_from(self.number(at, 4)?).ok()?;
                functions.push((start, start + length, names + name));
            }
        }
        functions.sort_unstable();
        self.functions = functions;
        Some(())
    }

    /// The address in the program of what lies at this place of its file, if it is where a call returns to.
    pub(super) fn return_address(&self, place: u64) -> Option<u64> {
        let address = self.address(place)?;
        let at = usize::try_from(place).ok()?;
        let before = self.file.get(at.checked_sub(7)?..at)?;
        follows_a_call(before).then_some(address)
    }

    /// The address in the program of the code that lies at this place of its file.
    pub(super) fn address(&self, place: u64) -> Option<u64> {
        let (from, _, address) = self
            .code
            .iter()
            .find(|(from, length, _)| (*from..*from + *length).contains(&place))?;
        Some(place - from + address)
    }

    /// The function at an address, with the distance from its beginning.
    pub(super) fn function(&self, address: u64) -> Option<(&str, u64)> {
        let after = self
            .functions
            .partition_point(|(from, _, _)| *from <= address);
        let (from, to, name) = self.functions.get(after.checked_sub(1)?)?;
        if address >= *to {
            return None;
        }
        let name = self.file.get(*name..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&name[..end]).ok()?;
        Some((name, address - from))
    }
}

/// Whether these seven bytes end with a call instruction: to a distance, or through a register or memory.
fn follows_a_call(before: &[u8]) -> bool {
    let through = |at: usize, length: usize| {
        before.get(at) == Some(&0xff)
            && before.get(at + 1).is_some_and(|form| {
                let (mode, extension, register) = (form >> 6, (form >> 3) & 7, form & 7);
                let scaled = usize::from(mode != 3 && register == 4);
                let distance = match mode {
                    0 if register == 5 => 4,
                    1 => 1,
                    2 => 4,
                    _ => 0,
                };
                extension == 2 && 2 + scaled + distance == length
            })
    };
    before.get(2) == Some(&0xe8)
        || [2, 3, 4, 6, 7]
            .into_iter()
            .any(|length| through(7 - length, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_functions_are_found() {
        let symbols = Symbols::read(&std::env::current_exe().unwrap()).unwrap();
        let own = "our_own_functions_are_found";
        let (from, _, _) = symbols
            .functions
            .iter()
            .find(|(from, _, _)| {
                let name = symbols.function(*from).map(|(name, _)| name);
                name.is_some_and(|name| name.contains(own))
            })
            .unwrap();
        let (name, distance) = symbols.function(from + 3).unwrap();
        assert!(name.contains(own) && distance == 3, "{name} {distance}");
        assert!(symbols.function(u64::MAX).is_none());
        assert!(Symbols::read(Path::new("/etc/passwd")).is_err());
    }

    #[test]
    fn calls_are_known_by_their_bytes() {
        for (bytes, expected) in [
            ([0x90, 0x90, 0xe8, 1, 2, 3, 4], true),
            ([0x90, 0xff, 0x15, 1, 2, 3, 4], true),
            ([0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0], true),
            ([0x90, 0x90, 0x90, 0x90, 0xff, 0x50, 0x18], true),
            ([0x90, 0x90, 0x90, 0xff, 0x54, 0x24, 0x18], true),
            ([0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xe0], false),
            ([0x90; 7], false),
        ] {
            assert_eq!(follows_a_call(&bytes), expected, "{bytes:x?}");
        }
    }
}
