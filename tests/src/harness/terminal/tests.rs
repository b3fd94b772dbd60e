use super::*;

fn sh(script: &str) -> Terminal {
    Terminal::start(&["sh", "-c", script], SIZE).unwrap()
}

#[test]
fn the_program_has_a_terminal_of_the_size() {
    let script = "test -t 0 && test -t 1 && test -t 2 && : < /dev/tty && stty size; exit 3";
    assert_eq!(sh(script).finish(3).unwrap(), "33 101\r\n");
}

#[test]
fn a_new_size_is_announced() {
    let script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.02; done";
    let mut terminal = sh(script);
    terminal.expect("ready").unwrap();
    terminal
        .resize(Size {
            rows: 5,
            columns: 17,
        })
        .unwrap();
    terminal.expect("5 17\r\n").unwrap();
    terminal.finish(0).unwrap();
}

#[test]
fn what_is_typed_arrives_and_expectations_go_forward() {
    let mut terminal = Terminal::start(&["cat", "-v"], SIZE).unwrap();
    terminal.send_line("one").unwrap();
    // The terminal's own echo, then the program.
    terminal.expect("one\r\n").unwrap();
    assert_eq!(terminal.expect("one").unwrap(), "one");
    terminal.send(b"two\x04\x04").unwrap();
    assert_eq!(terminal.expect("two").unwrap(), "\r\ntwo");
    terminal.finish(0).unwrap();
}

#[test]
fn every_byte_goes_through_a_raw_terminal() {
    let mut terminal = sh("stty raw -echo; echo ready; head -c 100000 | tee /dev/tty | wc -c");
    terminal.expect("ready\n").unwrap();
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    terminal.send(&bytes).unwrap();
    terminal.expect_bytes(&bytes).unwrap();
    terminal.expect("100000").unwrap();
}

#[test]
fn an_editor_can_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let words = ["busybox", "vi", file.to_str().unwrap()];
    let mut terminal = Terminal::start(&words, SIZE).unwrap();
    terminal.expect("\x1b[33;1H").unwrap();
    assert!(!terminal.modes().unwrap().are_cooked());
    terminal.send(b"ihello").unwrap();
    terminal.expect("hello").unwrap();
    // By itself, or it is the beginning of a function key.
    terminal.send(b"\x1b").unwrap();
    terminal.expect("- ").unwrap();
    terminal.send(b":wq\r").unwrap();
    terminal.finish(0).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "hello\n");
}

#[test]
fn keys_become_signals_only_while_the_terminal_is_cooked() {
    let mut terminal = sh("trap 'exit 4' INT; echo ready; while :; do sleep 0.02; done");
    terminal.expect("ready").unwrap();
    terminal.send(b"\x03").unwrap();
    assert_eq!(terminal.finish(4).unwrap(), "ready\r\n^C");

    let mut terminal = sh("stty raw -echo; echo ready; head -c 1 | od -An -tx1; stty sane");
    terminal.wait_for_raw().unwrap();
    terminal.expect("ready").unwrap();
    terminal.send(b"\x03").unwrap();
    terminal.expect("03").unwrap();
    assert_eq!(terminal.code().unwrap(), 0);
}

#[test]
fn modes_that_are_left_changed_are_noticed() {
    let terminal = sh("stty raw");
    assert_eq!(terminal.code().unwrap(), 0);
    assert!(terminal.check_restored().is_err());
    let error = terminal.finish(0).unwrap_err().to_string();
    assert!(error.contains("stty raw"), "{error}");

    // Also when the program is killed, and so cannot be innocent by accident.
    let mut terminal = sh("stty raw; echo ready; exec sleep 1000");
    terminal.expect("ready").unwrap();
    terminal.signal(Signal::TERM).unwrap();
    assert_eq!(terminal.code().unwrap(), 128 + 15);
    assert!(terminal.check_restored().is_err());
    assert!(!terminal.modes().unwrap().are_cooked());

    let terminal =
        sh("stty -g > /dev/null; stty raw; stty sane; stty -icanon; stty icanon; exit 1");
    assert_eq!(terminal.code().unwrap(), 1);
    assert!(terminal.modes().unwrap().are_cooked());
}

#[test]
fn a_lost_terminal_ends_the_program() {
    let mut terminal = sh("echo ready; exec sleep 1000");
    terminal.expect("ready").unwrap();
    assert!(!terminal.ends_within(Duration::ZERO).unwrap());
    assert_eq!(terminal.hang_up().unwrap(), 129);

    // Or the program takes note, and cannot write any more.
    let mut terminal =
        sh("trap 'echo lost || exit 5; exit 6' HUP; echo ready; while :; do sleep 0.02; done");
    terminal.expect("ready").unwrap();
    assert_eq!(terminal.hang_up().unwrap(), 5);
}

#[test]
fn a_failure_shows_what_appeared() {
    let mut terminal = sh("echo something else; exit 3");
    assert_eq!(terminal.code().unwrap(), 3);
    terminal.end_session().unwrap();
    let error = terminal.expect("this").unwrap_err().to_string();
    assert!(error.contains("something else"), "{error}");
    assert!(error.contains("this"), "{error}");
}

#[test]
fn a_dropped_terminal_leaves_no_process() {
    let mut terminal = sh("trap '' HUP TERM; echo ready; while :; do sleep 0.02; done");
    terminal.expect("ready").unwrap();
    let program = Process::open(terminal.program.0.as_ref().unwrap().pid)
        .unwrap()
        .unwrap();
    let leader = terminal.leader.pid();
    drop(terminal);
    assert!(program.ends_within(Duration::ZERO).unwrap());
    assert!(Process::open(leader).unwrap().is_none());
}
