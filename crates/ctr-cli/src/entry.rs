//! The two programs that live in the same file and are no commands for people: the monitor, and the built-in runtime's command line.
//!
//! They are told apart by the first argument alone, before clap sees anything: other programs call them with flags of their own.

use std::ffi::OsString;

use crate::io::Io;

/// The verb under which the file is the monitor of a container.
const MONITOR: &str = "monitor";
/// The verb under which the file is an OCI runtime.
const OCI_RUNTIME: &str = "oci-runtime";

/// Runs one of the hidden programs if the arguments ask for one, and returns its exit code.
pub(crate) fn hidden_program(args: &[OsString], io: &mut Io) -> Option<u8> {
    let verb = args.get(1)?.to_str()?;
    match verb {
        MONITOR => Some(monitor(&args[2..], io)),
        OCI_RUNTIME => Some(code(ctr_runtime::oci_runtime_main(args[2..].to_vec()))),
        _ => None,
    }
}

/// What a process can end with is one byte; anything else is a failure.
fn code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(1)
}
