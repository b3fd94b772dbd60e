//! A runtime that is a shell script.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_oci::{
    CliRuntime, CliRuntimeConfig, CreateCall, Created, OciRuntime, RuntimeFailure, StdioFds, Target,
};
use ctr_sys::{Deadline, Sync, replace_file};
use tempfile::TempDir;

/// A deadline that no healthy call meets.
pub(crate) fn patient() -> Deadline {
    Deadline::after(Duration::from_secs(120))
}

/// A temp dir with a script that is driven as a runtime.
pub(crate) struct Fake {
    pub(crate) temp: TempDir,
    pub(crate) runtime: CliRuntime,
    root: PathBuf,
}

impl Fake {
    /// The script finds its temp dir in `$DIR`, the log file in `$LOG`, the verb in `$VERB` and the pid file of a create in `$PID_FILE`.
    ///
    /// The shell is the program and the script its argument: a script just written cannot always be executed while another
    /// thread forks.
    pub(crate) fn new(body: &str) -> Self {
        Self::with(body, |_| ())
    }

    pub(crate) fn with(body: &str, adjust: impl FnOnce(&mut CliRuntimeConfig)) -> Self {
        let temp = TempDir::new().expect("temp dir");
        let script = temp.path().join("runtime.sh");
        let text = format!(
            "DIR='{}'\nLOG=$4\nVERB=$7\nPID_FILE=${{11}}\n{body}\n",
            temp.path().display()
        );
        replace_file(&script, text.as_bytes(), 0o600, Sync::No).expect("script");
        let logs = temp.path().join("logs");
        std::fs::create_dir(&logs).expect("log dir");
        let mut config = CliRuntimeConfig::new("fake", "/bin/sh", logs);
        config.prefix = vec![script.to_str().expect("UTF-8").to_owned()];
        adjust(&mut config);
        Self {
            root: temp.path().join("state"),
            runtime: CliRuntime::new(config),
            temp,
        }
    }

    pub(crate) fn target(&self) -> Target<'_> {
        self.target_until(patient())
    }

    pub(crate) fn target_until(&self, deadline: Deadline) -> Target<'_> {
        Target {
            root: &self.root,
            id: "c1",
            deadline,
        }
    }

    /// Creates with standard input empty and both outputs into one pipe, whose other end is returned beside the result.
    pub(crate) fn create(
        &self,
        deadline: Deadline,
    ) -> (Result<Created, RuntimeFailure>, PipeReader) {
        let (reader, writer) = std::io::pipe().expect("pipe");
        (self.create_into(deadline, &writer), reader)
    }

    fn create_into(
        &self,
        deadline: Deadline,
        output: &PipeWriter,
    ) -> Result<Created, RuntimeFailure> {
        let null = File::open("/dev/null").expect("/dev/null");
        let call = CreateCall {
            bundle: self.temp.path(),
            pid_file: &self.pid_file(),
            stdio: StdioFds {
                stdin: null.as_fd(),
                stdout: output.as_fd(),
                stderr: output.as_fd(),
            },
            console: None,
        };
        self.runtime.create(self.target_until(deadline), call)
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.temp.path().join("pid")
    }

    /// The text of a file that the script wrote.
    pub(crate) fn file(&self, name: &str) -> String {
        let bytes = std::fs::read(self.temp.path().join(name)).expect("the script wrote it");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is left of the log files of calls.
    pub(crate) fn leftover_logs(&self) -> usize {
        let logs: &Path = &self.runtime.config().log_dir;
        logs.read_dir().expect("log dir").count()
    }
}

/// Everything until all writers are gone.
pub(crate) fn read_all(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("readable");
    text
}
