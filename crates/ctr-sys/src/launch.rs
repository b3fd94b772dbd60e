//! Starting programs with everything they inherit listed.
//!
//! A launched program gets the arguments, environment, descriptors, working directory and umask named here and nothing else: the
//! environment starts empty, every other descriptor is closed, signal handlers are reset and none is blocked. Of the caller's groups it
//! has the primary one alone, where the caller may decide that. A failing `execve(2)` is an error of [`Launch::spawn`], not an exit code.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::pipe::PipeFlags;

use crate::child::Child;
use crate::error::{Context, SysError, SysResult};
use crate::raw::{self, Executable, Forked, PointerArray};

/// Where one of the three standard streams of a program goes.
#[derive(Debug, Default)]
pub enum Stdio {
    /// `/dev/null`.
    #[default]
    Null,
    /// The caller's own.
    Inherit,
    /// This descriptor.
    Fd(OwnedFd),
}

#[derive(Debug)]
enum Program {
    Path(PathBuf),
    File(OwnedFd),
}

/// A program to be started. See the module's documentation for what it inherits.
#[derive(Debug)]
#[must_use = "nothing is started before `spawn` or `output`"]
pub struct Launch {
    program: Program,
    name: String,
    argv: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    stdio: [Stdio; 3],
    fds: Vec<(RawFd, OwnedFd)>,
    cwd: PathBuf,
    umask: u32,
    session: Session,
    parent_death: ParentDeath,
    mounts: Mounts,
    cgroup: Option<OwnedFd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    Inherited,
    New,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mounts {
    Shared,
    Private,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParentDeath {
    Survive,
    Die,
}

impl Launch {
    /// The program at `path` (no search), which is also its argument 0.
    pub fn program(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.display().to_string();
        let argv0 = path.clone().into_os_string();
        Self::new(Program::Path(path), name, argv0)
    }

    /// The program in an open file, with `argv0` as argument 0, `execveat(2)`.
    pub fn executable(file: OwnedFd, argv0: impl Into<OsString>) -> Self {
        let argv0 = argv0.into();
        let name = argv0.to_string_lossy().into_owned();
        Self::new(Program::File(file), name, argv0)
    }

    fn new(program: Program, name: String, argv0: OsString) -> Self {
        Self {
            program,
            name,
            argv: vec![argv0],
            environment: Vec::new(),
            stdio: [Stdio::Null, Stdio::Null, Stdio::Null],
            fds: Vec::new(),
            cwd: PathBuf::from("/"),
            umask: 0o022,
            session: Session::Inherited,
            parent_death: ParentDeath::Survive,
            mounts: Mounts::Shared,
            cgroup: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.argv
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds a variable to the environment, which starts empty.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Descriptor 0; `/dev/null` by default.
    pub fn stdin(mut self, stdio: Stdio) -> Self {
        self.stdio[0] = stdio;
        self
    }

    /// Descriptor 1; `/dev/null` by default.
    pub fn stdout(mut self, stdio: Stdio) -> Self {
        self.stdio[1] = stdio;
        self
    }

    /// Descriptor 2; `/dev/null` by default.
    pub fn stderr(mut self, stdio: Stdio) -> Self {
        self.stdio[2] = stdio;
        self
    }

    /// Hands `source` to the program as descriptor `target` (3 or more).
    pub fn fd(mut self, target: RawFd, source: OwnedFd) -> Self {
        self.fds.push((target, source));
        self
    }

    /// The working directory; `/` by default.
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = path.into();
        self
    }

    /// The umask; 022 by default.
    pub fn umask(mut self, mask: u32) -> Self {
        self.umask = mask;
        self
    }

    /// Starts it in a session of its own, `setsid(2)`: no terminal, no signals from the keyboard.
    pub fn new_session(mut self) -> Self {
        self.session = Session::New;
        self
    }

    /// Has the kernel kill it when the calling thread ends.
    pub fn die_with_parent(mut self) -> Self {
        self.parent_death = ParentDeath::Die;
        self
    }

    /// Gives it a mount namespace of its own, so that what it mounts for itself is in nobody else's table and ends with it. Where
    /// the caller may not do that, the program cannot mount either, and is started as it is.
    pub fn private_mounts(mut self) -> Self {
        self.mounts = Mounts::Private;
        self
    }

    /// Starts it inside this cgroup v2 directory, `CLONE_INTO_CGROUP`: moving it afterwards costs a grace period of the kernel.
    pub fn cgroup(mut self, directory: OwnedFd) -> Self {
        self.cgroup = Some(directory);
        self
    }

    /// Starts the program.
    ///
    /// # Errors
    /// When an argument holds a NUL byte, the kernel refuses to fork, or the program cannot be executed; the error then has the
    /// `errno` of `execve(2)`.
    pub fn spawn(self) -> SysResult<Child> {
        let name = self.name.clone();
        let (answer, report) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("open", || "a pipe".to_owned())?;
        let prepared = Prepared::new(self, report.as_raw_fd())?;
        let cgroup = prepared.launch.cgroup.as_ref().map(AsFd::as_fd);
        // SAFETY: the child runs `Prepared::execute`, which makes only async-signal-safe calls on memory prepared before.
        let child = match unsafe { raw::fork(cgroup)? } {
            Forked::Child => prepared.execute(),
            Forked::Parent(pid, pidfd) => Child::new(pid, pidfd),
        };
        drop(report);
        let mut errno = [0; 4];
        match File::from(answer).read_exact(&mut errno) {
            // Closed by execve: the program runs.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(child),
            Err(error) => Err(SysError::new("start", name, error)),
            Ok(()) => {
                child.wait()?;
                let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
                Err(SysError::new("start", name, error))
            }
        }
    }
}

/// Everything the child needs, allocated before the fork.
struct Prepared {
    launch: Launch,
    path: CString,
    cwd: CString,
    argv: PointerArray,
    envp: PointerArray,
    /// (source, target), and the room for the copies made in the child.
    mapping: Vec<(RawFd, RawFd)>,
    copies: Vec<RawFd>,
    _null: Option<File>,
    report: RawFd,
    parent: i32,
}

impl Prepared {
    fn new(launch: Launch, report: RawFd) -> SysResult<Self> {
        let string = |text: &OsStr| {
            CString::new(text.as_bytes()).map_err(|_| {
                SysError::invalid("start", &launch.name, "an argument holds a NUL byte")
            })
        };
        let argv = launch.argv.iter().map(|arg| string(arg));
        let argv = PointerArray::new(argv.collect::<Result<_, _>>()?);
        let envp = launch.environment.iter().map(|(key, value)| {
            let mut line = key.clone();
            line.push("=");
            line.push(value);
            string(&line)
        });
        let envp = PointerArray::new(envp.collect::<Result<_, _>>()?);
        let path = match &launch.program {
            Program::Path(path) => string(path.as_os_str())?,
            Program::File(_) => CString::default(),
        };
        let cwd = string(launch.cwd.as_os_str())?;
        let null = open_null(&launch.stdio)?;
        let mapping = mapping(&launch, null.as_ref());
        Ok(Self {
            copies: Vec::with_capacity(mapping.len()),
            mapping,
            path,
            cwd,
            argv,
            envp,
            _null: null,
            report,
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            launch,
        })
    }

    /// In the child, after the fork: no allocation, no locks, nothing but system calls.
    fn execute(mut self) -> ! {
        let report = self.highest_target().max(self.report) + 1;
        let report = raw::duplicate_above(self.report, report).unwrap_or(self.report);
        let errno = match self.become_program(report) {
            Ok(never) => match never {},
            Err(errno) => errno,
        };
        raw::write_best_effort(report, &errno.to_ne_bytes());
        raw::exit_now(127)
    }

    fn become_program(&mut self, report: RawFd) -> Result<std::convert::Infallible, i32> {
        raw::reset_signals();
        if self.launch.session == Session::New {
            raw::new_session()?;
        }
        if self.launch.parent_death == ParentDeath::Die {
            raw::die_with_parent(self.parent);
        }
        if self.launch.mounts == Mounts::Private {
            // See `Launch::private_mounts` for why a refusal is fine.
            raw::private_mounts().ok();
        }
        raw::set_umask(self.launch.umask);
        raw::leave_groups();
        raw::change_directory(&self.cwd)?;
        // All sources go above every target first, so that no target overwrites a source that is still needed.
        let above = report + 1;
        for index in 0..self.mapping.len() {
            let copy = raw::duplicate_above(self.mapping[index].0, above)?;
            // Capacity was reserved before the fork: this does not allocate.
            self.copies.push(copy);
        }
        let program = match &self.launch.program {
            Program::Path(_) => Executable::Path(&self.path),
            Program::File(file) => {
                Executable::Descriptor(raw::duplicate_above(file.as_raw_fd(), above)?)
            }
        };
        raw::close_on_exec_from(3)?;
        for (copy, (_, target)) in self.copies.iter().zip(&self.mapping) {
            raw::duplicate_onto(*copy, *target)?;
        }
        Err(raw::execute(program, &self.argv, &self.envp))
    }

    fn highest_target(&self) -> RawFd {
        let targets = self.mapping.iter().map(|(_, target)| *target);
        targets.max().unwrap_or(2).max(2)
    }
}

fn open_null(stdio: &[Stdio; 3]) -> SysResult<Option<File>> {
    if !stdio.iter().any(|stdio| matches!(stdio, Stdio::Null)) {
        return Ok(None);
    }
    let file = File::options().read(true).write(true).open("/dev/null");
    file.map(Some).context("open", || "/dev/null".to_owned())
}

fn mapping(launch: &Launch, null: Option<&File>) -> Vec<(RawFd, RawFd)> {
    let mut mapping = Vec::with_capacity(3 + launch.fds.len());
    for (target, stdio) in (0..).zip(&launch.stdio) {
        let source = match stdio {
            Stdio::Null => null.map_or(target, AsRawFd::as_raw_fd),
            Stdio::Inherit => target,
            Stdio::Fd(fd) => fd.as_raw_fd(),
        };
        mapping.push((source, target));
    }
    mapping.extend(
        launch
            .fds
            .iter()
            .map(|(target, fd)| (fd.as_raw_fd(), *target)),
    );
    mapping
}
