//! Taking namespaces and mounts from processes that have their own.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_sys::{
    Child, Deadline, DetachedMount, ExitStatus, Launch, NamespaceKind, PidRef, Recursion, Root,
    Signal, Stdio, SysResult, enter_private_mount_namespace, fork_helper, mounts_below,
};
use rustix::fs::{Mode, OFlags};
use rustix::thread::LinkNameSpaceType;

pub(crate) const TESTS: [(&str, fn()); 6] = [
    ("a namespace is held by its mount", namespaces_are_held),
    ("nothing is taken from the dead", nothing_of_the_dead),
    ("a pid that is used again is no pid", a_reused_pid),
    ("a mount is looked up in its root", clones_stay_in_the_root),
    ("a clone is the mount itself", clones_are_the_mount),
    ("a clone is not waited for too long", a_late_clone),
];

/// A process in namespaces of its own, below the `unshare(1)` that made them.
struct Stranger {
    parent: Child,
    process: PidRef,
}

impl Stranger {
    /// Runs a script with new namespaces of the kinds that `options` name; the script must end in [`WAIT`].
    fn start(options: &[&str], script: &str) -> Self {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let parent = Launch::program("/usr/bin/unshare")
            .args(options)
            .args(["--fork", "--kill-child", "/bin/sh", "-ec", script])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdout(Stdio::Fd(write))
            .die_with_parent()
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        std::fs::File::from(read).read_exact(&mut ready).unwrap();
        let held = ctr_sys::PidRef::capture(parent.pid()).unwrap().unwrap();
        let mut below = ctr_sys::descendants(&held).unwrap();
        Self {
            parent,
            process: below.remove(0),
        }
    }

    fn clone_of(&self, path: &str, recursion: Recursion) -> SysResult<DetachedMount> {
        let deadline = Deadline::after(Duration::from_secs(30));
        DetachedMount::clone_of(&self.process, Path::new(path), recursion, deadline)
    }

    fn end(&self) {
        self.process.signal(Signal::KILL).unwrap();
        self.parent.wait().unwrap();
    }
}

const WAIT: &str = "echo ready; exec sleep 1000";

fn type_of(kind: NamespaceKind) -> LinkNameSpaceType {
    match kind {
        NamespaceKind::Ipc => LinkNameSpaceType::InterProcessCommunication,
        NamespaceKind::Network => LinkNameSpaceType::Network,
        NamespaceKind::Pid => LinkNameSpaceType::ProcessID,
        NamespaceKind::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
    }
}

fn inode(path: impl AsRef<Path>) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

fn file_of(process: &PidRef, kind: NamespaceKind) -> PathBuf {
    format!("/proc/{}/ns/{}", process.stamp().pid, kind.file_name()).into()
}

fn namespaces_are_held() {
    let options = ["--ipc", "--net", "--pid", "--uts"];
    let stranger = Stranger::start(&options, WAIT);
    let before = mounts_below(Path::new("/")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let taken = NamespaceKind::ALL.map(|kind| {
        let inode = inode(file_of(&stranger.process, kind));
        let mount = DetachedMount::namespace(&stranger.process, kind).unwrap();
        (kind, inode, mount)
    });
    stranger.end();
    let keep: Vec<_> = taken.iter().map(|(_, _, mount)| mount).collect();
    let keep: Vec<_> = keep.into_iter().map(std::os::fd::AsFd::as_fd).collect();
    let helper = fork_helper(&keep, || {
        enter_private_mount_namespace().unwrap();
        for (kind, expected, mount) in &taken {
            let place = directory.path().join(kind.file_name());
            ctr_sys::replace_file(&place, b"", 0o600, ctr_sys::Sync::No).unwrap();
            let target = rustix::fs::open(&place, OFlags::PATH, Mode::empty()).unwrap();
            mount.attach(std::os::fd::AsFd::as_fd(&target)).unwrap();
            assert_eq!(inode(&place), *expected, "{kind:?}");
            assert_ne!(
                inode(&place),
                inode(Path::new("/proc/self/ns").join(kind.file_name()))
            );
            let namespace = rustix::fs::open(&place, OFlags::RDONLY, Mode::empty()).unwrap();
            let namespace = std::os::fd::AsFd::as_fd(&namespace);
            rustix::thread::move_into_link_name_space(namespace, Some(type_of(*kind))).unwrap();
        }
        assert_eq!(inode("/proc/self/ns/net"), taken[1].1);
        0
    });
    assert_eq!(helper.unwrap().wait().unwrap(), ExitStatus::Exited(0));
    assert_eq!(mounts_below(Path::new("/")).unwrap(), before);
}

fn assert_ended<T: std::fmt::Debug>(taken: SysResult<T>) {
    let error = taken.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("has ended"), "{error}");
}

fn nothing_of_the_dead() {
    let stranger = Stranger::start(&["--mount"], WAIT);
    stranger.end();
    for kind in NamespaceKind::ALL {
        assert_ended(DetachedMount::namespace(&stranger.process, kind));
    }
    assert_ended(stranger.clone_of("/", Recursion::Single));
}

/// A process that sleeps and has this pid; `None`: somebody else was faster.
#[expect(
    clippy::disallowed_methods,
    reason = "a file of the kernel, which must be written in place"
)]
fn start_with_pid(pid: i32) -> Option<Child> {
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
    let child = Launch::program("/bin/sleep").arg("1000").spawn().unwrap();
    if child.pid() == pid {
        return Some(child);
    }
    child.kill_and_wait().unwrap();
    None
}

fn a_reused_pid() {
    if !Path::new("/proc/sys/kernel/ns_last_pid").exists() {
        println!("skipped: this kernel does not let pids be chosen");
        return;
    }
    for _ in 0..1000 {
        let child = Launch::program("/bin/sleep").arg("1000").spawn().unwrap();
        let held = PidRef::capture(child.pid()).unwrap().unwrap();
        child.kill_and_wait().unwrap();
        let Some(next) = start_with_pid(child.pid()) else {
            continue;
        };
        assert!(file_of(&held, NamespaceKind::Network).exists());
        assert_ended(DetachedMount::namespace(&held, NamespaceKind::Network));
        let deadline = Deadline::never();
        let path = Path::new("/dev/shm");
        assert_ended(DetachedMount::clone_of(
            &held,
            path,
            Recursion::Single,
            deadline,
        ));
        next.kill_and_wait().unwrap();
        return;
    }
    panic!("no pid could be had again");
}

/// A process whose root is not that of its mount namespace: links of all kinds lie there, and a tmpfs on `/dev/shm`.
fn stranger_in_a_root(root: &Path) -> Stranger {
    let root = root.display();
    let script = format!(
        "mount -t tmpfs none {root}; cd {root}; mkdir -p dev/shm usr proc
        mount -t tmpfs -o nosuid,noexec none dev/shm; echo inside >dev/shm/file
        mount -t proc none proc
        ln -s /dev/shm absolute; ln -s ../../../../../../../../../dev/shm above; ln -s /proc/self/root magic
        mount --rbind /usr usr; cp -a /bin /lib /lib64 .
        exec chroot . /bin/sh -c '{WAIT}'"
    );
    Stranger::start(&["--mount", "--propagation", "private"], &script)
}

fn text(root: &Root, path: &str) -> Option<String> {
    let bytes = root.read(Path::new(path), 100).unwrap()?;
    Some(String::from_utf8(bytes).unwrap())
}

fn clones_stay_in_the_root() {
    let directory = tempfile::tempdir().unwrap();
    let stranger = stranger_in_a_root(directory.path());
    let inside = Some("inside\n".to_owned());
    for path in [
        "/dev/shm",
        "dev/shm/",
        "/absolute",
        "/above",
        "/../../dev/shm",
        "/dev/../above",
    ] {
        let mount = stranger.clone_of(path, Recursion::Single).unwrap();
        assert_eq!(text(&mount.root().unwrap(), "file"), inside, "{path}");
    }
    let file = stranger.clone_of("/dev/shm/file", Recursion::Single);
    assert!(file.is_ok());
    let magic = stranger.clone_of("/magic", Recursion::Single).unwrap_err();
    assert_eq!(
        magic.raw_os_error(),
        Some(rustix::io::Errno::LOOP.raw_os_error()),
        "{magic}"
    );
    let missing = stranger.clone_of("/none", Recursion::Single).unwrap_err();
    let pid = stranger.process.stamp().pid;
    assert_eq!(
        missing.to_string(),
        format!("open /none in the root of process {pid}: No such file or directory (os error 2)")
    );
    let threaded = std::thread::scope(|scope| {
        let cloned = scope.spawn(|| stranger.clone_of("/", Recursion::Single).map(drop));
        cloned.join().unwrap()
    });
    assert_eq!(
        threaded.unwrap_err().kind(),
        std::io::ErrorKind::InvalidInput
    );
    stranger.end();
}

fn clones_are_the_mount() {
    let directory = tempfile::tempdir().unwrap();
    let stranger = stranger_in_a_root(directory.path());
    let before = mounts_below(Path::new("/")).unwrap();
    let shm = stranger.clone_of("/dev/shm", Recursion::Single).unwrap();
    let root = shm.root().unwrap();
    root.create_dir_all(Path::new("/made"), 0o755).unwrap();
    let seen = format!("/proc/{}/root/dev/shm/made", stranger.process.stamp().pid);
    assert!(Path::new(&seen).is_dir());
    let flags = rustix::fs::fstatvfs(&root).unwrap().f_flag;
    let wanted = rustix::fs::StatVfsMountFlags::NOSUID | rustix::fs::StatVfsMountFlags::NOEXEC;
    assert!(flags.contains(wanted), "{flags:?}");
    let dev = |recursion| {
        stranger
            .clone_of("/dev", recursion)
            .unwrap()
            .root()
            .unwrap()
    };
    assert_eq!(text(&dev(Recursion::Single), "shm/file"), None);
    assert!(text(&dev(Recursion::Recursive), "shm/file").is_some());
    assert_eq!(mounts_below(Path::new("/")).unwrap(), before);
    stranger.end();
    // It outlives the process and its namespace.
    assert_eq!(text(&root, "file").as_deref(), Some("inside\n"));
}

fn a_late_clone() {
    let stranger = Stranger::start(&["--mount"], WAIT);
    let clone = || {
        let now = Deadline::after(Duration::ZERO);
        DetachedMount::clone_of(&stranger.process, Path::new("/"), Recursion::Single, now)
    };
    // The helper may be faster than the wait for it.
    let late = std::iter::repeat_with(clone).find_map(Result::err).unwrap();
    assert_eq!(late.kind(), std::io::ErrorKind::TimedOut, "{late}");
    assert_eq!(ctr_sys::reap_any().unwrap(), None, "a helper is left");
    stranger.end();
}
