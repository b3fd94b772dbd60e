//! What command lines select, and what they are refused for.

use super::*;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

/// What is selected, in a word, or the refusal.
fn check(wanted: Wanted<'_>, expected: &str) {
    let selected = match wanted.selection() {
        Ok(Selection::Named {
            names, cid_files, ..
        }) => {
            format!("named {}", names.len() + cid_files.len())
        }
        Ok(Selection::Every(request)) => format!("every of {}", request.statuses.len()),
        Ok(Selection::Latest) => "latest".to_owned(),
        Err(error) => error.message().to_owned(),
    };
    assert_eq!(selected, expected, "{wanted:?}");
}

#[test]
fn one_way_to_select() {
    let (none, names, files) = (words(&[]), words(&["a", "b"]), words(&["f"]));
    let filters = words(&["name=x"]);
    let nothing = Wanted::named(&none);
    let two = Wanted::named(&names);
    check(nothing, "the name or id of a container is missing");
    check(two, "named 2");
    check(
        Wanted {
            cid_files: &files,
            ..two
        },
        "named 3",
    );
    check(
        Wanted {
            cid_files: &files,
            ..nothing
        },
        "named 1",
    );
    check(
        Wanted {
            latest: true,
            ..nothing
        },
        "latest",
    );
    let all = Wanted {
        all: true,
        statuses: &[Status::Running],
        ..nothing
    };
    check(all, "every of 1");
    check(
        Wanted {
            filters: &filters,
            ..all
        },
        "every of 1",
    );
    check(
        Wanted {
            filters: &filters,
            ..nothing
        },
        "every of 8",
    );
}

#[test]
fn two_ways_exclude_each_other() {
    let (none, names, files) = (words(&[]), words(&["a"]), words(&["f"]));
    let filters = words(&["name=x"]);
    let nothing = Wanted::named(&none);
    let two = Wanted::named(&names);
    for (wanted, first, second) in [
        (Wanted { all: true, ..two }, "--all", "names of containers"),
        (
            Wanted {
                latest: true,
                ..two
            },
            "--latest",
            "names of containers",
        ),
        (
            Wanted {
                filters: &filters,
                ..two
            },
            "--filter",
            "names of containers",
        ),
        (
            Wanted {
                all: true,
                latest: true,
                ..nothing
            },
            "--all",
            "--latest",
        ),
        (
            Wanted {
                filters: &filters,
                latest: true,
                ..nothing
            },
            "--filter",
            "--latest",
        ),
        (
            Wanted {
                cid_files: &files,
                latest: true,
                ..nothing
            },
            "--latest",
            "--cidfile",
        ),
        (
            Wanted {
                cid_files: &files,
                all: true,
                ..two
            },
            "--all",
            "--cidfile",
        ),
    ] {
        check(wanted, &format!("{first} and {second} exclude each other"));
    }
}

#[test]
fn a_wrong_filter_is_refused_before_anything_is_opened() {
    let (none, filters) = (words(&[]), words(&["colour=red"]));
    let wanted = Wanted {
        filters: &filters,
        ..Wanted::named(&none)
    };
    let error = wanted.selection().unwrap_err();
    assert!(
        error.message().contains("colour=red"),
        "{}",
        error.message()
    );
}

#[test]
fn one_container_and_no_more() {
    let (none, one, two) = (words(&[]), words(&["a"]), words(&["a", "b"]));
    let select = |wanted: Wanted<'_>| wanted.selection().unwrap().one("attach").map(drop);
    assert!(select(Wanted::named(&one)).is_ok());
    assert!(
        select(Wanted {
            latest: true,
            ..Wanted::named(&none)
        })
        .is_ok()
    );
    for wanted in [
        Wanted::named(&two),
        Wanted {
            all: true,
            ..Wanted::named(&none)
        },
        Wanted {
            cid_files: &one,
            ..Wanted::named(&none)
        },
    ] {
        let error = select(wanted).unwrap_err();
        assert_eq!(error.message(), "attach takes one container");
    }
}
