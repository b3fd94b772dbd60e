use std::collections::BTreeMap;
use std::path::Path;

use ctr_sys::{Sync, replace_file};

use super::*;

const TIME: &str = "2026-11-25T18:00:00.123456789+00:00";

/// The files of a log by name, with their sizes.
fn sizes(dir: &Path) -> BTreeMap<String, u64> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, entry.metadata().unwrap().len())
        })
        .collect()
}

/// All output in the files, oldest first.
fn output(dir: &Path, files: u32) -> Vec<u8> {
    let mut result = Vec::new();
    for number in (0..files).rev() {
        let name = match number {
            0 => "log".to_owned(),
            number => format!("log.{number}"),
        };
        let Ok(bytes) = std::fs::read(dir.join(name)) else {
            continue;
        };
        for record in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = record
                .strip_prefix(format!("{TIME} stdout ").as_bytes())
                .unwrap();
            let (tag, text) = text.split_at(2);
            let text = text.strip_suffix(b"\n").unwrap();
            result.extend_from_slice(text);
            if tag == b"F " {
                result.push(b'\n');
            }
        }
    }
    result
}

#[test]
fn the_limit_holds_to_the_byte_however_output_comes() {
    let total: Vec<u8> = (0..3_000_000_u32)
        .map(|at| {
            if at % 97 == 96 {
                b'\n'
            } else {
                b'a' + (at % 26) as u8
            }
        })
        .collect();
    for (write, bytes, max) in [
        (1, 20_000, 1000),
        (4096, 1_000_000, 64_000),
        (1 << 20, 3_000_000, 64_000),
        (4096, 100_000, 200),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = FileLog::new(&dir.path().join("log"), Some(max), 4);
        for part in total[..bytes].chunks(write) {
            log.write(TIME, Stream::Stdout, part, &mut None).unwrap();
            for (name, size) in sizes(dir.path()) {
                assert!(size <= max, "{name}: {size} with writes of {write}");
            }
        }
        assert_eq!(sizes(dir.path()).len(), 4);
        let kept = output(dir.path(), 4);
        assert!(kept.len() as u64 >= max / 20 && total[..bytes].ends_with(&kept));
    }
}

#[test]
fn a_line_longer_than_the_limit_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::new(&dir.path().join("log"), Some(1000), 100);
    let mut line = vec![b'x'; 20_000];
    line.push(b'\n');
    log.write(TIME, Stream::Stdout, &line, &mut None).unwrap();
    assert!(sizes(dir.path()).values().all(|size| *size <= 1000));
    assert_eq!(output(dir.path(), 100), line);
}

#[test]
fn a_limit_smaller_than_a_record_is_passed_by_one_record_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::new(&dir.path().join("log"), Some(10), 3);
    log.write(TIME, Stream::Stdout, b"one\ntwo\nthree\nfour\n", &mut None)
        .unwrap();
    assert_eq!(output(dir.path(), 3), b"two\nthree\nfour\n");
}

#[test]
fn without_files_put_aside_a_full_one_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::new(&dir.path().join("log"), Some(110), 1);
    for line in [b"one\n", b"two\n", b"six\n"] {
        log.write(TIME, Stream::Stdout, line, &mut None).unwrap();
    }
    assert_eq!(output(dir.path(), 1), b"six\n");
    assert_eq!(sizes(dir.path()).len(), 1);
}

#[test]
fn files_are_numbered_on_and_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let probe = File::create_new(dir.path().join("probe")).unwrap();
    set_log_number(&probe, 7);
    if log_number(&probe) != Some(7) {
        return;
    }
    for _ in 0..4 {
        // By another writer each time.
        let mut log = FileLog::new(&path, Some(60), 2);
        log.write(TIME, Stream::Stdout, b"one\n", &mut None)
            .unwrap();
    }
    let number = |name: &str| log_number(&File::open(dir.path().join(name)).unwrap());
    assert_eq!((number("log"), number("log.1")), (Some(3), Some(2)));
}

#[test]
fn a_file_that_somebody_removed_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = FileLog::new(&path, Some(60), 2);
    log.write(TIME, Stream::Stdout, b"one\n", &mut None)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    log.write(TIME, Stream::Stdout, b"two\n", &mut None)
        .unwrap();
    assert_eq!(output(dir.path(), 2), b"two\n");
}

#[test]
fn a_file_that_somebody_emptied_is_filled_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = FileLog::new(&path, Some(120), 2);
    let mut write = |line: &[u8]| log.write(TIME, Stream::Stdout, line, &mut None).unwrap();
    write(b"one\n");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    write(b"two\n");
    write(b"six\n");
    assert_eq!(output(dir.path(), 1), b"two\nsix\n");
    assert_eq!(sizes(dir.path()).len(), 1);
}

#[test]
fn a_rotation_that_was_cut_off_is_gone_on_with() {
    // Cut off after the first of its renames: nothing may be lost, whatever is missing.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let write = |line: &[u8]| {
        let mut log = FileLog::new(&path, Some(60), 4);
        log.write(TIME, Stream::Stdout, line, &mut None).unwrap();
    };
    for line in [b"one\n", b"two\n", b"six\n"] {
        write(line);
    }
    std::fs::rename(dir.path().join("log.2"), dir.path().join("log.3")).unwrap();
    write(b"ten\n");
    assert_eq!(output(dir.path(), 4), b"one\ntwo\nsix\nten\n");
    std::fs::remove_file(&path).unwrap();
    write(b"new\n");
    assert_eq!(output(dir.path(), 4), b"one\ntwo\nsix\nnew\n");
}

#[test]
fn what_stands_in_the_way_does_not_disable_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("log.1/full")).unwrap();
    std::fs::create_dir_all(dir.path().join("log.2/full")).unwrap();
    let path = dir.path().join("log");
    let mut log = FileLog::new(&path, Some(60), 3);
    for line in [b"one\n", b"two\n"] {
        log.write(TIME, Stream::Stdout, line, &mut None).unwrap();
    }
    assert_eq!(output(dir.path(), 1), b"two\n");
}

#[test]
fn half_a_record_of_a_killed_writer_goes_and_what_is_not_ours_stays() {
    for (before, after) in [
        (
            "2026-a F x\n2026-b stdout F hal",
            "2026-a F x\nT stdout F new\n",
        ),
        ("2026-", "T stdout F new\n"),
        ("notes", "notes\nT stdout F new\n"),
        ("", "T stdout F new\n"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        replace_file(&path, before.as_bytes(), 0o600, Sync::No).unwrap();
        let mut log = FileLog::new(&path, None, 1);
        log.write("T", Stream::Stdout, b"new\n", &mut None).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
    }
}

#[test]
fn links_and_what_is_no_file_are_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let (path, secret) = (dir.path().join("log"), dir.path().join("secret"));
    replace_file(&secret, b"secret\n", 0o600, Sync::No).unwrap();
    let refused = || {
        let mut log = FileLog::new(&path, None, 1);
        let loss = log
            .write(TIME, Stream::Stdout, b"line\n", &mut None)
            .unwrap_err();
        assert_eq!(loss.bytes, 5);
        std::fs::remove_file(&path).unwrap();
    };
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    refused();
    std::fs::hard_link(&secret, &path).unwrap();
    refused();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &path,
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    refused();
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret\n");
}

#[test]
fn a_gap_is_recorded_with_what_comes_after_it_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = FileLog::new(&path, None, 1);
    let mut missing = Some(Loss {
        bytes: 7,
        why: "no room".to_owned(),
    });
    std::fs::create_dir(&path).unwrap();
    assert!(
        log.write("T", Stream::Stdout, b"x\n", &mut missing)
            .is_err()
    );
    assert!(missing.is_some());
    std::fs::remove_dir(&path).unwrap();
    log.write("T", Stream::Stdout, b"x\n", &mut missing)
        .unwrap();
    assert!(missing.is_none());
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "T gap F 7 no room\nT stdout F x\n");
}
