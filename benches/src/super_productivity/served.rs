//! The reference server as a process of its own, over a Postgres cluster of its own.

use anyhow::Context as _;
use syncline_tests::rig::server::{Process, TOKEN};

use super::{Device, Wire};
use crate::measure::{Memory, Meter};
use crate::servers;

/// What the server signs tokens with.
const SECRET: &str = "a-token-secret-for-benches-0123456789abcdef";
/// A bench writes more than a person.
const QUOTA_BYTES: &str = "10737418240";

/// A server, and what it spends.
#[derive(Debug)]
pub struct Served {
    process: Process,
    id: u32,
    /// Counts the server process.
    pub server: Meter,
    /// Counts the server and its Postgres.
    pub both: Meter,
    _folder: tempfile::TempDir,
}

impl Served {
    /// Starts one on a cluster. Its test mode counts no requests: the limits are per minute, a bench is faster.
    ///
    /// # Errors
    /// When it ends again.
    pub fn start(cluster: &servers::Server) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let flags = ["--test-routes", "--sp-token-secret", SECRET, "--sp-quota-bytes", QUOTA_BYTES];
        let process = Process::start_with(folder.path(), Some(&format!("postgres:{}", cluster.url)), &flags);
        let id = process.pid().context("the server ended")?;
        let server = Meter::of_process(id);
        Ok(Self { process, id, server, both: server.and_cluster(cluster.postmaster), _folder: folder })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.process.url
    }

    /// Bytes it has resident.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident(&self) -> anyhow::Result<u64> {
        Ok(Memory::of(self.id)?.resident)
    }

    /// The token of a new account.
    ///
    /// # Errors
    /// When there is one of that name.
    pub async fn account(&self, name: &str) -> anyhow::Result<String> {
        self.account_over(&mut Wire::connect(self.url()).await?, name).await
    }

    /// The same over a connection there is.
    ///
    /// # Errors
    /// As [`Served::account`].
    pub async fn account_over(&self, wire: &mut Wire, name: &str) -> anyhow::Result<String> {
        let head = format!(
            "POST /v1/admin/super-productivity/accounts HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\n"
        );
        let body = format!(r#"{{"email":"{name}@example.org"}}"#);
        let answer: serde_json::Value = serde_json::from_str(wire.ask(&head, body.as_bytes()).await?)?;
        Ok(answer["token"].as_str().context("a token")?.to_owned())
    }

    /// A device of a new account.
    ///
    /// # Errors
    /// As [`Served::account`].
    pub async fn device(&self, name: &str) -> anyhow::Result<Device> {
        Device::connect(self.url(), &self.account(name).await?, &format!("B_{name}")).await
    }
}
