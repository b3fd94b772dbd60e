//! What a container needs of others, and what becomes of it when its program has ended.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ContainerId, ParseError};

/// When a container whose program has ended is started again, other than by somebody's command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When it has failed: a code other than 0, a signal, an unknown end.
    OnFailure {
        /// How often at most in a row; `None` for no limit.
        #[serde(default)]
        retries: Option<u32>,
    },
    /// Whenever it ended without being asked to, and when the machine starts.
    Always,
    /// As [`RestartPolicy::Always`], but not when the machine starts after a user has stopped it.
    UnlessStopped,
}

impl RestartPolicy {
    /// The name that users give, without the number of retries.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure { .. } => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnFailure {
                retries: Some(retries),
            } => write!(f, "on-failure:{retries}"),
            Self::No | Self::OnFailure { retries: None } | Self::Always | Self::UnlessStopped => {
                f.pad(self.name())
            }
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = ParseError;

    /// Takes `no`, `never`, `on-failure[:N]`, `always` and `unless-stopped`. No retries, or 0 of them, is no limit.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |why| ParseError::new("restart policy", text, why);
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let policy = match name {
            "no" | "never" | "" => Self::No,
            "on-failure" => Self::OnFailure { retries: None },
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            _ => {
                let why = "the policies are no, on-failure[:RETRIES], always and unless-stopped";
                return Err(refuse(why));
            }
        };
        let Some(number) = number else {
            return Ok(policy);
        };
        if !matches!(policy, Self::OnFailure { .. }) {
            return Err(refuse("only on-failure takes a number of retries"));
        }
        let retries: u32 = number
            .parse()
            .map_err(|_| refuse("the number of retries must be a whole number from 0 on"))?;
        Ok(Self::OnFailure {
            retries: Some(retries).filter(|retries| *retries > 0),
        })
    }
}

/// Whose namespace of one kind a container is in, `namespaces(7)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceMode {
    /// One of its own.
    #[default]
    Private,
    /// That of the host.
    Host,
    /// That of another container, which must run when this one is made in its runtime.
    Container(ContainerId),
}

/// Another container that must be there before this one is started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// Which.
    pub id: ContainerId,
    /// How it must be.
    pub condition: RequiredState,
}

/// How a container must be that another one requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequiredState {
    /// Its program was started and has not ended.
    Started,
    /// Its program has ended with code 0.
    ExitedOk,
}

impl RequiredState {
    /// The word that users give.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::ExitedOk => "exited-ok",
        }
    }
}

impl FromStr for RequiredState {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        [Self::Started, Self::ExitedOk]
            .into_iter()
            .find(|state| state.word() == text)
            .ok_or_else(|| {
                let why = "the conditions are started and exited-ok";
                ParseError::new("condition", text, why)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_written() {
        for (text, written) in [
            ("no", "no"),
            ("never", "no"),
            ("on-failure", "on-failure"),
            ("on-failure:0", "on-failure"),
            ("on-failure:3", "on-failure:3"),
            ("always", "always"),
            ("unless-stopped", "unless-stopped"),
        ] {
            let policy: RestartPolicy = text.parse().unwrap();
            assert_eq!(policy.to_string(), written);
            let json = serde_json::to_string(&policy).unwrap();
            assert_eq!(
                serde_json::from_str::<RestartPolicy>(&json).unwrap(),
                policy
            );
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in [
            "sometimes",
            "always:3",
            "on-failure:-1",
            "on-failure:x",
            "no:0",
        ] {
            assert!(text.parse::<RestartPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn modes_have_a_form_that_stays() {
        let id: ContainerId = "0123456789abcdef".repeat(4).parse().unwrap();
        let json = serde_json::to_string(&NamespaceMode::Container(id.clone())).unwrap();
        assert_eq!(json, format!("{{\"container\":\"{id}\"}}"));
        assert_eq!(
            serde_json::to_string(&NamespaceMode::Host).unwrap(),
            "\"host\""
        );
    }
}
