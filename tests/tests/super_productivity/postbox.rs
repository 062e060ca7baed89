//! A mail server that keeps what it is given until somebody reads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// No wait here is about time; this only ends one that would never end.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Inbox {
    /// Tokens of the links in mails that nobody read, by address, oldest first.
    tokens: Mutex<HashMap<String, Vec<String>>>,
    came: Notify,
}

impl Inbox {
    fn oldest(&self, to: &str) -> Option<String> {
        let mut tokens = self.tokens.lock().expect("whole");
        let waiting = tokens.get_mut(to).filter(|waiting| !waiting.is_empty())?;
        Some(waiting.remove(0))
    }
}

/// Where the servers of a scenario send their mails.
#[derive(Debug)]
pub(crate) struct Postbox {
    url: String,
    inbox: Arc<Inbox>,
}

impl Postbox {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("smtp://{}", listener.local_addr().expect("bound"));
        let inbox = Arc::new(Inbox::default());
        let own = inbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, own.clone()));
            }
        });
        Self { url, inbox }
    }

    /// How servers are told.
    pub(crate) fn flags(&self) -> [&str; 4] {
        ["--sp-smtp-url", &self.url, "--sp-mail-from", "Sync <sync@example.org>"]
    }

    /// The token in the oldest mail to this address that was not read.
    pub(crate) async fn token(&self, to: &str) -> String {
        let waited = async {
            loop {
                let came = self.inbox.came.notified();
                if let Some(token) = self.inbox.oldest(to) {
                    return token;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("a mail")
    }
}

/// The token of the link in a mail, whose lines may be folded and signs escaped (quoted-printable).
fn token_in(mail: &str) -> String {
    let plain = mail.replace("=\n", "").replace("=3D", "=");
    let link = plain.split_once("?token=").expect("a link").1;
    link.split_whitespace().next().expect("a token").to_owned()
}

/// One connection, as much of SMTP as a sender needs.
async fn take(mut stream: TcpStream, inbox: Arc<Inbox>) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    let (mut to, mut text, mut in_mail) = (String::new(), String::new(), false);
    write.write_all(b"220 postbox\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = match (in_mail, line.as_str()) {
            (true, ".") => {
                let token = token_in(&text);
                inbox.tokens.lock().expect("whole").entry(std::mem::take(&mut to)).or_default().push(token);
                inbox.came.notify_waiters();
                (text, in_mail) = (String::new(), false);
                b"250 taken\r\n"
            }
            (true, line) => {
                text += line;
                text.push('\n');
                continue;
            }
            (false, "DATA") => {
                in_mail = true;
                b"354 go on\r\n"
            }
            (false, "QUIT") => b"221 bye\r\n",
            (false, line) => {
                if let Some(rest) = line.strip_prefix("RCPT TO:<") {
                    rest.trim_end_matches('>').clone_into(&mut to);
                }
                b"250 postbox\r\n"
            }
        };
        write.write_all(answer).await?;
    }
    Ok(())
}
