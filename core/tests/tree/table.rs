//! The table of races of two devices.

use std::collections::BTreeSet;

pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) initial: &'a str,
    pub(crate) acts: [&'a str; 2],
    pub(crate) first_a: &'a str,
    pub(crate) verdicts: &'a str,
    pub(crate) first_b: &'a str,
}

pub(crate) fn rows() -> Vec<Row<'static>> {
    let lines = include_str!("scenarios.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, _, initial, a, b, first_a, verdicts, first_b] = cells[..] else { panic!("{line}") };
        let first_b = if first_b == "same" { first_a } else { first_b };
        Row { name, initial, acts: [a, b], first_a, verdicts, first_b }
    };
    lines.map(row).collect()
}

/// Writes out what is short in the table.
pub(crate) fn spelled(path: &str) -> String {
    let time = |device: &str| format!("(conflict {device} 2023-11-14 221320)");
    let path = path.replace("é(NFC)", "\u{e9}").replace("é(NFD)", "e\u{301}");
    path.replace("(conflict A)", &time("A")).replace("(conflict B)", &time("B"))
}

pub(crate) fn tree(cell: &str, separator: char) -> BTreeSet<String> {
    cell.split(separator).map(str::trim).filter(|path| !path.is_empty()).map(spelled).collect()
}
