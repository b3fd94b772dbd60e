//! The two tables of `ARCHITECTURE.md`, read as they stand there: what the program must do, in the words of whoever reads the page.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::operation::Operation;
use super::status::Status;

/// The page, as it is when the cases run.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");

/// The word for the end of the row.
pub(super) const GONE: &str = "gone";

/// What a cell says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// `-`
    Refused,
    /// `=`
    Stays,
    /// The names of the moves; [`GONE`] is the last one of a removal.
    Moves(Vec<String>),
}

impl Effect {
    fn parse(cell: &str) -> Effect {
        match cell {
            "-" => Effect::Refused,
            "=" => Effect::Stays,
            moves => Effect::Moves(moves.split(", ").map(str::to_owned).collect()),
        }
    }

    /// The moves, none where there are none.
    pub(super) fn moves(&self) -> &[String] {
        match self {
            Effect::Refused | Effect::Stays => &[],
            Effect::Moves(moves) => moves,
        }
    }

    /// Whether it has this move.
    pub(super) fn has(&self, name: &str) -> bool {
        self.moves().iter().any(|one| one == name)
    }
}

/// Cells by the names of their row and column.
type Cells = BTreeMap<(String, String), String>;

/// Both tables.
pub(super) struct Oracle {
    moves: Cells,
    operations: Cells,
}

impl Oracle {
    /// Reads the page.
    pub(super) fn read() -> Result<Oracle> {
        let text = std::fs::read_to_string(PAGE).with_context(|| format!("read {PAGE}"))?;
        Ok(Oracle {
            moves: cells(&text, "from")?,
            operations: cells(&text, "operation")?,
        })
    }

    /// What an operation does in a status.
    pub(super) fn effect(&self, operation: Operation, status: Status) -> Result<Effect> {
        cell(&self.operations, operation.name(), status.name()).map(Effect::parse)
    }

    /// Where the moves of an effect lead; `None` when the container is gone then.
    pub(super) fn after(&self, status: Status, effect: &Effect) -> Result<Option<Status>> {
        let mut at = status;
        for name in effect.moves() {
            if name == GONE {
                return Ok(None);
            }
            at = Status::named(cell(&self.moves, at.name(), name)?)?;
        }
        Ok(Some(at))
    }
}

fn cell<'a>(cells: &'a Cells, row: &str, column: &str) -> Result<&'a str> {
    let cell = cells.get(&(row.to_owned(), column.to_owned()));
    let cell = cell.with_context(|| format!("the page has no cell for {row} and {column}"))?;
    Ok(cell)
}

/// The table whose first head cell is this word.
fn cells(text: &str, corner: &str) -> Result<Cells> {
    let begin = format!("| {corner} |");
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&begin));
    let head = split(lines.next().with_context(|| format!("no table {begin}"))?);
    let mut cells = Cells::new();
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let row = split(line);
        ensure!(row.len() == head.len(), "{line} does not fit its head");
        for (column, cell) in head.iter().zip(&row).skip(1) {
            cells.insert((row[0].clone(), column.clone()), cell.clone());
        }
    }
    Ok(cells)
}

/// The cells of a line; marks of code are no part of the words.
fn split(line: &str) -> Vec<String> {
    let inner = line.trim().trim_matches('|');
    let words = inner
        .split('|')
        .map(|cell| cell.trim().trim_matches('`').to_owned());
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_cell_for_everything() {
        let oracle = Oracle::read().unwrap();
        assert_eq!(
            oracle.operations.len(),
            Operation::ALL.len() * Status::ALL.len()
        );
        for operation in Operation::ALL {
            for status in Status::ALL {
                let effect = oracle.effect(operation, status).unwrap();
                oracle.after(status, &effect).unwrap();
            }
        }
    }

    #[test]
    fn cells_are_read_as_they_stand() {
        let text = "x\n\n| from | `A` | B |\n|---|---|---|\n| One | - | Two, Three |\n| Two | = | x |\n\n| from | no |\n";
        let cells = cells(text, "from").unwrap();
        assert_eq!(cells.len(), 4);
        assert_eq!(cell(&cells, "One", "A").unwrap(), "-");
        let effect = Effect::parse(cell(&cells, "One", "B").unwrap());
        assert_eq!(effect.moves(), ["Two", "Three"]);
        assert!(cell(&cells, "One", "no").is_err());
        assert!(super::cells(text, "operation").is_err());
    }
}
