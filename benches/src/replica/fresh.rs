//! A fresh device in a process of its own, so that the memory counted is that of a device and of nothing else.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use syncline::LogKey;
use syncline_storage_sqlite::Durability;
use tokio::runtime::Builder;

use super::device::Device;
use crate::measure::{Memory, Meter};
use crate::ops::log;

/// Says to this program that it is such a device, and what it is to do.
const TOLD: &str = "SYNCLINE_BENCH_DEVICE";

/// What the process spent.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Spent {
    /// From the first call to the state being on the disk.
    pub wall: Duration,
    /// On any processor.
    pub cpu: Duration,
    /// Bytes at the most, above what it had before it began.
    pub peak: u64,
    /// Bytes when it was done, above what it had before it began.
    pub after: u64,
    /// Entities it has then.
    pub entities: u64,
}

/// Runs this program again as a device on `file`, which downloads the log with this number, or with `again` only opens
/// what is there and reads it once.
///
/// # Errors
/// When it does not come to the end.
pub fn run(url: &str, number: u32, file: &Path, again: bool) -> anyhow::Result<Spent> {
    let file = file.to_str().context("a path in UTF-8")?;
    let told = format!("{url} {number} {again} {file}");
    let output = Command::new(std::env::current_exe()?).env(TOLD, told).output()?;
    let (said, complaint) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "the device failed: {said} {complaint}");
    let numbers: Vec<u64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [wall, cpu, peak, after, entities] = numbers[..] else { anyhow::bail!("a device said {said:?}") };
    Ok(Spent { wall: Duration::from_nanos(wall), cpu: Duration::from_nanos(cpu), peak, after, entities })
}

/// To be called first thing in the program: does what it is told, if it is told something, and says so.
///
/// # Errors
/// When it does not come to the end.
pub fn told() -> anyhow::Result<bool> {
    let Ok(told) = std::env::var(TOLD) else { return Ok(false) };
    let parts: Vec<&str> = told.splitn(4, ' ').collect();
    let [url, number, again, file] = parts[..] else { anyhow::bail!("not told enough: {told}") };
    let spent = device(url, log(number.parse()?), Path::new(file), again.parse()?)?;
    let [wall, cpu] = [spent.wall, spent.cpu].map(|time| time.as_nanos());
    println!("{wall} {cpu} {} {} {}", spent.peak, spent.after, spent.entities);
    Ok(true)
}

fn device(url: &str, place: LogKey, file: &Path, again: bool) -> anyhow::Result<Spent> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Memory::forget_peak()?;
    let before = Memory::now()?.resident;
    let (cpu, begun) = (Meter::new().cpu(), Instant::now());
    let device = runtime.block_on(Device::open(file, place, url, Durability::Full))?;
    if again {
        let maps = runtime.block_on(device.replica.collection(super::site::COLLECTION)?.ids(None, 100))?;
        for entity in maps {
            runtime.block_on(device.replica.state(device.map(entity)?.key()))?;
        }
    } else {
        runtime.block_on(device.sync())?;
    }
    let (wall, cpu, memory) = (begun.elapsed(), Meter::new().cpu() - cpu, Memory::now()?);
    let entities = runtime.block_on(device.entities())?.len() as u64;
    let above = |bytes: u64| bytes.saturating_sub(before);
    Ok(Spent { wall, cpu, peak: above(memory.peak), after: above(memory.resident), entities })
}
