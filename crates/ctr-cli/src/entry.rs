//! The two programs that live in the same file and are no commands for people: the monitor, and the built-in runtime's command line.
//!
//! They are told apart by the first argument alone, before clap sees anything: other programs call them with flags of their own.

mod resolver;

use std::ffi::OsString;

use crate::error::{self, CommandError, Outcome, Rule};
use crate::io::Io;
use resolver::Resolver;

/// The verb under which the file is the monitor of a container.
const MONITOR: &str = "monitor";
/// The verb under which the file is an OCI runtime.
const OCI_RUNTIME: &str = "oci-runtime";

/// Runs one of the hidden programs if the arguments ask for one, and returns its exit code.
pub(crate) fn hidden_program(args: &[OsString], io: &mut Io) -> Option<u8> {
    let verb = args.get(1)?.to_str()?;
    match verb {
        MONITOR => Some(monitor(&args[2..], io)),
        OCI_RUNTIME => {
            let (program, words) = args.split_at(2);
            Some(byte(ctr_runtime::oci_runtime_main(program, words.to_vec())))
        }
        _ => None,
    }
}

/// What a process can end with is one byte; anything else is a failure.
fn byte(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(1)
}

/// Answers the engine's requests until the container has ended and was cleaned up. The last argument is the number of the descriptor on
/// which the engine waits for answers.
fn monitor(args: &[OsString], io: &mut Io) -> u8 {
    let result = connection_number(args).and_then(|number| {
        ctr_monitor::serve(number, &Resolver)
            .map(|()| Outcome::Done)
            .map_err(|error| CommandError::failed(error.to_string()))
    });
    if let Err(error) = &result {
        io.error(error);
    }
    error::exit_code(Rule::General, &result)
}

fn connection_number(args: &[OsString]) -> Result<i32, CommandError> {
    let number = args.last().and_then(|last| last.to_str()?.parse().ok());
    number.ok_or_else(|| CommandError::failed("monitors are started by the engine alone"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::transcript;

    #[test]
    fn a_monitor_is_not_for_people() {
        let refused = "Error: monitors are started by the engine alone\n[125]\n";
        assert_eq!(transcript(&["ctr", "monitor"]), refused);
        assert_eq!(transcript(&["ctr", "monitor", "x"]), refused);
    }

    #[test]
    fn codes_are_bytes() {
        assert_eq!([byte(0), byte(127), byte(-1), byte(256)], [0, 127, 1, 1]);
    }
}
