//! `question | ours | floor | ratio | aim`, a row as soon as it is known.

use crate::measure::Compared;

/// What we want a ratio to be. Printed beside it and held against nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "we want more, or less, or to know")]
pub enum Aim {
    /// At least this part of the floor's speed.
    Speed(f64),
    /// At most this many times the floor's cost.
    Cost(f64),
    /// Only to know: the ratio is one of cost.
    Known,
}

/// Prints the title and the head of a table.
pub fn begin(title: &str) {
    println!("\n{title}\n\n| question | ours | floor | ratio (least–most), by CPU | aim |\n|---|---|---|---|---|");
}

/// Prints the title and a head of one's own.
pub fn begin_with(title: &str, head: &[&str]) {
    println!("\n{title}\n\n| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
}

/// Prints a row of such a table.
pub fn cells(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

/// Prints a row about the cost of one `unit`.
pub fn row(question: &str, unit: &str, compared: &Compared, aim: Aim) {
    let wall = |inverse: bool| {
        move |ours: &crate::measure::Cost, floor: &crate::measure::Cost| {
            if inverse { floor.wall / ours.wall } else { ours.wall / floor.wall }
        }
    };
    let speed = matches!(aim, Aim::Speed(_));
    let ratio = compared.median(wall(speed));
    let (least, most) = compared.range(wall(speed));
    let cpu = compared.median(|ours, floor| if speed { floor.cpu / ours.cpu } else { ours.cpu / floor.cpu });
    let ours = cell(compared.median(|ours, _| ours.wall), compared.median(|ours, _| ours.cpu));
    let floor = cell(compared.median(|_, floor| floor.wall), compared.median(|_, floor| floor.cpu));
    let ratio = format!("{ratio:.2} ({least:.2}–{most:.2}), {cpu:.2}");
    println!("| {question}, per {unit} | {ours} | {floor} | {ratio} | {} |", aim.text());
}

/// Prints a row whose cells are known.
pub fn row_of(question: &str, ours: &str, floor: &str, ratio: &str, aim: &str) {
    println!("| {question} | {ours} | {floor} | {ratio} | {aim} |");
}

/// Prints that something could not be asked, and why.
pub fn not_run(what: &str, why: &str) {
    println!("\n{what}: NOT RUN: {why}");
}

impl Aim {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Speed(least) => format!("speed ≥ {least}"),
            Self::Cost(most) => format!("cost ≤ {most}"),
            Self::Known => "cost, to know".to_owned(),
        }
    }
}

fn cell(wall: f64, cpu: f64) -> String {
    format!("{} (CPU {})", time(wall), time(cpu))
}

/// Nanoseconds for people.
#[must_use]
pub fn time(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e5 => format!("{:.2} µs", ns / 1e3),
        ns if ns < 1e8 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// Bytes for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
