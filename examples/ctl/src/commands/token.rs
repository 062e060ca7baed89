//! Make and end bearer tokens.

use std::io::Write;

use syncline::call::{Call, Reply};
use syncline::client::CallError;
use syncline::limits;
use syncline::wire::json::TokensJson;
use syncline_desk::Fault;

use super::{Outcome, write_line};
use crate::cli::{TokenArgs, TokenCommand};
use crate::ids;
use crate::session::{Session, unexpected};

/// Runs a command on tokens.
///
/// # Errors
/// Why it stopped.
pub(super) async fn run(session: &Session, command: TokenCommand, out: &mut dyn Write) -> Result<Outcome, Fault> {
    match command {
        TokenCommand::Create(args) => create(session, args, out).await,
        TokenCommand::List => list(session, out).await,
        TokenCommand::Rotate { id } => made(session, Call::RotateToken(id), out).await,
        TokenCommand::Revoke { id } => match session.ask(Call::RevokeToken(id)).await? {
            Reply::Done => {
                eprintln!("token {id} no longer lets anybody in");
                Ok(Outcome::Done)
            }
            _ => Err(unexpected("that the token is revoked")),
        },
    }
}

async fn create(session: &Session, args: TokenArgs, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let expires_at = match args.expires_in {
        Some(ms) => Some(ids::env()?.now.plus_ms(ms)),
        None => None,
    };
    let call = Call::MintToken {
        name: args.name,
        access: args.access.into(),
        logs: Some(args.logs).filter(|logs| args.by_groups || !logs.is_empty()),
        replica: args.replica,
        expires_at,
    };
    made(session, call, out).await
}

async fn list(session: &Session, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let (mut after, limit) = (None, limits::LIST_ITEMS_MAX);
    loop {
        let Reply::Tokens(tokens) = session.ask(Call::Tokens { after, limit }).await? else {
            return Err(unexpected("a listing of tokens"));
        };
        after = tokens.last().map(|token| token.id);
        for token in &TokensJson::of(&tokens).tokens {
            write_line(out, token)?;
        }
        if tokens.len() < limit {
            return Ok(Outcome::Done);
        }
    }
}

/// Asks for a token and prints it.
async fn made(session: &Session, call: Call, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let reply = session.ask(call).await.map_err(|error| match error {
        CallError::Interrupted(_) => Fault::new(format!("{error}; a token may have been made that nobody holds")),
        error => error.into(),
    })?;
    let Reply::Token { id, bearer } = reply else {
        return Err(unexpected("a token"));
    };
    eprintln!("token {id} (to revoke it by); the token itself is shown only now:");
    writeln!(out, "{bearer}")?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use syncline::access::Bearer;
    use syncline::client::CallError;

    use crate::testing::{BUCKET, Rig, busy};

    const CREATE: [&str; 6] = ["token", "create", "--name", "phone", "--expires-in", "30d"];

    #[tokio::test]
    async fn the_token_alone_goes_to_stdout_and_ends_when_revoked() {
        let rig = Rig::new();
        let out = rig.run(&CREATE).await.done();
        let bearer: Bearer = out.trim_end().parse().unwrap();
        assert_eq!(bearer.bucket(), BUCKET);
        assert!(rig.lets_in(out.trim_end()).await);
        rig.run(&["token", "revoke", &bearer.id().to_string()]).await.done();
        assert!(!rig.lets_in(out.trim_end()).await);
    }

    #[tokio::test]
    async fn fault_a_mint_that_may_have_been_done_is_not_repeated() {
        let rig = Rig::new();
        rig.meddle(|_, _| Err(CallError::Interrupted("cut".into())));
        let fault = rig.run(&CREATE).await.fault();
        assert!(fault.contains("a token may have been made"), "{fault}");
        assert_eq!(rig.calls(), 1);

        rig.meddle(|_, _| Err(busy()));
        rig.run(&CREATE).await.fault();
        assert_eq!(rig.calls(), 1 + 4);
    }
}
