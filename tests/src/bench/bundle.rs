//! The bundle of a bare runtime: what `ctr` writes for the same command, with the places of a run replaced by lasting ones.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::harness::env::Env;
use crate::harness::tree::{directory, write};

/// Runs a container of `true`'s specification, copies that and the generated files while it runs, and removes it. The root of the
/// bundle is the shared root directory, without a layer.
pub(super) fn copy(env: &Env, path: &Path, name: &str) -> Result<()> {
    let root = env.shared_root().to_string_lossy().into_owned();
    let id = env
        .ctr(&["run", "-d", "--rootfs", &root, "sleep", "1000"])?
        .id()?;
    let run = env.runroot().join("run").join(&id);
    let files = path.join("files");
    directory(&files, 0o755)?;
    for entry in fs::read_dir(run.join("files")).context("list the generated files")? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path()).context("read a generated file")?;
        write(&files.join(entry.file_name()), &text)?;
    }
    let text = fs::read_to_string(run.join("bundle/config.json"));
    let text = text.context("read the specification of a running container")?;
    env.ctr(&["rm", "-f", "-t", "0", &id])?.ok()?;
    let spec = lasting(
        serde_json::from_str(&text)?,
        &run,
        path,
        env.shared_root(),
        name,
    );
    write(&path.join("config.json"), &spec.to_string())?;
    Ok(())
}

/// The specification with another program, root, place of the generated files and cgroup.
fn lasting(mut spec: Value, run: &Path, bundle: &Path, root: &Path, name: &str) -> Value {
    spec["process"]["args"] = json!(["true"]);
    spec["root"]["path"] = json!(root);
    spec["linux"]["cgroupsPath"] = json!(format!("/ctr/bench-{name}"));
    for mount in spec["mounts"].as_array_mut().into_iter().flatten() {
        let source = mount["source"].as_str().map(Path::new);
        let below = source.and_then(|source| source.strip_prefix(run).ok());
        if let Some(place) = below.map(|below| bundle.join(below)) {
            mount["source"] = json!(place);
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_the_run_are_replaced() {
        let spec = json!({
            "process": {"args": ["sleep", "1000"], "cwd": "/"},
            "root": {"path": "/run/ctr/run/1/rootfs"},
            "linux": {"cgroupsPath": "/ctr/1"},
            "mounts": [
                {"destination": "/proc", "source": "proc"},
                {"destination": "/etc/hosts", "source": "/run/ctr/run/1/files/hosts"},
            ],
        });
        let lasting = lasting(
            spec,
            Path::new("/run/ctr/run/1"),
            Path::new("/b"),
            Path::new("/r"),
            "crun",
        );
        let expected = json!({
            "process": {"args": ["true"], "cwd": "/"},
            "root": {"path": "/r"},
            "linux": {"cgroupsPath": "/ctr/bench-crun"},
            "mounts": [
                {"destination": "/proc", "source": "proc"},
                {"destination": "/etc/hosts", "source": "/b/files/hosts"},
            ],
        });
        assert_eq!(lasting, expected);
    }
}
