//! podman, on directories of its own, doing what `ctr` does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::contender::{Contender, timed};
use super::{POPULATION, Work};
use crate::harness::program::Call;
use crate::harness::tree::{directory, write};

/// The image with the content of the shared root directory.
const IMAGE: &str = "bench";

/// Limits that every machine grants, no systemd, the same runtime as one of the others.
const CONFIGURATION: &str = "[containers]\n\
    default_ulimits=[\"nofile=1024:1024\",\"nproc=1000:1000\"]\n\
    [engine]\n\
    runtime=\"runc\"\n\
    cgroup_manager=\"cgroupfs\"\n\
    events_logger=\"file\"\n";

pub(super) struct Podman {
    program: PathBuf,
    home: PathBuf,
    root: PathBuf,
}

impl Podman {
    pub(super) fn new(program: &Path, home: &Path, root: &Path) -> Podman {
        Podman {
            program: program.to_path_buf(),
            home: home.to_path_buf(),
            root: root.to_path_buf(),
        }
    }

    fn call(&self, words: &[&str]) -> Call {
        let place = |name: &str| self.home.join(name).to_string_lossy().into_owned();
        Call::new(&self.program)
            .env("HOME", &place("."))
            .env("CONTAINERS_CONF", &place("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", &place("storage.conf"))
            .args(["--root", &place("root"), "--runroot", &place("runroot")])
            .args(["--tmpdir", &place("tmp"), "--storage-driver", "overlay"])
            .args(words)
    }

    fn on_image<'a>(&self, verb: &[&'a str]) -> Call {
        let words: Vec<&'a str> = [verb, &["--network", "none", IMAGE, "true"]].concat();
        self.call(&words)
    }
}

impl Contender for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn prepare(&self) -> Result<()> {
        directory(&self.home, 0o700)?;
        write(&self.home.join("containers.conf"), CONFIGURATION)?;
        let home = self.home.display();
        let storage = format!(
            "[storage]\ndriver=\"overlay\"\ngraphroot=\"{home}/root\"\nrunroot=\"{home}/runroot\"\n"
        );
        write(&self.home.join("storage.conf"), &storage)?;
        let archive = self.home.join("image.tar");
        let tar = Call::new("tar")
            .args(["-C".as_ref(), self.root.as_os_str()])
            .args(["-cf".as_ref(), archive.as_os_str(), ".".as_ref()]);
        tar.output()?.ok()?;
        timed(self.call(&["import", "--quiet", &archive.to_string_lossy(), IMAGE]))?;
        for number in 0..POPULATION {
            timed(self.on_image(&["create", "--name", &format!("bench-{number}")]))?;
        }
        Ok(())
    }

    fn perform(&self, work: Work, _round: usize) -> Result<Option<Duration>> {
        let root = self.root.to_string_lossy();
        let time = match work {
            Work::Run => timed(self.call(&[
                "run",
                "--rm",
                "--network",
                "none",
                "--rootfs",
                &root,
                "true",
            ]))?,
            Work::RunLayer => timed(self.on_image(&["run", "--rm"]))?,
            Work::Create => {
                let time = timed(self.on_image(&["create", "--name", "made"]))?;
                timed(self.call(&["rm", "made"]))?;
                time
            }
            Work::List => timed(self.call(&["ps", "-a"]))?,
            Work::Inspect => timed(self.call(&["container", "inspect", "bench-0"]))?,
        };
        Ok(Some(time))
    }

    fn discard(self: Box<Self>) -> Result<()> {
        timed(self.call(&["rm", "--all", "--force"]))?;
        Ok(())
    }
}
