//! Who takes part: `ctr` on three runtimes, two of these alone on the very same containers, podman, docker.
//!
//! All have a container that sleeps, on the same root directory, with the same directory shown in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::contender::{Call, Contender, find};
use super::options::Work;
use super::stage::{DATA, Stage};

/// The container's name, in the directories of each engine.
const NAME: &str = "bench";

/// Longer than any measurement.
const SLEEP: [&str; 2] = ["sleep", "1000000"];

const TRUE: [&str; 1] = ["true"];
const CAT: [&str; 2] = ["cat", DATA];

/// podman's limits that every machine grants, no systemd, the same runtime as one of the others.
const CONFIGURATION: &str = "[containers]\n\
    default_ulimits=[\"nofile=1024:1024\",\"nproc=1000:1000\"]\n\
    [engine]\n\
    runtime=\"runc\"\n\
    cgroup_manager=\"cgroupfs\"\n\
    events_logger=\"file\"\n";

/// Who takes part, who cannot, and what is to be done in the end.
#[derive(Default)]
pub(super) struct Field {
    pub(super) present: Vec<Contender>,
    /// The names, and why.
    pub(super) absent: Vec<(&'static str, String)>,
    undo: Vec<Call>,
}

impl Field {
    /// Starts all containers. What was started before an error is undone by [`Field::clear`] too.
    pub(super) fn fill(&mut self, stage: &Stage) -> Result<()> {
        self.ctr(stage)?;
        self.ctr_on(stage, "ctr-crun", "crun")?;
        self.ctr_on(stage, "ctr-runc", "runc")?;
        self.guest("podman", stage, Field::podman);
        self.guest("docker", stage, Field::docker);
        Ok(())
    }

    /// Removes all containers.
    pub(super) fn clear(self) -> Result<()> {
        let results: Vec<Result<String>> = self.undo.iter().rev().map(Call::output).collect();
        results.into_iter().try_for_each(|result| result.map(drop))
    }

    fn add(&mut self, name: &'static str, work: Work, call: Call) {
        self.present.push(Contender { name, work, call });
    }

    /// `ctr` with its own runtime: the only one whose streams are looked at, because no runtime has a part in them.
    fn ctr(&mut self, stage: &Stage) -> Result<()> {
        let ctr = self.start(stage, "ctr", "builtin")?.call;
        self.add("ctr", Work::Exec, ctr.with(["exec", NAME]).with(TRUE));
        for (name, way) in [("ctr-stream", "stream"), ("ctr-pass", "pass")] {
            let exec = ctr.with(["exec", &format!("--stdio={way}"), NAME]);
            self.add(name, Work::Cat, exec.with(CAT));
        }
        Ok(())
    }

    /// `ctr` with a runtime, and that runtime without `ctr`, in one container.
    fn ctr_on(&mut self, stage: &Stage, name: &'static str, runtime: &'static str) -> Result<()> {
        let Some(program) = find(runtime) else {
            self.miss(runtime, "not installed");
            self.miss(name, &format!("{runtime} is not installed"));
            return Ok(());
        };
        let Started { call, known, id } = self.start(stage, name, runtime)?;
        self.add(name, Work::Exec, call.with(["exec", NAME]).with(TRUE));
        let known = known.to_string_lossy();
        let alone = Call::new(program).with(["--root", &known, "exec", &id]);
        self.add(runtime, Work::Exec, alone.with(TRUE));
        if runtime == "crun" {
            self.add(runtime, Work::Cat, alone.with(CAT));
        }
        Ok(())
    }

    fn start(&mut self, stage: &Stage, name: &str, runtime: &str) -> Result<Started> {
        let place = |kind: &str| stage.path(&format!("{name}-{kind}"));
        let (root, runroot) = (place("root"), place("run"));
        let call = Call::new(&stage.program)
            .with(["--root", &root.to_string_lossy()])
            .with(["--runroot", &runroot.to_string_lossy()])
            .with(["--runtime", runtime]);
        let rootfs = stage.root().to_string_lossy().into_owned();
        let run = call
            .with(["run", "-d", "--name", NAME, "--stop-timeout", "0"])
            .with(["-v", &stage.volume(), "--rootfs", &rootfs])
            .with(SLEEP);
        let id = run.output()?;
        self.undo.push(call.with(["rm", "-f", NAME]));
        let known = runroot.join("run").join(&id).join("runtime");
        Ok(Started { call, known, id })
    }

    /// An engine that may be missing or may not work here: either is told, and no error.
    fn guest(
        &mut self,
        name: &'static str,
        stage: &Stage,
        start: fn(&mut Field, &Path, &Stage) -> Result<()>,
    ) {
        let Some(program) = find(name) else {
            return self.miss(name, "not installed");
        };
        let before = self.undo.len();
        if let Err(error) = start(self, &program, stage) {
            let text = format!("{error:#}");
            let last = text.lines().last().unwrap_or_default();
            self.miss(name, &format!("it does not work here: {last}"));
            for call in self.undo.split_off(before).iter().rev() {
                // As much of it as it had made before it failed.
                call.output().ok();
            }
        }
    }

    fn miss(&mut self, name: &'static str, why: &str) {
        self.absent.push((name, why.to_owned()));
    }

    /// podman on directories of its own.
    fn podman(&mut self, program: &Path, stage: &Stage) -> Result<()> {
        let home = stage.path("podman");
        fs::create_dir(&home).context("make the directory of podman")?;
        let place = |name: &str| home.join(name).to_string_lossy().into_owned();
        let storage = format!(
            "[storage]\ndriver=\"overlay\"\ngraphroot=\"{}\"\nrunroot=\"{}\"\n",
            place("root"),
            place("runroot")
        );
        write(&home.join("storage.conf"), &storage)?;
        write(&home.join("containers.conf"), CONFIGURATION)?;
        let podman = Call::new(program)
            .env("HOME", place("."))
            .env("CONTAINERS_CONF", place("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", place("storage.conf"))
            .with(["--root", &place("root"), "--runroot", &place("runroot")])
            .with(["--tmpdir", &place("tmp"), "--storage-driver", "overlay"]);
        self.imported("podman", &podman, NAME, stage)
    }

    /// docker on the machine's daemon, under names that nobody else has.
    fn docker(&mut self, program: &Path, stage: &Stage) -> Result<()> {
        let docker = Call::new(program).env("HOME", stage.path("docker").display().to_string());
        docker.with(["version"]).output()?;
        let name = format!("ctr-bench-{}", std::process::id());
        self.imported("docker", &docker, &name, stage)
    }

    /// A container on an image of the root directory.
    fn imported(
        &mut self,
        engine: &'static str,
        call: &Call,
        name: &str,
        stage: &Stage,
    ) -> Result<()> {
        let archive = stage.path("image.tar").to_string_lossy().into_owned();
        let root = stage.root().to_string_lossy().into_owned();
        Call::new("/bin/tar")
            .with(["-C", &root, "-cf", &archive, "."])
            .output()?;
        call.with(["import", &archive, name]).output()?;
        self.undo.push(call.with(["rmi", "-f", name]));
        // Before it is started: one that fails to is there all the same.
        self.undo.push(call.with(["rm", "-f", name]));
        call.with(["run", "-d", "--name", name, "--network", "none"])
            .with(["-v", &stage.volume(), name])
            .with(SLEEP)
            .output()?;
        let exec = call.with(["exec", name]);
        self.add(engine, Work::Exec, exec.with(TRUE));
        self.add(engine, Work::Cat, exec.with(CAT));
        Ok(())
    }
}

/// A container of `ctr` that runs.
struct Started {
    /// `ctr` on the directories of the container.
    call: Call,
    /// Where its runtime keeps what it knows.
    known: PathBuf,
    /// The container's full id.
    id: String,
}

/// Writes a file that nobody else reads yet.
#[expect(
    clippy::disallowed_methods,
    reason = "written before any program looks at it, in a directory that is removed"
)]
fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
