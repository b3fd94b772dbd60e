//! The crate against real trees and real mounts. Cases that mount need root and say so when they are passed over.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test itself does"
)]

mod checks;
mod command;
mod generated;
mod mount_points;
mod mounts;
mod tree;
mod users;
