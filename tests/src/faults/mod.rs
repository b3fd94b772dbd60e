//! Faults on purpose: processes of the engine that are stopped by the kernel's hand at a call that the harness chooses.

pub(crate) mod errors;
pub(crate) mod fake;
pub(crate) mod matrix;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "some of it only its own tests use so far")
)]
pub(crate) mod tracer;
