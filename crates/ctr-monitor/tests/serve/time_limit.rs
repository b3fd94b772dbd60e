//! A container that may run for so long.

use std::path::PathBuf;
use std::time::Duration;

use ctr_monitor::protocol::{Phase, Reply, Request};
use ctr_monitor::{ExitReport, TimedOut};
use ctr_sys::{CgroupMode, Cgroups, Deadline, Signal};

use crate::Test;
use crate::bench::{Bench, Monitored, ask, deadline};

pub(crate) const TESTS: [Test; 4] = [
    ("time limit: whose time is up is killed", time_up),
    ("time limit: who ends earlier has not timed out", earlier),
    ("time limit: it begins with the start", never_started),
    ("time limit: also a frozen container dies", frozen),
];

const LIMIT_MS: u64 = 200;

fn limited(script: &str, millis: u64) -> Bench {
    let mut bench = Bench::new(script);
    bench.request.timeout_ms = Some(millis);
    bench
}

/// How it ended, and whether because its time was up.
fn verdict(bench: &Bench, run: &Monitored) -> (ExitReport, TimedOut) {
    assert_eq!(bench.cleanups(&run.monitor), 1);
    let record = bench.exit_record().unwrap();
    (record.exit, record.timed_out)
}

fn killed(signal: Signal) -> ExitReport {
    ExitReport::Signaled { signal }
}

fn time_up() {
    let bench = limited("exec sleep 1000", LIMIT_MS);
    let mut run = bench.committed();
    let before = std::time::Instant::now();
    run.client.start(deadline()).unwrap();
    let ended = run.init.wait(deadline()).unwrap();
    // From the start, which has been asked for later than that.
    assert!(ended && before.elapsed() >= Duration::from_millis(LIMIT_MS));
    let expected = (killed(Signal::KILL), TimedOut::Yes);
    assert_eq!(verdict(&bench, &run), expected);
}

fn earlier() {
    // By itself, and by somebody else's signal, of the same kind.
    let hour = 3_600_000;
    let bench = limited("exit 7", hour);
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    let expected = (ExitReport::Exited { code: 7 }, TimedOut::No);
    assert_eq!(verdict(&bench, &run), expected);

    let bench = limited("exec sleep 1000", hour);
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    run.init.signal(Signal::KILL).unwrap();
    let expected = (killed(Signal::KILL), TimedOut::No);
    assert_eq!(verdict(&bench, &run), expected);
}

fn never_started() {
    let bench = limited("exec sleep 1000", LIMIT_MS);
    let mut run = bench.committed();
    let passed = Deadline::after(Duration::from_millis(2 * LIMIT_MS));
    assert!(!run.init.wait(passed).unwrap());
    let status = run.client.status(deadline()).unwrap();
    assert_eq!(status.phase, Phase::Created);
    let signal = Signal::KILL;
    let asked = ask(&run.client, Request::Signal { signal });
    assert!(matches!(asked, Reply::Done));
    assert_eq!(verdict(&bench, &run), (killed(signal), TimedOut::No));
}

/// A control group that is gone with the test.
struct Group {
    groups: Cgroups,
    path: String,
}

impl Group {
    /// A new one, with the process in it, where it can be frozen; its directory there.
    fn with(pid: i32) -> (Self, PathBuf) {
        let groups = Cgroups::detect().unwrap();
        let path = group_path();
        let mode = groups.mode();
        let mut mounts = groups.mount_points();
        let mount = mounts.find(|mount| mode == CgroupMode::Unified || mount.ends_with("freezer"));
        let directory = mount.unwrap().join(path.trim_start_matches('/'));
        drop(mounts);
        std::fs::create_dir(&directory).unwrap();
        let group = Self { groups, path };
        let procs = directory.join("cgroup.procs");
        let mut procs = std::fs::File::options().write(true).open(procs).unwrap();
        std::io::Write::write_all(&mut procs, pid.to_string().as_bytes()).unwrap();
        (group, directory)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.groups.clear(&self.path, deadline()).ok();
    }
}

fn group_path() -> String {
    format!("/ctr-monitor-test-{}", std::process::id())
}

fn frozen() {
    // It freezes itself as soon as it runs, in the group that it has been put into.
    let script = "cd $(cat group); [ -e freezer.state ] && echo FROZEN >freezer.state || echo 1 >cgroup.freeze
        sleep 1000; sleep 1000";
    let mut bench = limited(script, LIMIT_MS);
    bench.request.cgroup_path = group_path();
    let mut run = bench.committed();
    let (group, directory) = Group::with(run.init.stamp().pid);
    let name = directory.to_str().unwrap().as_bytes();
    let file = bench.request.run_dir.join("group");
    ctr_sys::replace_file(&file, name, 0o600, ctr_sys::Sync::No).unwrap();
    run.client.start(deadline()).unwrap();
    let expected = (killed(Signal::KILL), TimedOut::Yes);
    assert_eq!(verdict(&bench, &run), expected);
    drop(group);
}
