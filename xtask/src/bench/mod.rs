//! `cargo xtask bench`: how long commands of the released program take beside bare runtimes, podman and docker.
//!
//! What makes, lists and removes containers is measured by the test program. What happens in a container that runs is measured here, in
//! the same way: in every round each contender does each piece of work once, one after the other and each round beginning with
//! another one, so that what the machine does meanwhile hits all alike; the first round is not counted, and medians are compared.
//! All of it happens in a private mount namespace with the cgroup trees of version 1 where the machine has them, because crun
//! refuses a mixture of the two versions.

mod contender;
mod engines;
mod measure;
mod options;
mod report;
mod stage;
mod stats;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Verdict;
use crate::integration::test_program;
use crate::metadata::Metadata;
use crate::process::{cargo, command, output, succeed};
use options::{Form, Options, Work};

pub(crate) use options::ABOUT;

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let options = Options::parse(arguments)?;
    if let Some(program) = &options.on_stage {
        measure::run(program, &options)?;
        return Ok(Verdict::Passed);
    }
    succeed(&mut cargo(["build", "--quiet", "--release"]))?;
    let target = Metadata::load()?.target;
    let program = target.join("release/ctr");
    let mut parts = Vec::new();
    if options.includes(Work::Lifecycle) {
        succeed(&mut cargo(["build", "--quiet", "--package", "ctr-tests"]))?;
        let mut tests = command(test_program(&target));
        tests.arg("bench").args(options.common_words());
        tests.env("CTR_BIN", &program);
        parts.push(tests);
    }
    if options.includes_own() {
        parts.push(stage::command(&program, &options)?);
    }
    match options.form {
        Form::Table => parts.iter_mut().try_for_each(succeed)?,
        Form::Json => println!("{}", merged(&mut parts)?),
    }
    Ok(Verdict::Passed)
}

/// One document of those that the parts print.
fn merged(parts: &mut [std::process::Command]) -> Result<String> {
    let mut whole = Value::Object(serde_json::Map::new());
    for part in parts {
        let text = output(part)?;
        let document = serde_json::from_str(&text).context("read the result of a part")?;
        merge(&mut whole, document);
    }
    Ok(serde_json::to_string_pretty(&whole)?)
}

/// Lists become longer, anything else is as it was said last.
fn merge(whole: &mut Value, part: Value) {
    let (Value::Object(whole), Value::Object(part)) = (whole, part) else {
        return;
    };
    for (key, value) in part {
        match (whole.get_mut(&key), value) {
            (Some(Value::Array(known)), Value::Array(more)) => {
                for value in more {
                    if !known.contains(&value) {
                        known.push(value);
                    }
                }
            }
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_become_one() {
        let mut whole = json!({});
        merge(
            &mut whole,
            json!({"rounds": 2, "results": [1], "absent": ["docker"]}),
        );
        merge(
            &mut whole,
            json!({"rounds": 2, "results": [2], "absent": ["docker"], "bytes": 5}),
        );
        let expected = json!({"rounds": 2, "results": [1, 2], "absent": ["docker"], "bytes": 5});
        assert_eq!(whole, expected);
    }
}
