//! A program file that a container cannot overwrite.
//!
//! A process that starts containers can be reached from inside them through `/proc/PID/exe` at some moments, and a container that runs
//! as root could open that file for writing. So the program is executed from a place where nothing can be written: a detached,
//! read-only overlay over the program's directory (no copy, about 2 ms), or, where an overlay cannot be made, a sealed copy in
//! memory (`memfd_create(2)`).

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, StatxFlags};

use crate::error::{Context, SysError, SysResult};
use crate::kernel_file;
use crate::mount::{DetachedMount, LayerSync, MountAttributes, OverlayLayers, Recursion};
use crate::raw::{self, Executable, PointerArray};

/// The file that the calling process executes.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Opens `program` for [`crate::Launch::executable`] so that whoever reaches the running process' `exe` cannot write to it.
///
/// `empty_dir` is an empty directory that does not lie in the program's one: an overlay without a writable layer needs a second
/// lower directory, and layers must not overlap.
///
/// # Errors
/// When the program is missing, or neither way works.
pub fn protected_executable(program: &Path, empty_dir: &Path) -> SysResult<OwnedFd> {
    match through_overlay(program, empty_dir) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(error),
        Err(_) => through_memory(program),
    }
}

/// Has the calling process go on in a file that is protected as that of [`protected_executable`] is: from the start of its program, with the
/// arguments `argv`, an empty environment, and everything else as it is (process, streams, descriptors without close-on-exec, working
/// directory). Returns only when the process executes such a file already.
///
/// `other_dir` is a directory that does not lie in the program's one. What is in it does not matter.
///
/// # Errors
/// When no protected file can be made or executed.
pub fn go_on_protected(other_dir: &Path, argv: &[OsString]) -> SysResult<()> {
    let program = Path::new(OWN_PROGRAM);
    let own = File::open(program).context("open", || OWN_PROGRAM.to_owned())?;
    if is_protected(own.as_fd())? {
        return Ok(());
    }
    // The copy also where the file was deleted or replaced meanwhile.
    let file = through_overlay(program, other_dir).or_else(|_| through_memory(program))?;
    if !is_protected(file.as_fd())? {
        // Executing it would lead here again, for ever.
        let why = "what was made of it can be written to";
        return Err(SysError::invalid("protect", OWN_PROGRAM, why));
    }
    let argv = argv.iter().map(|arg| CString::new(arg.as_bytes()));
    let argv = argv
        .collect::<Result<_, _>>()
        .map_err(|_| SysError::invalid("start", OWN_PROGRAM, "an argument holds a NUL byte"))?;
    let file = Executable::Descriptor(file.as_raw_fd());
    let errno = raw::execute(
        file,
        &PointerArray::new(argv),
        &PointerArray::new(Vec::new()),
    );
    let error = std::io::Error::from_raw_os_error(errno);
    Err(SysError::new(
        "start a protected copy of",
        OWN_PROGRAM,
        error,
    ))
}

/// Whether the file is sealed, or read-only through a mount that is in no mount table, so that nobody can make it writable.
fn is_protected(file: BorrowedFd<'_>) -> SysResult<bool> {
    let name = || OWN_PROGRAM.to_owned();
    // Files that cannot be sealed answer with an error.
    if rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE)) {
        return Ok(true);
    }
    let flags = rustix::fs::fstatvfs(file).context("look at", name)?.f_flag;
    if !flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(false);
    }
    let found = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
    let mount = found.context("look at", name)?.stx_mnt_id.to_string();
    let table = "/proc/self/mountinfo";
    let text = kernel_file::read(table).context("read", || table.to_owned())?;
    let text = String::from_utf8_lossy(&text);
    let mut ids = text.lines().filter_map(|line| line.split(' ').next());
    Ok(!ids.any(|id| id == mount))
}

fn through_overlay(program: &Path, empty_dir: &Path) -> SysResult<OwnedFd> {
    let program = program
        .canonicalize()
        .context("open", || program.display().to_string())?;
    let (Some(directory), Some(name)) = (program.parent(), program.file_name()) else {
        return Err(SysError::invalid(
            "open",
            program.display().to_string(),
            "not a file",
        ));
    };
    let overlay = DetachedMount::overlay(&OverlayLayers {
        lower: vec![directory.to_owned(), empty_dir.to_owned()],
        upper: None,
        sync: LayerSync::WhenAsked,
    })?;
    let read_only = MountAttributes {
        read_only: true,
        no_suid: true,
        no_dev: true,
        no_exec: false,
    };
    overlay.set_attributes(read_only, Recursion::Single)?;
    // Not O_PATH: executing needs no more, but reading it later (debuggers, our own checks) does.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(overlay.as_fd(), name, flags, Mode::empty())
        .context("open", || program.display().to_string())
}

fn through_memory(program: &Path) -> SysResult<OwnedFd> {
    let name = || program.display().to_string();
    let mut bytes = Vec::new();
    File::open(program)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .context("read", name)?;
    let copy = raw::executable_memfd(c"ctr").context("copy", name)?;
    let mut file = File::from(copy);
    file.write_all(&bytes).context("copy", name)?;
    let copy = OwnedFd::from(file);
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals).context("seal the copy of", name)?;
    // A file that somebody has open for writing cannot be executed, and this descriptor is.
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::empty()).context("open the copy of", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Launch;

    fn check(open: impl FnOnce(&Path, &Path) -> SysResult<OwnedFd>) {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let file = open(Path::new("/bin/true"), &empty).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // Opened again by that name, as a container does with /proc/PID/exe.
        assert!(File::options().write(true).open(path).is_err_and(|error| {
            // EROFS, or EPERM of the seal (EACCES where the mode says so).
            error.raw_os_error().is_some()
        }));
        let child = Launch::executable(file, "true").spawn().unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn protected_files_are_told_from_others() {
        let empty = tempfile::tempdir().unwrap();
        let program = Path::new("/bin/true");
        for file in [
            through_overlay(program, empty.path()).unwrap(),
            through_memory(program).unwrap(),
        ] {
            assert!(is_protected(file.as_fd()).unwrap());
        }
        let plain = File::open(program).unwrap();
        assert!(!is_protected(plain.as_fd()).unwrap());
    }

    #[test]
    fn a_program_in_an_overlay_runs_and_cannot_be_written() {
        check(through_overlay);
    }

    #[test]
    fn a_program_in_memory_runs_and_cannot_be_written() {
        let copy = through_memory(Path::new("/bin/true")).unwrap();
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let mut file = File::options().write(true).open(path).unwrap();
        assert!(file.write_all(b"x").is_err());
        drop(file);
        let child = Launch::executable(copy, "true").spawn().unwrap();
        assert!(child.wait().unwrap().success());
    }
}
