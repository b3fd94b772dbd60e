//! Faults on purpose: processes of the engine that are stopped by the kernel's hand at a call that the harness chooses.

pub(crate) mod fake;
pub(crate) mod matrix;
#[expect(dead_code, reason = "what uses all of it is still to come")]
pub(crate) mod tracer;
