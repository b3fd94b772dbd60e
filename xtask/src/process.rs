//! Running the programs that the tasks are made of.
//!
//! The one place that starts a process and the one place that reads the environment. A child's output goes straight to ours,
//! or is copied line by line when the task has to read it too.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The workspace's directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in a directory of the workspace")
        .to_path_buf()
}

/// A command that runs in the workspace's directory.
#[expect(
    clippy::disallowed_methods,
    reason = "the tasks use no crate of the workspace, so they start processes themselves, here and nowhere else"
)]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// `cargo` as it was called for us, with these arguments.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let program = variable("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let mut command = command(program);
    command.args(arguments);
    command
}

/// A variable of our environment that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "a task's environment is part of how it is called"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether this machine is a CI machine: nothing may be skipped there.
pub(crate) fn on_ci() -> bool {
    variable("CI").as_deref() == Some("true")
}

/// Runs the command, its output going to ours; anything but success is an error.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Runs the command quietly and returns what it printed; anything but success is an error with its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("start {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {shown}"))
}

/// What a command that was copied line by line did.
pub(crate) struct Copied {
    /// Whether its status was success.
    pub(crate) success: bool,
    /// The command and its status, for messages.
    pub(crate) what: String,
}

/// Runs the command, copies its standard output line by line to ours, and shows each line to `look`.
pub(crate) fn copy_lines(command: &mut Command, mut look: impl FnMut(&str)) -> Result<Copied> {
    let shown = shown(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {shown}"))?;
    let pipe = child.stdout.take().expect("the output was asked for");
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    let mut out = std::io::stdout().lock();
    while reader
        .read_until(b'\n', &mut line)
        .with_context(|| format!("read the output of {shown}"))?
        > 0
    {
        out.write_all(&line).context("write to standard output")?;
        out.flush().context("write to standard output")?;
        look(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    drop(out);
    let status = child.wait().with_context(|| format!("wait for {shown}"))?;
    Ok(Copied {
        success: status.success(),
        what: format!("{shown}: {status}"),
    })
}

/// The command as one would type it, without its environment.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_whole_even_without_a_last_newline() {
        let mut lines = Vec::new();
        let copied = copy_lines(command("printf").arg("a\\nb"), |line| {
            lines.push(line.to_owned());
        })
        .unwrap();
        assert!(copied.success);
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn a_failure_names_the_command_and_carries_its_message() {
        let error = output(command("sh").args(["-c", "echo bad >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("sh -c echo bad"), "{text}");
        assert!(text.ends_with("bad"), "{text}");
        assert!(succeed(&mut command("false")).is_err());
    }
}
