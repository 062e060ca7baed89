//! Programs at work on two folders, and what they and their server used.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use syncline_tests::rig::server::{Process, TOKEN, program};

use crate::measure::Meter;

/// What a piece of work took.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "two times")]
pub struct Spent {
    /// From beginning to end.
    pub wall: Duration,
    /// On any processor, the server's too.
    pub cpu: Duration,
}

/// Two folders that follow each other through a server.
pub trait Follows {
    /// The folder of a device, 0 or 1.
    fn folder(&self, device: usize) -> &Path;

    /// The process of the server.
    fn server(&self) -> Option<u32>;

    /// Brings a device's folder and the server together; the first time it has not been done before.
    ///
    /// # Errors
    /// When the program fails.
    fn sync(&self, device: usize, first: bool) -> anyhow::Result<()>;

    /// Brings what is on one device to the other.
    ///
    /// # Errors
    /// When a program fails.
    fn bring(&self, from: usize, first: bool) -> anyhow::Result<Spent> {
        let cpu = || children() + self.server().map_or(Duration::ZERO, |id| Meter::of_process(id).cpu());
        let (before, begun) = (cpu(), Instant::now());
        self.sync(from, first)?;
        self.sync(1 - from, first)?;
        Ok(Spent { wall: begun.elapsed(), cpu: cpu().saturating_sub(before) })
    }
}

/// What this process's children used that have ended.
fn children() -> Duration {
    // There is no clock of them; the fields 16 and 17 of the process's own line are theirs.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split(' ');
    let ticks: u64 = fields.skip(14).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// Runs a program to its end.
///
/// # Errors
/// When it fails, with what it said.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let said = command.stdin(Stdio::null()).output()?;
    let words = || format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    anyhow::ensure!(said.status.success(), "{command:?} failed: {}", words());
    Ok(())
}

/// Our drive, and the reference server on SQLite and files.
#[derive(Debug)]
pub struct Drive {
    folders: [PathBuf; 2],
    states: [PathBuf; 2],
    server: Process,
}

impl Drive {
    /// Two devices in a folder, attached to a server of their own.
    ///
    /// # Errors
    /// When one cannot be.
    pub fn begin(at: &Path) -> anyhow::Result<Self> {
        let folders = ["A", "B"].map(|name| at.join(name));
        let states = ["A-state", "B-state"].map(|name| at.join(name));
        let drive = Self { folders, states, server: Process::start(&at.join("server"), None) };
        for (device, label) in ["A", "B"].into_iter().enumerate() {
            let mut command = drive.command(device);
            command.arg("attach").arg(&drive.folders[device]).args(["--server", &drive.server.url, "--label", label]);
            run(&mut command)?;
        }
        Ok(drive)
    }

    fn command(&self, device: usize) -> Command {
        let mut command = Command::new(program("syncline-drive"));
        command.arg("--device").arg(&self.states[device]).arg("--json").env("SYNCLINE_TOKEN", TOKEN);
        command
    }
}

impl Follows for Drive {
    fn folder(&self, device: usize) -> &Path {
        &self.folders[device]
    }

    fn server(&self) -> Option<u32> {
        self.server.pid()
    }

    fn sync(&self, device: usize, _first: bool) -> anyhow::Result<()> {
        run(self.command(device).arg("sync-once"))
    }
}
