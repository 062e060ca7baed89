//! The real programs over a real socket: a server on a free port with its data in a folder, and commands against it,
//! each a process of its own.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub(crate) const TOKEN: &str = "an-operator-token-for-tests-0123456789abcdef";
/// An address with a port that is free.
pub(crate) const ANYWHERE: &str = "127.0.0.1:0";

pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    pub(crate) fn start(data: &Path, listen: &str, more: &[&str]) -> Self {
        let ctl = PathBuf::from(env!("CARGO_BIN_EXE_syncline-ctl"));
        let program = ctl.with_file_name("syncline-server");
        assert!(program.exists(), "{} is not built: run ./test, or cargo build -p syncline-server", program.display());
        let mut child = Command::new(program)
            .args(["--listen", listen, "--data"])
            .arg(data)
            .args(more)
            .env("SYNCLINE_ADMIN_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let url = line.trim().strip_prefix("listening on ").expect("the server listens").to_owned();
        Self { child, url }
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("an address")
    }

    /// No goodbye, no flush.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    pub(crate) fn command(&self, token: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline-ctl"));
        command.args(arguments).env("SYNCLINE_SERVER", &self.url).env("SYNCLINE_TOKEN", token);
        command.env_remove("SYNCLINE_BUCKET").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(TOKEN, arguments).output().expect("the command runs")
    }

    /// What a command writes that does everything it was asked for.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The sentence a command ends with that does not.
    pub(crate) fn fault(&self, arguments: &[&str]) -> String {
        self.fault_as(TOKEN, arguments)
    }

    /// The same, of a command with this token.
    pub(crate) fn fault_as(&self, token: &str, arguments: &[&str]) -> String {
        let output = self.command(token, arguments).output().expect("the command runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(output.stdout.is_empty(), "{arguments:?} wrote data all the same");
        String::from_utf8(output.stderr).expect("UTF-8")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
