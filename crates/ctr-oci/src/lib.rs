//! Talking OCI: runtime specifications with safe defaults, bundles, and driving any OCI runtime binary while understanding its answers.
#![forbid(unsafe_code)]

mod failure;
mod features;
mod runtime;

pub use failure::{FailureKind, RuntimeFailure};
pub use features::RuntimeFeatures;
pub use runtime::{
    CreateCall, Created, DeleteMode, KillScope, OciRuntime, RuntimeState, RuntimeStatus,
    StdioFds, Target,
};
