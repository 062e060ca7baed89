//! The reference server as a process that can be killed and started again on the same files and the same port.
//!
//! What must hold: a missing program, or a server that ends instead of listening, fails the test with what it said;
//! dropping a [`Process`] ends it.
//!
//! Next: [`super::postgres`] for a store that two of them share.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests and benches start servers, and they fail by panicking"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// The operator's token of every server in these tests.
pub const TOKEN: &str = "an-operator-token-for-tests-0123456789abcdef";

/// One server process.
#[derive(Debug)]
pub struct Process {
    arguments: Vec<String>,
    /// Where it answers, without a slash at the end.
    pub url: String,
    child: Mutex<Option<Child>>,
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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
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
        let port = free_port();
        let mut arguments =
            vec!["--data".to_owned(), data.display().to_string(), "--listen".to_owned(), format!("127.0.0.1:{port}")];
        if let Some(store) = store {
            arguments.extend(["--store".to_owned(), store.to_owned()]);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let process = Self { arguments, url: format!("http://127.0.0.1:{port}"), child: Mutex::new(None) };
        process.run();
        process
    }

    /// Starts it (again) and waits until it says that it listens.
    ///
    /// # Panics
    /// When it ends instead, with what it said.
    pub fn run(&self) {
        let mut child = Command::new(program("syncline-server"))
            .args(&self.arguments)
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
                panic!("the server ended instead of listening:\n{said}{words}");
            }
            said.push_str(&line);
            if line.contains("listening on ") {
                break;
            }
        }
        // Whatever it says later is read, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let mut stderr = child.stderr.take().expect("piped");
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        *self.child.lock().expect("no panic holds it") = Some(child);
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.lock().ok()?.as_ref().map(Child::id)
    }

    /// SIGKILL: no goodbye, no flush.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("no panic holds it").take() {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock()
            && let Some(mut child) = child.take()
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
