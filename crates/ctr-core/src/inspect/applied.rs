//! What the runtime was told for the present run: the specification in the bundle.

use std::path::Path;

use ctr_oci::{DEFAULT_CAPABILITIES, DEFAULT_UMASK, Rights, Spec, capabilities};
use ctr_rootfs::{Principal, UserSpec};
use ctr_state::Config;
use serde::Serialize;

use super::host_config::InspectUlimit;

/// The process of the specification, while there is one; the bundle lives as long as the run.
pub(super) struct Applied(Option<ctr_oci::Process>);

impl Applied {
    /// Reads the specification. That there is none, or none that can be read, is no failure: the run may end at any moment.
    pub(super) fn read(config_json: &Path) -> Self {
        let spec = Spec::load(config_json).ok();
        Self(spec.and_then(|spec| spec.process().clone()))
    }

    pub(super) fn bounding(&self) -> Vec<String> {
        let capabilities = self
            .0
            .as_ref()
            .and_then(|process| process.capabilities().as_ref());
        match capabilities.and_then(|sets| sets.bounding().as_ref()) {
            Some(set) => names(set),
            None => names(&DEFAULT_CAPABILITIES),
        }
    }

    /// `None` without a run, for a user whose number only the container's files tell.
    pub(super) fn effective(&self, config: &Config) -> Option<Vec<String>> {
        if let Some(process) = &self.0 {
            let sets = process.capabilities().as_ref()?;
            return sets.effective().as_ref().map(names);
        }
        match UserSpec::parse(&config.process.user).ok()?.user {
            Principal::Id(uid) => {
                let sets = capabilities(uid, &Rights::Default, &DEFAULT_CAPABILITIES);
                sets.effective().as_ref().map(names)
            }
            Principal::Name(_) => None,
        }
    }

    /// All variables of the program; `None` without a run.
    pub(super) fn env(&self) -> Option<Vec<String>> {
        self.0.as_ref().and_then(|process| process.env().clone())
    }

    /// Octal, as the shell prints it.
    pub(super) fn umask(&self) -> String {
        let umask = self.0.as_ref().and_then(|process| process.user().umask());
        format!("{:04o}", umask.unwrap_or(DEFAULT_UMASK))
    }

    pub(super) fn ulimits(&self) -> Vec<InspectUlimit> {
        let limits = self
            .0
            .as_ref()
            .and_then(|process| process.rlimits().as_ref());
        // Unlimited is -1, which is what these bits mean as a signed number.
        let signed = |value: u64| value.cast_signed();
        let ulimits = limits.into_iter().flatten().map(|limit| InspectUlimit {
            name: word(&limit.typ()),
            soft: signed(limit.soft()),
            hard: signed(limit.hard()),
        });
        ulimits.collect()
    }
}

fn names<'a>(set: impl IntoIterator<Item = &'a ctr_oci::Capability>) -> Vec<String> {
    let mut names: Vec<String> = set.into_iter().map(word).collect();
    names.sort();
    names
}

/// The word that a specification has for a value.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
