//! Does everything that was promised outlive the power?
//!
//! Processes that drive the engine as a library work on a few containers, and every change that they make to the files below the state
//! directory is written down, with the answers that they give in between. Then the power is cut, on paper, thousands of times: after
//! some of the changes a disk is made of what was synced and a part of what was not, an engine is let loose on it, and what it finds
//! is compared with what had been answered until then.
//!
//! As a proof that losses are seen, the same is done with a record from which all syncs were taken: there, losses must be found.

mod disk;
mod judge;
mod load;
mod options;
mod record;
mod report;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use anyhow::{Context, Error, Result, bail, ensure};
use rustix::mount::mount_bind;
use serde_json::Value;

use crate::harness::profile::{Entered, Profile};
use crate::harness::program::Call as Program;
use crate::harness::runner::Counts;
use crate::harness::tree::{directory, remove, write, write_program};
use crate::harness::variable;
use crate::race::client::Worker;
use crate::race::plan::Random;
use crate::race::{worker, worker_program};
use disk::{CUTS, Change, Cut, Disk, Image};
use judge::{Truth, Wrong, events};
use record::Record;
use report::Findings;

pub(crate) use options::PowerOptions;

/// Where images are laid out: in memory, they cost nothing there.
const MEMORY: &str = "/dev/shm";

/// Another boot id, as after a power cut.
const BOOT_ID: &str = "00000000-0000-4000-8000-00000000c0de\n";

/// How many engines look at images at the same time.
const JUDGES: usize = 2;

/// One of so many images is given to the command, too.
const COMMAND_SHARE: usize = 50;

/// So many images of a record without syncs.
const BLIND: usize = 100;

/// Does all of it; prints a table row and a line of JSON.
pub(crate) fn run(options: &PowerOptions) -> Result<Counts> {
    if let Entered::No(reason) = Profile::Host.enter()? {
        bail!("{reason}");
    }
    let begin = Instant::now();
    let program = worker_program()?;
    let place = tempfile::Builder::new()
        .prefix("ctr-power.")
        .tempdir_in(MEMORY)?;
    // Its name is also that of the containers' control group, so it is nobody else's.
    let name = place.path().file_name().context("a directory has a name")?;
    let base = place.path().join(name);
    directory(&base, 0o700)?;
    let recording = load::record(&program, &base, options.wishes, options.seed)?;
    let records = recording.records.as_slice();
    let image = complete(records);
    same_as(&image, &base)?;
    worker(&program, "conclude", &base)?;
    forget_the_boot(place.path())?;
    let mut whole = Site::new(&program, &place.path().join("whole"), None)?;
    let found = whole.look(&image)?;
    whole.finish()?;
    let truth = Truth::of(&recording, events(&found));
    ensure!(truth.promises > 0, "nothing was promised");
    let mut findings = Findings::new(records, &truth);
    let random = || Random::new(options.seed);
    let images = cuts(records, &truth, options.images, random());
    judge_all(images, (&program, place.path()), &truth, &mut findings)?;
    let blind = without_syncs(records);
    let images = cuts(&blind, &truth, BLIND.min(options.images), random());
    let mut seen = Findings::new(&blind, &truth);
    judge_all(images, (&program, place.path()), &truth, &mut seen)?;
    ensure!(
        seen.lost() > 0,
        "without any sync nothing was lost: the check is blind"
    );
    findings.print(options, &seen, begin.elapsed())
}

/// The disk when nothing is lost.
fn complete(records: &[Record]) -> Image {
    let mut disk = Disk::default();
    for change in records.iter().filter_map(change) {
        disk.apply(change);
    }
    disk.cut(Cut::Everything, &mut Random::new(0))
}

fn change(record: &Record) -> Option<&Change> {
    match record {
        Record::Change(change) => Some(change),
        Record::Answer { .. } => None,
    }
}

/// What was written down is what was done.
fn same_as(image: &Image, base: &Path) -> Result<()> {
    for name in ["state.db", "state.db-wal"] {
        let path = base.join("root").join(name);
        let real = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let written = image.file(&format!("root/{name}"));
        ensure!(
            written == Some(&real[..]),
            "{name} is not as it was written down"
        );
    }
    let mut real: Vec<String> = std::fs::read_dir(base.join("root/containers"))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    real.sort();
    ensure!(
        image.names("root/containers") == real,
        "other containers: {real:?}"
    );
    Ok(())
}

/// The record of programs that never sync.
fn without_syncs(records: &[Record]) -> Vec<Record> {
    let nothing = |record: &Record| match change(record) {
        // In its place, so that the numbers stay.
        Some(Change::Sync { node, .. }) => Record::Change(Change::Sync {
            node: *node,
            before: 0,
        }),
        _ => record.clone(),
    };
    records.iter().map(nothing).collect()
}

/// For everything that is started from now on, the machine was started anew.
fn forget_the_boot(place: &Path) -> Result<()> {
    let file = place.join("boot-id");
    write(&file, BOOT_ID)?;
    mount_bind(&file, "/proc/sys/kernel/random/boot_id").context("put another boot id in place")
}

/// A disk after a cut, and how many events were promised.
struct Found {
    image: Image,
    cut: Cut,
    /// After so many records.
    after: usize,
    promised: usize,
}

/// So many disks, with cuts all over the record.
fn cuts<'a>(
    records: &'a [Record],
    truth: &'a Truth,
    images: usize,
    mut random: Random,
) -> impl Iterator<Item = Found> + 'a {
    let mut places: Vec<usize> = (0..images).map(|_| random.below(records.len())).collect();
    places.sort_unstable();
    let mut disk = Disk::default();
    let mut done = 0;
    places.into_iter().map(move |after| {
        for record in &records[done..=after] {
            if let Some(change) = change(record) {
                disk.apply(change);
            }
        }
        done = done.max(after + 1);
        let cut = CUTS[random.below(CUTS.len())];
        Found {
            image: disk.cut(cut, &mut random),
            cut,
            after,
            promised: truth.promised[after],
        }
    })
}

/// Has engines look at all of them.
fn judge_all(
    images: impl Iterator<Item = Found>,
    place: (&Path, &Path),
    truth: &Truth,
    findings: &mut Findings,
) -> Result<()> {
    let (program, directory) = place;
    let command = variable("CTR_BIN").context("CTR_BIN does not name the ctr to test")?;
    let (to_judges, waiting) = mpsc::sync_channel::<(usize, Found)>(2 * JUDGES);
    let (waiting, shared) = (Mutex::new(waiting), Mutex::new(findings));
    std::thread::scope(|scope| {
        let judges: Vec<_> = (0..JUDGES)
            .map(|number| {
                let (waiting, shared) = (&waiting, &shared);
                let command = PathBuf::from(&command);
                scope.spawn(move || {
                    let place = directory.join(format!("judge-{number}"));
                    let mut site = Site::new(program, &place, Some(command))?;
                    loop {
                        let next = waiting
                            .lock()
                            .map_err(|_| Error::msg("a judge panicked"))?
                            .recv();
                        let Ok((number, found)) = next else {
                            return site.finish();
                        };
                        let wrong = site.judge(number, &found, truth)?;
                        let mut findings =
                            shared.lock().map_err(|_| Error::msg("a judge panicked"))?;
                        findings.take(&found.image, (found.cut, found.after), wrong);
                    }
                })
            })
            .collect();
        for found in images.enumerate() {
            // Nobody listens any more when all judges have failed, and they say why.
            if to_judges.send(found).is_err() {
                break;
            }
        }
        drop(to_judges);
        judges.into_iter().try_for_each(|judge| {
            let result = judge.join();
            result.map_err(|_| Error::msg("a judge has panicked"))?
        })
    })
}

/// Where images are laid out and looked at.
struct Site {
    place: PathBuf,
    worker: Worker,
    command: Option<PathBuf>,
}

impl Site {
    fn new(program: &Path, place: &Path, command: Option<PathBuf>) -> Result<Site> {
        Ok(Site {
            place: place.to_owned(),
            worker: Worker::start(program, &["worker".as_ref(), "recover".as_ref()])?,
            command,
        })
    }

    fn finish(self) -> Result<()> {
        self.worker.finish()
    }

    fn lay_out(&self, image: &Image) -> Result<()> {
        directory(&self.place, 0o700)?;
        // The worker's engine wants a runtime and a root to make containers of, and starts none.
        write_program(&self.place.join("fake-runtime"), "#!/bin/false\n")?;
        directory(&self.place.join("rootfs"), 0o755)?;
        write(&self.place.join("rootfs/program"), "")?;
        image.lay_out(&self.place)
    }

    /// What an engine says of it.
    fn look(&mut self, image: &Image) -> Result<Value> {
        self.lay_out(image)?;
        let said = self.worker.tell(&self.place.to_string_lossy())?;
        remove(&self.place)?;
        Ok(said)
    }

    fn judge(&mut self, number: usize, found: &Found, truth: &Truth) -> Result<Option<Wrong>> {
        let said = self.look(&found.image)?;
        let wrong = truth.judge(&said, found.promised);
        let Some(command) = &self.command else {
            return Ok(wrong);
        };
        if wrong.is_some() || !number.is_multiple_of(COMMAND_SHARE) {
            return Ok(wrong);
        }
        self.lay_out(&found.image)?;
        let rows = said["rows"].as_array().map_or(0, Vec::len);
        let by_command = by_command(command, &self.place, rows);
        remove(&self.place)?;
        let text = by_command.err().map(|error| format!("{error:#}"));
        Ok(text.map(Wrong::Wedged))
    }
}

/// What a person does after a power cut: looks, cleans up and starts over.
fn by_command(command: &Path, place: &Path, rows: usize) -> Result<()> {
    let ctr = |words: &[&str]| -> Result<String> {
        let (root, runroot) = (place.join("root"), place.join("run"));
        let globals = [
            "--root".as_ref(),
            root.as_os_str(),
            "--runroot".as_ref(),
            runroot.as_os_str(),
        ];
        let call = Program::new(command).args(globals).args(words);
        call.output()?.ok()
    };
    let listed = ctr(&["ps", "-a", "-q"])?.lines().count();
    ensure!(
        listed == rows,
        "ps -a shows {listed} containers instead of {rows}"
    );
    ctr(&["rm", "-fa", "-t", "0"])?;
    let rootfs = place.join("rootfs").to_string_lossy().into_owned();
    ctr(&[
        "create", "--name", "name-0", "--rootfs", &rootfs, "/program",
    ])?;
    ctr(&["rename", "name-0", "name-1"])?;
    ctr(&["rm", "name-1"])?;
    let left = ctr(&["ps", "-a", "-q"])?;
    ensure!(left.is_empty(), "left: {left}");
    Ok(())
}
