//! Somebody who behaves, beside those who do not: writes, reads what was written, and is never refused.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{exchange, head, is};
use crate::common::{LOG, op_json, push_of};

/// A client at work.
pub(super) struct Good {
    stop: oneshot::Sender<()>,
    work: JoinHandle<anyhow::Result<(u64, Duration)>>,
}

impl Good {
    pub(super) fn begin(addr: SocketAddr) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, work: tokio::spawn(work(addr, stopped)) }
    }

    /// Ends it; how many of its requests were answered, and the slowest.
    ///
    /// # Errors
    /// One was refused, or what it wrote is not there.
    pub(super) async fn end(self) -> anyhow::Result<(u64, Duration)> {
        let _ = self.stop.send(());
        self.work.await.context("it broke down")?
    }
}

async fn work(addr: SocketAddr, mut stopped: oneshot::Receiver<()>) -> anyhow::Result<(u64, Duration)> {
    let (mut answered, mut longest) = (0, Duration::ZERO);
    let (ops, log) = (format!("/v1/logs/{LOG}/ops"), format!("/v1/logs/{LOG}"));
    let mut counter = 0;
    loop {
        counter += 1;
        let body = push_of(&[op_json(1, counter, r#"{"json":{"title":"milk"}}"#)]);
        let mut push = head("POST", &ops).into_bytes();
        push.extend_from_slice(
            format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(),
        );
        push.extend_from_slice(&body);
        let status = format!("{}\r\n", head("GET", &log));
        for (request, wanted) in
            [(&push[..], r#""accepted""#.to_owned()), (status.as_bytes(), format!(r#""seq":{counter}"#))]
        {
            let begun = Instant::now();
            let said = exchange(addr, request).await.map_err(anyhow::Error::msg)?;
            longest = longest.max(begun.elapsed());
            is(&said, 200)?;
            let text = String::from_utf8_lossy(&said);
            ensure!(text.contains(&wanted), "{wanted} is not in {text}");
            answered += 1;
        }
        if !matches!(stopped.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            return Ok((answered, longest));
        }
    }
}
