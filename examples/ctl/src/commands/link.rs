//! Public links: make, list and end them.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use syncline::call::{Call, NewLink, Reply};
use syncline::client::CallError;
use syncline::wire::json::LinkJson;
use syncline::{EntityId, LinkId, LogId, Seq, limits};
use syncline_desk::Fault;

use super::{Outcome, write_line};
use crate::cli::{duration_ms, seq};
use crate::ids;
use crate::session::{Session, unexpected};

/// What can be done about links.
#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Make a link and print its path below the server's address; it is shown only now.
    Create(LinkArgs),
    /// List the links of a log, a line of JSON each.
    List {
        /// Of which log.
        log: LogId,
    },
    /// End a link.
    Revoke {
        /// Of which log.
        log: LogId,
        /// Its id.
        link: LinkId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// Into which log's tree.
    log: LogId,
    /// To which file or folder, by its id.
    node: EntityId,
    /// To this revision of the file, for ever; the newest when absent.
    #[arg(long, value_parser = seq, value_name = "SEQ")]
    pin: Option<Seq>,
    /// When it ends: a number with s, m, h, d or w, like 30d. Never when absent.
    #[arg(long, value_parser = duration_ms, value_name = "TIME")]
    expires_in: Option<u64>,
    /// A file with a password that has to be known beside the address.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// How often its files may be downloaded.
    #[arg(long, value_name = "COUNT")]
    max_downloads: Option<u64>,
}

/// Runs a command on links.
///
/// # Errors
/// Why it stopped.
pub(super) async fn run(session: &Session, command: LinkCommand, out: &mut dyn Write) -> Result<Outcome, Fault> {
    match command {
        LinkCommand::Create(args) => create(session, args, out).await,
        LinkCommand::List { log } => list(session, log, out).await,
        LinkCommand::Revoke { log, link } => match session.ask(Call::RevokeLink { log, link }).await? {
            Reply::Done => Ok(Outcome::Done),
            _ => Err(unexpected("that the link is revoked")),
        },
    }
}

async fn create(session: &Session, args: LinkArgs, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let LinkArgs { log, node, pin, expires_in, password_file, max_downloads } = args;
    let expires_at = match expires_in {
        Some(ms) => Some(ids::env()?.now.plus_ms(ms)),
        None => None,
    };
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| Fault::file("cannot read the password from", &path, &error))?;
        Ok::<_, Fault>(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let password = password_file.map(read).transpose()?;
    let call = Call::MakeLink(NewLink { log, node, pin, expires_at, password, max_downloads });
    let reply = session.ask(call).await.map_err(|error| match error {
        CallError::Interrupted(_) => Fault::new(format!("{error}; a link may have been made whose address nobody has")),
        error => error.into(),
    })?;
    let Reply::LinkMade { id, token } = reply else { return Err(unexpected("a link")) };
    eprintln!("link {id} (to revoke it by); its address is shown only now:");
    writeln!(out, "/p/{token}")?;
    Ok(Outcome::Done)
}

async fn list(session: &Session, log: LogId, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let (mut after, limit) = (None, limits::LIST_ITEMS_MAX);
    loop {
        let Reply::Links(links) = session.ask(Call::Links { log, after, limit }).await? else {
            return Err(unexpected("a listing of links"));
        };
        after = links.last().map(|link| link.id);
        for link in &links {
            write_line(out, &LinkJson::of(link))?;
        }
        if links.len() < limit {
            return Ok(Outcome::Done);
        }
    }
}

#[cfg(test)]
mod tests {
    use syncline::call::{Call, ErrorCode, NewLink};
    use syncline::client::CallError;

    use crate::testing::{Rig, busy};

    const NODE: &str = "00000000-0000-7000-8000-000000000001";

    #[tokio::test]
    async fn each_command_asks_what_it_says() {
        let rig = Rig::new();
        let log = rig.log().await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "open sesame\n").unwrap();
        let password = file.path().display().to_string();
        let more = ["--pin", "3", "--password-file", &password, "--max-downloads", "2", "--expires-in", "1d"];
        let line = [&["link", "create", &log, NODE][..], &more].concat();
        let fault = rig.run(&line).await.fault();
        assert!(fault.contains(ErrorCode::NoPasswords.name()) || fault.contains("passwords"), "{fault}");
        assert_eq!(rig.run(&["link", "list", &log]).await.done(), "");
        rig.run(&["link", "revoke", &log, NODE]).await.fault();
        let asked: Vec<Call> = rig.wire.calls.lock().unwrap().clone();
        let [_, Call::MakeLink(made), Call::Links { after: None, .. }, Call::RevokeLink { .. }] = &asked[..] else {
            panic!("{asked:?}")
        };
        let NewLink { pin, expires_at, password, max_downloads, .. } = made;
        assert_eq!((pin.map(|pin| pin.get()), password.as_deref()), (Some(3), Some("open sesame")));
        assert!(expires_at.is_some() && *max_downloads == Some(2));
    }

    #[tokio::test]
    async fn fault_a_link_that_may_have_been_made_is_not_made_again() {
        let rig = Rig::new();
        let log = rig.log().await;
        rig.meddle(|_, _| Err(CallError::Interrupted("cut".into())));
        let before = rig.calls();
        let fault = rig.run(&["link", "create", &log, NODE]).await.fault();
        assert!(fault.contains("a link may have been made"), "{fault}");
        assert_eq!(rig.calls(), before + 1);
        rig.meddle(|_, _| Err(busy()));
        rig.run(&["link", "create", &log, NODE]).await.fault();
    }
}
