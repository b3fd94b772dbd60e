//! A runtime that does the real work of starting and killing a process, without isolation, and misbehaves on cue.
//!
//! A cue is a word in the file `cues/VERB` of the fixture's directory. `pause` and `pause-fail` stop the verb: it opens the pipe
//! `reached` for writing, which tells the test, and goes on when a byte arrives in the pipe `gate`.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_sys::{
    Cgroups, Child, Deadline, Launch, PidRef, PidStamp, Signal, SignalFd, Stdio, Sync, SysResult,
    create_private_dir, inherited_fd, remove_tree, replace_file, wait_readable,
};
use rustix::fs::{CWD, Mode, OFlags};

/// The descriptor on which a first process says that it is ready.
const READY: i32 = 3;
/// The exit code of the first process after SIGUSR1.
pub(crate) const USR1_CODE: i32 = 3;

type Answer = Result<(), String>;

struct Call {
    base: PathBuf,
    root: PathBuf,
    log: PathBuf,
    verb: String,
    options: Vec<String>,
}

/// `fake-runtime BASE --root R --log L --log-format json VERB …`
pub(crate) fn runtime(args: &[String]) -> u8 {
    let [base, _, root, _, log, _, _, verb, options @ ..] = args else {
        return 2;
    };
    let call = Call {
        base: base.into(),
        root: root.into(),
        log: log.into(),
        verb: verb.clone(),
        options: options.to_vec(),
    };
    // Its standard error is the container's: a failure of the fake itself is told in the log, too.
    let own_log = call.log.clone();
    std::panic::set_hook(Box::new(move |info| log_error(&own_log, &info.to_string())));
    let answer = match verb.as_str() {
        "create" => call.create(),
        "start" => call.start(),
        "state" => call.state(),
        "pause" => call.freeze(),
        "resume" => call.thaw(),
        "kill" => call.kill(),
        "delete" => call.delete(),
        _ => Err("unknown verb".to_owned()),
    };
    let Err(message) = answer else {
        return 0;
    };
    log_error(&call.log, &message);
    1
}

/// The log exists and belongs to the engine: it is written to, not replaced.
fn log_error(path: &Path, message: &str) {
    let line = serde_json::json!({ "level": "error", "msg": message });
    let mut file = std::fs::File::options().append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

impl Call {
    fn cue(&self) -> String {
        std::fs::read_to_string(self.base.join("cues").join(&self.verb)).unwrap_or_default()
    }

    fn option(&self, name: &str) -> &Path {
        let position = self.options.iter().position(|word| word == name).unwrap();
        Path::new(&self.options[position + 1])
    }

    fn refuse(&self) -> Answer {
        Err(format!("the fake does not {}", self.verb))
    }

    /// Stops until the test goes on.
    fn pause(&self) {
        drop(open(&self.base.join("reached"), OFlags::WRONLY));
        let gate = open(&self.base.join("gate"), OFlags::RDONLY);
        rustix::io::read(&gate, &mut [0]).unwrap();
    }

    fn create(&self) -> Answer {
        let cue = self.cue();
        if cue.starts_with("pause") {
            self.pause();
        }
        if cue == "fail" || cue == "pause-fail" {
            return self.refuse();
        }
        let bundle = self.option("--bundle");
        let text = std::fs::read(bundle.join("config.json")).unwrap();
        let spec: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let id = self.options.last().unwrap();
        let state = self.root.join(id);
        create_private_dir(&state).unwrap();
        make_mount_points(&spec);
        let group = spec["linux"]["cgroupsPath"].as_str().unwrap();
        enter_group(group);
        let init = spawn_init(&state, &spec);
        let stamp = PidRef::capture(init.pid()).unwrap().unwrap().stamp();
        write(&state.join("init"), &serde_json::to_string(&stamp).unwrap());
        write(&state.join("group"), group);
        match cue.as_str() {
            "fail-late" => return self.refuse(),
            "no-pid-file" => return Ok(()),
            "bad-pid-file" => write(self.option("--pid-file"), "banana"),
            _ => write(self.option("--pid-file"), &init.pid().to_string()),
        }
        if cue == "die" {
            end(&init);
        }
        init.detach();
        Ok(())
    }

    fn state_dir(&self, id: &str) -> Result<PathBuf, String> {
        let state = self.root.join(id);
        if state.join("init").exists() {
            Ok(state)
        } else {
            Err("container does not exist".to_owned())
        }
    }

    fn init(&self, id: &str) -> Result<Option<PidRef>, String> {
        let text = std::fs::read_to_string(self.state_dir(id)?.join("init")).unwrap();
        let stamp: PidStamp = serde_json::from_str(&text).unwrap();
        Ok(PidRef::open(stamp).unwrap())
    }

    fn start(&self) -> Answer {
        let cue = self.cue();
        if cue.starts_with("pause") {
            self.pause();
        }
        if cue == "fail" || cue == "pause-fail" {
            return self.refuse();
        }
        let id = &self.options[0];
        let init = self.init(id)?.ok_or("the container does not run")?;
        if cue == "die" {
            init.signal(Signal::KILL).unwrap();
            init.wait(Deadline::never()).unwrap();
            return self.refuse();
        }
        let path = self.state_dir(id)?.join("gate");
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        let gate = rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| e.to_string())?;
        rustix::io::write(&gate, b"s").map_err(|e| e.to_string())?;
        Ok(())
    }

    fn state(&self) -> Answer {
        if self.cue() == "fail" {
            return self.refuse();
        }
        let id = &self.options[0];
        let init = self.init(id)?;
        let status = match &init {
            None => "stopped",
            Some(_) if self.is_frozen(id) => "paused",
            Some(_) => "running",
        };
        let pid = init.map_or(0, |init| init.stamp().pid);
        let answer = serde_json::json!({
            "ociVersion": "1.2.0", "id": id, "status": status, "pid": pid, "bundle": "/"
        });
        write_stdout(&answer.to_string());
        Ok(())
    }

    /// The container's control group: what is frozen is frozen for everybody who looks.
    fn group(&self, id: &str) -> Result<String, String> {
        let path = self.state_dir(id)?.join("group");
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn is_frozen(&self, id: &str) -> bool {
        let cgroups = Cgroups::detect().unwrap();
        self.group(id)
            .is_ok_and(|group| cgroups.is_frozen(&group).unwrap())
    }

    fn freeze(&self) -> Answer {
        self.cued(|cgroups, group| cgroups.freeze(group, Deadline::never()))
    }

    fn thaw(&self) -> Answer {
        self.cued(|cgroups, group| cgroups.thaw(group, Deadline::never()))
    }

    /// Changes the freezer, unless the cue is to fail, at once or after a pause; with `pause-after` it pauses afterwards.
    fn cued(&self, change: impl FnOnce(&Cgroups, &str) -> SysResult<bool>) -> Answer {
        let group = self.group(&self.options[0])?;
        let cue = self.cue();
        match cue.as_str() {
            "fail" => return self.refuse(),
            "pause-fail" => {
                self.pause();
                return self.refuse();
            }
            _ => {}
        }
        let changed = change(&Cgroups::detect().unwrap(), &group);
        if cue == "pause-after" {
            self.pause();
        }
        match changed {
            Ok(true) => Ok(()),
            Ok(false) => self.refuse(),
            Err(error) => Err(error.to_string()),
        }
    }

    fn kill(&self) -> Answer {
        let [.., id, number] = self.options.as_slice() else {
            return Err("usage".to_owned());
        };
        let init = self.init(id)?.ok_or("the container does not run")?;
        let signal = Signal::new(number.parse().unwrap()).unwrap();
        init.signal(signal).map(drop).map_err(|e| e.to_string())
    }

    /// Leaves the control group behind, as real ones do now and then.
    fn delete(&self) -> Answer {
        if self.cue() == "fail" {
            return self.refuse();
        }
        let id = self.options.last().unwrap();
        let state = self.state_dir(id)?;
        if let Some(init) = self.init(id)? {
            if self.options[0] != "--force" {
                return Err("the container runs".to_owned());
            }
            init.signal(Signal::KILL).unwrap();
            init.wait(Deadline::never()).unwrap();
        }
        remove_tree(&state).map_err(|error| error.to_string())
    }
}

fn write(path: &Path, text: &str) {
    replace_file(path, text.as_bytes(), 0o600, Sync::No).unwrap();
}

fn write_stdout(text: &str) {
    rustix::io::write(rustix::stdio::stdout(), text.as_bytes()).unwrap();
}

pub(crate) fn open(path: &Path, flags: OFlags) -> OwnedFd {
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

/// Kills a child and waits for its end without reaping it.
fn end(child: &Child) {
    child.kill(Signal::KILL).unwrap();
    wait_readable(child.as_fd(), Deadline::never()).unwrap();
}

/// One level after the other: in a cpuset hierarchy a group can be entered once it has been given what its parent has.
fn enter_group(group: &str) {
    let cgroups = Cgroups::detect().unwrap();
    let parent = Path::new(group).parent().unwrap();
    cgroups.enter(parent.to_str().unwrap()).unwrap();
    cgroups.enter(group).unwrap();
}

/// As runtimes do: the target of each mount is made where it is missing, but for those inside an earlier mount.
fn make_mount_points(spec: &serde_json::Value) {
    let root = PathBuf::from(spec["root"]["path"].as_str().unwrap());
    let mut done: Vec<PathBuf> = Vec::new();
    for mount in spec["mounts"].as_array().unwrap() {
        let destination = PathBuf::from(mount["destination"].as_str().unwrap());
        if done.iter().any(|earlier| destination.starts_with(earlier)) {
            continue;
        }
        let target = root.join(destination.strip_prefix("/").unwrap());
        let source = Path::new(mount["source"].as_str().unwrap_or_default());
        if mount["type"] == "bind" && source.is_file() {
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            let file = std::fs::File::options()
                .append(true)
                .create(true)
                .open(target);
            file.unwrap();
        } else {
            std::fs::create_dir_all(target).unwrap();
        }
        done.push(destination);
    }
}

/// The first process; returns when it waits for its start.
fn spawn_init(state: &Path, spec: &serde_json::Value) -> Child {
    rustix::fs::mkfifoat(CWD, state.join("gate"), Mode::from_raw_mode(0o600)).unwrap();
    let (ready, theirs) = rustix::pipe::pipe().unwrap();
    let args = spec["process"]["args"].as_array().unwrap();
    let child = Launch::program(std::env::current_exe().unwrap())
        .arg("fake-init")
        .arg(state.join("gate"))
        .args(args[1..].iter().map(|word| word.as_str().unwrap()))
        .stdin(Stdio::Inherit)
        .stdout(Stdio::Inherit)
        .stderr(Stdio::Inherit)
        .fd(READY, theirs)
        .spawn()
        .unwrap();
    let mut byte = [0];
    assert_eq!(rustix::io::read(&ready, &mut byte).unwrap(), 1);
    child
}

/// `fake-init GATE [WORD…]`: waits for its start, then does what the words say: `print`, `exit CODE`, `ignore-term`; without an
/// exit it goes on until SIGTERM (exit code 0) or SIGUSR1 (see [`USR1_CODE`]).
pub(crate) fn init(args: &[String]) -> u8 {
    let [gate, words @ ..] = args else { return 2 };
    let signals = SignalFd::block(&[Signal::TERM, Signal::USR1, Signal::USR2]).unwrap();
    let gate = open(Path::new(gate), OFlags::RDONLY | OFlags::NONBLOCK);
    let ready = inherited_fd(READY).unwrap();
    rustix::io::write(&ready, b"r").unwrap();
    drop(ready);
    if let Some(code) = wait(&signals, Some(&gate), words) {
        return code;
    }
    drop(gate);
    let mut words_left = words.iter();
    while let Some(word) = words_left.next() {
        match word.as_str() {
            "print" => print_both(),
            "exit" => return words_left.next().unwrap().parse().unwrap(),
            _ => {}
        }
    }
    wait(&signals, None, words).unwrap_or(2)
}

fn print_both() {
    write_stdout("to stdout\n");
    rustix::io::write(rustix::stdio::stderr(), b"to stderr\n").unwrap();
}

/// The exit code that a signal asks for; `None` when the gate opened.
fn wait(signals: &SignalFd, gate: Option<&OwnedFd>, words: &[String]) -> Option<u8> {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        fds.extend(gate.map(|gate| PollFd::from_borrowed_fd(gate.as_fd(), PollFlags::IN)));
        poll(&mut fds, None).unwrap();
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            return None;
        }
        while let Some(info) = signals.read().unwrap() {
            match info.signal {
                Signal::TERM if words.iter().any(|word| word == "ignore-term") => {}
                Signal::TERM => return Some(0),
                Signal::USR1 => return u8::try_from(USR1_CODE).ok(),
                _ => print_both(),
            }
        }
    }
}

/// Reads to the end.
pub(crate) fn read_all(fd: OwnedFd) -> String {
    assert!(fd.as_raw_fd() > 2);
    let mut text = String::new();
    std::fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}
