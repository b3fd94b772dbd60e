//! The table and the document, by example.

use super::*;
use crate::render::json::pretty;
use expect_test::expect;

const NOW: i64 = 1_700_000_000 * NS;

fn row(status: Status) -> Row {
    let (id, name) = ("0123456789abcdef".repeat(4), "brave_heron".to_owned());
    let mut row = Row::new(id, name, NOW - 300 * NS, Some(status));
    row.image = "/:O".into();
    row.command = vec!["sh".into(), "-c".into(), "echo a; sleep 100".into()];
    row.started_ns = Some(NOW - 200 * NS);
    row.pid = Some(42);
    row.labels.insert("a".into(), "b".into());
    row.mounts.push("/data".into());
    row
}

fn ended(code: i32) -> Row {
    let ended = Some(Ended {
        code,
        at_ns: NOW - 90 * NS,
    });
    Row {
        ended,
        pid: None,
        ..row(Status::Exited)
    }
}

#[test]
fn an_empty_list_has_a_header() {
    expect![[r#"
            CONTAINER ID  IMAGE       COMMAND     CREATED     STATUS      PORTS       NAMES
        "#]]
    .assert_eq(&table(&[], Width::Short, Heading::Shown, NOW));
    assert_eq!(pretty(&json(Vec::new(), NOW)).unwrap(), "[]\n");
}

#[test]
fn without_heading_the_columns_are_the_same() {
    let rows = [row(Status::Running)];
    let whole = table(&rows, Width::Short, Heading::Shown, NOW);
    let bare = table(&rows, Width::Short, Heading::Hidden, NOW);
    assert_eq!(
        whole.lines().skip(1).collect::<Vec<_>>(),
        bare.lines().collect::<Vec<_>>()
    );
    assert_eq!(table(&[], Width::Short, Heading::Hidden, NOW), "");
}

#[test]
fn each_status_has_its_words() {
    let configured = Row {
        started_ns: None,
        command: vec!["true".into()],
        ..row(Status::Configured)
    };
    let damaged = Row {
        status: None,
        remark: Some("unreadable: it has no record".into()),
        ..row(Status::Running)
    };
    let lost = Row {
        remark: Some("monitor lost".into()),
        ..row(Status::Running)
    };
    let rows = [
        configured,
        row(Status::Created),
        row(Status::Running),
        lost,
        row(Status::Paused),
        row(Status::Stopping),
        ended(0),
        ended(137),
        ended(-1),
        row(Status::Removing),
        damaged,
    ];
    expect![[r#"
            CONTAINER ID  IMAGE       COMMAND               CREATED        STATUS                                  PORTS       NAMES
            0123456789ab  /:O         true                  5 minutes ago  Created                                             brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Initialized                                         brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Up 3 minutes                                        brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Up 3 minutes (monitor lost)                         brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Paused                                              brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Stopping                                            brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Exited (0) About a minute ago                       brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Exited (137) About a minute ago                     brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Exited (-1) About a minute ago                      brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Removing                                            brave_heron
            0123456789ab  /:O         sh -c echo a; sle...  5 minutes ago  Unknown (unreadable: it has no record)              brave_heron
        "#]].assert_eq(&table(&rows, Width::Short, Heading::Shown, NOW));
}

#[test]
fn nothing_is_shortened_when_asked() {
    expect![[r#"
            CONTAINER ID                                                      IMAGE       COMMAND                  CREATED        STATUS        PORTS       NAMES
            0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  /:O         sh -c echo a; sleep 100  5 minutes ago  Up 3 minutes              brave_heron
        "#]].assert_eq(&table(&[row(Status::Running)], Width::Full, Heading::Shown, NOW));
}

#[test]
fn what_a_container_chose_is_escaped() {
    let hostile = Row {
        command: vec!["\u{1b}]0;x\u{7}".into(), "\u{202e}".into()],
        image: "/a\nb".into(),
        ..row(Status::Running)
    };
    let text = table(&[hostile], Width::Full, Heading::Shown, NOW);
    assert!(
        !text.bytes().any(|byte| byte == 0x1b || byte == 7),
        "{text:?}"
    );
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn the_fields_of_the_document() {
    expect![[r#"
            [
              {
                "AutoRemove": false,
                "Command": [
                  "sh",
                  "-c",
                  "echo a; sleep 100"
                ],
                "Created": 1699999700,
                "CreatedAt": "5 minutes ago",
                "CIDFile": "",
                "Exited": true,
                "ExitedAt": 1699999910,
                "ExitCode": 3,
                "ExposedPorts": null,
                "Id": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "Image": "/:O",
                "ImageID": "",
                "IsInfra": false,
                "Labels": {
                  "a": "b"
                },
                "Mounts": [
                  "/data"
                ],
                "Names": [
                  "brave_heron"
                ],
                "Namespaces": {},
                "Networks": [],
                "Pid": 0,
                "Pod": "",
                "PodName": "",
                "Ports": null,
                "Restarts": 0,
                "Size": null,
                "StartedAt": 1699999800,
                "State": "exited",
                "Status": "Exited (3) About a minute ago"
              }
            ]
        "#]]
    .assert_eq(&pretty(&json(vec![ended(3)], NOW)).unwrap());
}
