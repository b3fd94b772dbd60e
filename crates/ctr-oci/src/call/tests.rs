//! Command lines, word by word.

use super::*;

fn check(call: RuntimeCall<'_>, expected: &str) {
    let flags = GlobalFlags {
        root: Path::new("/run/ctr/run/c1/runtime"),
        log: Path::new("/run/ctr/l"),
    };
    let argv = call.argv(flags).unwrap();
    let words: Vec<_> = argv.iter().map(|word| word.to_str().unwrap()).collect();
    let common = "--root /run/ctr/run/c1/runtime --log /run/ctr/l --log-format json ";
    assert_eq!(words.join(" "), expected.replace("GLOBAL ", common));
}

#[test]
fn command_lines() {
    let id = RuntimeId::new("c1").unwrap();
    let (bundle, pid_file) = (Path::new("/b"), Path::new("/p"));
    let create = RuntimeCall::Create {
        id,
        bundle,
        pid_file,
        console_socket: None,
    };
    check(create, "GLOBAL create --bundle /b --pid-file /p c1");
    let create = RuntimeCall::Create {
        id,
        bundle,
        pid_file,
        console_socket: Some(Path::new("/s")),
    };
    check(
        create,
        "GLOBAL create --bundle /b --pid-file /p --console-socket /s c1",
    );
    check(RuntimeCall::Start { id }, "GLOBAL start c1");
    check(RuntimeCall::State { id }, "GLOBAL state c1");
    let kill = |signal, scope| RuntimeCall::Kill { id, signal, scope };
    check(kill(Signal::TERM, KillScope::Init), "GLOBAL kill c1 15");
    check(kill(Signal::KILL, KillScope::All), "GLOBAL kill --all c1 9");
    let delete = |mode| RuntimeCall::Delete { id, mode };
    check(delete(DeleteMode::Stopped), "GLOBAL delete c1");
    check(delete(DeleteMode::Force), "GLOBAL delete --force c1");
    let exec = |console_socket| RuntimeCall::Exec {
        id,
        process: Path::new("/j"),
        pid_file,
        console_socket,
        cgroup: None,
        last_fd: 2,
    };
    let plain = "GLOBAL exec --detach --process /j --pid-file /p c1";
    check(exec(None), plain);
    let console = "GLOBAL exec --detach --process /j --pid-file /p --console-socket /s c1";
    check(exec(Some(Path::new("/s"))), console);
    let flags = "--cgroup exec-1 --preserve-fds 7";
    check(
        exec_in(Some("exec-1")),
        &format!("GLOBAL exec --detach --process /j --pid-file /p {flags} c1"),
    );
    check(RuntimeCall::Pause { id }, "GLOBAL pause c1");
    check(RuntimeCall::Resume { id }, "GLOBAL resume c1");
    check(RuntimeCall::Processes { id }, "GLOBAL ps --format json c1");
    assert_eq!(RuntimeQuery::Features.argv(), ["features"]);
    assert_eq!(RuntimeQuery::Version.argv(), ["--version"]);
}

fn exec_in(cgroup: Option<&str>) -> RuntimeCall<'_> {
    RuntimeCall::Exec {
        id: RuntimeId::new("c1").unwrap(),
        process: Path::new("/j"),
        pid_file: Path::new("/p"),
        console_socket: None,
        cgroup,
        last_fd: 9,
    }
}

#[test]
fn ids_cannot_be_options_or_paths() {
    for good in ["c1", "a_b+c-d.e", &"a".repeat(255)] {
        assert!(RuntimeId::new(good).is_ok(), "{good}");
    }
    check_group_name("exec-4f2a").unwrap();
    let bad = [
        "",
        "-x",
        "--root=/",
        ".",
        "..",
        "../x",
        "a/b",
        "a b",
        "a\nb",
        "a\0b",
        "$(x)",
        "ü",
        &"a".repeat(256),
    ];
    for id in bad {
        assert!(RuntimeId::new(id).is_err(), "{id:?}");
        let refused = check_group_name(id).unwrap_err().to_string();
        assert!(refused.contains("control group"), "{refused}");
        let flags = GlobalFlags {
            root: Path::new("/r"),
            log: Path::new("/l"),
        };
        exec_in(Some(id)).argv(flags).unwrap_err();
    }
}

#[test]
fn relative_paths_are_refused() {
    let id = RuntimeId::new("c1").unwrap();
    let absolute = Path::new("/x");
    let relative = Path::new("-o");
    let flags = |root, log| GlobalFlags { root, log };
    for flags in [flags(relative, absolute), flags(absolute, relative)] {
        RuntimeCall::Start { id }.argv(flags).unwrap_err();
    }
    for (bundle, pid_file, socket) in [
        (relative, absolute, absolute),
        (absolute, relative, absolute),
        (absolute, absolute, relative),
    ] {
        let create = RuntimeCall::Create {
            id,
            bundle,
            pid_file,
            console_socket: Some(socket),
        };
        create.argv(flags(absolute, absolute)).unwrap_err();
    }
}
