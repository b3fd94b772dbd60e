//! Other processes: this test program again, in a role.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_events::{EventKind, open_database};
use ctr_state::{ContainerId, Durability, StateError, Store};
use ctr_sys::{Child, ExitStatus, Launch, Signal, Stdio};
use rusqlite::{Connection, TransactionBehavior};

use crate::{config_at, create, database_at, event, patience};

const ROLE: &str = "CTR_STATE_TEST_ROLE";
const DIRECTORY: &str = "CTR_STATE_TEST_DIRECTORY";
const ID: &str = "CTR_STATE_TEST_ID";

/// What another process does. It says "ready" first and goes on when its input ends.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// Stays inside a write transaction.
    Write,
    /// Keeps everybody out of the database, readers too.
    Block,
    /// Makes an empty database and stays at the point of setting it up where nobody else may begin to.
    SetUp,
    /// Holds the lock of the container.
    Hold,
    /// Creates a container called "one" and says "won" or "lost".
    Create,
    /// Saves the container 20 times, each time with an event and under the lock.
    Save,
}

impl Role {
    const ALL: [Self; 6] = [
        Self::Write,
        Self::Block,
        Self::SetUp,
        Self::Hold,
        Self::Create,
        Self::Save,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Block => "block",
            Self::SetUp => "set-up",
            Self::Hold => "hold",
            Self::Create => "create",
            Self::Save => "save",
        }
    }
}

/// Another process.
pub(crate) struct Process {
    child: Child,
    input: Option<OwnedFd>,
    output: BufReader<File>,
}

impl Process {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(role: Role, directory: &Path, id: &str) -> Self {
        let (child_input, input) = pipe();
        let (output, child_output) = pipe();
        let child = Launch::program(std::env::current_exe().unwrap())
            .args(["--exact", "process::role", "--nocapture"])
            .env(ROLE, role.word())
            .env(DIRECTORY, directory)
            .env(ID, id)
            .stdin(Stdio::Fd(child_input))
            .stdout(Stdio::Fd(child_output))
            .stderr(Stdio::Inherit)
            .die_with_parent()
            .spawn()
            .unwrap();
        let mut process = Self {
            child,
            input: Some(input),
            output: BufReader::new(File::from(output)),
        };
        process.expect_line(&["ready"]);
        process
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Lets it go on.
    pub(crate) fn release(&mut self) {
        self.input = None;
    }

    /// Stops it, and returns when the kernel says that it is stopped.
    pub(crate) fn freeze(&self) {
        self.child.kill(Signal::STOP).unwrap();
        let stat = format!("/proc/{}/stat", self.pid());
        let deadline = patience();
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            assert!(!deadline.expired(), "it does not stop");
            std::thread::yield_now();
        }
    }

    /// Returns when it has the file open or has ended.
    pub(crate) fn await_open(&self, path: &Path) {
        let descriptors = format!("/proc/{}/fd", self.pid());
        let deadline = patience();
        loop {
            let entries = std::fs::read_dir(&descriptors).unwrap();
            // One that is closed meanwhile has no link any more; one that has ended has no descriptor at all.
            let links: Vec<PathBuf> = entries
                .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
                .collect();
            if links.is_empty() || links.iter().any(|link| link == path) {
                return;
            }
            assert!(!deadline.expired(), "it does not open {}", path.display());
            std::thread::yield_now();
        }
    }

    pub(crate) fn kill(self) {
        self.child.kill(Signal::KILL).unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it go on, and returns the last word it says when it has ended well.
    pub(crate) fn finish(mut self, words: &[&str]) -> String {
        self.release();
        let word = self.expect_line(words);
        assert_eq!(self.child.wait().unwrap(), ExitStatus::Exited(0));
        word
    }

    fn expect_line(&mut self, words: &[&str]) -> String {
        for line in self.output.by_ref().lines() {
            let line = line.unwrap();
            if words.contains(&line.as_str()) {
                return line;
            }
        }
        panic!("the other process did not say any of {words:?}");
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    (reader.into(), writer.into())
}

/// The other process: does nothing when it is run as a test.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test harness takes no arguments"
)]
fn role() {
    let Ok(word) = std::env::var(ROLE) else {
        return;
    };
    let role = Role::ALL.into_iter().find(|role| role.word() == word);
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let id = std::env::var(ID).unwrap();
    match role.unwrap() {
        Role::Write => write(&directory),
        Role::Block => block(&directory),
        Role::SetUp => set_up(&directory),
        Role::Hold => hold(&directory, &id.parse().unwrap()),
        Role::Create => create_one(&directory),
        Role::Save => save(&directory, &id.parse().unwrap()),
    }
}

fn write(directory: &Path) {
    let mut connection = open_database(&database_at(directory), Duration::ZERO).unwrap();
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    transaction
        .execute("UPDATE record SET status = 'removing'", [])
        .unwrap();
    await_release();
}

fn block(directory: &Path) {
    let connection = open_database(&database_at(directory), Duration::ZERO).unwrap();
    connection
        .pragma_update(None, "locking_mode", "EXCLUSIVE")
        .unwrap();
    connection
        .query_row("SELECT count(*) FROM container", [], |_| Ok(()))
        .unwrap();
    await_release();
}

fn set_up(directory: &Path) {
    let database = database_at(directory);
    ctr_sys::create_private_dir(database.parent().unwrap()).unwrap();
    let mut connection = Connection::open(&database).unwrap();
    let _reserved = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    await_release();
}

fn hold(directory: &Path, id: &ContainerId) {
    let store = open(directory);
    let _locked = store.lock(id, "hold", patience()).unwrap();
    await_release();
}

fn create_one(directory: &Path) {
    await_release();
    let store = open(directory);
    let id = ContainerId::generate().unwrap();
    match create(&store, &id, "one") {
        Ok(()) => say("won"),
        Err(StateError::NameInUse { .. }) => say("lost"),
        Err(error) => panic!("{error}: {error:?}"),
    }
}

fn save(directory: &Path, id: &ContainerId) {
    let store = open(directory);
    await_release();
    for _ in 0..20 {
        let mut locked = store.lock(id, "save", patience()).unwrap();
        locked.edit().restart_count += 1;
        let events = [event(EventKind::Exec, id, 0)];
        locked.save(&events, Durability::Fact).unwrap();
    }
    say("done");
}

fn open(directory: &Path) -> Store {
    Store::open(config_at(directory, Duration::from_secs(60))).unwrap()
}

fn await_release() {
    say("ready");
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).unwrap();
}

/// On a line of its own: the test harness does not end its line before a test.
fn say(word: &str) {
    println!("\n{word}");
}
