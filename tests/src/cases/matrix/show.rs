//! The matrix as it was seen, for people: `CTR_TEST_MATRIX=1 cargo xtask test-integration --filter matrix`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use super::operation::Operation;
use super::status::Status;
use crate::harness::variable;

/// Set when the table is wanted.
const WANTED: &str = "CTR_TEST_MATRIX";

/// The rows of a runtime's table.
type Rows = BTreeMap<Operation, Vec<String>>;

/// The cases of a round run in one process, so this is where their rows meet.
static TABLES: Mutex<BTreeMap<&'static str, Rows>> = Mutex::new(BTreeMap::new());

/// Takes in a row, and prints the table when it was the last one. In one piece, because other cases print, too.
pub(super) fn row(runtime: &'static str, operation: Operation, cells: Vec<String>) {
    if variable(WANTED).is_none() {
        return;
    }
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = tables.entry(runtime).or_default();
    rows.insert(operation, cells);
    if rows.len() == Operation::ALL.len() {
        println!("{}", table(runtime, rows));
    }
}

fn table(runtime: &str, rows: &Rows) -> String {
    let mut text = format!("\n| {runtime} |");
    for status in Status::ALL {
        write!(text, " {} |", status.name()).expect("a text takes everything");
    }
    text.push_str("\n|---|---|---|---|---|---|---|---|---|\n");
    for (operation, cells) in rows {
        let cells = cells.join(" | ");
        writeln!(text, "| {} | {cells} |", operation.name()).expect("a text takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_form_of_the_page() {
        let rows = Rows::from([(Operation::Start, vec!["-".to_owned(); 8])]);
        assert_eq!(
            table("runc", &rows),
            "\n| runc | Configured | Created | Running | Paused | Stopping | Stopped | Exited | Removing |\n\
             |---|---|---|---|---|---|---|---|---|\n\
             | Start | - | - | - | - | - | - | - | - |\n"
        );
    }
}
