//! Containers that need others.

use ctr_core::{
    Container, CreateRequest, Dependents, EngineError, NamespaceRequest, NetworkRequest,
    RemoveMode, RemoveRequest, Replace, RequireRequest, Started,
};
use ctr_events::EventKind;
use ctr_state::{AutoRemove, StartReason, Status};
use ctr_sys::Signal;

use crate::Test;
use crate::fixture::{Fixture, detached, generation, remove, status, stop_after};
use crate::policies::reasons;
use crate::processes::{await_cleanups, end, init_of};

pub(crate) const TESTS: [Test; 9] = [
    ("needing: a chain is started in order", chain),
    (
        "needing: one that has ended is started again",
        started_again,
    ),
    ("needing: a job that must have succeeded", exited_ok),
    ("needing: what a failing start leaves", failing),
    ("needing: init needs what is needed to run already", init),
    ("needing: a namespace that is joined", joined),
    ("needing: what is needed is not removed", removal_refused),
    (
        "needing: those that need it are removed first",
        removed_first,
    ),
    (
        "needing: one that goes by itself stays while it is needed",
        auto_remove,
    ),
];

/// Has a container require others: names and conditions.
pub(crate) fn requires(
    needed: &'static [(&'static str, &'static str)],
) -> impl Fn(&mut CreateRequest) {
    move |request| {
        let needed = needed.iter().map(|(name, condition)| RequireRequest {
            name: (*name).to_owned(),
            condition: condition.parse().unwrap(),
        });
        request.requires = needed.collect();
    }
}

/// `c` needs `b` needs `a`.
fn three(f: &Fixture) -> [Container<'_>; 3] {
    [
        f.named("a", |_| {}),
        f.named("b", requires(&[("a", "started")])),
        f.named("c", requires(&[("b", "started")])),
    ]
}

/// What has happened to whom.
fn told(f: &Fixture) -> Vec<String> {
    let news = f.journal().news();
    let told = news
        .iter()
        .map(|event| format!("{} {}", event.kind().as_str(), event.subject().name));
    told.collect()
}

fn remove_all(f: &Fixture, containers: impl DoubleEndedIterator<Item = String>) {
    for name in containers.rev() {
        let container = f.engine.find(&name).unwrap();
        container.remove(remove(RemoveMode::Force)).unwrap();
        f.assert_gone(container.id());
    }
}

fn names(names: &[&str]) -> std::vec::IntoIter<String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.into_iter()
}

fn chain() {
    let f = Fixture::new();
    let [a, b, c] = three(&f);
    c.start(detached()).unwrap();
    let expected = [
        "create a", "create b", "create c", "init a", "start a", "init b", "start b", "init c",
        "start c",
    ];
    assert_eq!(told(&f), expected);
    assert_eq!(reasons(&a), [StartReason::Dependency]);
    assert_eq!(reasons(&b), [StartReason::Dependency]);
    assert_eq!(reasons(&c), [StartReason::User]);
    // A pause does not end anything.
    a.pause().unwrap();
    b.stop(stop_after(60)).unwrap();
    b.start(detached()).unwrap();
    assert_eq!(status(&a), Status::Paused);
    a.unpause().unwrap();
    // What is needed may be stopped; whoever needs it goes on.
    a.stop(stop_after(60)).unwrap();
    assert_eq!(status(&c), Status::Running);
    // It runs, so there is nothing to start for it either.
    assert!(matches!(c.start(detached()).unwrap(), Started::Already));
    assert_eq!(status(&a), Status::Exited);
    remove_all(&f, names(&["a", "b", "c"]));
}

fn started_again() {
    let f = Fixture::new();
    let [a, b, c] = three(&f);
    c.start(detached()).unwrap();
    c.stop(stop_after(60)).unwrap();
    let mut journal = f.journal();
    journal.news();
    end(&init_of(&a), Signal::USR1);
    journal.until(EventKind::Cleanup);
    c.start(detached()).unwrap();
    assert_eq!([&a, &b, &c].map(generation), [2, 1, 2]);
    assert!(
        [&a, &b, &c]
            .map(status)
            .iter()
            .all(|at| *at == Status::Running)
    );
    remove_all(&f, names(&["a", "b", "c"]));
}

fn exited_ok() {
    let f = Fixture::new();
    let job = f.named("job", |request| {
        request.command = ["/program", "exit", "0"].map(str::to_owned).into();
    });
    let bad = f.named("bad", |request| {
        request.command = ["/program", "exit", "3"].map(str::to_owned).into();
    });
    let after_job = f.named("c", requires(&[("job", "exited-ok")]));
    let after_bad = f.named("d", requires(&[("job", "exited-ok"), ("bad", "exited-ok")]));
    after_job.start(detached()).unwrap();
    assert_eq!(status(&after_job), Status::Running);
    assert_eq!(job.summary().unwrap().exit().unwrap().code(), 0);
    let error = after_bad.start(detached()).unwrap_err();
    assert!(matches!(error, EngineError::Dependency { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "container d needs bad: it must end with code 0, and has ended with 3"
    );
    assert_eq!(
        (status(&after_bad), generation(&after_bad)),
        (Status::Configured, 0)
    );
    // What has succeeded is not done twice; what has failed is tried again.
    after_bad.start(detached()).unwrap_err();
    assert_eq!((generation(&job), generation(&bad)), (1, 2));
    remove_all(&f, names(&["job", "bad", "c", "d"]));
}

fn failing() {
    let f = Fixture::new();
    let a = f.named("a", |_| {});
    let b = f.named("b", |request| {
        requires(&[("a", "started")])(request);
        "nobody-of-that-name".clone_into(&mut request.user);
    });
    let c = f.named("c", requires(&[("b", "started")]));
    let error = c.start(detached()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("container c needs b: "), "{text}");
    // Those that were started go on.
    let found = [&a, &b, &c].map(status);
    assert_eq!(
        found,
        [Status::Running, Status::Configured, Status::Configured]
    );
    remove_all(&f, names(&["a", "b", "c"]));
}

fn init() {
    let f = Fixture::new();
    let [a, b, _] = three(&f);
    let error = b.init().unwrap_err();
    assert_eq!(
        error.to_string(),
        "container b needs a: it is created, and must run"
    );
    assert_eq!((status(&b), generation(&b)), (Status::Configured, 0));
    a.start(detached()).unwrap();
    b.init().unwrap();
    a.stop(stop_after(60)).unwrap();
    // Started on its way, even if the one that needs it was made before.
    b.start(detached()).unwrap();
    assert_eq!([&a, &b].map(status), [Status::Running, Status::Running]);
    remove_all(&f, names(&["a", "b", "c"]));
}

fn joined() {
    let f = Fixture::new();
    let owner = f.named("owner", |_| {});
    let container = f.named("c", |request| {
        request.network = NetworkRequest::Container("owner".to_owned());
        request.ipc = NamespaceRequest::Container("owner".to_owned());
    });
    container.start(detached()).unwrap();
    assert_eq!(status(&owner), Status::Running);
    assert_eq!(reasons(&owner), [StartReason::Dependency]);
    let error = owner.remove(remove(RemoveMode::Force)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot remove container owner: it is needed by c"
    );
    assert_eq!(status(&owner), Status::Running);
    remove_all(&f, names(&["owner", "c"]));
}

fn removal_refused() {
    let f = Fixture::new();
    let [a, b, c] = three(&f);
    let refused = |error: &EngineError, names: &[&str]| {
        let matches = matches!(error, EngineError::Needed { by, .. } if by == names);
        assert!(matches, "{error}");
    };
    for mode in [RemoveMode::Normal, RemoveMode::Force] {
        refused(&a.remove(remove(mode)).unwrap_err(), &["b", "c"]);
        refused(&b.remove(remove(mode)).unwrap_err(), &["c"]);
    }
    let replace = |change: &dyn Fn(&mut CreateRequest)| {
        let mut request = f.request(&[]);
        request.name = Some("a".parse().unwrap());
        request.replace = Replace::Yes;
        change(&mut request);
        f.engine.create(request).unwrap_err()
    };
    refused(&replace(&|_| {}), &["b", "c"]);
    assert!(a.summary().is_ok());
    c.remove(remove(RemoveMode::Normal)).unwrap();
    b.remove(remove(RemoveMode::Normal)).unwrap();
    let error = replace(&requires(&[("a", "started")]));
    assert!(
        error
            .to_string()
            .contains("needs the one that it is to replace"),
        "{error}"
    );
    // One that needs nothing of that kind takes its place, even if it runs.
    a.start(detached()).unwrap();
    let new = f.named("a", |request| request.replace = Replace::Yes);
    f.assert_gone(a.id());
    new.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(new.id());
}

fn removed_first() {
    let f = Fixture::new();
    let [a, b, c] = three(&f);
    let other = f.named("other", |_| {});
    c.start(detached()).unwrap();
    let request = RemoveRequest {
        dependents: Dependents::RemoveToo,
        ..remove(RemoveMode::Force)
    };
    let removed = a.remove(request).unwrap();
    let removed: Vec<_> = removed.iter().map(|removed| &removed.id).collect();
    assert_eq!(removed, [c.id(), b.id(), a.id()]);
    for container in [&a, &b, &c] {
        f.assert_gone(container.id());
    }
    assert_eq!(status(&other), Status::Configured);
    // Without force nothing that runs is removed, and then none of the others either.
    let [a, b, c] = three(&f);
    b.start(detached()).unwrap();
    let request = RemoveRequest {
        mode: RemoveMode::Normal,
        ..request
    };
    let error = a.remove(request).unwrap_err();
    assert!(matches!(error, EngineError::WrongStatus { .. }), "{error}");
    assert_eq!(status(&c), Status::Configured);
    assert_eq!([&a, &b].map(status), [Status::Running; 2]);
    remove_all(&f, names(&["a", "b", "c"]));
}

fn auto_remove() {
    let f = Fixture::new();
    let a = f.named("a", |request| request.auto_remove = AutoRemove::Yes);
    let b = f.named("b", requires(&[("a", "started")]));
    b.start(detached()).unwrap();
    a.stop(stop_after(60)).unwrap();
    await_cleanups(&f.engine);
    a.lock("test").unwrap().unlock();
    assert_eq!((status(&a), status(&b)), (Status::Exited, Status::Running));
    // It can go on serving those that need it.
    b.stop(stop_after(60)).unwrap();
    b.start(detached()).unwrap();
    assert_eq!((status(&a), generation(&a)), (Status::Running, 2));
    a.stop(stop_after(60)).unwrap();
    b.remove(remove(RemoveMode::Force)).unwrap();
    // Now that nobody needs it, it goes.
    f.assert_gone(a.id());
}
