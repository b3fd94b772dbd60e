//! What `--network` and `-p` can say as long as there are no networks.

use ctr_state::NetworkMode;

use crate::error::CommandError;

/// The network of a container; without the flag it has its own, with nothing but the loopback interface.
pub(crate) fn network(text: Option<&str>) -> Result<NetworkMode, CommandError> {
    match text {
        None | Some("none") => Ok(NetworkMode::None),
        Some("host") => Ok(NetworkMode::Host),
        Some(other) => Err(CommandError::value(
            "--network",
            other,
            "networks do not exist yet; allowed are none (the default) and host",
        )),
    }
}

/// Refuses published ports.
pub(crate) fn no_ports(ports: &[String]) -> Result<(), CommandError> {
    match ports.first() {
        None => Ok(()),
        Some(port) => Err(CommandError::value(
            "--publish",
            port,
            "ports cannot be published yet; with --network host the container uses the host's own",
        )),
    }
}
