//! Tests of the crate from outside: specifications, fake runtimes that misbehave, and a real one where it is installed.

mod cli_runtime;
mod exec;
mod fake;
mod find;
mod namespaces;
mod refusals;
mod runc;
mod spec;
