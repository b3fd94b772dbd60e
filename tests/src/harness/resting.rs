//! What a process costs while it rests, and who holds the locks of a run.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::env::Env;
use super::process::{Process, descriptors, directory};
use super::wait;

/// What a process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Possessions {
    /// What its descriptors point to, without numbers.
    pub(crate) descriptors: Vec<String>,
    pub(crate) threads: u64,
    /// Memory of its own, `RssAnon`, in KiB.
    pub(crate) anonymous: u64,
}

impl Possessions {
    /// Those of a process that is there.
    pub(crate) fn of(pid: i32) -> Result<Possessions> {
        let status = status(pid)?;
        let kind = |target: &PathBuf| {
            let target = target.to_string_lossy();
            target.split(":[").next().unwrap_or_default().to_owned()
        };
        let mut descriptors: Vec<String> = descriptors(pid)
            .iter()
            .map(|(_, target)| kind(target))
            .collect();
        descriptors.sort();
        Ok(Possessions {
            descriptors,
            threads: number(&status, "Threads:")?,
            anonymous: number(&status, "RssAnon:")?,
        })
    }

    /// The same as before, and not much more memory: so many KiB are what an allocator may keep.
    pub(crate) fn are_those_of(&self, before: &Possessions, kib: u64) -> Result<()> {
        ensure!(
            self.descriptors == before.descriptors && self.threads == before.threads,
            "{self:?} instead of {before:?}"
        );
        ensure!(
            self.anonymous <= before.anonymous + kib,
            "{} KiB of memory, {} before",
            self.anonymous,
            before.anonymous
        );
        Ok(())
    }
}

/// How much a process has worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Time on a processor, `utime` and `stime` of `/proc/PID/stat`.
    ticks: u64,
    /// How often it has waited for something.
    waits: u64,
}

impl Work {
    /// That of a process until now.
    pub(crate) fn of(pid: i32) -> Result<Work> {
        let stat = fs::read_to_string(directory(pid).join("stat")).context("read stat")?;
        // The name before may hold anything.
        let (_, fields) = stat.rsplit_once(") ").context("a name in parentheses")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let field =
            |index: usize| -> Result<u64> { Ok(fields.get(index).context("a field")?.parse()?) };
        Ok(Work {
            ticks: field(11)? + field(12)?,
            waits: number(&status(pid)?, "voluntary_ctxt_switches:")?,
        })
    }
}

/// Waits until processes have nothing to do; then they do nothing at all for that long.
pub(crate) fn rest_for(processes: &[&Process], stretch: Duration) -> Result<()> {
    let work = || -> Result<Vec<Work>> {
        processes
            .iter()
            .map(|process| Work::of(process.pid))
            .collect()
    };
    let moment = |time: Duration| -> Result<(Vec<Work>, Vec<Work>)> {
        let before = work()?;
        let one = processes.first().context("a process")?;
        ensure!(!one.ends_within(time)?, "{} has ended", one.describe());
        Ok((before, work()?))
    };
    wait::until("processes to rest", || {
        let (before, after) = moment(Duration::from_millis(400))?;
        Ok((before == after).then_some(()))
    })?;
    let (before, after) = moment(stretch)?;
    ensure!(before == after, "they worked: {before:?}, then {after:?}");
    Ok(())
}

fn status(pid: i32) -> Result<String> {
    let path = directory(pid).join("status");
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

fn number(status: &str, key: &str) -> Result<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(key));
    let word = rest.and_then(|rest| rest.split_whitespace().next());
    Ok(word.with_context(|| format!("no {key}"))?.parse()?)
}

impl Env {
    /// The run directory of a container.
    pub(crate) fn run_directory(&self, name: &str) -> Result<PathBuf> {
        let value = self.inspect(name)?;
        let id = value["Id"].as_str().context("Id")?;
        Ok(self.runroot().join("run").join(id))
    }
}

/// The process that holds a file of a run directory locked, as `alive` and `keeper` are.
pub(crate) fn lock_holder(path: &Path) -> Result<Option<Process>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("open {}", path.display())),
    };
    let question = Flock::from(FlockType::WriteLock);
    let answer = fcntl_getlk(&file, &question).context("ask for a lock")?;
    match answer.and_then(|lock| lock.pid) {
        Some(pid) => Process::open(pid.as_raw_nonzero().get()),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::Call;
    use super::*;

    #[test]
    fn a_process_that_waits_rests_and_one_that_works_does_not() {
        let mut cat = Call::new("/bin/cat").open_stdin().spawn().unwrap();
        cat.say(b"a").unwrap();
        cat.wait_for_stdout("a").unwrap();
        let process = Process::open(cat.pid()).unwrap().unwrap();
        rest_for(&[&process], Duration::from_millis(100)).unwrap();
        let before = Work::of(cat.pid()).unwrap();
        cat.say(b"b").unwrap();
        cat.wait_for_stdout("ab").unwrap();
        wait::until("cat to wait again", || {
            Ok((Work::of(cat.pid())? != before).then_some(()))
        })
        .unwrap();
        let possessions = Possessions::of(cat.pid()).unwrap();
        // And perhaps what our own parent has left open.
        assert!(possessions.descriptors.len() >= 3 && possessions.threads == 1);
        let mut more = possessions.clone();
        more.anonymous += 5;
        more.are_those_of(&possessions, 5).unwrap();
        assert!(more.are_those_of(&possessions, 4).is_err());
        more.descriptors.push("pipe".to_owned());
        assert!(more.are_those_of(&possessions, 5).is_err());
        cat.close_stdin();
        cat.finish().unwrap();
    }
}
