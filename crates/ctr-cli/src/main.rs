//! The program: hands its arguments and streams to the library and returns the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(ctr_cli::run(
        std::env::args_os(),
        &mut ctr_cli::Io::standard(),
    ))
}
