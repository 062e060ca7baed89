//! Cleaning up after a process that may die at any moment.
//!
//! A guard is a small shell that waits for the end of a pipe only we hold. Drop closes the pipe and waits for the
//! shell; a crash or a `kill -9` closes it too. So there is one way to clean up, and it is always taken.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// Runs a shell script when dropped, or when this process dies.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
}

impl Guard {
    /// Arms a script. `args` are its `$1`, `$2` and so on.
    ///
    /// # Errors
    /// When no shell can be started.
    pub fn arm(script: &str, args: &[&str]) -> anyhow::Result<Self> {
        let shell = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("read -r _; {script}"))
            .arg("guard")
            .args(args)
            // A group of its own: Ctrl-C must end us and not the one that cleans up after us.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the shell that cleans up")?;
        Ok(Self { shell })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Nothing can be done about a shell that failed; the folder is a temporary one.
        let _ = self.shell.wait();
    }
}
