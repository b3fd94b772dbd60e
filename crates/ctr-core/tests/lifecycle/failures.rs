//! A start that fails at any of its steps leaves nothing but the record of its failure.
//!
//! Left out: a start of an *exited* container that fails at the runtime's `start`. See [`Step::runs_again`].

use std::path::Path;

use ctr_core::{
    Attach, Container, CreateRequest, EngineConfig, EngineError, ExitHint, RemoveMode, StartRequest,
};
use ctr_state::{Access, ExitCause, StartReason, Status, VolumeConfig};
use ctr_sys::Signal;

use crate::Test;
use crate::fixture::{Fixture, detached, generation, remove, status, stop_after};
use crate::processes::{end, init_of};

pub(crate) const TESTS: [Test; 6] = [
    ("failures: every step of a first start", first_starts),
    ("failures: every step of a later start", later_starts),
    ("failures: every step of an attached start", attached_starts),
    ("failures: a command that is not there", missing_command),
    (
        "failures: what cannot be taken back is told",
        not_taken_back,
    ),
    ("failures: a runtime that deletes nothing", useless_delete),
];

/// One way for a start to fail.
struct Step {
    name: &'static str,
    /// What the error must say.
    error: &'static str,
    configure: fn(&mut EngineConfig),
    request: fn(&Path, &mut CreateRequest),
    sabotage: fn(&Fixture, &Container<'_>),
    /// Whether it is tried with a container that has run before, too. Not where the sabotage works from the beginning, and not after
    /// the runtime's `create`: the status is Created then, and the table leads from there to Configured, not back to Exited.
    runs_again: RunsAgain,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunsAgain {
    Yes,
    No,
}

impl Step {
    fn new(name: &'static str, error: &'static str) -> Self {
        Self {
            name,
            error,
            configure: |_| {},
            request: |_, _| {},
            sabotage: |_, _| {},
            runs_again: RunsAgain::Yes,
        }
    }

    fn configure(mut self, configure: fn(&mut EngineConfig)) -> Self {
        self.configure = configure;
        self.once()
    }

    fn request(mut self, request: fn(&Path, &mut CreateRequest)) -> Self {
        self.request = request;
        self
    }

    fn sabotage(mut self, sabotage: fn(&Fixture, &Container<'_>)) -> Self {
        self.sabotage = sabotage;
        self
    }

    fn once(mut self) -> Self {
        self.runs_again = RunsAgain::No;
        self
    }
}

fn steps() -> Vec<Step> {
    let mut steps = preparation();
    steps.extend(runtime());
    steps
}

/// What is the engine's own work and the monitor's.
fn preparation() -> Vec<Step> {
    vec![
        Step::new("no root", "rootfs").sabotage(|f, _| {
            ctr_sys::remove_tree(&f.path("rootfs")).unwrap();
        }),
        Step::new("a link in the root", "/proc").sabotage(|f, _| {
            std::os::unix::fs::symlink("/etc", f.path("rootfs/proc")).unwrap();
        }),
        Step::new("no such user", "nobody-here")
            .request(|_, request| "nobody-here".clone_into(&mut request.user))
            .once(),
        Step::new("no volume", "volume")
            .request(volume)
            .sabotage(|f, _| std::fs::remove_dir(f.path("volume")).unwrap()),
        Step::new("no directory for the program", "it is not a directory").sabotage(|f, _| {
            let empty = f.path("run/empty");
            ctr_sys::remove_tree(&empty).unwrap();
            plant_file(&empty);
        }),
        Step::new("no monitor", "not a program that can be a monitor")
            .configure(|config| config.program = "/nonexistent".into()),
        Step::new(
            "another program as monitor",
            "the monitor ended while it was asked to create",
        )
        .configure(|config| config.program = "/bin/true".into()),
        Step::new("no log", "ctr.log").sabotage(|f, container| {
            let log = f.path("root/containers").join(container.id().as_str());
            std::fs::remove_file(log.join("ctr.log")).ok();
            std::fs::create_dir(log.join("ctr.log")).unwrap();
        }),
        Step::new("no place for the pid", "missing/pid")
            .request(|base, request| request.pid_file = Some(base.join("missing/pid")))
            .once(),
    ]
}

/// What the runtime does wrong.
fn runtime() -> Vec<Step> {
    let at_start = |name, error| Step::new(name, error).once();
    vec![
        Step::new("no runtime", "fake-runtime").sabotage(|f, _| {
            std::fs::remove_file(f.path("fake-runtime")).unwrap();
        }),
        Step::new("create fails", "the fake does not create")
            .sabotage(|f, _| f.cue("create", "fail")),
        Step::new("create fails late", "the fake does not create")
            .sabotage(|f, _| f.cue("create", "fail-late")),
        Step::new("create leaves no pid", "no readable pid file")
            .sabotage(|f, _| f.cue("create", "no-pid-file")),
        Step::new("create leaves nonsense", "\"banana\"")
            .sabotage(|f, _| f.cue("create", "bad-pid-file")),
        Step::new(
            "the process dies",
            "its first process died before the start",
        )
        .sabotage(|f, _| f.cue("create", "die")),
        at_start("start fails", "the fake does not start").sabotage(|f, _| f.cue("start", "fail")),
        at_start("the process dies at the start", "the fake does not start")
            .sabotage(|f, _| f.cue("start", "die")),
        Step::new("create fails and delete, too", "the fake does not create").sabotage(|f, _| {
            f.cue("create", "fail-late");
            f.cue("delete", "fail");
        }),
    ]
}

fn volume(base: &Path, request: &mut CreateRequest) {
    let source = base.join("volume");
    std::fs::create_dir(&source).unwrap();
    request.volumes = vec![VolumeConfig {
        source,
        destination: "/data".into(),
        access: Access::ReadWrite,
    }];
}

fn plant_file(path: &Path) {
    ctr_sys::replace_file(path, b"", 0o600, ctr_sys::Sync::No).unwrap();
}

fn first_starts() {
    for step in steps() {
        let f = Fixture::with(step.configure);
        let container = f.created_with(|request| (step.request)(&f.path(""), request));
        check(&f, &container, &step, detached());
    }
}

fn later_starts() {
    for step in steps() {
        if step.runs_again == RunsAgain::No {
            continue;
        }
        let f = Fixture::with(step.configure);
        let container = f.created_with(|request| (step.request)(&f.path(""), request));
        container.start(detached()).unwrap();
        container.stop(stop_after(60)).unwrap();
        f.assert_idle(container.id());
        check(&f, &container, &step, detached());
    }
}

fn attached_starts() {
    for step in runtime() {
        let f = Fixture::with(step.configure);
        let container = f.created_with(|request| (step.request)(&f.path(""), request));
        let attach = Attach::Streams { window: None };
        check(
            &f,
            &container,
            &step,
            StartRequest {
                attach,
                streams: None,
                reason: StartReason::User,
            },
        );
    }
}

fn check(f: &Fixture, container: &Container<'_>, step: &Step, request: StartRequest<'_>) {
    let (before, last) = (status(container), generation(container));
    (step.sabotage)(f, container);
    let mut journal = f.journal();
    journal.news();
    let error = container.start(request).expect_err(step.name);
    let text = chain(&error);
    assert!(text.contains(step.error), "{}: {text}", step.name);
    assert_eq!(status(container), before, "{}", step.name);
    let snapshot = container.snapshot().unwrap();
    let record = snapshot.record().unwrap();
    let recorded = record.error().unwrap_or_default();
    assert!(
        recorded.starts_with(&error.to_string()),
        "{}: {recorded}",
        step.name
    );
    assert_eq!(
        (record.intent(), record.init(), record.monitor()),
        (None, None, None)
    );
    let run = f
        .engine
        .store()
        .exit_of(container.id(), last + 1)
        .unwrap()
        .unwrap();
    let reason = recorded.to_owned();
    assert_eq!(
        run.ended.unwrap().cause,
        ExitCause::NeverStarted { reason },
        "{}",
        step.name
    );
    assert_eq!(run.started_ns, None, "{}", step.name);
    let news = journal.words();
    assert!(
        ["", "init cleanup"].contains(&news.as_str()),
        "{}: {news}",
        step.name
    );
    std::fs::remove_file(f.path("rootfs/proc")).ok();
    f.assert_idle(container.id());
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

/// An error with its causes.
fn chain(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn missing_command() {
    let hint = |program: &str, cue: &str| {
        let f = Fixture::new();
        f.cue("create", cue);
        let container = f.created_with(|request| request.command = vec![program.to_owned()]);
        let error = container.start(detached()).unwrap_err();
        f.assert_idle(container.id());
        (error.exit_hint(), error.to_string())
    };
    let (kind, text) = hint("/missing", "fail");
    assert_eq!(kind, ExitHint::CommandNotFound);
    assert!(text.contains("\"/missing\""), "{text}");
    assert_eq!(hint("/etc", "fail").0, ExitHint::CommandNotExecutable);
    // The runtime's word counts where our own look finds nothing wrong.
    assert_eq!(hint("/program", "fail").0, ExitHint::Generic);
}

/// A directory that cannot be removed: the failure is told, and the next start removes it.
fn not_taken_back() {
    let f = Fixture::new();
    let container = f.create(&[]);
    let (run, aside) = (f.path("run/run"), f.path("run/aside"));
    if run.exists() {
        std::fs::rename(&run, &aside).unwrap();
    }
    plant_file(&run);
    container.start(detached()).unwrap_err();
    assert_eq!(status(&container), Status::Configured);
    std::fs::remove_file(&run).unwrap();
    container.start(detached()).unwrap();
    end(&init_of(&container), Signal::KILL);
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn useless_delete() {
    let f = Fixture::new();
    let container = f.running(&[]);
    f.cue("delete", "fail");
    container.stop(stop_after(60)).unwrap();
    assert_eq!(status(&container), Status::Exited);
    f.assert_idle(container.id());
    // One that was uninstalled does not keep its containers, either.
    container.start(detached()).unwrap();
    std::fs::remove_file(f.path("fake-runtime")).unwrap();
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}
