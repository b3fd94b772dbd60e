//! Which runtimes the engine knows, and how one becomes a value that can be called.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctr_monitor::protocol::{RuntimeKind, RuntimeSpec};
use ctr_oci::{CliRuntime, CliRuntimeConfig, OciError, OciRuntime, check_runtime, find_runtime};
use ctr_state::RuntimeRef;

use crate::error::EngineError;

/// The runtimes that an engine was configured with. Other names are looked for in the system's directories for programs.
#[derive(Clone, Default)]
pub struct Runtimes {
    builtin: BTreeMap<String, Arc<dyn OciRuntime>>,
    paths: BTreeMap<String, Vec<PathBuf>>,
}

impl fmt::Debug for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let builtin: Vec<&String> = self.builtin.keys().collect();
        f.debug_struct("Runtimes")
            .field("builtin", &builtin)
            .field("paths", &self.paths)
            .finish()
    }
}

impl Runtimes {
    /// None: every name is looked for in the system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a runtime that is part of the program. The monitor's program must know it too.
    #[must_use]
    pub fn with(mut self, name: &str, runtime: Arc<dyn OciRuntime>) -> Self {
        self.builtin.insert(name.to_owned(), runtime);
        self
    }

    /// Adds a program under a name. Of several with the same name, the first that exists is meant; those that were added earlier come
    /// first.
    #[must_use]
    pub fn path(mut self, name: &str, path: PathBuf) -> Self {
        self.paths.entry(name.to_owned()).or_default().push(path);
        self
    }

    /// The names that were configured.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.builtin
            .keys()
            .chain(self.paths.keys())
            .map(String::as_str)
    }

    /// What is recorded of the runtime that a request names.
    ///
    /// For a configured program and one given by its path, that is name and path: the container stays with that file, whatever the name
    /// means later. Of one that is looked for, and of one that is part of this program, only the name is recorded: the system may
    /// install it elsewhere.
    pub(crate) fn reference(&self, name: &str) -> Result<RuntimeRef, EngineError> {
        if self.builtin.contains_key(name) {
            return Ok(RuntimeRef {
                name: name.to_owned(),
                path: None,
            });
        }
        if name.starts_with('/') {
            let path = find_runtime(name, &[])?;
            let file_name = path.file_name().unwrap_or(path.as_os_str());
            return Ok(RuntimeRef {
                name: file_name.to_string_lossy().into_owned(),
                path: Some(path),
            });
        }
        let program = self.program(name)?;
        Ok(RuntimeRef {
            name: name.to_owned(),
            path: self.paths.contains_key(name).then_some(program),
        })
    }

    /// Whether a name means a program, good or bad.
    pub(crate) fn is_installed(&self, name: &str) -> bool {
        let missing = |error: &OciError| matches!(error, OciError::RuntimeNotFound { .. });
        !self.look_up(name).is_err_and(|error| missing(&error))
    }

    fn program(&self, name: &str) -> Result<PathBuf, EngineError> {
        Ok(self.look_up(name)?)
    }

    fn look_up(&self, name: &str) -> Result<PathBuf, OciError> {
        let Some(paths) = self.paths.get(name) else {
            return find_runtime(name, &[]);
        };
        for path in paths {
            match check_runtime(path) {
                Ok(()) => return Ok(path.clone()),
                Err(OciError::RuntimeNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(OciError::RuntimeNotFound {
            name: name.to_owned(),
            searched: paths.clone(),
        })
    }

    /// The runtime as the monitor is told of it.
    pub(crate) fn spec(&self, runtime: &RuntimeRef) -> Result<RuntimeSpec, EngineError> {
        let kind = match &runtime.path {
            Some(path) => RuntimeKind::Program { path: path.clone() },
            None if self.builtin.contains_key(&runtime.name) => RuntimeKind::Builtin,
            None => RuntimeKind::Program {
                path: self.program(&runtime.name)?,
            },
        };
        Ok(RuntimeSpec {
            name: runtime.name.clone(),
            kind,
        })
    }

    /// Whether a recorded runtime can be used.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn check(&self, runtime: &RuntimeRef) -> Result<(), EngineError> {
        match self.spec(runtime)?.kind {
            RuntimeKind::Builtin => Ok(()),
            RuntimeKind::Program { path } => Ok(check_runtime(&path)?),
        }
    }

    /// The path of a runtime's program for people; empty for one that is part of this program, or is not there.
    pub(crate) fn program_text(&self, runtime: &RuntimeRef) -> String {
        match self.spec(runtime) {
            Ok(RuntimeSpec {
                kind: RuntimeKind::Program { path },
                ..
            }) => path.display().to_string(),
            Ok(RuntimeSpec {
                kind: RuntimeKind::Builtin,
                ..
            })
            | Err(_) => String::new(),
        }
    }

    /// The runtime for calls of the engine itself.
    pub(crate) fn open(
        &self,
        runtime: &RuntimeRef,
        run_dir: &Path,
    ) -> Result<Arc<dyn OciRuntime>, EngineError> {
        if let (None, Some(builtin)) = (&runtime.path, self.builtin.get(&runtime.name)) {
            return Ok(Arc::clone(builtin));
        }
        let program = match &runtime.path {
            Some(path) => path.clone(),
            None => self.program(&runtime.name)?,
        };
        let config = CliRuntimeConfig::new(&runtime.name, program, run_dir);
        Ok(Arc::new(CliRuntime::new(config)))
    }
}
