//! Every operation in every status, on real containers: the table of `ARCHITECTURE.md` is what must happen.
//!
//! A case is a row. Each of its cells is a container of its own, which is brought into the status through the program, and looked at
//! from all sides afterwards: exit code, words, status, number of the run, processes, events. All cells of a row are driven, whatever
//! is wrong with one of them, and [`show`] prints what was seen as a table when it is asked to.

mod cell;
mod events;
mod operation;
mod show;
mod status;
mod table;

use anyhow::{Result, ensure};

use self::cell::{Cell, Seen};
use self::operation::Operation;
use self::status::Status;
use self::table::Oracle;
use crate::harness::case::cases;
use crate::harness::env::Env;

/// A case for each row.
macro_rules! rows {
    ($($name:ident $operation:ident),* $(,)?) => {
        cases! { $(Core $name,)* Full taken_back }
        $(
            fn $name(env: &Env) -> Result<()> {
                row(env, Operation::$operation)
            }
        )*
    };
}

rows! {
    init Init,
    start Start,
    restart Restart,
    attach Attach,
    exec Exec,
    signal Signal,
    kill Kill,
    stop Stop,
    pause Pause,
    unpause Unpause,
    cleanup Cleanup,
    refresh Refresh,
    rename Rename,
    remove Remove,
    remove_by_force RemoveByForce,
}

fn row(env: &Env, operation: Operation) -> Result<()> {
    let oracle = Oracle::read()?;
    let (mut cells, mut wrong) = (Vec::new(), Vec::new());
    for status in Status::ALL {
        let cell = Cell::new(env, &oracle, operation, status)?;
        let seen = cell.drive().unwrap_or_else(|error| Seen::nothing(&error));
        let faults = seen.faults.iter();
        wrong.extend(faults.map(|fault| format!("{}: {fault}", status.name())));
        let mark = if seen.faults.is_empty() { "" } else { " !" };
        cells.push(format!("{}{mark}", seen.shown));
    }
    show::row(env.runtime.name(), operation, cells);
    ensure!(
        wrong.is_empty(),
        "{} of a container that is\n    {}",
        operation.name(),
        wrong.join("\n    ")
    );
    Ok(())
}

/// What was made anew and never started goes back to where the container was: it has run.
fn taken_back(env: &Env) -> Result<()> {
    env.create("c", &["--stop-timeout", "0"], &["true"])?;
    env.ctr(&["start", "--attach", "c"])?.prints("")?;
    for (words, status, generation) in [
        (&["init", "c"][..], "initialized", 2),
        (&["container", "refresh", "c"], "initialized", 3),
        (&["container", "cleanup", "c"], "exited", 3),
        (&["init", "c"], "initialized", 4),
        (&["stop", "c"], "exited", 4),
    ] {
        env.ctr(words)?.prints("c\n")?;
        let state = env.inspect("c")?["State"].take();
        ensure!(
            state["Status"] == status && state["Generation"] == generation,
            "{words:?}: {state}"
        );
    }
    env.ctr(&["rm", "c"])?.prints("c\n")
}
