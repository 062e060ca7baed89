//! Looking for one bug, in a process of its own: what hangs or falls over was found too, where the same seed without the bug
//! does not.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What is looked for, and for how long.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one call")]
pub struct Hunt {
    /// The bug's number; 0: none is switched on.
    pub bug: usize,
    /// The first seed.
    pub seed: u64,
    /// Seeds at most.
    pub seeds: u64,
    /// Time at most.
    pub limit: Duration,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "found, or not")]
pub enum Outcome {
    /// With so many seeds, and as what.
    Found(u64, String),
    /// So many seeds kept every promise.
    Nothing(u64),
}

impl Hunt {
    /// Runs it.
    ///
    /// # Errors
    /// The program does not start.
    pub fn run(self, program: &Path) -> anyhow::Result<Outcome> {
        let mut child = Command::new(program)
            .args([self.bug.to_string(), self.seed.to_string(), self.seeds.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let lines = lines_of(&mut child)?;
        let until = Instant::now() + self.limit;
        let (mut seeds, mut since) = (0, Instant::now());
        loop {
            match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.split_once(' ') {
                    Some(("found", how)) => return end(child, Outcome::Found(seeds + 1, how.to_owned())),
                    // The same seed without the bug breaks a promise too.
                    Some(("anyway", _)) => since = Instant::now(),
                    _ => (seeds, since) = (seeds + 1, Instant::now()),
                },
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    child.kill()?;
                    child.wait()?;
                    let hangs = since.elapsed() > self.limit / 4;
                    return if hangs {
                        self.of_the_bug(program, seeds, "it hangs")
                    } else {
                        Ok(Outcome::Nothing(seeds))
                    };
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = child.wait()?;
                    if status.success() {
                        return Ok(Outcome::Nothing(seeds));
                    }
                    return self.of_the_bug(program, seeds, &format!("it falls over: {status}"));
                }
            }
        }
    }

    /// What the seed after so many others did is the bug's where the seed comes to its end without it.
    fn of_the_bug(self, program: &Path, seeds: u64, how: &str) -> anyhow::Result<Outcome> {
        let found = Outcome::Found(seeds + 1, how.to_owned());
        let without = Self { bug: 0, seed: self.seed + seeds, seeds: 1, limit: self.limit / 4 };
        if self.bug == 0 {
            return Ok(found);
        }
        match without.run(program)? {
            Outcome::Nothing(1) => Ok(found),
            _ => Ok(Outcome::Nothing(seeds)),
        }
    }
}

fn end(mut child: Child, outcome: Outcome) -> anyhow::Result<Outcome> {
    child.wait()?;
    Ok(outcome)
}

fn lines_of(child: &mut Child) -> anyhow::Result<mpsc::Receiver<String>> {
    let out = BufReader::new(child.stdout.take().context("no output")?);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || out.lines().map_while(Result::ok).all(|line| tell.send(line).is_ok()));
    Ok(told)
}
