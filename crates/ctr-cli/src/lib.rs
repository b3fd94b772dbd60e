//! The program `ctr`: arguments in, one call of the engine, rendering out.
//!
//! A command goes two steps before it acts: clap fills an `Args` value of plain strings, and one function turns that into a typed
//! request whose errors name the flag, the value and what is allowed. Then comes one call into `ctr-core`, and the result is rendered.
//! What a container is and how it lives is decided below; a command file that grows past 120 lines has taken something that
//! belongs there.
//!
//! Invariants, most of them absences:
//!
//! * Only [`Io`] writes to the standard streams. Text that may hold bytes of a container passes `render::escape` on the way.
//! * Only `host` reads the environment, once; nothing is kept in globals.
//! * Exit codes are decided in one function, `error::exit_code`.
//! * No threads are started: the built-in runtime works in forked helpers, which a process with threads must not make.
//! * The program works under any file name; two verbs are programs of their own and are told apart before the arguments are parsed
//!   (`entry`).

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::needless_raw_string_hashes,
        reason = "expect-test writes its snapshots with them"
    )
)]

mod cli;
mod commands;
mod config_file;
mod entry;
mod error;
mod host;
mod io;
mod log;
mod parse;
mod render;
mod settings;
mod signals;
#[cfg(test)]
mod testing;

use std::ffi::OsString;

pub use io::Io;

use commands::Context;
use error::{CommandError, Outcome, Rule};
use host::Host;

/// Runs the program with the arguments of a process (its name first) and returns its exit code.
///
/// Everything that the program says goes to `io`; the streams of an attached container are those of the process.
pub fn run(args: impl IntoIterator<Item = OsString>, io: &mut Io) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = entry::hidden_program(&args, io) {
        return code;
    }
    let (rule, result) = command(&args, io);
    if let Err(error) = &result {
        io.error(error);
    }
    let code = error::exit_code(rule, &result);
    match io.finish() {
        Ok(()) => code,
        Err(failed) => {
            let error = CommandError::failed(format!("write to the standard output: {failed}"));
            io.error(&error);
            if code == 0 {
                error::exit_code(rule, &Err(error))
            } else {
                code
            }
        }
    }
}

/// The tree of commands and flags, for what is generated from it: man pages and completions.
pub fn command_tree() -> clap::Command {
    <cli::Cli as clap::CommandFactory>::command()
}

fn command(args: &[OsString], io: &mut Io) -> (Rule, Result<Outcome, CommandError>) {
    let parsed = match cli::parse(args) {
        Ok(cli::Parsed::Command(parsed)) => parsed,
        Ok(cli::Parsed::Text(text)) => {
            io.block(&text);
            return (Rule::General, Ok(Outcome::Done));
        }
        Err(error) => return (Rule::General, Err(error)),
    };
    // Two things of a caller that would be in the way: files that even their owner cannot open, children that nobody can wait for.
    ctr_sys::unmask_owner();
    ctr_sys::keep_children();
    let rule = parsed.verb.rule();
    let result = log::install(parsed.globals.log_level.as_deref()).and_then(|()| {
        let context = Context::new(parsed.globals, Host::of_process(args));
        parsed.verb.run(&context, io)
    });
    (rule, result)
}
