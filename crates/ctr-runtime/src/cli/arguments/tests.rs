use super::*;

fn check(line: &str, expected: &Result<Verb, &str>) -> Global {
    let words = line.split_whitespace().map(OsString::from).collect();
    let (global, verb) = parse(words);
    match (verb, expected) {
        (Ok(verb), Ok(expected)) => assert_eq!(&verb, expected, "{line}"),
        (Err(error), Err(part)) => assert!(error.contains(part), "{line}: {error}"),
        (verb, _) => panic!("{line}: {verb:?} instead of {expected:?}"),
    }
    global
}

#[test]
fn global_options_come_first() {
    let id = "x".to_owned();
    let global = check(
        "--root /r --log=/l --log-format json --debug state x",
        &Ok(Verb::State { id }),
    );
    let expected = Global {
        root: "/r".into(),
        log: Some("/l".into()),
        log_format: LogFormat::Json,
    };
    assert_eq!(global, expected);
    // A wrong verb is still logged where the options say.
    assert_eq!(
        check("--log /l nonsense", &Err("nonsense")).log,
        Some("/l".into())
    );
    check("--version", &Ok(Verb::Version));
    check("--systemd-cgroup state x", &Err("cgroupfs"));
    check("--log-format xml state x", &Err("must be text or json"));
    check("--root", &Err("needs a value"));
    check("--root= state x", &Err("needs a value"));
    check("", &Err("a verb is missing"));
}

#[test]
fn verbs_are_read() {
    let id = || "x".to_owned();
    let creation = |bundle: &str, pid_file: Option<&str>| Creation {
        id: id(),
        bundle: bundle.into(),
        pid_file: pid_file.map(PathBuf::from),
        console: None,
    };
    let create = |bundle, pid_file| Verb::Create(creation(bundle, pid_file));
    let kill = |signal, scope| Verb::Kill {
        id: id(),
        signal,
        scope,
    };
    let delete = |mode| Verb::Delete { id: id(), mode };
    check("create x", &Ok(create(".", None)));
    check(
        "create --bundle /b --pid-file=/p x",
        &Ok(create("/b", Some("/p"))),
    );
    check("create x -b /b", &Ok(create("/b", None)));
    check(
        "create --console-socket /s x",
        &Ok(Verb::Create(Creation {
            console: Some("/s".into()),
            ..creation(".", None)
        })),
    );
    check("start x", &Ok(Verb::Start { id: id() }));
    check("kill x", &Ok(kill(Signal::TERM, KillScope::Init)));
    check("kill --all x KILL", &Ok(kill(Signal::KILL, KillScope::All)));
    check("kill x 9", &Ok(kill(Signal::KILL, KillScope::Init)));
    check("delete x", &Ok(delete(DeleteMode::Stopped)));
    check("delete --force x", &Ok(delete(DeleteMode::Force)));
    let run = |attachment| Verb::Run {
        creation: creation("/b", None),
        attachment,
    };
    check("run -b /b x", &Ok(run(Attachment::Foreground)));
    check("run -d -b /b x", &Ok(run(Attachment::Detached)));
    check("pause x", &Ok(Verb::Pause { id: id() }));
    check("resume x", &Ok(Verb::Resume { id: id() }));
    let ps = |format| Verb::Ps { id: id(), format };
    check("ps x", &Ok(ps(ListFormat::Table)));
    check("ps x -f json", &Ok(ps(ListFormat::Json)));
    let list = |format| Verb::List { format };
    check("list", &Ok(list(ListFormat::Table)));
    check("list --format=json", &Ok(list(ListFormat::Json)));
    check("list -q", &Ok(list(ListFormat::Ids)));
    check(
        "--systemd-cgroup=false --cgroup-manager=cgroupfs --rootless auto features",
        &Ok(Verb::Features),
    );
}

#[test]
fn wrong_lines_are_refused() {
    check("create", &Err("id is missing"));
    check("create x y", &Err("too many"));
    check(
        "create --console-socket",
        &Err("--console-socket needs a value"),
    );
    check("create --no-pivot x", &Err("--no-pivot"));
    check("start", &Err("id is missing"));
    check("start x y", &Err("too many"));
    check("kill x NONSENSE", &Err("unknown signal"));
    check("kill x TERM y", &Err("too many"));
    check("delete --all x", &Err("--all"));
    check("create -d x", &Err("--detach"));
    check("list x", &Err("too many"));
    check("ps --format xml x", &Err("must be table or json"));
    check("pause", &Err("id is missing"));
    check("events x", &Err("unknown verb"));
    check("--cgroup-manager systemd list", &Err("cgroupfs"));
    check("--systemd-cgroup=true list", &Err("cgroupfs"));
    check("--rootless true list", &Err("must be auto or false"));
}

#[test]
fn what_is_executed_comes_from_a_file_or_from_words() {
    let execution = |executable| Execution {
        id: "x".to_owned(),
        executable,
        attachment: Attachment::Foreground,
        pid_file: None,
        console: None,
        preserved: 0,
        cgroup: None,
    };
    let changed = |changes| execution(Executable::Changed(Box::new(changes)));
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    check(
        "exec x ls -d --all",
        &Ok(Verb::Exec(changed(Changes {
            arguments: words("ls -d --all"),
            ..Changes::default()
        }))),
    );
    let line = "exec -t --cwd /w -e A=1 --env B= -u 7:8 -g 9 --additional-gids=10 -c CAP_KILL --no-new-privs x true";
    check(
        line,
        &Ok(Verb::Exec(changed(Changes {
            arguments: words("true"),
            environment: words("A=1 B="),
            cwd: Some("/w".into()),
            user: Some((7, Some(8))),
            groups: vec![9, 10],
            capabilities: words("CAP_KILL"),
            terminal: true,
            no_new_privileges: true,
        }))),
    );
    check(
        "exec -d --process /j --pid-file /p --console-socket /s --cgroup g --preserve-fds 2 --tty x",
        &Ok(Verb::Exec(Execution {
            attachment: Attachment::Detached,
            pid_file: Some("/p".into()),
            console: Some("/s".into()),
            preserved: 2,
            cgroup: Some("g".to_owned()),
            ..execution(Executable::File("/j".into()))
        })),
    );
    check("exec x", &Err("a command or --process is missing"));
    check("exec", &Err("id is missing"));
    check("exec --process /j x true", &Err("the file alone"));
    check("exec --process /j -u 1 x", &Err("the file alone"));
    check("exec -u root x true", &Err("as numbers"));
    check("exec -u 1: x true", &Err("as numbers"));
    check("exec -e A x true", &Err("NAME=VALUE"));
    check("exec -e =A x true", &Err("NAME=VALUE"));
    check("exec -g -1 x true", &Err("the number of a group"));
    check("exec --preserve-fds 65536 x true", &Err("from 0 to 65535"));
    check("exec --detach=true x true", &Err("takes no value"));
    check("exec --apparmor a x true", &Err("--apparmor"));
}

#[test]
fn limits_come_from_a_file_or_from_options() {
    let update = |limits| {
        Ok(Verb::Update(Update {
            id: "x".to_owned(),
            limits,
        }))
    };
    check("update -r - x", &update(Limits::File("-".into())));
    let resources = serde_json::json!({
        "memory": { "limit": 100, "swap": -1 },
        "cpu": { "shares": 7 },
        "pids": { "limit": 5 },
    });
    let resources = serde_json::from_value(resources).unwrap();
    check(
        "update --memory 100 --memory-swap=-1 --cpu-shares 7 --pids-limit 5 x",
        &update(Limits::Given(Box::new(resources))),
    );
    check("update x", &Err("no limit is given"));
    check("update --memory 1G x", &Err("a number of bytes"));
    check("update --memory 1 -r /f x", &Err("exclude each other"));
    check("update --l3-cache-schema a x", &Err("--l3-cache-schema"));
}
