//! What a runtime is and can do: the answer of `features`, or of `--version` where that is all there is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is known of a runtime. Ask once and cache it by the identity of the program's file: it does not change otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuntimeFeatures {
    /// What the program calls itself (`runc`, `crun`, `youki`), or the configured name where it does not say.
    pub name: String,
    /// The program's own version, as it prints it; `None` when it could not be told.
    pub version: Option<String>,
    /// The newest version of the OCI runtime specification that it says it understands.
    pub oci_version: Option<String>,
    /// The whole answer of the `features` verb; `None` for a runtime without that verb.
    pub raw: Option<Value>,
}

impl RuntimeFeatures {
    /// Features of a runtime of which only the name is known.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: None,
            oci_version: None,
            raw: None,
        }
    }

    /// The annotation keys that the runtime itself calls unsafe to take from somebody who is not trusted
    /// (`potentiallyUnsafeConfigAnnotations`). An entry that ends in a dot stands for all keys that start with it.
    pub fn unsafe_annotations(&self) -> Vec<&str> {
        self.raw
            .as_ref()
            .and_then(|raw| raw.get("potentiallyUnsafeConfigAnnotations"))
            .and_then(Value::as_array)
            .map(|keys| keys.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }
}
