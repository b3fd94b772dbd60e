//! `update`: new limits, from a file or from options.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use super::words::{Words, required, set_once, split, unknown};

/// New limits of a container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Update {
    pub(crate) id: String,
    pub(crate) limits: Limits,
}

/// Where the limits come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Limits {
    /// A file with `resources` of a specification; `-` is standard input.
    File(PathBuf),
    /// The options.
    Given(Box<LinuxResources>),
}

pub(super) fn parse(words: &mut Words) -> Result<Update, String> {
    let mut options = Options::default();
    let (mut file, mut id) = (None, None);
    while let Some(word) = words.next_text()? {
        let (name, value) = split(&word);
        match name {
            "--resources" | "-r" => file = Some(words.value(name, value)?.into()),
            name if name.starts_with('-') => options.parse(words, name, value)?,
            _ => set_once(&mut id, word)?,
        }
    }
    let id = required(id)?;
    let limits = match (file, options.any) {
        (Some(file), false) => Limits::File(file),
        (Some(_), true) => {
            return Err("update: --resources and other limits exclude each other".to_owned());
        }
        (None, true) => Limits::Given(Box::new(options.resources())),
        (None, false) => return Err("update: no limit is given".to_owned()),
    };
    Ok(Update { id, limits })
}

#[derive(Default)]
struct Options {
    any: bool,
    memory: LinuxMemory,
    cpu: LinuxCpu,
    pids: Option<LinuxPids>,
    block_io: Option<LinuxBlockIo>,
}

impl Options {
    fn parse(&mut self, words: &mut Words, name: &str, value: Option<&str>) -> Result<(), String> {
        let signed = "a number, -1 for no limit";
        match name {
            "--memory" => {
                let limit = words.parsed(name, value, "a number of bytes, -1 for no limit")?;
                self.memory.set_limit(Some(limit));
            }
            "--memory-reservation" => {
                let limit = words.parsed(name, value, "a number of bytes, -1 for no limit")?;
                self.memory.set_reservation(Some(limit));
            }
            "--memory-swap" => {
                let limit = words.parsed(name, value, "a number of bytes, -1 for no limit")?;
                self.memory.set_swap(Some(limit));
            }
            "--cpu-share" | "--cpu-shares" => {
                let shares = words.parsed(name, value, "a number")?;
                self.cpu.set_shares(Some(shares));
            }
            "--cpu-quota" => {
                let quota = words.parsed(name, value, "microseconds, -1 for no limit")?;
                self.cpu.set_quota(Some(quota));
            }
            "--cpu-period" => {
                let period = words.parsed(name, value, "microseconds")?;
                self.cpu.set_period(Some(period));
            }
            "--cpuset-cpus" => {
                self.cpu.set_cpus(Some(words.text(name, value)?));
            }
            "--cpuset-mems" => {
                self.cpu.set_mems(Some(words.text(name, value)?));
            }
            "--pids-limit" => {
                let mut pids = LinuxPids::default();
                pids.set_limit(words.parsed(name, value, signed)?);
                self.pids = Some(pids);
            }
            "--blkio-weight" => {
                let mut block_io = LinuxBlockIo::default();
                let weight = words.parsed(name, value, "a number from 10 to 1000")?;
                block_io.set_weight(Some(weight));
                self.block_io = Some(block_io);
            }
            other => return Err(unknown(other)),
        }
        self.any = true;
        Ok(())
    }

    fn resources(self) -> LinuxResources {
        let mut resources = LinuxResources::default();
        resources
            .set_devices(None)
            .set_memory(Some(self.memory))
            .set_cpu(Some(self.cpu))
            .set_pids(self.pids)
            .set_block_io(self.block_io);
        resources
    }
}
