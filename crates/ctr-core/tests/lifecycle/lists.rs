//! What filters and limits of lists select.

use ctr_core::{ContainerFilter, CreateRequest, EngineError, ListRequest, NetworkRequest};
use ctr_events::EventKind;
use ctr_rootfs::{RootfsMode, RootfsSource};
use ctr_state::{Access, StateError, Status, VolumeConfig};
use ctr_sys::Signal;

use crate::Test;
use crate::fake::USR1_CODE;
use crate::fixture::{Fixture, detached};
use crate::processes::{end, init_of};

pub(crate) const TESTS: [Test; 4] = [
    ("lists: every key of filters", every_key),
    ("lists: several terms", several_terms),
    ("lists: statuses and limits", statuses_and_limits),
    ("lists: a damaged record", damaged),
];

/// Four containers, in the order of their creation: `web` runs, `web2` has ended, `db` and `c` were never started.
fn four() -> Fixture {
    let f = Fixture::new();
    let mut journal = f.journal();
    let named = |name: &str, change: &dyn Fn(&mut CreateRequest)| {
        f.created_with(|request| {
            request.name = Some(name.parse().unwrap());
            change(request);
        })
    };
    let web = named("web", &|request| {
        request.labels = [("tier".to_owned(), "front".to_owned())].into();
    });
    web.start(detached()).unwrap();
    let web2 = named("web2", &|request| {
        request.labels = [("tier", "back"), ("x", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    });
    web2.start(detached()).unwrap();
    end(&init_of(&web2), Signal::USR1);
    journal.until(EventKind::Cleanup);
    named("db", &|request| {
        request.entrypoint = Some(vec!["/bin/db".to_owned()]);
        request.network = NetworkRequest::Host;
        request.volumes = vec![VolumeConfig {
            source: "/proc/1".into(),
            destination: "/data".into(),
            access: Access::ReadOnly,
        }];
    });
    named("c", &|request| {
        request.rootfs = RootfsSource {
            path: f.path("cues"),
            mode: RootfsMode::Plain,
        };
    });
    f
}

fn names(f: &Fixture, request: &ListRequest<'_>) -> String {
    let summaries = f.engine.select(request).unwrap();
    let names = summaries
        .iter()
        .map(|summary| summary.snapshot().name().to_string());
    names.collect::<Vec<_>>().join(" ")
}

fn check(f: &Fixture, terms: &[&str], expected: &str) {
    let request = ListRequest {
        statuses: &Status::ALL,
        filter: ContainerFilter::parse(terms).unwrap(),
        newest: None,
    };
    assert_eq!(names(f, &request), expected, "{terms:?}");
}

fn every_key() {
    let f = four();
    let id = f.engine.find("db").unwrap().id().to_string();
    let rootfs = f.path("rootfs").display().to_string();
    check(&f, &[], "web web2 db c");
    for (term, expected) in [
        (format!("id={id}"), "db"),
        (format!("id={}", &id[..40]), "db"),
        (format!("id={}", id[..40].to_uppercase()), "db"),
        (format!("id={}", &id[1..]), ""),
        (format!("id={}$", &id[24..]), "db"),
        (format!("ancestor={rootfs}"), "web web2 db"),
        (format!("ancestor={rootfs}/:O"), "web web2 db"),
        (format!("before={}", &id[..40]), "web web2"),
        (format!("exited={USR1_CODE}"), "web2"),
    ] {
        check(&f, &[&term], expected);
    }
    for (term, expected) in [
        ("name=web", "web web2"),
        ("name=^web$", "web"),
        ("name=^(db|c)$", "db c"),
        ("name=WEB", ""),
        ("command=^/bin/", "db"),
        ("command=program", "web web2 c"),
        ("label=tier", "web web2"),
        ("label=tier=back", "web2"),
        ("label=x=", "web2"),
        ("label=tie", ""),
        ("label!=tier", "db c"),
        ("label!=tier=front", "web2 db c"),
        ("exited=0", ""),
        ("status=running", "web"),
        ("status=exited", "web2"),
        ("status=stopped", "web2"),
        ("status=created", "db c"),
        ("status=initialized", ""),
        ("status=unknown", ""),
        ("before=web", ""),
        ("since=web2", "db c"),
        ("since=/c", ""),
        ("ancestor=/nowhere", ""),
        ("volume=/data", "db"),
        ("volume=/proc/1", "db"),
        ("volume=/dat", ""),
        ("network=host", "db"),
        ("network=none", "web web2 c"),
    ] {
        check(&f, &[term], expected);
    }
    for what in ["before=nobody", "since=nobody"] {
        let filter = ContainerFilter::parse([what]).unwrap();
        let request = ListRequest {
            statuses: &[],
            filter,
            newest: None,
        };
        let error = f.engine.select(&request).unwrap_err();
        let is_missing = matches!(
            &error,
            EngineError::State(StateError::NotFound { what }) if what == "nobody"
        );
        assert!(is_missing, "{error}");
    }
}

fn several_terms() {
    let f = four();
    for (terms, expected) in [
        // One key: any of them.
        (&["name=^db$", "name=^c$"][..], "db c"),
        (&["status=running", "status=created"], "web db c"),
        (&["before=web2", "before=db"], "web web2"),
        // But all labels.
        (&["label=tier", "label=x"], "web2"),
        (&["label=tier=front", "label=tier=back"], ""),
        (&["label!=x", "label!=tier=front"], "db c"),
        // Different keys: all of them.
        (&["name=web", "status=running"], "web"),
        (&["name=web", "name=db", "status=created"], "db"),
        (&["since=web", "before=c"], "web2 db"),
        (&["label=tier", "label!=x"], "web"),
    ] {
        check(&f, terms, expected);
    }
    let db = f.engine.find("db").unwrap().snapshot().unwrap();
    for (time_ns, expected) in [
        (0, ""),
        (db.created_ns(), "web web2"),
        (db.created_ns() + 1, "web web2 db"),
    ] {
        let filter = ContainerFilter::default().created_before(time_ns);
        let request = ListRequest {
            statuses: &Status::ALL,
            filter,
            newest: None,
        };
        assert_eq!(names(&f, &request), expected);
    }
}

fn statuses_and_limits() {
    let f = four();
    let list = |statuses, terms: &[&str], newest| {
        let filter = ContainerFilter::parse(terms).unwrap();
        names(
            &f,
            &ListRequest {
                statuses,
                filter,
                newest,
            },
        )
    };
    assert_eq!(list(&[Status::Running], &[], None), "web");
    assert_eq!(
        list(&[Status::Running, Status::Exited], &[], None),
        "web web2"
    );
    assert_eq!(list(&[], &[], None), "");
    // The newest ones, and still the oldest first.
    assert_eq!(list(&Status::ALL, &[], Some(2)), "db c");
    assert_eq!(list(&Status::ALL, &[], Some(9)), "web web2 db c");
    assert_eq!(list(&Status::ALL, &[], Some(0)), "");
    // Of those that match.
    assert_eq!(list(&Status::ALL, &["name=web"], Some(1)), "web2");
    assert_eq!(list(&[Status::Running], &["name=web"], Some(1)), "web");
}

fn damaged() {
    let f = four();
    let database = rusqlite::Connection::open(f.path("root/state.db")).unwrap();
    let changed = database.execute("UPDATE container SET config = '{' WHERE name = 'db'", []);
    assert_eq!(changed, Ok(1));
    for (term, expected) in [
        ("name=db", "db"),
        ("status=unknown", "db"),
        ("since=web2", "db c"),
        ("before=db", "web web2"),
        ("label!=tier", "c"),
        ("network=host", ""),
        ("status=created", "c"),
    ] {
        check(&f, &[term], expected);
    }
    // It is one of all and of nothing less.
    let request = ListRequest {
        statuses: &Status::ALL[1..],
        filter: ContainerFilter::default(),
        newest: None,
    };
    assert_eq!(names(&f, &request), "web web2");
}
