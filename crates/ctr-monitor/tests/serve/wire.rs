//! What older and newer monitors and engines say to each other: the forms must not change under a version.

use ctr_monitor::protocol::{CleanupPromise, Envelope, Reply, Request, RuntimeKind};
use ctr_monitor::{ExitRecord, ExitReport, MonitorError, StartSeen, TimedOut};
use ctr_sys::{Sync, replace_file};

use crate::Test;

pub(crate) const TESTS: [Test; 3] = [
    ("wire: requests", requests),
    ("wire: replies", replies),
    ("wire: exit records", exit_records),
];

fn parse(text: &str) -> Request {
    let envelope: Envelope = serde_json::from_str(text).unwrap();
    assert_eq!(envelope.version, 1);
    envelope.request
}

fn requests() {
    for (text, verb) in [
        (r#"{"version":1,"request":"commit"}"#, "keep the container"),
        (r#"{"version":1,"request":"start"}"#, "start the container"),
        (r#"{"version":1,"request":"status"}"#, "tell its status"),
        (r#"{"version":1,"request":"cleaned"}"#, "end"),
        (
            r#"{"version":1,"request":"abandon"}"#,
            "give the container up",
        ),
        (
            r#"{"version":1,"request":"signal","signal":15}"#,
            "send a signal",
        ),
    ] {
        let request = parse(text);
        assert_eq!(request.verb(), verb);
        let envelope = Envelope {
            version: 1,
            request,
        };
        assert_eq!(serde_json::to_string(&envelope).unwrap(), text);
    }
    let newer = r#"{"version":1,"request":"attach","cleanup":"made","replay":100}"#;
    let Request::Attach(attach) = parse(newer) else {
        panic!("not an attach");
    };
    assert_eq!(attach.cleanup, CleanupPromise::Made);
    let kind: RuntimeKind = serde_json::from_str(r#"{"kind":"program","path":"/r"}"#).unwrap();
    assert_eq!(kind, RuntimeKind::Program { path: "/r".into() });
}

fn replies() {
    let text =
        r#"{"reply":"failed","failure":"monitor","operation":"open","subject":"x","why":"y"}"#;
    let Reply::Failed(failure) = Reply::parse(text.as_bytes()).unwrap() else {
        panic!("not a failure");
    };
    let failure = MonitorError::from(failure);
    assert_eq!(failure.to_string(), "the monitor could not open x: y");
    for bad in ["", "{}", r#"{"reply":"unheard-of"}"#] {
        let error = Reply::parse(bad.as_bytes()).unwrap_err();
        assert!(matches!(error, MonitorError::BadAnswer { .. }), "{error}");
    }
}

fn exit_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = ExitRecord::path(dir.path(), 3);
    assert_eq!(path, dir.path().join("exit.3"));
    // As the first version wrote it, and with something that a later one may add.
    let text = r#"{"version":1,"id":"a","generation":3,"init":{"pid":7,"start_time":9},
        "exit":{"how":"signaled","signal":9},"finished_ns":5,"oom_kills":1,"log_bytes_lost":2,"more":{}}"#;
    replace_file(&path, text.as_bytes(), 0o600, Sync::No).unwrap();
    let record = ExitRecord::read(dir.path(), 3).unwrap().unwrap();
    let signal = ctr_sys::Signal::KILL;
    assert_eq!(record.exit, ExitReport::Signaled { signal });
    assert_eq!(
        (record.start, record.oom_kills, record.log_bytes_lost),
        (StartSeen::Yes, 1, 2)
    );
    assert_eq!(record.timed_out, TimedOut::No);
    replace_file(&path, b"{}", 0o600, Sync::No).unwrap();
    let error = ExitRecord::read(dir.path(), 3).unwrap_err();
    assert!(matches!(error, MonitorError::BadRecord { .. }), "{error}");
    assert_eq!(
        ExitRecord::read(&dir.path().join("absent"), 3).unwrap(),
        None
    );
}
