//! How long each of many calls took, of ours and of the floor, in turns.

use std::time::Instant;

use crate::measure::{Compared, Cost, Meter, compare};
use crate::table::{self, Aim, time};

/// Turns, and the time of every call in them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Spread {
    /// The turns.
    pub compared: Compared,
    /// Ours, sorted, in nanoseconds.
    pub ours: Vec<f64>,
    /// The floor's, sorted, in nanoseconds.
    pub floor: Vec<f64>,
}

/// Makes `calls` calls of each in a turn, and `pairs` pairs of turns after one that warms up.
///
/// # Errors
/// What a call failed with.
pub fn spread(
    meter: Meter,
    pairs: usize,
    calls: usize,
    mut ours: impl FnMut() -> anyhow::Result<()>,
    mut floor: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Spread> {
    let (mut of_ours, mut of_floor) = (Vec::new(), Vec::new());
    let compared = compare(meter, pairs, &mut || each(calls, &mut of_ours, &mut ours), &mut || {
        each(calls, &mut of_floor, &mut floor)
    })?;
    let counted = |all: Vec<f64>| {
        let mut counted = all.get(calls..).unwrap_or_default().to_vec();
        counted.sort_by(f64::total_cmp);
        counted
    };
    Ok(Spread { compared, ours: counted(of_ours), floor: counted(of_floor) })
}

fn each(calls: usize, times: &mut Vec<f64>, call: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<u64> {
    for _ in 0..calls {
        let begun = Instant::now();
        call()?;
        times.push(begun.elapsed().as_secs_f64() * 1e9);
    }
    Ok(calls as u64)
}

/// The value that so many of a hundred of these, which are sorted, do not exceed.
#[must_use]
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Prints the head of a table of such rows.
pub fn begin(title: &str) {
    let head =
        ["question", "ours p50 / p95 / p99", "floor p50 / p95 / p99", "ratio p50", "mean (least–most), CPU", "aim"];
    table::begin_with(title, &head);
}

/// Prints a row: ratios are of cost.
pub fn row(question: &str, spread: &Spread, aim: Aim) {
    let cell = |times: &[f64], cpu: f64| {
        let [p50, p95, p99] = [50, 95, 99].map(|percent| time(percentile(times, percent)));
        format!("{p50} / {p95} / {p99} (CPU {})", time(cpu))
    };
    let wall = |ours: &Cost, floor: &Cost| ours.wall / floor.wall;
    let (least, most) = spread.compared.range(wall);
    let (mean, cpu) = (spread.compared.median(wall), spread.compared.median(|ours, floor| ours.cpu / floor.cpu));
    table::cells(&[
        question,
        &cell(&spread.ours, spread.compared.median(|ours, _| ours.cpu)),
        &cell(&spread.floor, spread.compared.median(|_, floor| floor.cpu)),
        &format!("{:.2}", percentile(&spread.ours, 50) / percentile(&spread.floor, 50)),
        &format!("{mean:.2} ({least:.2}–{most:.2}), {cpu:.2}"),
        &aim.text(),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<f64> = (1..=100_u8).map(f64::from).collect();
        assert_eq!([1, 50, 99, 100].map(|percent| percentile(&hundred, percent)), [1.0, 50.0, 99.0, 100.0]);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn the_turn_that_warms_up_is_not_counted() {
        let spread = spread(Meter::new(), 3, 5, || Ok(()), || Ok(())).unwrap();
        assert_eq!((spread.ours.len(), spread.floor.len(), spread.compared.pairs.len()), (15, 15, 3));
    }
}
