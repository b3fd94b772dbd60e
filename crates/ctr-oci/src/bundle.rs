//! A bundle: the directory that a runtime is given, with its `config.json`.

use std::io;
use std::path::{Path, PathBuf};

use ctr_sys::{Sync, SysError, create_private_dir, replace_file};
use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::error::OciError;

const CONFIG: &str = "config.json";
/// Nobody else may read a container's environment.
const CONFIG_MODE: u32 = 0o600;

/// A bundle directory on disk. The root file system is not in it: the specification names it by an absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    directory: PathBuf,
}

impl Bundle {
    /// Writes `spec` as `config.json` (mode 0600) into `directory`, which is made (mode 0700) when it is missing. The same
    /// specification always gives the same bytes.
    ///
    /// # Errors
    /// [`OciError::Encode`], or [`OciError::Bundle`] when the kernel refuses; then no half-written file is left.
    pub fn write(directory: &Path, spec: &Spec) -> Result<Self, OciError> {
        let path = directory.join(CONFIG);
        let bytes = encode(spec).map_err(|source| OciError::Encode {
            path: path.clone(),
            source,
        })?;
        create_private_dir(directory)
            .and_then(|()| replace_file(&path, &bytes, CONFIG_MODE, Sync::No))
            .map_err(|source| error("write", directory, source))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// The specification's file.
    pub fn config_path(&self) -> PathBuf {
        self.directory.join(CONFIG)
    }

    /// Removes `config.json`, and the directory when nothing else is in it. What is already gone is fine.
    ///
    /// # Errors
    /// [`OciError::Bundle`] when the kernel refuses.
    pub fn remove(&self) -> Result<(), OciError> {
        let config = self.config_path();
        let file = gone(std::fs::remove_file(&config), &[io::ErrorKind::NotFound]);
        let file =
            file.map_err(|source| SysError::new("remove", config.display().to_string(), source));
        file.map_err(|source| error("remove", &self.directory, source))?;
        let kept = [io::ErrorKind::NotFound, io::ErrorKind::DirectoryNotEmpty];
        let directory = gone(std::fs::remove_dir(&self.directory), &kept).map_err(|source| {
            SysError::new("remove", self.directory.display().to_string(), source)
        });
        directory.map_err(|source| error("remove", &self.directory, source))
    }
}

fn gone(result: io::Result<()>, fine: &[io::ErrorKind]) -> io::Result<()> {
    match result {
        Err(error) if fine.contains(&error.kind()) => Ok(()),
        other => other,
    }
}

fn error(operation: &'static str, path: &Path, source: SysError) -> OciError {
    OciError::Bundle {
        operation,
        path: path.to_owned(),
        source,
    }
}

fn encode(spec: &Spec) -> Result<Vec<u8>, serde_json::Error> {
    let mut value = serde_json::to_value(spec)?;
    if let Some(Value::Object(sets)) = value.pointer_mut("/process/capabilities") {
        // Sets without an order in the types; two writes of one specification shall not differ.
        for set in sets.values_mut().filter_map(Value::as_array_mut) {
            set.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
    }
    if let Some(annotations) = value.get_mut("annotations") {
        annotations.sort_all_objects();
    }
    serde_json::to_vec_pretty(&value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::spec::SpecBuilder;

    fn spec() -> Spec {
        let builder = SpecBuilder::new(Path::new("/rootfs")).args(["true"]);
        let builder = builder
            .annotation("b", "1")
            .annotation("a", "2")
            .annotation("c", "3");
        builder.build().unwrap()
    }

    #[test]
    fn writes_a_private_file_that_reads_back_as_the_same_specification() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("a/bundle");
        let bundle = Bundle::write(&directory, &spec()).unwrap();
        assert_eq!(bundle.path(), directory);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&bundle.config_path()), 0o600);
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(Spec::load(bundle.config_path()).unwrap(), spec());
    }

    #[test]
    fn the_same_specification_gives_the_same_bytes() {
        let first = encode(&spec()).unwrap();
        for _ in 0..20 {
            assert_eq!(encode(&spec()).unwrap(), first);
        }
    }

    #[test]
    fn removal_is_idempotent_and_spares_what_others_put_there() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("bundle");
        let bundle = Bundle::write(&directory, &spec()).unwrap();
        std::fs::create_dir(directory.join("other")).unwrap();
        bundle.remove().unwrap();
        assert!(!bundle.config_path().exists());
        assert!(directory.join("other").exists());
        std::fs::remove_dir(directory.join("other")).unwrap();
        bundle.remove().unwrap();
        assert!(!directory.exists());
        bundle.remove().unwrap();
    }

    #[test]
    fn a_write_that_cannot_succeed_names_the_bundle() {
        let temp = tempfile::tempdir().unwrap();
        let in_the_way = temp.path().join("bundle");
        std::os::unix::fs::symlink("/nonexistent", &in_the_way).unwrap();
        let error = Bundle::write(&in_the_way, &spec()).unwrap_err();
        assert!(
            error.to_string().starts_with("write the bundle "),
            "{error}"
        );
    }
}
