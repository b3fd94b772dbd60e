//! Who is who among the processes that a command of `ctr` starts.

use std::fs;
use std::path::PathBuf;

use nix::libc;

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The command that was typed.
    Cli,
    /// A child of the command before it executes a program: usually the monitor's, a moment later.
    Child,
    /// The process beside a container.
    Monitor,
    /// The one that takes its place when it is killed.
    Keeper,
    /// The cleanup command that a monitor or a command starts.
    Cleanup,
    /// A child of the monitor: its helpers, the writer of the log, a runtime, and what a runtime makes until it executes the container's program.
    Runtime,
    /// The container's own processes.
    Container,
}

/// By which names the programs are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    /// Programs that are an OCI runtime, as their first word or their file.
    pub(crate) runtimes: Vec<PathBuf>,
}

impl Role {
    /// The word for it in reports and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Cli => "cli",
            Role::Child => "child",
            Role::Monitor => "monitor",
            Role::Keeper => "keeper",
            Role::Cleanup => "cleanup",
            Role::Runtime => "runtime",
            Role::Container => "container",
        }
    }

    /// The role of a process that one of this role has forked.
    pub(super) fn of_child(self) -> Role {
        match self {
            Role::Cli | Role::Cleanup | Role::Child => Role::Child,
            // A keeper forks nothing as long as it is one.
            Role::Monitor | Role::Keeper | Role::Runtime => Role::Runtime,
            Role::Container => Role::Container,
        }
    }

    /// The role of a process of this role that has given itself a name.
    pub(super) fn named(self, name: &str) -> Role {
        match (self, name) {
            (Role::Runtime, "ctr-keeper") => Role::Keeper,
            (Role::Keeper, _) => Role::Monitor,
            (role, _) => role,
        }
    }

    /// The role of a process of this role that has just executed a program.
    pub(super) fn executed(self, pid: i32, programs: &Programs) -> Role {
        let words = words(pid);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let file = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        if programs.knows(&words, &file) {
            return Role::Runtime;
        }
        self.executed_words(&words)
    }

    fn executed_words(self, words: &[&str]) -> Role {
        match words {
            [_, "monitor", number] if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Role::Monitor
            }
            [_, "oci-runtime", ..] => Role::Runtime,
            _ if self == Role::Cli => Role::Cli,
            _ if cleans_up(words) => Role::Cleanup,
            _ => Role::Container,
        }
    }
}

/// How a process of this role ended, if by a mistake of its own: by a signal that says so, or with the exit code of a panic.
pub(super) fn crash(role: Role, raw: i32) -> Option<String> {
    const PANICKED: i32 = 101;
    const SIGNALS: [i32; 7] = [
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGSEGV,
        libc::SIGSYS,
        libc::SIGTRAP,
    ];
    let (code, signal) = (libc::WEXITSTATUS(raw), libc::WTERMSIG(raw));
    if role == Role::Container {
        None
    } else if libc::WIFEXITED(raw) && code == PANICKED {
        Some(format!("ended with code {code}"))
    } else if libc::WIFSIGNALED(raw) && SIGNALS.contains(&signal) {
        Some(format!("ended by signal {signal}"))
    } else {
        None
    }
}

fn cleans_up(words: &[&str]) -> bool {
    words
        .windows(2)
        .any(|pair| pair == ["container", "cleanup"])
}

impl Programs {
    /// Some runtimes execute a copy of themselves that has no name, and keep their first word.
    fn knows(&self, words: &[&str], file: &std::path::Path) -> bool {
        self.runtimes.iter().any(|known| {
            let name = known.file_name().unwrap_or_default();
            let first = std::path::Path::new(words.first().unwrap_or(&""));
            file == known || first.file_name().is_some_and(|word| word == name)
        })
    }
}

fn words(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_suffix('\0').unwrap_or(&text);
    text.split('\0').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn words_tell_the_role() {
        for (before, words, role) in [
            (Role::Child, "ctr monitor 3", Role::Monitor),
            (
                Role::Child,
                "ctr --root /x container cleanup y",
                Role::Cleanup,
            ),
            (Role::Runtime, "ctr oci-runtime state x", Role::Runtime),
            (Role::Runtime, "ctr container cleanup y", Role::Cleanup),
            (Role::Cli, "ctr container cleanup y", Role::Cli),
            (Role::Cli, "ctr ps", Role::Cli),
            (Role::Runtime, "sleep 3", Role::Container),
            (Role::Container, "sleep 3", Role::Container),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert_eq!(before.executed_words(&words), role, "{words:?}");
        }
    }

    #[test]
    fn a_runtime_is_known_by_its_file_or_its_first_word() {
        let programs = Programs {
            runtimes: vec![PathBuf::from("/usr/bin/runc")],
        };
        assert!(programs.knows(&["x"], Path::new("/usr/bin/runc")));
        assert!(programs.knows(&["runc", "init"], Path::new("/memfd:a")));
        assert!(!programs.knows(&["sh"], Path::new("/bin/sh")));
    }

    #[test]
    fn a_crash_is_no_end_that_somebody_wanted() {
        let code = |code: i32| code << 8;
        assert!(crash(Role::Monitor, libc::SIGSEGV).is_some());
        assert!(crash(Role::Cli, code(101)).is_some());
        for raw in [code(0), code(125), libc::SIGKILL, libc::SIGTERM] {
            assert_eq!(crash(Role::Cli, raw), None);
        }
        assert_eq!(crash(Role::Container, libc::SIGSEGV), None);
    }

    #[test]
    fn a_keeper_says_that_it_is_one_and_when_it_takes_over() {
        let child = Role::Monitor.of_child();
        assert_eq!(child.named("ctr-keeper"), Role::Keeper);
        assert_eq!(child.named("ctr-keeper").named("ctr"), Role::Monitor);
        assert_eq!(child.named("other"), Role::Runtime);
    }
}
