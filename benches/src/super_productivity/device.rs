//! A device of an account: writes ops of some 500 bytes about two hundred tasks of its own, gzipped as the app does it,
//! and names the cursor it has.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Wire;

/// Tasks that a device writes about.
const TASKS: u64 = 200;

/// What a device asks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Ask {
    /// To store what [`Device::batch`] wrote; all of it is accepted.
    Upload {
        /// The ops as text.
        ops: String,
        /// How many they are.
        count: usize,
    },
    /// To store one op that is rejected for what it says: all of an upload but storing it, with the quota gate.
    Nothing,
    /// A page.
    Page {
        /// Where it begins.
        since: u64,
        /// How long it may be.
        limit: usize,
        /// How long it must be.
        ops: usize,
    },
    /// The status of the account.
    Status,
}

/// Somebody with a token and a connection.
#[derive(Debug)]
pub struct Device {
    wire: Wire,
    token: String,
    client: String,
    written: u64,
    /// How far it has read.
    pub cursor: u64,
}

impl Device {
    /// A device of the account of this token.
    ///
    /// # Errors
    /// When the server does not listen.
    pub async fn connect(url: &str, token: &str, client: &str) -> anyhow::Result<Self> {
        let wire = Wire::connect(url).await?;
        Ok(Self { wire, token: token.to_owned(), client: client.to_owned(), written: 0, cursor: 0 })
    }

    /// The same device over a new connection: the server hangs up on whoever says nothing for a while.
    ///
    /// # Errors
    /// When the server does not listen.
    pub async fn again(self, url: &str) -> anyhow::Result<Self> {
        Ok(Self { wire: Wire::connect(url).await?, ..self })
    }

    fn head(&self, method: &str, path: &str, more: &str) -> String {
        let token = &self.token;
        format!("{method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{more}")
    }

    /// An upload of so many new ops.
    #[must_use]
    pub fn batch(&mut self, count: usize) -> Ask {
        let mut text = String::from("[");
        for number in 0..count {
            text.push_str(if number == 0 { "" } else { "," });
            self.op(&mut text);
        }
        text.push(']');
        Ask::Upload { ops: text, count }
    }

    fn op(&mut self, text: &mut String) {
        self.written += 1;
        let (number, client, now) = (self.written, &self.client, now());
        let task = number % TASKS;
        // Writing to memory cannot fail.
        let _ = write!(
            text,
            r#"{{"id":"{client}-7c1e-7000-8000-{number:012x}","clientId":"{client}","actionType":"[Task] Update","opType":"UPD","entityType":"TASK","entityId":"{client}-task-{task:08}","payload":{{"task":{{"id":"{client}-task-{task:08}","changes":{{"title":"Call the plumber about number {number}","projectId":"work-{task}","isDone":false,"timeSpent":{number},"tagIds":["today","urgent"],"notes":"the tap still drips, ask for a quote first"}}}}}},"vectorClock":{{"{client}":{number},"A_4hxq":17,"E_9z2k":3}},"timestamp":{now},"schemaVersion":1,"isPayloadEncrypted":false}}"#
        );
    }

    /// Asks, and looks at the answer.
    ///
    /// # Errors
    /// When it is not as expected.
    pub async fn ask(&mut self, ask: &Ask) -> anyhow::Result<()> {
        match ask {
            Ask::Upload { ops, count } => self.upload(ops, *count).await,
            Ask::Nothing => self.upload_nothing().await,
            Ask::Page { since, limit, ops } => self.page(*since, *limit, *ops).await,
            Ask::Status => self.status().await,
        }
    }

    async fn upload(&mut self, ops: &str, count: usize) -> anyhow::Result<()> {
        let (client, cursor) = (&self.client, self.cursor);
        let body = format!(r#"{{"ops":{ops},"clientId":"{client}","lastKnownServerSeq":{cursor}}}"#);
        let head = self.head("POST", "/api/sync/ops", "Content-Encoding: gzip\r\n");
        let answer = self.wire.ask(&head, &gzip(body.as_bytes())?).await?;
        let accepted = answer.split("\"newOps\"").next().unwrap_or_default().matches("\"accepted\":true").count();
        anyhow::ensure!(accepted == count, "{accepted} of {count} accepted: {answer:.300}");
        self.cursor = number_after(answer, "\"latestSeq\":")?;
        Ok(())
    }

    async fn upload_nothing(&mut self) -> anyhow::Result<()> {
        let (client, cursor) = (&self.client, self.cursor);
        let body = format!(r#"{{"ops":[{{"id":"x"}}],"clientId":"{client}","lastKnownServerSeq":{cursor}}}"#);
        let head = self.head("POST", "/api/sync/ops", "Content-Encoding: gzip\r\n");
        let answer = self.wire.ask(&head, &gzip(body.as_bytes())?).await?;
        anyhow::ensure!(answer.contains("\"accepted\":false"), "accepted: {answer:.300}");
        Ok(())
    }

    /// Uploads the whole state.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn snapshot(&mut self) -> anyhow::Result<()> {
        let (client, number) = (&self.client, self.written);
        let body = format!(
            r#"{{"state":{{"task":{{}}}},"clientId":"{client}","reason":"recovery","vectorClock":{{"{client}":{number}}},"schemaVersion":1}}"#
        );
        let head = self.head("POST", "/api/sync/snapshot", "Content-Encoding: gzip\r\n");
        let answer = self.wire.ask(&head, &gzip(body.as_bytes())?).await?;
        anyhow::ensure!(answer.contains("\"accepted\":true"), "not accepted: {answer:.300}");
        self.cursor = number_after(answer, "\"serverSeq\":")?;
        Ok(())
    }

    async fn page(&mut self, since: u64, limit: usize, ops: usize) -> anyhow::Result<()> {
        let head = self.head("GET", &format!("/api/sync/ops?sinceSeq={since}&limit={limit}"), "");
        let page = self.wire.ask(&head, b"").await?;
        let found = page.matches("{\"serverSeq\":").count();
        anyhow::ensure!(found == ops, "{found} of {ops} ops after {since}");
        Ok(())
    }

    async fn status(&mut self) -> anyhow::Result<()> {
        let head = self.head("GET", "/api/sync/status", "");
        let status = self.wire.ask(&head, b"").await?;
        anyhow::ensure!(status.contains("\"storageUsedBytes\""), "not a status: {status}");
        Ok(())
    }
}

fn gzip(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    encoder.write_all(text)?;
    Ok(encoder.finish()?)
}

/// The last number that follows a name.
fn number_after(text: &str, name: &str) -> anyhow::Result<u64> {
    let at = text.rfind(name).with_context(|| format!("no {name} in {text:.300}"))?;
    let digits = text[at + name.len()..].split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    Ok(digits.parse()?)
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}
