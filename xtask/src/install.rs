//! The programs that the tests need beside Rust: named, and installed where that can be done without asking.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{command, on_ci, output, succeed};

/// A program and the Debian package that has it.
struct Needed {
    program: &'static str,
    package: &'static str,
    kind: Kind,
}

/// What makes a program usable for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Any executable of that name.
    Any,
    /// One that needs no shared library: it is copied alone into a root directory.
    Static,
}

const NEEDED: &[Needed] = &[
    Needed {
        program: "runc",
        package: "runc",
        kind: Kind::Any,
    },
    Needed {
        program: "crun",
        package: "crun",
        kind: Kind::Any,
    },
    Needed {
        program: "busybox",
        package: "busybox-static",
        kind: Kind::Static,
    },
];

const DIRECTORIES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Installs what is missing. Where that cannot be done the tests go on without it, except in CI.
pub(crate) fn missing_programs() -> Result<()> {
    let packages: Vec<&str> = NEEDED
        .iter()
        .filter(|needed| find(needed).is_none())
        .map(|needed| needed.package)
        .collect();
    if packages.is_empty() {
        println!("all programs are there: {}", names().join(", "));
        return Ok(());
    }
    let names = packages.join(" ");
    let Some(tool) = installer()? else {
        let message = format!("missing, and not to be installed from here: {names}");
        if on_ci() {
            bail!(message);
        }
        println!("{message}; what needs them is skipped");
        return Ok(());
    };
    println!("installing {names}");
    // The list of packages may be stale or missing on a fresh machine; it is fetched only when the first try needs it.
    if install(&tool, &packages).is_err() {
        succeed(apt(&tool).args(["-q", "update"])).context("fetch the list of packages")?;
        install(&tool, &packages)?;
    }
    match NEEDED.iter().find(|needed| find(needed).is_none()) {
        None => Ok(()),
        Some(needed) => bail!(
            "{} is still missing after installing {}",
            needed.program,
            needed.package
        ),
    }
}

fn names() -> Vec<&'static str> {
    NEEDED.iter().map(|needed| needed.program).collect()
}

/// The package tool, when this user may use it.
fn installer() -> Result<Option<PathBuf>> {
    let root = output(command("id").arg("-u"))?.trim() == "0";
    let tool = Path::new("/usr/bin/apt-get");
    Ok((root && tool.exists()).then(|| tool.to_path_buf()))
}

fn install(tool: &Path, packages: &[&str]) -> Result<()> {
    succeed(
        apt(tool)
            .args(["-q", "-y", "--no-install-recommends", "install"])
            .args(packages),
    )
}

fn apt(tool: &Path) -> std::process::Command {
    let mut command = command(tool);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn find(needed: &Needed) -> Option<PathBuf> {
    DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(needed.program))
        .find(|path| path.is_file() && (needed.kind == Kind::Any || is_static(path)))
}

/// Whether an ELF file (64 bit, little endian) names no program interpreter. See elf(5): `PT_INTERP` is 3.
fn is_static(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| interpreter(&bytes) == Some(Interpreter::None))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interpreter {
    None,
    Named,
}

/// `None` when the bytes are no ELF file that we understand.
fn interpreter(bytes: &[u8]) -> Option<Interpreter> {
    let magic = bytes.get(..6)?;
    if magic != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(bytes.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(bytes.get(56..58)?.try_into().ok()?));
    for index in 0..count {
        let at = table.checked_add(index.checked_mul(size)?)?;
        let kind = u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == 3 {
            return Some(Interpreter::Named);
        }
    }
    Some(Interpreter::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            let mut header = vec![0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            bytes.extend(header);
        }
        bytes
    }

    #[test]
    fn a_program_interpreter_is_seen() {
        assert_eq!(interpreter(&elf(&[1, 2])), Some(Interpreter::None));
        assert_eq!(interpreter(&elf(&[1, 3])), Some(Interpreter::Named));
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
        let mut cut = elf(&[1, 2]);
        cut.truncate(70);
        assert_eq!(interpreter(&cut), None);
    }

    #[test]
    fn this_shell_is_an_elf_file() {
        assert!(interpreter(&fs::read("/bin/sh").unwrap()).is_some());
    }
}
