//! rclone's bisync, and its own SFTP server on a folder.
//!
//! SFTP because it is the one of rclone's own servers that keeps times and answers for hashes, which bisync compares by.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::work::{Follows, run};

/// There is no server without one.
const PASSWORD: &str = "bench";

/// Two folders and a server's, kept alike by `rclone bisync`.
#[derive(Debug)]
pub struct Rclone {
    at: PathBuf,
    folders: [PathBuf; 2],
    remote: String,
    server: Child,
}

impl Rclone {
    /// Whether it is installed.
    #[must_use]
    pub fn is_there() -> bool {
        let said = Command::new("rclone").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        said.is_ok_and(|status| status.success())
    }

    /// Two folders in a folder, and a server of their own.
    ///
    /// # Errors
    /// When it does not start.
    pub fn begin(at: &Path) -> anyhow::Result<Self> {
        let cloud = at.join("cloud");
        let folders = ["A", "B"].map(|name| at.join(name));
        for folder in folders.iter().chain([&cloud]) {
            std::fs::create_dir_all(folder)?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = rclone(at)
            .args(["serve", "sftp", "--user", "bench", "--pass", PASSWORD, "--addr", &address.to_string()])
            .arg(&cloud)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pass = Command::new("rclone").args(["obscure", PASSWORD]).output()?.stdout;
        let pass = String::from_utf8(pass)?;
        let remote = format!(":sftp,host=127.0.0.1,port={port},user=bench,pass={},shell_type=unix:", pass.trim());
        let peer = Self { at: at.to_owned(), folders, remote, server };
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return Ok(peer);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("rclone does not serve")
    }
}

/// With its notes in a folder of ours.
fn rclone(at: &Path) -> Command {
    let mut command = Command::new("rclone");
    command.env("RCLONE_CONFIG", at.join("rclone.conf")).env("RCLONE_CACHE_DIR", at.join("cache"));
    command
}

impl Follows for Rclone {
    fn folder(&self, device: usize) -> &Path {
        &self.folders[device]
    }

    fn server(&self) -> Option<u32> {
        Some(self.server.id())
    }

    fn sync(&self, device: usize, first: bool) -> anyhow::Result<()> {
        let notes = self.at.join(format!("notes-{device}"));
        let folder = self.folders.get(device).context("a device")?;
        let mut command = rclone(&self.at);
        command.arg("bisync").arg(folder).arg(&self.remote).arg("--workdir").arg(notes);
        if first {
            command.arg("--resync");
        }
        run(&mut command)
    }
}

impl Drop for Rclone {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
