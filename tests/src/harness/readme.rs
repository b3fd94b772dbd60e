//! The README's first command, as a new user types it: on the machine's own directories, with the released program.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::leaks::{MountScope, Place};
use super::program::Call;
use super::runner::Counts;

const COMMAND: [&str; 9] = [
    "run",
    "--release",
    "--",
    "run",
    "--rm",
    "--rootfs",
    "/:O",
    "echo",
    "hello",
];

/// Runs the command and looks for what it left. The program has been built before, so that the watchdog sees only its run.
pub(crate) fn run() -> Result<Counts> {
    let place = Place {
        root: PathBuf::from("/var/lib/ctr"),
        runroot: PathBuf::from("/run/ctr"),
        marks: ["/var/lib/ctr/", "/run/ctr/", "/release/ctr\0"]
            .map(str::to_owned)
            .to_vec(),
        mounts: MountScope::Marked,
    };
    let before = place.look()?;
    let begin = Instant::now();
    let output = cargo(&COMMAND).output()?;
    ensure!(
        output.code == 0 && output.out() == "hello\n",
        "no greeting: {output}"
    );
    let leaks = place.leaks(&before)?;
    ensure!(
        leaks.is_empty(),
        "left behind:\n    {}",
        leaks.join("\n    ")
    );
    println!(
        "ok      README first command  {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    Ok(Counts {
        passed: 1,
        ..Counts::default()
    })
}

/// `cargo` in the workspace, with what it needs of our environment.
fn cargo(arguments: &[&str]) -> Call {
    let program = super::variable("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let mut call = Call::new(program)
        .args(arguments)
        .directory(&PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    for name in [
        "PATH",
        "HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "CARGO_TARGET_DIR",
        "RUSTFLAGS",
    ] {
        call = call.env_from_ours(name);
    }
    call
}
