//! What is kept of a container between two calls.
//!
//! ```text
//! ROOT/.ctr-ID/config.json   the corrected specification; written before anything else happens
//! ROOT/.ctr-ID/record.json   written once the container is created: absent while (or after) a create has not come that far
//! ROOT/ID/                   the library's own directory, with the socket on which the first process waits
//! ```
//!
//! Files are replaced by rename, so a reader never sees half of one. The library's state file is never read: it is rewritten in place
//! and names the process by its pid alone.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ctr_sys::{BootId, PidRef, PidStamp, Sync, create_private_dir, remove_tree, replace_file};
use oci_spec::runtime::{Process, Spec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Result, RuntimeError};

/// The only form of a record so far.
const VERSION: u32 = 1;

/// The library's state file in its directory.
const LIBRARY_STATE: &str = "state.json";

/// How far the verbs have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Created,
    Started,
}

/// The record of a created container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The form of this file.
    pub(crate) version: u32,
    /// The caller's bundle.
    pub(crate) bundle: PathBuf,
    /// The container's cgroup.
    pub(crate) cgroup: String,
    /// Copied from the specification.
    pub(crate) annotations: BTreeMap<String, String>,
    /// The first process.
    pub(crate) init: PidStamp,
    /// The boot that `init` belongs to.
    pub(crate) boot_id: BootId,
    /// How far it got.
    pub(crate) phase: Phase,
    /// When it was created: nanoseconds since 1970 UTC. 0 in records of before this was kept.
    #[serde(default)]
    pub(crate) created_ns: i64,
}

impl Record {
    /// A record of the present form.
    pub(crate) fn new(bundle: &Path, cgroup: &str, init: PidStamp) -> Result<Self> {
        Ok(Self {
            version: VERSION,
            bundle: bundle.to_owned(),
            cgroup: cgroup.to_owned(),
            annotations: BTreeMap::new(),
            init,
            boot_id: BootId::current()?,
            phase: Phase::Created,
            created_ns: ctr_sys::now_ns(),
        })
    }

    /// The first process, while it lives.
    pub(crate) fn process(&self) -> Result<Option<PidRef>> {
        if BootId::current()? != self.boot_id {
            return Ok(None);
        }
        Ok(PidRef::open(self.init)?)
    }
}

/// What the library reads and leaves while it makes one more process: removed with the value, and after a kill with the container.
///
/// ```text
/// ROOT/.ctr-ID/exec-PID-TIME/process.json   the process
/// ROOT/.ctr-ID/exec-PID-TIME/ID/            the container, as the library knows it; here it makes sockets and never removes them
/// ```
#[derive(Debug)]
pub(crate) struct ExecDirectory(PathBuf);

impl ExecDirectory {
    /// The state directory for the library.
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn process(&self) -> PathBuf {
        self.0.join("process.json")
    }
}

impl Drop for ExecDirectory {
    fn drop(&mut self) {
        // Nobody reads it again; it would only lie there until the container goes.
        drop(remove_tree(&self.0));
    }
}

fn is_id(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    (1..=200).contains(&text.len()) && !text.starts_with('.') && text.chars().all(is_fine)
}

/// The place of one container below a state directory.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    id: String,
}

impl Place {
    /// The place of `id`, which must be a word that can be a file name and does not start with a dot.
    pub(crate) fn new(root: &Path, id: &str) -> Result<Self> {
        if !is_id(id) {
            let why =
                "must be 1 to 200 of the characters A-Z a-z 0-9 _ + - . and not start with a dot";
            return Err(RuntimeError::invalid(format!("container id {id:?}"), why));
        }
        Ok(Self {
            root: root.to_owned(),
            id: id.to_owned(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The ids of all containers below `root`, sorted.
    pub(crate) fn ids(root: &Path) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RuntimeError::at("read", root)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(RuntimeError::at("read", root))?.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(".ctr-"));
            // Anything else was made by somebody else.
            ids.extend(id.filter(|id| is_id(id)).map(str::to_owned));
        }
        ids.sort();
        Ok(ids)
    }

    /// The directory that is given to the library as a bundle.
    pub(crate) fn own_directory(&self) -> PathBuf {
        self.root.join(format!(".ctr-{}", self.id))
    }

    /// The directory that the library makes.
    pub(crate) fn library_directory(&self) -> PathBuf {
        self.root.join(&self.id)
    }

    /// Fails when a container has the id.
    pub(crate) fn require_free(&self) -> Result<()> {
        for directory in [self.own_directory(), self.library_directory()] {
            if directory.symlink_metadata().is_ok() {
                return Err(self.exists());
            }
        }
        Ok(())
    }

    /// Takes the id: makes the directory and writes the specification into it.
    pub(crate) fn claim(&self, spec: &Spec) -> Result<()> {
        create_private_dir(&self.root)?;
        let directory = self.own_directory();
        match rustix::fs::mkdir(&directory, rustix::fs::Mode::RWXU) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(self.exists()),
            Err(errno) => return Err(RuntimeError::at("create", &directory)(errno.into())),
        }
        self.write("config.json", spec)
    }

    fn exists(&self) -> RuntimeError {
        RuntimeError::Exists {
            id: self.id.clone(),
        }
    }

    /// The record; `None` when the container is being created, or its creation was cut short.
    pub(crate) fn record(&self) -> Result<Option<Record>> {
        if self.own_directory().symlink_metadata().is_err() {
            return Err(RuntimeError::NoSuchContainer {
                id: self.id.clone(),
            });
        }
        let record: Option<Record> = self.read("record.json")?;
        match record {
            Some(record) if record.version != VERSION => Err(RuntimeError::invalid(
                format!("the record of container {}", self.id),
                format!("version {} is unknown", record.version),
            )),
            record => Ok(record),
        }
    }

    pub(crate) fn save(&self, record: &Record) -> Result<()> {
        self.write("record.json", record)
    }

    /// The claimed specification, if there is one.
    pub(crate) fn claimed(&self) -> Result<Option<Spec>> {
        self.read("config.json")
    }

    /// The cgroup that the claimed specification names; `None` when there is no such specification.
    pub(crate) fn claimed_cgroup(&self) -> Result<Option<String>> {
        let spec = self.claimed()?;
        let linux = spec.and_then(|spec| spec.linux().clone());
        let path = linux.and_then(|linux| linux.cgroups_path().clone());
        Ok(path.and_then(|path| path.to_str().map(str::to_owned)))
    }

    /// Removes both directories. The claim goes last: while it is there, the rest can be found again.
    pub(crate) fn remove(&self) -> Result<()> {
        remove_tree(&self.library_directory())?;
        remove_tree(&self.own_directory())?;
        Ok(())
    }

    /// Makes a directory from which the library executes a process in the container.
    pub(crate) fn prepare_exec(&self, process: &Process) -> Result<ExecDirectory> {
        let name = format!("exec-{}-{}", std::process::id(), ctr_sys::now_ns());
        let directory = ExecDirectory(self.own_directory().join(&name));
        create_private_dir(&directory.0.join(&self.id))?;
        let state = self.library_directory().join(LIBRARY_STATE);
        let bytes = std::fs::read(&state).map_err(RuntimeError::at("read", &state))?;
        let copy = directory.0.join(&self.id).join(LIBRARY_STATE);
        replace_file(&copy, &bytes, 0o600, Sync::No)?;
        self.write(&format!("{name}/process.json"), process)?;
        Ok(directory)
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        let path = self.own_directory().join(name);
        let bytes = serde_json::to_vec(value).map_err(|source| RuntimeError::Corrupt {
            path: path.clone(),
            form: "JSON",
            source,
        })?;
        replace_file(&path, &bytes, 0o600, Sync::No)?;
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.own_directory().join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RuntimeError::at("read", &path)(error)),
        };
        let value = serde_json::from_slice(&bytes);
        value.map(Some).map_err(|source| RuntimeError::Corrupt {
            path,
            form: "this runtime's state",
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_word() {
        let root = Path::new("/r");
        for id in ["a", "A_b+c-d.e", "0"] {
            assert!(Place::new(root, id).is_ok(), "{id:?}");
        }
        let long = "x".repeat(201);
        for id in ["", ".", "..", ".ctr-x", "a/b", "ä", "a b", "a\n", &long] {
            assert!(Place::new(root, id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn only_ids_are_listed() {
        let root = tempfile::tempdir().unwrap();
        for name in [".ctr-b", ".ctr-a", ".ctr-", ".ctr-..", ".ctr-x\ny", "c"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        assert_eq!(Place::ids(root.path()).unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_claim_is_exclusive_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path(), "x").unwrap();
        assert!(matches!(
            place.record(),
            Err(RuntimeError::NoSuchContainer { .. })
        ));
        let mut spec = Spec::default();
        let mut linux = oci_spec::runtime::Linux::default();
        linux.set_cgroups_path(Some("/ctr/x".into()));
        spec.set_linux(Some(linux));
        place.claim(&spec).unwrap();
        assert!(matches!(
            place.claim(&spec),
            Err(RuntimeError::Exists { .. })
        ));
        assert_eq!(place.claimed_cgroup().unwrap().as_deref(), Some("/ctr/x"));
        assert_eq!(place.record().unwrap(), None);

        let record = Record::new(Path::new("/b"), "/ctr/x", PidStamp::own().unwrap()).unwrap();
        place.save(&record).unwrap();
        assert_eq!(place.record().unwrap().as_ref(), Some(&record));
        assert!(record.process().unwrap().is_some());
        place.remove().unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_process_of_another_start_is_not_the_containers() {
        let mut stamp = PidStamp::own().unwrap();
        stamp.start_time += 1;
        let record = Record::new(Path::new("/b"), "/ctr/x", stamp).unwrap();
        assert!(record.process().unwrap().is_none());
    }

    #[test]
    fn a_record_that_cannot_be_read_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path(), "x").unwrap();
        place.claim(&Spec::default()).unwrap();
        let mut record = Record::new(Path::new("/b"), "/x", PidStamp::own().unwrap()).unwrap();
        record.version += 1;
        place.save(&record).unwrap();
        assert!(matches!(place.record(), Err(RuntimeError::Invalid { .. })));
        place.write("record.json", &"nonsense").unwrap();
        assert!(matches!(place.record(), Err(RuntimeError::Corrupt { .. })));
    }
}
