//! The process part of a specification: what runs, as whom, with which rights and limits.
//!
//! The same builder serves the first process of a container and a process that is added to one later, so both get their rights
//! from the same function.

use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{
    BoxBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, User,
};

use super::host::HostFacts;
use super::rights::{Rights, capabilities};
use super::without_nul;
use crate::error::OciError;

/// The default for open files and for processes; clamped to what this process may have itself.
const DEFAULT_LIMIT: u64 = 1_048_576;

/// What the kernel takes as adjustment of the OOM score, thousandths of all memory.
const OOM_SCORE_ADJUSTMENTS: RangeInclusive<i32> = -1000..=1000;

/// The mask for new files of the processes of containers, `umask(2)`.
pub const DEFAULT_UMASK: u32 = 0o022;

/// Numeric identity of a process. The names of a rootfs have been looked up by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UserIds {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups. The primary group is added when it is missing: a program could otherwise drop it and so pass a
    /// permission that is denied to that group.
    pub additional_gids: Vec<u32>,
}

/// Whether the process gets a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Terminal {
    /// Three plain descriptors.
    #[default]
    No,
    /// A pseudo-terminal, whose master the runtime sends to a console socket.
    Yes,
}

/// Soft and hard value of one limit, `getrlimit(2)`; `u64::MAX` means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// The value in force.
    pub soft: u64,
    /// How far the process may raise it.
    pub hard: u64,
}

/// Builds the process part of a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing is built before `build`"]
pub struct ProcessBuilder {
    args: Vec<String>,
    env: Vec<(String, String)>,
    cwd: PathBuf,
    user: UserIds,
    terminal: Terminal,
    window: Option<(u16, u16)>,
    rights: Rights,
    rlimits: Vec<(PosixRlimitType, Rlimit)>,
    oom_score_adj: Option<i32>,
}

impl ProcessBuilder {
    /// A process without arguments, as root in `/`, with an empty environment.
    pub fn new() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: UserIds::default(),
            terminal: Terminal::No,
            window: None,
            rights: Rights::Default,
            rlimits: Vec::new(),
            oom_score_adj: None,
        }
    }

    /// The program and its arguments; replaces earlier ones.
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a variable. One that is set again keeps its place and takes the new value.
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        match self.env.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => self.env.push((key, value)),
        }
        self
    }

    /// The working directory in the container; `/` by default.
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// Who the process is; root by default.
    pub fn user(mut self, user: UserIds) -> Self {
        self.user = user;
        self
    }

    /// Whether it gets a terminal; none by default.
    pub fn terminal(mut self, terminal: Terminal) -> Self {
        self.terminal = terminal;
        self
    }

    /// The size of its terminal, in lines and characters; the runtime's by default.
    pub fn window(mut self, rows: u16, columns: u16) -> Self {
        self.window = Some((rows, columns));
        self
    }

    /// Which capabilities it has; the usual ones by default.
    pub fn rights(mut self, rights: Rights) -> Self {
        self.rights = rights;
        self
    }

    /// Sets a limit, in place of our default where there is one. It is handed on as it is: a runtime that may not set it
    /// fails, because somebody asked for it.
    pub fn rlimit(mut self, kind: PosixRlimitType, limit: Rlimit) -> Self {
        self.rlimits.retain(|(known, _)| *known != kind);
        self.rlimits.push((kind, limit));
        self
    }

    /// How much sooner (positive) or later (negative) than others the process is killed when memory is short, -1000 to 1000 in
    /// thousandths of all memory, `proc_pid_oom_score_adj(5)`. By default it has that of the runtime's caller.
    pub fn oom_score_adj(mut self, adjustment: i32) -> Self {
        self.oom_score_adj = Some(adjustment);
        self
    }

    /// Checks everything and makes the process part.
    ///
    /// # Errors
    /// [`OciError::Invalid`] when there is no program, a text holds a NUL byte, a variable has no proper name, the working
    /// directory is not an absolute path, a soft limit is above its hard limit, or the OOM score adjustment is out of its range.
    pub fn build(&self, host: &HostFacts) -> Result<Process, OciError> {
        let mut process = Process::default();
        process
            .set_terminal(Some(self.terminal == Terminal::Yes))
            .set_user(user(&self.user))
            .set_args(Some(self.checked_args()?))
            .set_env(Some(self.checked_env()?))
            .set_cwd(absolute("working directory", &self.cwd)?)
            .set_capabilities(Some(capabilities(
                self.user.uid,
                &self.rights,
                &host.capabilities,
            )))
            .set_rlimits(Some(self.limits(host)?))
            .set_no_new_privileges(Some(false))
            .set_oom_score_adj(self.checked_oom_score_adj()?);
        if let (Some((rows, columns)), Terminal::Yes) = (self.window, self.terminal) {
            set_window(&mut process, rows, columns);
        }
        Ok(process)
    }

    fn checked_oom_score_adj(&self) -> Result<Option<i32>, OciError> {
        match self.oom_score_adj {
            Some(value) if !OOM_SCORE_ADJUSTMENTS.contains(&value) => Err(OciError::invalid(
                "OOM score adjustment",
                value.to_string(),
                "it is not in the range from -1000 to 1000",
            )),
            valid => Ok(valid),
        }
    }

    fn checked_args(&self) -> Result<Vec<String>, OciError> {
        if self.args.first().is_none_or(String::is_empty) {
            return Err(OciError::invalid(
                "command",
                "",
                "there is no program to run",
            ));
        }
        for arg in &self.args {
            without_nul("argument", arg)?;
        }
        Ok(self.args.clone())
    }

    fn checked_env(&self) -> Result<Vec<String>, OciError> {
        let line = |(key, value): &(String, String)| {
            let what = "environment variable";
            if key.is_empty() || key.contains('=') {
                return Err(OciError::invalid(
                    what,
                    key,
                    "a name has one character at least and no =",
                ));
            }
            without_nul(what, key)?;
            without_nul(what, value)?;
            Ok(format!("{key}={value}"))
        };
        self.env.iter().map(line).collect()
    }

    fn limits(&self, host: &HostFacts) -> Result<Vec<PosixRlimit>, OciError> {
        let mut limits = vec![
            (
                PosixRlimitType::RlimitNofile,
                default_limit(host.open_files),
            ),
            (PosixRlimitType::RlimitNproc, default_limit(host.processes)),
        ];
        limits.retain(|(kind, _)| self.rlimits.iter().all(|(asked, _)| asked != kind));
        limits.extend(&self.rlimits);
        limits
            .into_iter()
            .map(|(kind, limit)| rlimit(kind, limit))
            .collect()
    }
}

impl Default for ProcessBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives the terminal of a process a size, in lines and characters, before it exists.
pub fn set_window(process: &mut Process, rows: u16, columns: u16) {
    let size = BoxBuilder::default().height(rows).width(columns).build();
    process.set_console_size(size.ok());
}

fn user(ids: &UserIds) -> User {
    let mut groups = vec![ids.gid];
    for gid in &ids.additional_gids {
        if !groups.contains(gid) {
            groups.push(*gid);
        }
    }
    let mut user = User::default();
    user.set_uid(ids.uid)
        .set_gid(ids.gid)
        .set_umask(Some(DEFAULT_UMASK))
        .set_additional_gids(Some(groups));
    user
}

/// A limit that nobody asked for must never be what makes a container fail, so it does not go beyond what this process has.
fn default_limit(hard: u64) -> Rlimit {
    let value = DEFAULT_LIMIT.min(hard);
    Rlimit {
        soft: value,
        hard: value,
    }
}

fn rlimit(kind: PosixRlimitType, limit: Rlimit) -> Result<PosixRlimit, OciError> {
    if limit.soft > limit.hard {
        let value = format!("{kind}={}:{}", limit.soft, limit.hard);
        return Err(OciError::invalid(
            "limit",
            value,
            "the soft limit is above the hard limit",
        ));
    }
    let built = PosixRlimitBuilder::default()
        .typ(kind)
        .soft(limit.soft)
        .hard(limit.hard)
        .build();
    Ok(built.expect("the builder has a default for every field and no rule of its own"))
}

/// The path as it is written into a specification: absolute, UTF-8, without `..`, NUL, doubled or trailing slashes.
pub(super) fn absolute(what: &'static str, path: &Path) -> Result<PathBuf, OciError> {
    let shown = path.to_string_lossy();
    let Some(text) = path.to_str() else {
        return Err(OciError::invalid(
            what,
            shown,
            "a path in a specification must be UTF-8",
        ));
    };
    without_nul(what, text)?;
    if !path.is_absolute() {
        return Err(OciError::invalid(what, shown, "the path is not absolute"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(OciError::invalid(
            what,
            shown,
            "the path must not contain ..",
        ));
    }
    Ok(path.components().collect())
}
