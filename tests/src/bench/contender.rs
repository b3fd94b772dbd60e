//! Who takes part: `ctr` on three runtimes, the bare runtimes, podman.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::bundle;
use super::podman::Podman;
use super::{POPULATION, Work};
use crate::harness::base::{Base, find, missing};
use crate::harness::case::Runtime;
use crate::harness::env::Env;
use crate::harness::program::Call;
use crate::harness::tree::{directory, remove, write};

/// One way of doing the work.
pub(super) trait Contender {
    /// The name in the result.
    fn name(&self) -> &'static str;
    /// Makes what has to be there before.
    fn prepare(&self) -> Result<()>;
    /// Does the work and says how long it took; `None` for work that it does not do.
    fn perform(&self, work: Work, round: usize) -> Result<Option<Duration>>;
    /// Removes what is there.
    fn discard(self: Box<Self>) -> Result<()>;
}

/// Who takes part, and who cannot.
#[derive(Default)]
pub(super) struct Field {
    pub(super) present: Vec<Box<dyn Contender>>,
    /// The names of what is not installed.
    pub(super) absent: Vec<&'static str>,
}

/// All contenders.
pub(super) fn all(base: &Base) -> Result<Field> {
    let Field {
        mut present,
        mut absent,
    } = Field::default();
    let mut root = None;
    for (number, (name, alone, runtime)) in [
        ("ctr", None, Runtime::Builtin),
        ("ctr-crun", Some("crun"), Runtime::Crun),
        ("ctr-runc", Some("runc"), Runtime::Runc),
    ]
    .into_iter()
    .enumerate()
    {
        if missing(runtime).is_some() {
            absent.extend(alone.into_iter().chain([name]));
            continue;
        }
        let env = base.env(number, runtime)?;
        let shared = root.get_or_insert_with(|| env.shared_root().to_path_buf());
        make_mount_points(shared)?;
        let alone = alone.map(|name| Bare::new(name, &env)).transpose()?;
        let bundle = alone.as_ref().map(|bare| bare.bundle.clone());
        present.push(Box::new(Ctr { name, env, bundle }));
        if let Some(bare) = alone {
            present.push(Box::new(bare));
        }
    }
    let root = root.context("ctr always takes part")?;
    match find("podman") {
        Ok(program) => present.push(Box::new(Podman::new(
            &program,
            &base.directory().join("podman"),
            &root,
        ))),
        Err(_) => absent.push("podman"),
    }
    Ok(Field { present, absent })
}

/// The files that are mounted upon: without them each run would make and remove them, which only some contenders do.
fn make_mount_points(root: &Path) -> Result<()> {
    for name in [
        "etc/hostname",
        "etc/hosts",
        "etc/resolv.conf",
        "run/.containerenv",
    ] {
        write(&root.join(name), "")?;
    }
    Ok(())
}

/// Runs a program that has to succeed.
pub(super) fn timed(call: Call) -> Result<Duration> {
    let begin = Instant::now();
    let output = call.output()?;
    let time = begin.elapsed();
    anyhow::ensure!(output.code == 0, "it failed: {output}");
    Ok(time)
}

/// `ctr` with a runtime, on directories of its own.
struct Ctr {
    name: &'static str,
    env: Env,
    /// Where the bare runtime wants its bundle.
    bundle: Option<PathBuf>,
}

impl Ctr {
    fn is_populated(&self) -> bool {
        self.env.runtime == Runtime::Builtin
    }
}

impl Contender for Ctr {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Lists and single containers are shown without a runtime, so one `ctr` is enough for them.
    fn prepare(&self) -> Result<()> {
        if self.is_populated() {
            for number in 0..POPULATION {
                self.env
                    .create(&format!("bench-{number}"), &[], &["true"])?;
            }
        }
        let bundle = self.bundle.as_deref();
        bundle.map_or(Ok(()), |path| bundle::copy(&self.env, path, self.name))
    }

    fn perform(&self, work: Work, _round: usize) -> Result<Option<Duration>> {
        let env = &self.env;
        let (layer, plain) = (env.rootfs(), env.shared_root().to_string_lossy());
        let run = |rootfs| timed(env.call(&["run", "--rm", "--rootfs", rootfs, "true"]));
        match work {
            Work::Run => run(&plain).map(Some),
            Work::RunLayer => run(&layer).map(Some),
            Work::Create => {
                let call = env.call(&["create", "--name", "made", "--rootfs", &layer, "true"]);
                let time = timed(call)?;
                env.ctr(&["rm", "made"])?.ok()?;
                Ok(Some(time))
            }
            Work::List if self.is_populated() => timed(env.call(&["ps", "-a"])).map(Some),
            Work::Inspect if self.is_populated() => {
                timed(env.call(&["inspect", "bench-0"])).map(Some)
            }
            Work::List | Work::Inspect => Ok(None),
        }
    }

    fn discard(self: Box<Self>) -> Result<()> {
        for id in self.env.ids()? {
            self.env.remove(&id)?;
        }
        let leaks = self.env.check_leaks();
        self.env.rescue();
        self.env.discard()?;
        leaks
    }
}

/// A runtime alone, on the bundle that `ctr` made for it.
struct Bare {
    name: &'static str,
    program: PathBuf,
    bundle: PathBuf,
    state: PathBuf,
}

impl Bare {
    /// The bundle is made when `ctr` with this runtime is prepared, which comes before it.
    fn new(name: &'static str, env: &Env) -> Result<Bare> {
        let state = env.path("bare-state");
        directory(&state, 0o700)?;
        Ok(Bare {
            name,
            program: find(name)?,
            bundle: env.path("bare-bundle"),
            state,
        })
    }
}

impl Contender for Bare {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    fn perform(&self, work: Work, round: usize) -> Result<Option<Duration>> {
        match work {
            Work::Run => {
                let call = Call::new(&self.program)
                    .args(["--root".as_ref(), self.state.as_os_str()])
                    .args(["run".as_ref(), "--bundle".as_ref(), self.bundle.as_os_str()])
                    .args([format!("bench-{round}")]);
                timed(call).map(Some)
            }
            Work::RunLayer | Work::Create | Work::List | Work::Inspect => Ok(None),
        }
    }

    fn discard(self: Box<Self>) -> Result<()> {
        if fs::exists(&self.state).context("look at the state of a runtime")? {
            remove(&self.state)?;
        }
        Ok(())
    }
}
