//! A middlebox that meddles: it loses answers, and it holds requests back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// A byte proxy before one server.
#[derive(Debug)]
pub(crate) struct Meddler {
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: String,
    lose_next_answer: AtomicBool,
    lost: Notify,
    hold: watch::Sender<bool>,
}

impl Meddler {
    pub(crate) async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(State {
            server: url.trim_start_matches("http://").to_owned(),
            lose_next_answer: AtomicBool::new(false),
            lost: Notify::new(),
            hold: watch::Sender::new(false),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, Arc::clone(&shared)));
            }
        });
        Self { url: own, state }
    }

    /// The next answer is cut off at its first byte: whatever the server did, it did.
    pub(crate) fn lose_next_answer(&self) {
        self.state.lose_next_answer.store(true, Ordering::SeqCst);
    }

    /// Waits until an answer was lost.
    pub(crate) async fn lost(&self) {
        self.state.lost.notified().await;
    }

    /// Requests are held from now on, or let through.
    pub(crate) fn hold(&self, hold: bool) {
        self.state.hold.send_replace(hold);
    }
}

async fn relay(client: TcpStream, state: Arc<State>) {
    let Ok(server) = TcpStream::connect(&state.server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forward = {
        let state = Arc::clone(&state);
        async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                let mut held = state.hold.subscribe();
                let _ = held.wait_for(|hold| !hold).await;
                if to_server.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            let _ = to_server.shutdown().await;
        }
    };
    let back = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            if state.lose_next_answer.swap(false, Ordering::SeqCst) {
                state.lost.notify_one();
                return;
            }
            if to_client.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    // When either side ends, both ends of the connection are dropped.
    tokio::select! { () = forward => {}, () = back => {} }
}
