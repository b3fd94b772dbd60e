//! `exec`: a process from a file, or the container's own with changes.

use std::path::PathBuf;

use super::Attachment;
use super::words::{Words, plain, required, split, unknown};

/// What is executed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) id: String,
    pub(crate) executable: Executable,
    pub(crate) attachment: Attachment,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) console: Option<PathBuf>,
    /// How many descriptors from 3 on are passed on.
    pub(crate) preserved: u16,
    /// The name of the group below that of the container that it is made in.
    pub(crate) cgroup: Option<String>,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Executable {
    /// A file with the process.
    File(PathBuf),
    /// The container's own process, changed.
    Changed(Box<Changes>),
}

/// What is different from the container's own process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The command, in place of the other.
    pub(crate) arguments: Vec<String>,
    /// `NAME=VALUE`, in place of those of the same name or beside the others.
    pub(crate) environment: Vec<String>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) user: Option<(u32, Option<u32>)>,
    /// Beside those that there are.
    pub(crate) groups: Vec<u32>,
    /// Beside those that there are.
    pub(crate) capabilities: Vec<String>,
    pub(crate) terminal: bool,
    pub(crate) no_new_privileges: bool,
}

/// Reads the words after the verb: options, the id, and the command, in which nothing is an option of ours.
pub(super) fn parse(words: &mut Words) -> Result<Execution, String> {
    let mut changes = Changes::default();
    let mut file: Option<PathBuf> = None;
    let mut attachment = Attachment::Foreground;
    let (mut pid_file, mut console, mut preserved, mut id) = (None, None, 0, None);
    let mut cgroup = None;
    while id.is_none()
        && let Some(word) = words.next_text()?
    {
        let (name, value) = split(&word);
        match name {
            "--process" | "-p" => file = Some(words.value(name, value)?.into()),
            "--pid-file" => pid_file = Some(words.value(name, value)?.into()),
            "--console-socket" => console = Some(words.value(name, value)?.into()),
            "--cgroup" => cgroup = Some(words.text(name, value)?),
            "--preserve-fds" => {
                preserved = words.parsed(name, value, "a number from 0 to 65535")?;
            }
            "--detach" | "-d" => {
                plain(name, value)?;
                attachment = Attachment::Detached;
            }
            name if name.starts_with('-') => parse_change(words, name, value, &mut changes)?,
            _ => id = Some(word),
        }
    }
    let id = required(id)?;
    changes.arguments = words.rest()?;
    Ok(Execution {
        id,
        executable: executable(file, changes)?,
        attachment,
        pid_file,
        console,
        preserved,
        cgroup,
    })
}

fn parse_change(
    words: &mut Words,
    name: &str,
    value: Option<&str>,
    changes: &mut Changes,
) -> Result<(), String> {
    match name {
        "--tty" | "-t" => {
            plain(name, value)?;
            changes.terminal = true;
        }
        "--no-new-privs" => {
            plain(name, value)?;
            changes.no_new_privileges = true;
        }
        "--cwd" => changes.cwd = Some(words.text(name, value)?.into()),
        "--env" | "-e" => {
            let variable = words.text(name, value)?;
            if variable.find('=').is_none_or(|at| at == 0) {
                return Err(format!("{name} {variable:?}: must be NAME=VALUE"));
            }
            changes.environment.push(variable);
        }
        "--user" | "-u" => changes.user = Some(user(name, &words.text(name, value)?)?),
        "--additional-gids" | "-g" => {
            let group = words.parsed(name, value, "the number of a group")?;
            changes.groups.push(group);
        }
        "--cap" | "-c" => changes.capabilities.push(words.text(name, value)?),
        other => return Err(unknown(other)),
    }
    Ok(())
}

/// `UID[:GID]`: names are for those who know the container's files.
fn user(name: &str, text: &str) -> Result<(u32, Option<u32>), String> {
    let wrong = |_| format!("{name} {text:?}: must be UID or UID:GID, as numbers");
    match text.split_once(':') {
        Some((uid, gid)) => Ok((
            uid.parse().map_err(wrong)?,
            Some(gid.parse().map_err(wrong)?),
        )),
        None => Ok((text.parse().map_err(wrong)?, None)),
    }
}

fn executable(file: Option<PathBuf>, changes: Changes) -> Result<Executable, String> {
    let Some(file) = file else {
        if changes.arguments.is_empty() {
            return Err("exec: a command or --process is missing".to_owned());
        }
        return Ok(Executable::Changed(Box::new(changes)));
    };
    // Callers of other runtimes say it a second time, though the file does.
    let nothing = Changes {
        terminal: changes.terminal,
        ..Changes::default()
    };
    if changes != nothing {
        return Err("exec: with --process, the file alone says what is executed".to_owned());
    }
    Ok(Executable::File(file))
}
