//! What the cases stand on: their environment, the program runner with its watchdog, and the leak check.

pub(crate) mod args;
pub(crate) mod base;
pub(crate) mod case;
pub(crate) mod collect;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod hosted;
pub(crate) mod leaks;
pub(crate) mod machine;
pub(crate) mod manifest;
pub(crate) mod mount_watch;
pub(crate) mod output;
pub(crate) mod parallel;
pub(crate) mod pattern;
pub(crate) mod pid_space;
pub(crate) mod process;
pub(crate) mod profile;
pub(crate) mod program;
pub(crate) mod readme;
pub(crate) mod reboot;
pub(crate) mod receiver;
pub(crate) mod resting;
pub(crate) mod runner;
pub(crate) mod sessions;
pub(crate) mod share;
pub(crate) mod small_disk;
pub(crate) mod story;
pub(crate) mod terminal;
pub(crate) mod tree;
pub(crate) mod wait;

/// A variable of our environment that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the test program is told by its environment where ctr and its temporary directories are"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
