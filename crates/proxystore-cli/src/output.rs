//! What is printed: for people, or as JSON.

use crate::Done;
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// How to print.
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// One document, or its lines for people.
    pub(crate) fn show(&self, document: &Value, lines: &[String]) -> Done {
        if self.json {
            return self.line(&serde_json::to_string_pretty(document)?);
        }
        lines.iter().try_for_each(|line| self.line(line))
    }

    pub(crate) fn line(&self, line: &str) -> Done {
        Ok(writeln!(std::io::stdout(), "{line}")?)
    }

    pub(crate) fn bytes(&self, bytes: &[u8]) -> Done {
        let mut stdout = std::io::stdout();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }
}

/// Whether whoever reads has had enough, as `head` does.
pub(crate) fn is_closed_pipe(failure: &(dyn std::error::Error + 'static)) -> bool {
    failure
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// A number of bytes for people: `1.5 MB`.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A table with its columns aligned; the last one may be of any width.
pub(crate) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes() {
        assert_eq!(human(999), "999 B");
        assert_eq!(human(1_500_000), "1.5 MB");
        assert_eq!(human(999_999), "1.0 MB");
    }
}
