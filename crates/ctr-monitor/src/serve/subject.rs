//! What clients are attached to.

/// What a client is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The container's own program.
    Container,
    /// An exec session.
    Session(Key),
}

/// An exec session in this monitor. Never used twice, so that what is late finds nothing instead of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u64);

/// A client in this monitor. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientId(pub(super) u64);
