use super::*;

fn words(script: &str, place: &str) -> Vec<String> {
    ["/bin/sh", "-c", script, place].map(str::to_owned).to_vec()
}

/// Only the program `mkdir` is a runtime here.
fn traced(script: &str, place: &str, decide: &mut Decide<'_>) -> Traced {
    within(60, script, place, decide)
}

fn within(seconds: u64, script: &str, place: &str, decide: &mut Decide<'_>) -> Traced {
    let programs = Programs {
        runtimes: vec!["/bin/mkdir".into()],
    };
    let plan = Plan {
        programs: &programs,
        interest: &|_| Interest::Calls,
        until: Until::End,
        patience: Duration::from_secs(seconds),
        attach: &[],
    };
    trace(&words(script, place), &plan, decide).unwrap()
}

const MKDIR: i64 = libc::SYS_mkdir;

#[test]
fn calls_are_seen_with_their_role_and_their_answer() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("made");
    let mut seen = Vec::new();
    let script = "mkdir \"$0\"; mkdir \"$0\" 2>/dev/null; exit 3";
    let traced = traced(script, place.to_str().unwrap(), &mut |call| {
        if call.is(MKDIR) {
            seen.push((call.role, call.phase, call.subject()));
            assert!(call.nth_change.is_some());
            assert_eq!(call.name(), "mkdir");
        }
        Action::Continue
    });
    assert_eq!(traced.output.code, 3, "{}", traced.output);
    let path = place.to_str().unwrap().to_owned();
    let exists = -i64::from(Errno::EXIST.raw_os_error());
    let expected = [
        Phase::Entry,
        Phase::Exit(0),
        Phase::Entry,
        Phase::Exit(exists),
    ];
    assert_eq!(
        seen,
        expected.map(|phase| (Role::Runtime, phase, path.clone()))
    );
    let (calls, changes) = traced.calls[&Role::Runtime];
    assert!(changes >= 4 && calls > changes, "{:?}", traced.calls);
}

#[test]
fn a_process_is_killed_before_its_call_and_the_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("made");
    let script = "mkdir \"$0\"; echo $?; mkdir \"$0\"; echo $?";
    let mut calls = 0;
    let traced = traced(script, place.to_str().unwrap(), &mut |call| {
        if call.is(MKDIR) && call.phase == Phase::Entry {
            calls += 1;
            if calls == 1 {
                return Action::Kill;
            }
        }
        Action::Continue
    });
    assert_eq!(traced.output.out(), "137\n0\n");
    assert!(place.exists());
}

#[test]
fn a_call_fails_with_the_error_that_was_chosen_and_is_not_carried_out() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("made");
    let traced = traced("mkdir \"$0\"", place.to_str().unwrap(), &mut |call| {
        if call.is(MKDIR) && call.phase == Phase::Entry {
            Action::Fail(Errno::NOSPC)
        } else {
            Action::Continue
        }
    });
    assert_eq!(traced.output.code, 1);
    assert!(
        traced.output.err().contains("No space left"),
        "{}",
        traced.output
    );
    assert!(!place.exists());
}

#[test]
fn one_that_is_let_go_runs_on_and_a_command_that_hangs_is_killed() {
    let traced = within(1, "read -r line </dev/zero", "", &mut |call| {
        if call.role == Role::Cli && call.nth == 1 {
            Action::Detach
        } else {
            Action::Continue
        }
    });
    // Read for ever, and nobody looked at it any more.
    assert!(traced.hung);
    assert_eq!(traced.output.code, 137);
}
