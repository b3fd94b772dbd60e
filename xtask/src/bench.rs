//! `cargo xtask bench`: builds the released program and lets the test program measure it.

use anyhow::Result;

use crate::Verdict;
use crate::integration::test_program;
use crate::metadata::Metadata;
use crate::process::{cargo, command, succeed};

/// Runs the task; the test program reads the arguments.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    succeed(&mut cargo(["build", "--quiet", "--release"]))?;
    succeed(&mut cargo(["build", "--quiet", "--package", "ctr-tests"]))?;
    let target = Metadata::load()?.target;
    let mut command = command(test_program(&target));
    command.arg("bench").args(arguments);
    command.env("CTR_BIN", target.join("release/ctr"));
    succeed(&mut command)?;
    Ok(Verdict::Passed)
}
