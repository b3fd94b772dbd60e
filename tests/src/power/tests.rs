//! The disks that are made are those that a power cut may leave, and what is wrong with one is seen.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::disk::{BASE, CUTS, Change, Cut, Disk, Image, Kind, SECTOR};
use super::judge::{Truth, Wrong};
use super::load::Recording;
use super::record::Record;
use super::without_syncs;
use crate::race::history::{Answer, Call, Verb};
use crate::race::plan::Random;

const FILE: usize = 1;

fn made() -> Change {
    Change::Make {
        parent: BASE,
        name: "file".to_owned(),
        node: FILE,
        kind: Kind::File,
    }
}

fn written(at: usize, byte: u8, length: usize) -> Change {
    Change::Write {
        file: FILE,
        at,
        bytes: vec![byte; length],
    }
}

fn synced(node: usize, before: usize) -> Change {
    Change::Sync { node, before }
}

fn disk(changes: &[Change]) -> Disk {
    let mut disk = Disk::default();
    for change in changes {
        disk.apply(change);
    }
    disk
}

/// What a thousand cuts of this kind leave.
fn all(disk: &Disk, cut: Cut) -> Vec<Image> {
    let mut random = Random::new(7);
    (0..1000).map(|_| disk.cut(cut, &mut random)).collect()
}

#[test]
fn what_was_synced_outlives_every_cut() {
    let disk = disk(&[
        made(),
        written(0, 1, 2000),
        synced(FILE, 2),
        synced(BASE, 2),
        written(0, 2, 100),
    ]);
    for cut in CUTS {
        for image in all(&disk, cut) {
            let file = image.file("file").unwrap();
            assert!(file.len() == 2000 && file[100..].iter().all(|byte| *byte == 1));
        }
    }
}

#[test]
fn a_file_whose_directory_was_not_synced_may_be_missing() {
    let disk = disk(&[made(), written(0, 1, 10), synced(FILE, 2)]);
    let missing = |cut| {
        let images = all(&disk, cut);
        images
            .iter()
            .filter(|image| image.file("file").is_none())
            .count()
    };
    assert_eq!((missing(Cut::Nothing), missing(Cut::Everything)), (1000, 0));
    assert!((1..1000).contains(&missing(Cut::Any)));
}

#[test]
fn a_sync_covers_what_was_done_when_it_began() {
    let disk = disk(&[
        made(),
        synced(BASE, 1),
        written(0, 1, 10),
        // It had begun before the write was through.
        synced(FILE, 2),
    ]);
    for image in all(&disk, Cut::Nothing) {
        assert_eq!(image.file("file"), Some(&[][..]));
    }
}

#[test]
fn a_torn_write_is_torn_between_sectors() {
    let disk = disk(&[made(), synced(BASE, 1), written(SECTOR / 2, 1, 2 * SECTOR)]);
    let mut torn = 0;
    for image in all(&disk, Cut::Torn) {
        let file = image.file("file").unwrap();
        let part = |from: usize, to: usize| file.get(from..to.min(file.len())).unwrap_or_default();
        // Each of the three sectors that the write touches is there or not.
        let sectors = [
            part(SECTOR / 2, SECTOR),
            part(SECTOR, 2 * SECTOR),
            part(2 * SECTOR, 5 * SECTOR / 2),
        ];
        let ones =
            sectors.map(|sector| sector.iter().map(|byte| usize::from(*byte)).sum::<usize>());
        assert!(
            ones.iter()
                .zip(sectors)
                .all(|(ones, sector)| *ones == 0 || *ones == sector.len())
        );
        torn += usize::from(ones[0] == 0 && ones[1] > 0);
    }
    assert!(torn > 0);
}

#[test]
fn writes_reach_the_disk_in_any_order_and_names_change_whole() {
    let rename = Change::Rename {
        parent: BASE,
        from: "file".to_owned(),
        to: "new".to_owned(),
    };
    let disk = disk(&[
        made(),
        synced(BASE, 1),
        written(0, 1, 1),
        written(1, 2, 1),
        rename,
    ]);
    let images = all(&disk, Cut::Any);
    let found =
        |name: &str, bytes: &[u8]| images.iter().any(|image| image.file(name) == Some(bytes));
    for name in ["file", "new"] {
        for bytes in [&[][..], &[1], &[0, 2], &[1, 2]] {
            assert!(found(name, bytes), "{name} {bytes:?}");
        }
    }
    for image in &images {
        assert_eq!(image.names("").len(), 1);
    }
}

/// A store of one file, in which each byte is an event, and which says what it has found as an engine would.
fn engine(image: &Image) -> Value {
    let file = image.file("file").unwrap_or_default();
    let events: Vec<String> = file.iter().map(|byte| event(usize::from(*byte))).collect();
    let row = |number: usize| {
        json!({
            "id": format!("id{number}"), "name": "name-0", "status": "created", "generation": 0
        })
    };
    let rows: Vec<Value> = file.iter().map(|byte| row(usize::from(*byte))).collect();
    json!({ "integrity": "ok", "events": events, "rows": rows })
}

fn event(number: usize) -> String {
    format!("{number} create id{number} name-0 0 100")
}

/// A program that writes an event, syncs it and answers, three times.
fn recording() -> Recording {
    let change = Record::Change;
    let mut records = vec![change(made()), change(synced(BASE, 1))];
    let mut calls = Vec::new();
    for number in 1..=3_usize {
        let byte = u8::try_from(number).unwrap();
        records.push(change(written(number - 1, byte, 1)));
        records.push(change(synced(FILE, 2 * number + 1)));
        records.push(Record::Answer {
            worker: 100,
            line: json!({ "answer": "done", "id": format!("id{number}") }).to_string(),
        });
        calls.push(Call {
            process: 0,
            verb: Verb::Create,
            name: 0,
            to_name: None,
            id: Some(0),
            from: 0,
            to: 1,
            answer: Answer::Done,
        });
    }
    Recording {
        records,
        calls: BTreeMap::from([(100, calls)]),
    }
}

/// How many disks of this record have lost something, and with how many something else is wrong.
fn lost(records: &[Record]) -> (usize, usize) {
    let truth = Truth::of(&recording(), (1..=3).map(event).collect());
    assert_eq!(truth.promises, 3);
    let (mut lost, mut other) = (0, 0);
    for found in super::cuts(records, &truth, 2000, Random::new(3)) {
        match truth.judge(&engine(&found.image), found.promised) {
            None => {}
            Some(Wrong::Lost(_)) => lost += 1,
            Some(_) => other += 1,
        }
    }
    (lost, other)
}

#[test]
fn a_program_that_syncs_before_it_answers_loses_nothing() {
    assert_eq!(lost(&recording().records), (0, 0));
}

#[test]
fn a_missing_sync_is_found() {
    let records = recording().records;
    // Each one of them alone, and all together.
    for (place, record) in records.iter().enumerate() {
        if matches!(record, Record::Change(Change::Sync { .. })) {
            let mut fewer = records.clone();
            fewer[place] = without_syncs(std::slice::from_ref(record)).remove(0);
            let (lost, other) = lost(&fewer);
            assert!(lost + other > 0, "without {place}");
        }
    }
    assert!(lost(&without_syncs(&records)).0 > 0);
}

#[test]
fn what_does_not_fit_together_is_seen() {
    let truth = Truth::of(&recording(), (1..=3).map(event).collect());
    let whole = |change: fn(&mut Value)| {
        let changes = recording().records;
        let mut disk = Disk::default();
        for change in changes.iter().filter_map(super::change) {
            disk.apply(change);
        }
        let mut said = engine(&disk.cut(Cut::Everything, &mut Random::new(1)));
        change(&mut said);
        truth.judge(&said, 3)
    };
    assert_eq!(whole(|_| {}), None);
    let damaged =
        |wrong: Option<Wrong>| assert!(matches!(wrong, Some(Wrong::Damaged(_))), "{wrong:?}");
    damaged(whole(|said| {
        said["integrity"] = "row 3 missing from index".into();
    }));
    damaged(whole(|said| said["events"][1] = event(7).into()));
    damaged(whole(|said| said["rows"][1]["name"] = "name-1".into()));
    damaged(whole(|said| said["rows"][1]["status"] = "running".into()));
    damaged(whole(|said| said["rows"][1]["generation"] = 2.into()));
    damaged(whole(|said| said["rows"] = json!([])));
    damaged(whole(|said| said["damaged"] = "open".into()));
    let wedged = whole(|said| said["wedged"] = "1 containers are left".into());
    assert!(matches!(wedged, Some(Wrong::Wedged(_))));
}
