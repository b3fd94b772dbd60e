//! A terminal that a script sits at: a pseudo-terminal with a program in it, what to type, and what must appear.
//!
//! The program is not the leader of the terminal's session, a shell that waits for it is, as with a person's terminal: the terminal is
//! still there when the program has ended, and shows the modes that it was left in. The shell tells the pid and the exit code of the
//! program through its standard error, which is a pipe.

mod screen;

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::collect::{Stream, collect};
use super::process::Process;
use super::program::{Call, Running};
use super::wait::PATIENCE;
use screen::{Screen, ready};

/// The session's leader. It runs the rest of its words, tells how that ended, and keeps the terminal until it is killed. What is
/// typed before the program takes over must not end it.
const LEADER: &str = "trap : HUP INT QUIT TSTP
    sh -c 'echo \"pid $$\" >&2; exec \"$@\" 2>&1' sh \"$@\"
    echo \"end $?\" >&2
    exec sleep 1000000";

/// How often the end of the program is looked for while something is expected.
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// How long what a program said last may be on its way through the terminal.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

impl fmt::Display for Size {
    /// As stty(1) prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rows, self.columns)
    }
}

/// A size that nothing has by itself.
pub(crate) const SIZE: Size = Size {
    rows: 33,
    columns: 101,
};

/// The modes of a terminal, all that a program can set, as text to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Modes(String);

impl Modes {
    fn of(termios: &Termios) -> Modes {
        Modes(format!(
            "{:?} {:?} {:?} {:?}",
            termios.input_modes, termios.output_modes, termios.control_modes, termios.local_modes
        ))
    }

    /// Whether lines are edited and typed characters shown by the terminal itself, as before a shell or after a good program.
    pub(crate) fn are_cooked(&self) -> bool {
        self.0.contains("ICANON") && self.0.contains("ECHO |") && self.0.contains("ISIG")
    }
}

/// A terminal with a program. What is still running when it is dropped is killed.
pub(crate) struct Terminal {
    master: Arc<OwnedFd>,
    /// Ends the thread that reads.
    stop: Arc<OwnedFd>,
    program: Program,
    leader: Running,
    screen: Arc<Stream>,
    /// How much of what appeared the expectations so far have used up.
    seen: usize,
    at_first: Modes,
    shown: String,
}

impl Terminal {
    /// Starts a program in a new terminal of this size.
    pub(crate) fn start(words: &[impl AsRef<str>], size: Size) -> Result<Terminal> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).context("open a pseudo-terminal")?;
        grantpt(&master).context("take the pseudo-terminal")?;
        unlockpt(&master).context("unlock the pseudo-terminal")?;
        set_size(&master, size)?;
        let slave = ioctl_tiocgptpeer(&master, flags).context("open the other side")?;
        let at_first = modes(&master)?;
        fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK).context("never block on it")?;
        let master = Arc::new(master);

        let shown: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let leader = Call::new("setsid")
            .args(["--ctty", "sh", "-c", LEADER, "sh"])
            .args(&shown)
            .env("TERM", "xterm")
            .stdin_from(slave.try_clone().context("copy a descriptor")?)
            .stdout_to(slave)
            .spawn()?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).context("make an eventfd")?;
        let stop = Arc::new(stop);
        let screen = collect(Screen {
            master: Arc::clone(&master),
            stop: Arc::clone(&stop),
        });
        let mut terminal = Terminal {
            master,
            stop,
            program: Program(None),
            leader,
            screen,
            seen: 0,
            at_first,
            shown: shown.join(" "),
        };
        let pid = terminal.reported("pid")?;
        terminal.program = Program(Process::open(pid)?);
        Ok(terminal)
    }

    /// Types these bytes, all at once as far as the terminal takes them.
    pub(crate) fn send(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            ensure!(
                ready(&self.master, PollFlags::OUT, PATIENCE)?,
                "{self} takes no input"
            );
            match rustix::io::write(&self.master, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error).with_context(|| format!("type into {self}")),
            }
        }
        Ok(())
    }

    /// Types a line.
    pub(crate) fn send_line(&self, line: &str) -> Result<()> {
        self.send(format!("{line}\r").as_bytes())
    }

    /// Waits until the text appears after what was expected before; gives what appeared until then.
    pub(crate) fn expect(&mut self, text: &str) -> Result<String> {
        self.expect_bytes(text.as_bytes())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same with bytes of any kind.
    pub(crate) fn expect_bytes(&mut self, expected: &[u8]) -> Result<Vec<u8>> {
        let seen = self.seen;
        let find = |bytes: &[u8]| {
            bytes[seen..]
                .windows(expected.len())
                .position(|part| part == expected)
        };
        let appears = |time| {
            self.screen
                .wait(time, |state| state.ended || find(&state.bytes).is_some())
        };
        // After its end a program says nothing more: what it said before is at most on its way.
        let end = Instant::now() + PATIENCE;
        while !appears(LOOK_AROUND) && Instant::now() < end {
            if self.ends_within(Duration::ZERO)? {
                appears(LAST_WORDS);
                break;
            }
        }
        let bytes = self.screen.bytes();
        let Some(at) = find(&bytes) else {
            bail!(
                "{:?} did not appear on {self}",
                String::from_utf8_lossy(expected)
            );
        };
        self.seen += at + expected.len();
        Ok(bytes[seen..self.seen].to_vec())
    }

    /// All that appeared so far.
    pub(crate) fn screen(&self) -> Vec<u8> {
        self.screen.bytes()
    }

    /// Changes the size, as a person does with a window.
    pub(crate) fn resize(&self, size: Size) -> Result<()> {
        set_size(&self.master, size)
    }

    /// The modes of the terminal now.
    pub(crate) fn modes(&self) -> Result<Modes> {
        modes(&self.master)
    }

    /// Waits until the terminal has left its first modes: the program has taken it over.
    pub(crate) fn wait_for_raw(&self) -> Result<()> {
        super::wait::until("the raw mode", || {
            Ok((!self.modes()?.are_cooked()).then_some(()))
        })
        .with_context(|| format!("on {self}"))
    }

    /// Fails unless all modes are again what they were before the program began.
    pub(crate) fn check_restored(&self) -> Result<()> {
        let now = self.modes()?;
        ensure!(
            now == self.at_first,
            "the modes are {now:?} instead of {:?} on {self}",
            self.at_first
        );
        Ok(())
    }

    /// Sends a signal to the program; one that has ended gets none.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        match &self.program.0 {
            Some(program) => program.signal(signal),
            None => Ok(()),
        }
    }

    /// Whether the program ends within the time; it runs on when not.
    pub(crate) fn ends_within(&self, time: Duration) -> Result<bool> {
        self.program.ends_within(time)
    }

    /// Waits for the end of the program; gives its exit code, or 128 + n after signal n. The terminal stays.
    pub(crate) fn code(&self) -> Result<i32> {
        self.reported("end")
    }

    /// Waits for the end of the program, which must have this exit code and leave the terminal in its first modes. Gives all that
    /// appeared.
    pub(crate) fn finish(self, code: i32) -> Result<String> {
        let ended = self.code()?;
        ensure!(ended == code, "exit code {ended} instead of {code}: {self}");
        self.check_restored()?;
        self.end_session()?;
        Ok(String::from_utf8_lossy(&self.screen()).into_owned())
    }

    /// Takes the terminal away, as a closed window or a lost connection does. Gives the exit code of the program, which must end of it.
    pub(crate) fn hang_up(self) -> Result<i32> {
        let shown = self.to_string();
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).context("end the thread that reads")?;
        ensure!(
            self.screen.wait(PATIENCE, |state| state.ended),
            "the thread that reads does not end"
        );
        let Terminal {
            master,
            program,
            leader,
            ..
        } = self;
        drop(master);
        // The kernel tells the leader, and an interactive shell tells its jobs.
        if let Some(program) = &program.0 {
            program.signal(Signal::HUP)?;
        }
        ensure!(program.ends_within(PATIENCE)?, "it runs on without {shown}");
        reported(&leader, "end").with_context(|| shown)
    }

    /// Ends the session, so that the terminal has no user any more and the thread that reads sees the end of it.
    fn end_session(&self) -> Result<()> {
        self.leader.signal(Signal::KILL)?;
        let ended = self.screen.wait(PATIENCE, |state| state.ended);
        ensure!(ended, "somebody holds on to {self}");
        Ok(())
    }

    fn reported(&self, key: &str) -> Result<i32> {
        reported(&self.leader, key).with_context(|| self.to_string())
    }
}

/// Waits for a number that the leader tells.
fn reported(leader: &Running, key: &str) -> Result<i32> {
    let find = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .find_map(|line| line.strip_prefix(key)?.trim().parse::<i32>().ok())
    };
    leader.stderr.wait(PATIENCE, |state| {
        state.ended || find(&state.bytes).is_some()
    });
    let said = leader.stderr.bytes();
    find(&said).with_context(|| {
        let said = String::from_utf8_lossy(&said).into_owned();
        format!("there is no {key}, the session said {said:?}")
    })
}

impl fmt::Display for Terminal {
    /// For failures: the program and the last that appeared.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 2000;
        let screen = self.screen.bytes();
        let last = &screen[screen.len().saturating_sub(MOST)..];
        write!(
            f,
            "the terminal of `{}`, which has shown {:?}",
            self.shown,
            String::from_utf8_lossy(last)
        )
    }
}

/// The program in the terminal. One that runs when this is dropped is killed.
struct Program(Option<Process>);

impl Program {
    fn ends_within(&self, time: Duration) -> Result<bool> {
        match &self.0 {
            Some(program) => program.ends_within(time),
            None => Ok(true),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(program) = &self.0 {
            // Both fail only when it has ended.
            program.signal(Signal::KILL).ok();
            program.ends_within(PATIENCE).ok();
        }
    }
}

fn set_size(master: &OwnedFd, size: Size) -> Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master, size).context("set the size of a terminal")
}

/// Asked of our side, the kernel answers for the program's.
fn modes(master: &OwnedFd) -> Result<Modes> {
    let termios = tcgetattr(master).context("ask for the modes of a terminal")?;
    Ok(Modes::of(&termios))
}

#[cfg(test)]
mod tests;
