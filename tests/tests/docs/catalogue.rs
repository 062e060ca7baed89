//! The failure catalogue: every number has its row, every row its tests, and what is covered stays covered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{quoted, read, root, source};

const FILE: &str = "tests/catalogue.md";
/// How many numbers each letter has.
const NUMBERS: [(char, usize); 8] =
    [('C', 18), ('W', 18), ('S', 24), ('Q', 12), ('P', 14), ('B', 18), ('A', 24), ('M', 15)];
const STATES: [&str; 3] = ["covered", "n.a.", "open"];

struct Row<'t> {
    number: &'t str,
    state: &'t str,
    tests: Vec<&'t str>,
    not_shown: &'t str,
}

fn rows(text: &str) -> Vec<Row<'_>> {
    let cells = text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = cells.filter(|cells| cells.len() == 8 && cells[1].contains(|digit: char| digit.is_ascii_digit()));
    rows.map(|cells| {
        assert!(!cells[2].is_empty() && !cells[3].is_empty(), "{} says nothing", cells[1]);
        Row { number: cells[1], state: cells[4], tests: quoted(cells[5]), not_shown: cells[6] }
    })
    .collect()
}

/// The counts at the head of the table, as the rows have them: one line for each letter, and their sum.
fn counts(rows: &[Row<'_>]) -> Vec<(String, [usize; 3])> {
    let count = |letter: Option<char>| {
        STATES.map(|state| {
            let of_letter = |row: &&Row<'_>| letter.is_none_or(|letter| row.number.starts_with(letter));
            rows.iter().filter(of_letter).filter(|row| row.state == state).count()
        })
    };
    let letters = NUMBERS.iter().map(|(letter, _)| (letter.to_string(), count(Some(*letter))));
    letters.chain([("all".to_owned(), count(None))]).collect()
}

fn line((letter, [covered, never, open]): &(String, [usize; 3])) -> String {
    format!("| {letter} | {covered} | {never} | {open} |")
}

/// The line of a letter that the file has, and how many it says are covered.
fn said<'t>(text: &'t str, letter: &str) -> (&'t str, usize) {
    let begin = format!("| {letter} | ");
    let line =
        text.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{FILE}: no count of {letter}"));
    let covered = line.split('|').nth(2).and_then(|cell| cell.trim().parse().ok());
    (line, covered.unwrap_or_else(|| panic!("{FILE}: {line}")))
}

#[test]
fn every_number_has_one_row_and_a_covered_one_tests_that_are_run() {
    let text = read(FILE);
    let rows = rows(&text);
    let tests = source::tests();
    let wanted: Vec<String> = NUMBERS
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number:02}")))
        .collect();
    let found: Vec<&str> = rows.iter().map(|row| row.number).collect();
    assert_eq!(found, wanted, "{FILE}: each number once, in order");
    for row in &rows {
        let number = row.number;
        assert!(STATES.contains(&row.state), "{number} is {}", row.state);
        for test in &row.tests {
            match tests.get(*test) {
                None => panic!("{number} names {test}, which is no test"),
                Some(true) => panic!("{number} names {test}, which is ignored"),
                Some(false) => {}
            }
        }
        assert!(row.state != "covered" || !row.tests.is_empty(), "no test covers {number}");
        assert!(row.state == "covered" || !row.not_shown.is_empty(), "why is {number} {}?", row.state);
    }
}

/// A test that bears a number is in the row of this number.
#[test]
fn every_test_of_a_number_is_in_its_row() {
    let text = read(FILE);
    let mut named: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for row in rows(&text) {
        named.insert(row.number.to_ascii_lowercase(), row.tests.into_iter().collect());
    }
    for test in source::tests().keys() {
        let Some(number) = test.strip_prefix("fault_").and_then(|rest| rest.get(..4)?.strip_suffix('_')) else {
            continue;
        };
        if number[1..].bytes().all(|digit| digit.is_ascii_digit()) {
            let row = named.get(number).unwrap_or_else(|| panic!("{test}: there is no {number}"));
            assert!(row.contains(test.as_str()), "{FILE}: the row of {number} does not name {test}");
        }
    }
}

#[test]
fn what_is_covered_is_counted_and_stays_covered() {
    let mut text = read(FILE);
    let counts = counts(&rows(&text));
    for (letter, [covered, ..]) in &counts {
        let (_, before) = said(&text, letter);
        assert!(*covered >= before, "{letter}: {before} were covered, and now {covered} are: say so in {FILE} by hand");
    }
    if std::env::var_os("SYNCLINE_BLESS").is_some() {
        for count in &counts {
            let old = said(&text, &count.0).0.to_owned();
            text = text.replacen(&old, &line(count), 1);
        }
        fs::write(root().join(FILE), &text).unwrap();
    }
    for count in &counts {
        assert_eq!(said(&text, &count.0).0, line(count), "SYNCLINE_BLESS=1 writes it");
    }
}
