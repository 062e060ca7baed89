//! One keep-alive connection, with as little HTTP as a bench needs: what the client spends is taken from the server,
//! because both run on the same cores.

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection that asks one thing after the other.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    /// Connects to `http://address`.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").context("an http address")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a request whose `head` lacks only its length, and reads the answer.
    ///
    /// # Errors
    /// When the connection ends, or the answer is not a success.
    pub async fn ask(&mut self, head: &str, body: &[u8]) -> anyhow::Result<&str> {
        let mut request = format!("{head}Host: bench\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        let (status, begin, length) = self.head().await?;
        while self.received.len() < begin + length {
            self.more().await?;
        }
        let text = std::str::from_utf8(&self.received[begin..begin + length])?;
        anyhow::ensure!((200..300).contains(&status), "{status}: {text}");
        Ok(text)
    }

    /// Asks for a WebSocket, and waits until its server has said something.
    ///
    /// # Errors
    /// When the server does not open one.
    pub async fn upgrade(&mut self, path: &str) -> anyhow::Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        let (status, begin, _) = self.head().await?;
        anyhow::ensure!(status == 101, "no WebSocket but {status}");
        while self.received.len() == begin {
            self.more().await?;
        }
        anyhow::ensure!(self.received[begin] == 0x81, "the first frame is not a text");
        Ok(())
    }

    /// Status, where the body begins, its length.
    async fn head(&mut self) -> anyhow::Result<(u16, usize, usize)> {
        self.received.clear();
        let begin = loop {
            self.more().await?;
            if let Some(at) = self.received.windows(4).take(4_096).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(&self.received[..begin])?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        Ok((status, begin, length.unwrap_or(0)))
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        self.received.reserve(64 << 10);
        anyhow::ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the server hung up");
        Ok(())
    }
}
