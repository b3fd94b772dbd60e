//! `ps --sort`: by what the rows are ordered. Rows that are equal in it stay in the order of their creation.

use std::str::FromStr;

use super::Row;

const WORDS: &str = "must be one of command, created, id, image, names, runningfor or status";

/// What rows are ordered by, always ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SortKey {
    Command,
    /// The order in which the rows come.
    #[default]
    Created,
    Id,
    Image,
    Names,
    /// When it was started last; those that never were come first.
    RunningFor,
    /// The word for its status.
    Status,
}

impl FromStr for SortKey {
    type Err = &'static str;

    /// Reads podman's words; the error says what is allowed.
    fn from_str(word: &str) -> Result<Self, &'static str> {
        match word {
            "command" => Ok(Self::Command),
            "created" => Ok(Self::Created),
            "id" => Ok(Self::Id),
            "image" => Ok(Self::Image),
            "names" => Ok(Self::Names),
            "runningfor" => Ok(Self::RunningFor),
            "status" => Ok(Self::Status),
            "size" => Err("sizes are not counted yet"),
            _ => Err(WORDS),
        }
    }
}

impl SortKey {
    /// Orders rows that come in the order of their creation.
    pub(crate) fn sort(self, rows: &mut [Row]) {
        match self {
            Self::Created => {}
            Self::Command => rows.sort_by(|a, b| a.command.cmp(&b.command)),
            Self::Id => rows.sort_by(|a, b| a.id.cmp(&b.id)),
            Self::Image => rows.sort_by(|a, b| a.image.cmp(&b.image)),
            Self::Names => rows.sort_by(|a, b| a.name.cmp(&b.name)),
            Self::RunningFor => rows.sort_by_key(|row| row.started_ns),
            Self::Status => rows.sort_by_cached_key(Row::state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_state::Status;

    /// id, name, image, command, start, status; in the order of creation.
    fn rows() -> Vec<Row> {
        [
            ("3", "b", "/x", "sh", Some(9), Status::Running),
            ("1", "c", "/y", "cat", None, Status::Configured),
            ("2", "a", "/x", "sh", Some(5), Status::Exited),
        ]
        .map(|(id, name, image, command, started_ns, status)| Row {
            image: image.to_owned(),
            command: vec![command.to_owned()],
            started_ns,
            ..Row::new(id.to_owned(), name.to_owned(), 0, Some(status))
        })
        .into()
    }

    #[test]
    fn each_key_has_its_order() {
        for (word, expected) in [
            ("created", "312"),
            ("command", "132"),
            ("id", "123"),
            ("image", "321"),
            ("names", "231"),
            ("runningfor", "123"),
            ("status", "123"),
        ] {
            let mut rows = rows();
            word.parse::<SortKey>().unwrap().sort(&mut rows);
            let order: String = rows.iter().map(|row| row.id.as_str()).collect();
            assert_eq!(order, expected, "{word}");
        }
        assert_eq!(SortKey::default(), SortKey::Created);
    }

    #[test]
    fn other_words_are_refused() {
        for word in ["", "size", "name", "CREATED"] {
            assert!(word.parse::<SortKey>().is_err(), "{word}");
        }
    }
}
