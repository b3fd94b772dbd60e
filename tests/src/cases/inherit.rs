//! Inheritance: what the caller has open, set or masked reaches neither the container nor the monitor.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::{Env, refs};
use crate::harness::process::{descriptors, directory, environment};
use crate::harness::tree;

cases! {
    Core descriptors_and_environment_stay_outside,
    Core file_mode_mask_is_ours,
    Full caller_without_standard_streams,
    Full any_file_name_will_do,
}

/// What nobody may see.
pub(super) const SECRET: &str = "c4n4ry-5ecret";

/// A caller from whom nothing may be inherited: descriptors 3 to 30 are open on a root directory, a directory, a file and a named pipe of
/// the case, and on sockets; its environment holds a secret, some signals are ignored and others blocked, it has groups and low limits.
pub(super) struct Canary {
    directory: PathBuf,
}

impl Canary {
    pub(super) fn make(env: &Env) -> Result<Canary> {
        let directory = env.path("canary");
        tree::directory(&directory, 0o700)?;
        tree::write(&directory.join("file"), SECRET)?;
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            directory.join("pipe"),
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .context("make a pipe")?;
        Ok(Canary { directory })
    }

    /// The words before a call. Its last acts are these: it goes to a directory, and sets the file mode mask.
    pub(super) fn words(&self, cd: &str, mask: &str) -> Vec<String> {
        let canary = self.directory.display();
        // What is open is noted down, to be recognized by device and number.
        let script = format!(
            "cd {canary}; export SECRET_X={SECRET} LD_PRELOAD= LD_LIBRARY_PATH= BASH_ENV=/{SECRET}\n\
             for n in {{3..30}}; do case $((n % 5)) in\n\
             0) eval \"exec $n</\";;\n\
             1) eval \"exec $n<{canary}\";;\n\
             2) eval \"exec $n<>{canary}/file\";;\n\
             3) eval \"exec $n<>{canary}/pipe\";;\n\
             4) eval \"exec $n<>/dev/udp/127.0.0.1/9\";;\n\
             esac; done\n\
             stat -L -c '%d %i' /proc/$$/fd/{{3..30}} >> open\n\
             ulimit -S -n 64; ulimit -S -s 2048; ulimit -c 0\n\
             {cd}; umask {mask}; exec \"$@\""
        );
        let words = [
            "bash",
            "-c",
            &script,
            "bash",
            "setpriv",
            "--groups=4242,4243",
            "env",
            "--ignore-signal=PIPE,INT,CHLD,USR1",
            "--block-signal=USR2,TERM,HUP",
        ];
        words.map(str::to_owned).to_vec()
    }

    /// What callers had open, by device and number.
    fn open(&self) -> Result<BTreeSet<(u64, u64)>> {
        let text = fs::read_to_string(self.directory.join("open")).context("read what was open")?;
        let mut open = BTreeSet::new();
        for line in text.lines() {
            let (device, number) = line.split_once(' ').context("two numbers")?;
            open.insert((device.parse()?, number.parse()?));
        }
        ensure!(open.len() >= 5, "the caller had nothing open: {open:?}");
        Ok(open)
    }

    /// Nothing that callers had open is open in this process.
    pub(super) fn is_not_open_in(&self, pid: i32) -> Result<()> {
        let open = self.open()?;
        for (number, target) in descriptors(pid) {
            let file = directory(pid).join("fd").join(number.to_string());
            // What is closed by now was not inherited.
            if let Ok(file) = fs::metadata(file) {
                let inherited = open.contains(&(file.dev(), file.ino()));
                ensure!(!inherited, "{number} -> {}", target.display());
            }
        }
        Ok(())
    }

    /// Nothing of a caller is in this process of ours.
    pub(super) fn is_unknown_to(&self, env: &Env, what: &str, pid: i32) -> Result<()> {
        let wrong = || format!("the {what}");
        self.is_not_open_in(pid).with_context(wrong)?;
        ensure!(!descriptors(pid).is_empty(), "there is no {what}");
        // The environment of our own processes is made, not inherited.
        let variables = environment(pid);
        let mut names = variables.lines().filter(|line| !line.is_empty());
        let path = names
            .next()
            .is_some_and(|first| first.starts_with("PATH=/usr/local/sbin:"));
        ensure!(
            path && names.next().is_none(),
            "the {what} has {variables:?}"
        );
        let words = fs::read(directory(pid).join("cmdline")).with_context(wrong)?;
        let words = String::from_utf8_lossy(&words);
        ensure!(
            !words.contains(SECRET),
            "the {what} was called as {words:?}"
        );
        let cwd = fs::read_link(directory(pid).join("cwd")).with_context(wrong)?;
        ensure!(
            cwd == Path::new("/") || cwd.starts_with(env.runroot()),
            "the {what} is in {}",
            cwd.display()
        );
        let status = fs::read_to_string(directory(pid).join("status")).with_context(wrong)?;
        let fields = ["Umask:\t0077\n", "Groups:\t \n"];
        let missing = fields.iter().find(|field| !status.contains(**field));
        ensure!(
            missing.is_none(),
            "the {what} has not {missing:?}: {status}"
        );
        Ok(())
    }
}

fn descriptors_and_environment_stay_outside(env: &Env) -> Result<()> {
    let canary = Canary::make(env)?;
    env.go_through(&refs(&canary.words(":", "022")));
    let script = "ls /proc/1/fd; cat /proc/1/environ; echo; echo ready; sleep 1000";
    env.detached("in", &[], script)?;
    let log = env.wait_for_log("in", "ready")?;
    ensure!(log.starts_with("0\n1\n2\n"), "{log:?}");
    let more = log.lines().skip(3).find(|line| line.parse::<u32>().is_ok());
    ensure!(
        more.is_none(),
        "descriptor {more:?} is open inside: {log:?}"
    );
    ensure!(!log.contains("SECRET") && !log.contains(SECRET), "{log:?}");
    canary.is_unknown_to(env, "monitor", env.monitor("in")?.pid)?;
    canary.is_unknown_to(env, "keeper", env.keeper("in")?.pid)?;
    env.remove("in")
}

fn file_mode_mask_is_ours(env: &Env) -> Result<()> {
    for mask in ["000", "077", "777"] {
        let script = format!("umask {mask}; exec \"$@\"");
        let before = ["bash", "-c", &script, "bash"];
        let words = env.run_words(&[], &["sh", "-c", "umask; : > /tmp/f; stat -c %a /tmp/f"]);
        env.finish(env.call_through(&before, &refs(&words)))?
            .prints("0022\n644\n")
            .with_context(|| format!("umask {mask}"))?;
    }
    Ok(())
}

/// A caller may have closed its standard streams: no file of ours may land in their place.
fn caller_without_standard_streams(env: &Env) -> Result<()> {
    let before = ["bash", "-c", "exec <&- >&- 2>&-; \"$@\"; exit $?", "bash"];
    let script = "sh -c 'ls /proc/1/fd > /out'; echo x; echo y >&2; exit $(grep -c . /out)";
    let words = env.run_words(&[], &["sh", "-c", script]);
    // Three descriptors, whatever the caller has, and nothing of the output in a file of the engine.
    env.finish(env.call_through(&before, &refs(&words)))?
        .prints_with(3, "")
}

fn any_file_name_will_do(env: &Env) -> Result<()> {
    let copy = env.path("box with blanks");
    tree::copy_program(env.program(), &copy)?;
    let mut words = env.words(&[]);
    words[0] = copy.to_string_lossy().into_owned();
    words.extend(env.run_words(&[], &["sh", "-c", "echo hello; exit 3"]));
    let call = crate::harness::program::Call::new(&words[0]).args(&words[1..]);
    env.finish(call)?.prints_with(3, "hello\n")
}
