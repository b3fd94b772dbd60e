//! Columns of text for people: as wide as their widest cell, at least [`MIN_WIDTH`], two blanks apart.

use std::fmt::Write;

use crate::render::escape::escape;

/// The least width of a column, gap included: what podman has.
const MIN_WIDTH: usize = 12;
/// Blanks between two columns.
const GAP: usize = 2;

/// A table under construction. Cells are escaped when they are added.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose first line is the header.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    /// A table of rows only.
    pub(crate) fn without_header() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as the others.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        self.rows
            .push(cells.iter().map(|cell| escape(cell).into_owned()).collect());
    }

    /// The text, with a line end after each row. The last column is not padded.
    pub(crate) fn render(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let width = if column + 1 == row.len() {
                    0
                } else {
                    widths[column]
                };
                write!(text, "{cell:width$}").expect("writing to a string cannot fail");
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            MIN_WIDTH.max(widest + GAP)
        };
        (0..columns).map(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn columns_fit_their_cells() {
        let mut table = Table::new(&["ID", "A LONG HEADER", "LAST"]);
        table.row(&["1", "x", "y"]);
        table.row(&["a cell that is wide", "\u{1b}[1m", ""]);
        expect![[r#"
            ID                   A LONG HEADER  LAST
            1                    x              y
            a cell that is wide  \x1b[1m
        "#]]
        .assert_eq(&table.render());
    }
}
