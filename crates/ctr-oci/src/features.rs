//! What a runtime is and can do: the answer of `features`, or of `--version` where that is all there is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Annotation keys on which some runtime acts in a way that is not for everybody: a hook, a systemd property, a file of the host. An
/// entry that ends in a dot stands for all keys that begin with it. A runtime that can say so itself adds its own.
const UNSAFE_ANNOTATIONS: [&str; 6] = [
    "cdi.k8s.io/",
    "module.wasm.image/",
    "org.criu.",
    "org.systemd.property.",
    "run.oci.",
    "io.katacontainers.",
];

/// The part of a `features` answer that people ask about (the specification's "Features" document).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureSummary {
    /// The kinds of hooks that are run.
    pub hooks: Vec<String>,
    /// The kinds of namespaces that are made.
    pub namespaces: Vec<String>,
    /// Of `v1`, `v2`, `systemd`, `systemdUser` and `rdma`, what the cgroup driver can do.
    pub cgroups: Vec<String>,
    /// Whether filters for system calls are applied.
    pub seccomp: bool,
    /// Whether `AppArmor` profiles are applied.
    pub apparmor: bool,
    /// Whether `SELinux` labels are applied.
    pub selinux: bool,
    /// Whether containers can be checkpointed, when the runtime tells.
    pub checkpoint: Option<bool>,
}

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

    pub(crate) fn gathered(configured: &str, version: VersionText, raw: Option<Value>) -> Self {
        let newest = raw.as_ref().and_then(|raw| raw.get("ociVersionMax"));
        let newest = newest.and_then(Value::as_str).map(str::to_owned);
        Self {
            name: version.name.unwrap_or_else(|| configured.to_owned()),
            version: version.version,
            oci_version: newest.or(version.spec),
            raw,
        }
    }

    /// The answer of the `features` verb in short; `None` for a runtime without that verb.
    pub fn summary(&self) -> Option<FeatureSummary> {
        let raw = self.raw.as_ref()?;
        let linux = raw.get("linux").unwrap_or(&Value::Null);
        let enabled = |part: &str| linux[part]["enabled"] == Value::Bool(true);
        let drivers = ["v1", "v2", "systemd", "systemdUser", "rdma"];
        let driver = |driver: &&str| linux["cgroup"][driver] == Value::Bool(true);
        // Not in the specification: runtimes tell it by an annotation of their own.
        let annotations = raw.get("annotations").and_then(Value::as_object);
        let checkpoint = annotations.and_then(|annotations| {
            let is_checkpoint = |key: &&String| key.ends_with(".checkpoint.enabled");
            let key = annotations.keys().find(is_checkpoint)?;
            Some(annotations[key] == "true")
        });
        Some(FeatureSummary {
            hooks: words(&raw["hooks"]),
            namespaces: words(&linux["namespaces"]),
            cgroups: drivers
                .into_iter()
                .filter(driver)
                .map(str::to_owned)
                .collect(),
            seccomp: enabled("seccomp"),
            apparmor: enabled("apparmor"),
            selinux: enabled("selinux"),
            checkpoint,
        })
    }

    /// Whether an annotation with this key may only be passed on when its author is trusted as much as the caller: one of those that are
    /// known to steer a runtime, or one that this runtime itself names (`potentiallyUnsafeConfigAnnotations`). Whole keys are
    /// compared, or the beginning of the key where the list says so (an entry that ends in `.` or `/`).
    pub fn is_unsafe_annotation(&self, key: &str) -> bool {
        let covers =
            |entry: &str| key == entry || (entry.ends_with(['.', '/']) && key.starts_with(entry));
        UNSAFE_ANNOTATIONS
            .into_iter()
            .chain(self.unsafe_annotations())
            .any(covers)
    }

    /// The entries of `potentiallyUnsafeConfigAnnotations` in the answer of the `features` verb.
    pub fn unsafe_annotations(&self) -> Vec<&str> {
        self.raw
            .as_ref()
            .and_then(|raw| raw.get("potentiallyUnsafeConfigAnnotations"))
            .and_then(Value::as_array)
            .map(|keys| keys.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }
}

fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What `--version` prints, as far as it follows the custom: `NAME [version] X.Y` in the first line, `spec: X.Y` in a later one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VersionText {
    name: Option<String>,
    version: Option<String>,
    spec: Option<String>,
}

impl VersionText {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.lines().next().unwrap_or_default().split_whitespace();
        let name = words.next().filter(|word| is_name(word)).map(str::to_owned);
        let version = words.find(|word| is_version(word)).map(str::to_owned);
        let spec = text.lines().find_map(|line| line.strip_prefix("spec:"));
        let spec = spec.map(str::trim).filter(|word| is_version(word));
        Self {
            // A first word without a version after it is not a name but the beginning of some other text.
            name: name.filter(|_| version.is_some()),
            version,
            spec: spec.map(str::to_owned),
        }
    }
}

fn is_name(word: &str) -> bool {
    word.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_version(word: &str) -> bool {
    let numeric = word.strip_prefix('v').unwrap_or(word);
    numeric.starts_with(|c: char| c.is_ascii_digit()) && !word.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, name: Option<&str>, version: Option<&str>, spec: Option<&str>) {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let expected = VersionText {
            name: own(name),
            version: own(version),
            spec: own(spec),
        };
        assert_eq!(VersionText::parse(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn version_texts() {
        let runc =
            "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\ngo: go1.19.8\n";
        check(runc, Some("runc"), Some("1.1.5+ds1"), Some("1.0.2-dev"));
        let crun = "crun version 1.8.1\ncommit: f8a096be\nrundir: /run/crun\nspec: 1.0.0\n+SYSTEMD +SELINUX\n";
        check(crun, Some("crun"), Some("1.8.1"), Some("1.0.0"));
        check("youki 0.5.3\n", Some("youki"), Some("0.5.3"), None);
        check("x v2.0", Some("x"), Some("v2.0"), None);
        check("", None, None, None);
        check("Usage: foo [OPTIONS]\nspec: none", None, None, None);
        check("\u{ff}\u{0} 1.0", None, Some("1.0"), None);
    }

    #[test]
    fn the_verbs_answer_wins_over_the_version_text() {
        let version = VersionText::parse(b"runc version 1.1.5\nspec: 1.0.2");
        let raw = json!({"ociVersionMax": "1.2.0"});
        let features = RuntimeFeatures::gathered("custom", version.clone(), Some(raw));
        assert_eq!(features.name, "runc");
        assert_eq!(features.oci_version.as_deref(), Some("1.2.0"));
        let features = RuntimeFeatures::gathered("custom", version, None);
        assert_eq!(features.oci_version.as_deref(), Some("1.0.2"));
        let features = RuntimeFeatures::gathered("custom", VersionText::default(), None);
        assert_eq!(features, RuntimeFeatures::named("custom"));
    }

    #[test]
    fn a_summary_tells_what_is_there() {
        let mut features = RuntimeFeatures::named("x");
        assert_eq!(features.summary(), None);
        features.raw = Some(json!({ "linux": { "seccomp": null, "cgroup": [] }, "hooks": 7 }));
        assert_eq!(features.summary(), Some(FeatureSummary::default()));
        features.raw = Some(json!({
            "hooks": ["prestart"],
            "linux": {
                "namespaces": ["pid", "user"],
                "cgroup": { "v1": true, "v2": true, "systemd": false },
                "seccomp": { "enabled": true },
                "selinux": { "enabled": false },
            },
            "annotations": { "org.x.checkpoint.enabled": "true" },
        }));
        let expected = FeatureSummary {
            hooks: vec!["prestart".to_owned()],
            namespaces: vec!["pid".to_owned(), "user".to_owned()],
            cgroups: vec!["v1".to_owned(), "v2".to_owned()],
            seccomp: true,
            checkpoint: Some(true),
            ..FeatureSummary::default()
        };
        assert_eq!(features.summary(), Some(expected));
    }

    #[test]
    fn unsafe_annotations_match_whole_keys_or_marked_beginnings() {
        let mut features = RuntimeFeatures::named("x");
        features.raw =
            Some(json!({"potentiallyUnsafeConfigAnnotations": ["my.key", "my.tree.", 7]}));
        let unsafe_keys = [
            "org.systemd.property.SuccessAction",
            "run.oci.keep_original_groups",
            "run.oci.handler",
            "org.criu.config",
            "cdi.k8s.io/x",
            "my.key",
            "my.tree.a",
        ];
        for key in unsafe_keys {
            assert!(features.is_unsafe_annotation(key), "{key}");
        }
        for key in [
            "my.key2",
            "my.tree",
            "run.ociX",
            "com.example.run.oci.hooks",
            "",
        ] {
            assert!(!features.is_unsafe_annotation(key), "{key}");
        }
    }
}
