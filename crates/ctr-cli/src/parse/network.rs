//! Whose namespaces a container has, and what `-p` can say as long as there are no networks.

use ctr_core::{NamespaceRequest, NetworkRequest, RequireRequest};
use ctr_state::RequiredState;

use crate::error::CommandError;

/// What stands before the name of another container.
const CONTAINER: &str = "container:";

/// The network of a container; without the flag it has its own, with nothing but the loopback interface.
pub(crate) fn network(text: Option<&str>) -> Result<NetworkRequest, CommandError> {
    match text {
        None | Some("none") => Ok(NetworkRequest::None),
        Some("host") => Ok(NetworkRequest::Host),
        Some(other) => match named(other) {
            Some(name) => Ok(NetworkRequest::Container(name)),
            None => Err(CommandError::value(
                "--network",
                other,
                "networks do not exist yet; allowed are none (the default), host and container:NAME",
            )),
        },
    }
}

/// Whose namespace of another kind it has; without the flag, one of its own.
pub(crate) fn namespace(flag: &str, text: Option<&str>) -> Result<NamespaceRequest, CommandError> {
    match text {
        None | Some("private") => Ok(NamespaceRequest::Private),
        Some("host") => Ok(NamespaceRequest::Host),
        Some(other) => named(other)
            .map(NamespaceRequest::Container)
            .ok_or_else(|| {
                let why = "must be private (the default), host or container:NAME";
                CommandError::value(flag, other, why)
            }),
    }
}

fn named(text: &str) -> Option<String> {
    let name = text.strip_prefix(CONTAINER)?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The containers of `--requires NAME[:CONDITION]`, several of them with commas between.
pub(crate) fn requires(texts: &[String]) -> Result<Vec<RequireRequest>, CommandError> {
    let one = |text: &str| {
        let (name, condition) = match text.split_once(':') {
            Some((name, word)) => {
                let condition = word.parse::<RequiredState>();
                let refused = |_| {
                    let why = "must be NAME, NAME:started or NAME:exited-ok";
                    CommandError::value("--requires", text, why)
                };
                (name, condition.map_err(refused)?)
            }
            None => (text, RequiredState::Started),
        };
        if name.is_empty() {
            let why = "the name of a container is missing";
            return Err(CommandError::value("--requires", text, why));
        }
        let name = name.to_owned();
        Ok(RequireRequest { name, condition })
    };
    texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(one)
        .collect()
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
