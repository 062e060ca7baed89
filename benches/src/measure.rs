//! Two ways of doing the same, in turns, each turn with its wall time and its CPU time.
//!
//! What must hold: a turn of ours and one of the floor make a pair that met the same noise, and ratios are taken
//! within pairs; which of the two goes first changes from pair to pair; the first pair warms up and is not counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What counts as CPU time: this process or some of its threads, and a Postgres cluster when there is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    cluster: Option<u32>,
    process: Option<u32>,
    threads: Option<&'static [&'static str]>,
}

impl Meter {
    /// Counts this process.
    #[must_use]
    pub const fn new() -> Self {
        Self { cluster: None, process: None, threads: None }
    }

    /// Counts the threads of this process whose names begin so: a server without its clients.
    #[must_use]
    pub const fn of_threads(names: &'static [&'static str]) -> Self {
        Self { cluster: None, process: None, threads: Some(names) }
    }

    /// Counts this process and the server processes whose parent is `postmaster`.
    #[must_use]
    pub const fn with_cluster(postmaster: u32) -> Self {
        Self { cluster: Some(postmaster), process: None, threads: None }
    }

    /// Counts another process with all its threads, and not this one.
    #[must_use]
    pub const fn of_process(id: u32) -> Self {
        Self { cluster: None, process: Some(id), threads: None }
    }

    /// Counts the server processes whose parent is `postmaster`, beside what it counts.
    #[must_use]
    pub const fn and_cluster(self, postmaster: u32) -> Self {
        Self { cluster: Some(postmaster), ..self }
    }

    /// CPU time used so far.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let own = match (self.process, self.threads) {
            (Some(id), _) => of_other(id),
            (None, Some(names)) => of_threads(names),
            (None, None) => of_process(),
        };
        own + self.cluster.map_or(Duration::ZERO, of_children)
    }
}

fn of_process() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// Of all its threads, those that have ended too; in steps of a hundredth of a second.
fn of_other(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split(' ');
    // For itself and in the kernel, the 14th and 15th of all, two of which stand before the bracket.
    let ticks: u64 = fields.skip(12).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1))
}

fn of_threads(names: &[&str]) -> Duration {
    let named = |folder: &Path| {
        let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        names.iter().any(|begin| name.starts_with(begin))
    };
    folders("/proc/self/task").filter(|folder| named(folder)).map(|folder| used(&folder)).sum()
}

/// Of the children alive. A server's connections live as long as a comparison.
fn of_children(parent: u32) -> Duration {
    folders("/proc").filter(|folder| parent_of(folder) == Some(parent)).map(|folder| used(&folder)).sum()
}

fn folders(of: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// What a process or thread has used; nothing when it has just ended.
fn used(folder: &Path) -> Duration {
    let text = fs::read_to_string(folder.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0))
}

fn parent_of(folder: &Path) -> Option<u32> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name stands in brackets and may hold anything; behind it come the state and the parent.
    stat.rsplit_once(')')?.1.split(' ').nth(2)?.parse().ok()
}

/// What one unit of work cost in one turn, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Cost {
    /// From beginning to end.
    pub wall: f64,
    /// On any processor.
    pub cpu: f64,
}

/// Pairs of turns.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Compared {
    /// Ours and the floor's cost in each pair.
    pub pairs: Vec<(Cost, Cost)>,
}

/// One way of doing it; says how many units it did.
pub type Turn<'t> = &'t mut dyn FnMut() -> anyhow::Result<u64>;

/// Lets both do their work `pairs` times, in turns.
///
/// # Errors
/// What the work failed with.
pub fn compare(meter: Meter, pairs: usize, ours: Turn<'_>, floor: Turn<'_>) -> anyhow::Result<Compared> {
    let mut compared = Compared::default();
    for number in 0..=pairs {
        let pair = if number % 2 == 0 {
            let first = turn(meter, ours)?;
            (first, turn(meter, floor)?)
        } else {
            let first = turn(meter, floor)?;
            (turn(meter, ours)?, first)
        };
        if number > 0 {
            compared.pairs.push(pair);
        }
    }
    Ok(compared)
}

/// Lets one of them do its work once.
///
/// # Errors
/// What the work failed with.
pub fn turn(meter: Meter, work: Turn<'_>) -> anyhow::Result<Cost> {
    let (cpu, begun) = (meter.cpu(), Instant::now());
    let units = work()?.max(1);
    let (wall, cpu) = (begun.elapsed(), meter.cpu().saturating_sub(cpu));
    let each = |time: Duration| time.as_secs_f64() * 1e9 / units as f64;
    Ok(Cost { wall: each(wall), cpu: each(cpu) })
}

impl Compared {
    /// The median of something in every pair.
    #[must_use]
    pub fn median(&self, of: impl Fn(&Cost, &Cost) -> f64) -> f64 {
        middle(&self.sorted(of))
    }

    /// The least and the most of something in any pair.
    #[must_use]
    pub fn range(&self, of: impl Fn(&Cost, &Cost) -> f64) -> (f64, f64) {
        let values = self.sorted(of);
        (values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN))
    }

    fn sorted(&self, of: impl Fn(&Cost, &Cost) -> f64) -> Vec<f64> {
        let mut values: Vec<f64> = self.pairs.iter().map(|(ours, floor)| of(ours, floor)).collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

fn middle(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Memory of a process.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Memory {
    /// Bytes resident now.
    pub resident: u64,
    /// The most that was resident since [`Memory::forget_peak`].
    pub peak: u64,
}

impl Memory {
    /// As the kernel counts it.
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn now() -> anyhow::Result<Self> {
        Self::read("/proc/self/status")
    }

    /// Of another process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn of(process: u32) -> anyhow::Result<Self> {
        Self::read(&format!("/proc/{process}/status"))
    }

    fn read(status: &str) -> anyhow::Result<Self> {
        let status = fs::read_to_string(status)?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        let kib = |name| field(name).map(|kib| kib << 10).ok_or_else(|| anyhow::anyhow!("no {name} in status"));
        Ok(Self { resident: kib("VmRSS")?, peak: kib("VmHWM")? })
    }

    /// Lets the peak begin anew from what is resident now.
    ///
    /// # Errors
    /// Where the kernel does not allow it.
    pub fn forget_peak() -> anyhow::Result<()> {
        Ok(fs::write("/proc/self/clear_refs", "5")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_taken_in_pairs() {
        let cost = |wall| Cost { wall, cpu: 1.0 };
        let pairs = vec![(cost(2.0), cost(1.0)), (cost(30.0), cost(10.0)), (cost(4.0), cost(4.0))];
        let compared = Compared { pairs };
        assert!((compared.median(|ours, floor| ours.wall / floor.wall) - 2.0).abs() < 1e-9);
        assert_eq!(compared.range(|ours, _| ours.wall), (2.0, 30.0));
    }

    #[test]
    fn time_on_a_processor_is_counted() {
        let before = Meter::new().cpu();
        let sum: u64 = (0..3_000_000_u64).map(std::hint::black_box).sum();
        assert!(sum > 0 && Meter::new().cpu() > before);
    }

    #[test]
    fn threads_are_told_by_their_names() {
        let work = || (0..3_000_000_u64).map(std::hint::black_box).sum::<u64>();
        let (alone, other) = (Meter::of_threads(&["counted"]), Meter::of_threads(&["nobody"]));
        let counted = std::thread::Builder::new().name("counted-1".into());
        let counted = counted.spawn(move || (work(), alone.cpu())).unwrap();
        assert!(counted.join().unwrap().1 > Duration::ZERO);
        assert_eq!(other.cpu(), Duration::ZERO);
    }

    #[test]
    fn another_process_is_counted_with_all_its_threads() {
        let work = || (0..60_000_000_u64).map(std::hint::black_box).sum::<u64>();
        let before = Meter::of_process(std::process::id()).cpu();
        std::thread::spawn(work).join().unwrap();
        assert!(Meter::of_process(std::process::id()).cpu() > before, "ended, and counted");
    }

    #[test]
    fn children_are_found_by_their_parent() {
        assert_eq!(parent_of(Path::new("/proc/self")), Some(std::os::unix::process::parent_id()));
    }
}
