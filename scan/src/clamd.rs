//! clamd over TCP, as its manual has it: `zVERSION\0`, and `zINSTREAM\0` followed by pieces, each behind its length in four
//! bytes, the most significant first; a length of zero ends them. Each question has a connection of its own.
//!
//! | answer | verdict |
//! |---|---|
//! | `stream: OK` | clean |
//! | `stream: NAME FOUND` | NAME was found |
//! | `INSTREAM size limit exceeded. ERROR` | too large for this clamd (`StreamMaxLength`) |
//! | anything else | none: the blob waits |
//!
//! What must hold: clean is only what clamd called clean after it had heard all.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use syncline::blob::{Engine, Finding};
use syncline::store::{BlobSource, ScanError, Scanner};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{ANSWER_BYTES_MAX, PATIENCE, down, within};

/// Bytes of one piece.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// What clamd says.
#[derive(Debug, Clone)]
pub struct ClamdScanner {
    address: String,
    patience: Duration,
}

impl ClamdScanner {
    /// The clamd that listens at `host:port`.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), patience: PATIENCE }
    }

    /// How long a question may take.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn connect(&self) -> Result<TcpStream, ScanError> {
        TcpStream::connect(&self.address).await.map_err(down)
    }

    async fn ask_engine(&self) -> Result<Engine, ScanError> {
        let mut stream = self.connect().await?;
        stream.write_all(b"zVERSION\0").await.map_err(down)?;
        let said = answer(&mut stream).await?;
        engine(&said).ok_or_else(|| down(format!("no version of clamd: {said:?}")))
    }

    async fn ask(&self, bytes: &mut dyn BlobSource) -> Result<Finding, ScanError> {
        let stream = self.connect().await?;
        let (mut from, mut to) = stream.into_split();
        let feed = async move {
            to.write_all(b"zINSTREAM\0").await.map_err(down)?;
            while let Some(mut chunk) = bytes.next().await? {
                while !chunk.is_empty() {
                    let piece: Bytes = chunk.split_to(chunk.len().min(PIECE_BYTES_MAX));
                    let length = u32::try_from(piece.len()).map_err(down)?;
                    to.write_all(&length.to_be_bytes()).await.map_err(down)?;
                    to.write_all(&piece).await.map_err(down)?;
                }
            }
            to.write_all(&[0; 4]).await.map_err(down)?;
            Ok::<_, ScanError>(to)
        };
        let mut heard = Box::pin(answer(&mut from));
        // clamd answers before the end when it has heard too much, and then closes.
        let (fed, said) = tokio::select! {
            biased;
            fed = feed => match fed {
                Err(error @ ScanError::Bytes(_)) => return Err(error),
                // The half that was written to is kept open until the answer is here.
                fed => (fed.is_ok(), { let said = heard.await; drop(fed); said? }),
            },
            said = &mut heard => (false, said?),
        };
        match finding(&said) {
            Some(Finding::Clean) if !fed => Err(down("clamd calls clean what it did not hear to the end")),
            Some(finding) => Ok(finding),
            None => Err(down(format!("no answer of clamd: {said:?}"))),
        }
    }
}

/// Up to the zero byte, or the end.
async fn answer(from: &mut (impl AsyncRead + Unpin)) -> Result<String, ScanError> {
    let (mut held, mut chunk) = (Vec::new(), [0; 512]);
    loop {
        let count = from.read(&mut chunk).await.map_err(down)?;
        held.extend(chunk.iter().take(count));
        let end = held.iter().position(|byte| *byte == 0);
        if end.is_some() || count == 0 || held.len() > ANSWER_BYTES_MAX {
            held.truncate(end.unwrap_or(held.len()).min(ANSWER_BYTES_MAX));
            return Ok(String::from_utf8_lossy(&held).trim().to_owned());
        }
    }
}

/// `ClamAV 1.4.3/27800/Sun Nov 16 09:00:00 2025`: program, number of the signatures, their date. Without signatures only the
/// program: then nothing is known, and everything is asked again once something is.
fn engine(said: &str) -> Option<Engine> {
    let mut parts = said.split('/');
    let program = parts.next().filter(|program| program.starts_with("ClamAV"))?;
    let version = match parts.next() {
        Some(number) => number.trim().parse().ok()?,
        None => 0,
    };
    // The program's own version changes with upgrades, which bring signatures, too.
    let name = program.split(' ').next().unwrap_or(program);
    Some(Engine::new(name, version))
}

fn finding(said: &str) -> Option<Finding> {
    let said = said.trim();
    if said.ends_with("ERROR") {
        let too_large = said.contains("size limit exceeded");
        return too_large.then(|| Finding::Unfit("larger than the scanner takes".to_owned()));
    }
    let verdict = said.strip_prefix("stream: ")?;
    match verdict.strip_suffix(" FOUND") {
        Some(name) => Some(Finding::Found(name.to_owned())),
        None => (verdict == "OK").then_some(Finding::Clean),
    }
}

#[async_trait]
impl Scanner for ClamdScanner {
    async fn engine(&self) -> Result<Engine, ScanError> {
        within(self.patience, self.ask_engine()).await
    }

    async fn scan(&self, _: u64, bytes: &mut dyn BlobSource) -> Result<Finding, ScanError> {
        within(self.patience, self.ask(bytes)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_clamd_are_read_as_its_manual_has_them() {
        let found = |name: &str| Some(Finding::Found(name.to_owned()));
        for (said, expected) in [
            ("stream: OK", Some(Finding::Clean)),
            ("stream: Win.Test.EICAR_HDB-1 FOUND", found("Win.Test.EICAR_HDB-1")),
            ("stream: Eicar Test (a b) FOUND", found("Eicar Test (a b)")),
            ("INSTREAM size limit exceeded. ERROR", Some(Finding::Unfit("larger than the scanner takes".to_owned()))),
            ("stream: Can't allocate memory ERROR", None),
            ("stream: OK FOUND", found("OK")),
            ("OK", None),
            ("stream: NOT OK", None),
            ("UNKNOWN COMMAND", None),
            ("", None),
        ] {
            assert_eq!(finding(said), expected, "{said:?}");
        }
        for (said, expected) in [
            ("ClamAV 1.4.3/27800/Sun Nov 16 09:00:00 2025", Some(27_800)),
            ("ClamAV 1.4.3", Some(0)),
            ("ClamAV 1.4.3/new/x", None),
            ("nginx", None),
            ("", None),
        ] {
            assert_eq!(engine(said).map(|engine| engine.version), expected, "{said:?}");
        }
    }
}
