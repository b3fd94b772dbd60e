//! With a program that stands for the journal's: what it prints lies in files.

use std::os::unix::fs::PermissionsExt;

use ctr_sys::{Sync, replace_file};

use super::*;

/// Prints the file `present`, or, asked for what follows a cursor, the file `rest`; followed, it prints `coming` and stays.
const PROGRAM: &str = r#"#!/bin/sh
cd "${0%/*}"
echo "$*" >> calls
case "$*" in
*--sync*) ;;
*--follow*) cat coming; exec sleep 1000;;
*--after-cursor=*) cat rest;;
*) cat present;;
esac
"#;

struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    fn new() -> Self {
        let fake = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fake.write("program", PROGRAM);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(fake.dir.path().join("program"), mode).unwrap();
        fake
    }

    fn write(&self, name: &str, text: &str) {
        replace_file(
            &self.dir.path().join(name),
            text.as_bytes(),
            0o600,
            Sync::No,
        )
        .unwrap();
    }

    fn reader(&self, extent: Extent, tail: Option<usize>) -> JournalReader {
        let id = ContainerId::generate().unwrap();
        let program = self.dir.path().join("program");
        JournalReader::with_program(&program, &id, extent, Period::default(), tail).unwrap()
    }
}

fn entries(texts: &[&str]) -> String {
    let entry = |text: &&str| format!("__CURSOR={text}\nPRIORITY=6\nMESSAGE={text}\n\n");
    texts.iter().map(entry).collect()
}

fn next(reader: &mut JournalReader) -> Option<String> {
    match reader.next().unwrap()? {
        LogItem::Line(line) => Some(String::from_utf8(line.bytes).unwrap()),
        item @ (LogItem::Gap(_) | LogItem::Missed(_)) => panic!("{item:?}"),
    }
}

fn all(reader: &mut JournalReader) -> Vec<String> {
    std::iter::from_fn(|| next(reader)).collect()
}

fn what_is_there_and_the_last_lines_of_it() {
    let fake = Fake::new();
    fake.write("present", &entries(&["a", "b", "c"]));
    assert_eq!(
        all(&mut fake.reader(Extent::Present, None)),
        ["a", "b", "c"]
    );
    assert_eq!(all(&mut fake.reader(Extent::Present, Some(2))), ["b", "c"]);
    assert_eq!(all(&mut fake.reader(Extent::Present, Some(0))), [""; 0]);
}

fn what_comes_and_what_came_late() {
    let fake = Fake::new();
    fake.write("present", &entries(&["a", "b"]));
    fake.write("coming", &entries(&["c"]));
    fake.write("rest", &entries(&["d"]));
    let mut reader = fake.reader(Extent::Growing, Some(1));
    assert_eq!(next(&mut reader).as_deref(), Some("b"));
    let come = loop {
        match next(&mut reader) {
            Some(text) => break text,
            None => wait_readable(reader.descriptor().unwrap(), Deadline::never()).unwrap(),
        };
    };
    assert_eq!(come, "c");
    assert_eq!(next(&mut reader), None);
    reader.end().unwrap();
    assert_eq!(all(&mut reader), ["d"]);
    let calls = std::fs::read_to_string(fake.dir.path().join("calls")).unwrap();
    let after: Vec<&str> = calls
        .lines()
        .filter_map(|call| call.split_once("--after-cursor="))
        .filter_map(|(_, rest)| rest.split_whitespace().next())
        .collect();
    assert_eq!(after, ["b", "c"]);
}

fn a_program_that_fails_is_an_error() {
    let fake = Fake::new();
    let mut reader = fake.reader(Extent::Present, None);
    let error = reader.next().unwrap_err().to_string();
    assert!(error.contains("program"), "{error}");
}

/// One after the other: a program that another thread has just written may still be open for writing in a process of a third.
#[test]
fn the_journal_is_read_by_its_program() {
    what_is_there_and_the_last_lines_of_it();
    what_comes_and_what_came_late();
    a_program_that_fails_is_an_error();
}
