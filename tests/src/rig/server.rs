//! The reference server as a process that can be killed and started again on the same files and the same port.
//!
//! What must hold: a missing program, or a server that ends instead of listening, fails the test with what it said; so does
//! one that panicked anywhere, once it has ended, for its clients see no more of that than a closed connection; dropping a
//! [`Process`] ends it.
//!
//! Next: [`super::postgres`] for a store that two of them share.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests and benches start servers, and they fail by panicking"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::ports;

/// The operator's token of every server in these tests.
pub const TOKEN: &str = "an-operator-token-for-tests-0123456789abcdef";

/// One server process.
#[derive(Debug)]
pub struct Process {
    arguments: Vec<String>,
    /// Where it answers, without a slash at the end.
    pub url: String,
    running: Mutex<Option<Running>>,
    /// Where its number is written down for a guard.
    pids: Option<PathBuf>,
    /// What it is started through.
    via: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Reads what it cries, to its end.
    ear: JoinHandle<String>,
}

/// What a panic begins with on standard error, and how many lines of one are kept.
const PANIC: &str = "panicked at";
const LINES: usize = 60;
/// Who holds its standard error beside it, as `strace` does, ends right behind it.
const LINGERS: Duration = Duration::from_secs(10);

/// Reads standard error to its end, so that who writes it never waits; what was said from the first panic on.
fn panics(stderr: ChildStderr) -> String {
    let lines = BufReader::new(stderr).split(b'\n').map_while(Result::ok);
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    let mut said = lines.skip_while(|line| !line.contains(PANIC));
    let kept: Vec<String> = said.by_ref().take(LINES).collect();
    said.for_each(drop);
    kept.join("\n")
}

/// A program of this workspace, built beside the test or the program that asks.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program");
    // target/<profile>, and for a test the folder below.
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found
        .unwrap_or_else(|| panic!("{name} is not built beside {}: run ./test, or cargo build -p {name}", own.display()))
}

impl Process {
    /// Starts a server on a free port with its data in `data`.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn start(data: &Path, store: Option<&str>) -> Self {
        Self::start_with(data, store, &[])
    }

    /// Starts a server with more arguments.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn start_with(data: &Path, store: Option<&str>, more: &[&str]) -> Self {
        let process = Self::prepare(data, store, more, None);
        process.run();
        process
    }

    /// A server that is not started yet, with its data in a folder's `data`: it ends with the folder, however that ends.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn within(folder: &Folder, store: Option<&str>, more: &[&str]) -> Self {
        Self::prepare(&folder.path().join("data"), store, more, Some(folder.path().join("pids")))
    }

    fn prepare(data: &Path, store: Option<&str>, more: &[&str], pids: Option<PathBuf>) -> Self {
        let port = ports::free().expect("a free port");
        let mut arguments =
            vec!["--data".to_owned(), data.display().to_string(), "--listen".to_owned(), format!("127.0.0.1:{port}")];
        if let Some(store) = store {
            arguments.extend(["--store".to_owned(), store.to_owned()]);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let url = format!("http://127.0.0.1:{port}");
        Self { arguments, url, running: Mutex::new(None), pids, via: Mutex::default() }
    }

    /// From its next start on it is started through these words: a shell expands them, and `$$` is the server's own number.
    ///
    /// # Panics
    /// Never.
    pub fn start_through(&self, words: &[String]) {
        *self.via.lock().expect("no panic holds it") = words.to_vec();
    }

    /// Starts it (again) and waits until it says that it listens.
    ///
    /// # Panics
    /// When it ends instead, with what it said.
    pub fn run(&self) {
        self.try_run().unwrap_or_else(|said| panic!("the server ended instead of listening:\n{said}"));
    }

    /// Starts it (again) and waits until it says that it listens.
    ///
    /// # Errors
    /// What it said when it ended instead.
    ///
    /// # Panics
    /// When it cannot be started at all.
    pub fn try_run(&self) -> Result<(), String> {
        let mut child = self
            .command()
            .env("SYNCLINE_ADMIN_TOKEN", TOKEN)
            .env("AWS_ACCESS_KEY_ID", super::seaweed::KEY)
            .env("AWS_SECRET_ACCESS_KEY", super::seaweed::SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut said = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        loop {
            let mut line = String::new();
            if stdout.read_line(&mut line).expect("readable") == 0 {
                let mut words = String::new();
                let _ = child.stderr.take().expect("piped").read_to_string(&mut words);
                let _ = child.kill();
                self.reap(&mut child);
                return Err(format!("{said}{words}"));
            }
            said.push_str(&line);
            if line.contains("listening on ") {
                break;
            }
        }
        // Whatever it says later is read, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let stderr = child.stderr.take().expect("piped");
        let ear = std::thread::spawn(move || panics(stderr));
        *self.running.lock().expect("no panic holds it") = Some(Running { child, ear });
        Ok(())
    }

    fn command(&self) -> Command {
        let server = program("syncline-server");
        let Some(pids) = &self.pids else {
            let mut command = Command::new(server);
            command.args(&self.arguments);
            return command;
        };
        // The shell says its number before it becomes the server, so the guard knows whom to end.
        let via = self.via.lock().expect("no panic holds it").join(" ");
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!(r#": >"$0/$$" && exec {via} "$@""#)).arg(pids).arg(server).args(&self.arguments);
        command
    }

    fn reap(&self, child: &mut Child) -> Option<ExitStatus> {
        let status = child.wait().ok();
        if let Some(pids) = &self.pids {
            let _ = std::fs::remove_file(pids.join(child.id().to_string()));
        }
        status
    }

    /// Of one that has ended or was told to: how it ended, and whether it panicked before.
    fn buried(&self, mut running: Running) -> (Option<ExitStatus>, String) {
        let status = self.reap(&mut running.child);
        let begun = Instant::now();
        while !running.ear.is_finished() && begun.elapsed() < LINGERS {
            std::thread::sleep(Duration::from_millis(1));
        }
        // What could not be heard is not taken for nothing.
        let said = if running.ear.is_finished() { running.ear.join().ok() } else { None };
        (status, said.unwrap_or_else(|| "its standard error has no end".to_owned()))
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let mut held = self.running.lock().ok()?;
        let child = &mut held.as_mut()?.child;
        child.try_wait().ok()?.is_none().then(|| child.id())
    }

    /// Sends a signal by its name: `STOP`, `CONT`, `TERM`.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().expect("the server runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(sent.success(), "kill -s {name}");
    }

    /// Waits for its end for so long; how it ended.
    ///
    /// # Panics
    /// When it does not run, or panicked.
    pub fn ended_within(&self, time: Duration) -> Option<ExitStatus> {
        let mut held = self.running.lock().expect("no panic holds it");
        let running = held.as_mut().expect("the server runs");
        let begun = Instant::now();
        while running.child.try_wait().expect("waited for").is_none() {
            if begun.elapsed() > time {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let (status, said) = self.buried(held.take()?);
        drop(held);
        assert!(said.is_empty(), "the server panicked:\n{said}");
        status
    }

    /// SIGKILL: no goodbye, no flush.
    ///
    /// # Panics
    /// When the system refuses, or when it panicked before.
    pub fn kill(&self) {
        let running = self.running.lock().expect("no panic holds it").take();
        if let Some(mut running) = running {
            running.child.kill().expect("killed");
            let (status, said) = self.buried(running);
            status.expect("reaped");
            assert!(said.is_empty(), "the server panicked:\n{said}");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.lock().ok().and_then(|mut running| running.take()) {
            let _ = running.child.kill();
            let (_, said) = self.buried(running);
            // A test that is failing says why already.
            assert!(said.is_empty() || std::thread::panicking(), "the server panicked:\n{said}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the server panicked")]
    fn a_server_that_panicked_fails_the_test_that_ends_it() {
        let folder = Folder::new("panics").unwrap();
        let server = Process::within(&folder, None, &[]);
        let cries = r#"/bin/sh -c 'echo "thread x panicked at y" >&2; exec "$0" "$@"'"#;
        server.start_through(&[cries.to_owned()]);
        server.run();
        server.kill();
    }
}
