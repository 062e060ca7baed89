//! A terminal in which a device of the task list is open: lines go in, lines of JSON come out, and it can be killed.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;

use serde_json::Value;
use syncline_tests::rig::server::{TOKEN, program};

/// Something a device said; `None` when it says nothing any more.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) who: usize,
    /// Which of its processes said it.
    pub(crate) life: u64,
    pub(crate) said: Option<Value>,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) life: u64,
    child: Child,
    stdin: ChildStdin,
}

/// The task list's program for the device in `folder`.
pub(crate) fn tasks(folder: &Path, url: &str, clock_offset_ms: i64) -> Command {
    let mut command = Command::new(program("syncline-tasks"));
    command.arg("--json").arg("--device").arg(folder);
    command.env("SYNCLINE_SERVER", url).env("SYNCLINE_TOKEN", TOKEN);
    command.env("SYNCLINE_TASKS_CLOCK_OFFSET_MS", clock_offset_ms.to_string());
    command
}

/// Runs one command to its end; every line it said.
pub(crate) fn once(mut command: Command, words: &[&str]) -> Vec<Value> {
    let output = command.args(words).output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?} ended with {}: {out}{err}", output.status);
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

impl Terminal {
    /// Opens the device; what it says goes to `lines`, its last words to a file beside it.
    pub(crate) fn open(mut command: Command, complaints: &Path, who: usize, life: u64, lines: Sender<Line>) -> Self {
        let stderr = File::options().create(true).append(true).open(complaints).expect("a file");
        let spawned = command.arg("shell").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn();
        let mut child = spawned.expect("it starts");
        let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            // Half a line is what a killed process leaves; nobody was told anything by it.
            let whole = BufReader::new(stdout).lines().map_while(Result::ok);
            let read = whole.map_while(|line| serde_json::from_str(&line).ok()).map(Some);
            for said in read.chain([None]) {
                if lines.send(Line { who, life, said }).is_err() {
                    break;
                }
            }
        });
        Self { life, child, stdin }
    }

    /// Types a line; whether anybody reads there.
    pub(crate) fn type_in(&mut self, line: &str) -> bool {
        writeln!(self.stdin, "{line}").is_ok()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
