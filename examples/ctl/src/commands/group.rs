//! Groups of those who hold tokens, and what they may do.

use std::io::Write;

use clap::Subcommand;
use syncline::call::{Call, Reply};
use syncline::client::CallError;
use syncline::wire::json::GroupsJson;
use syncline::{GroupId, LogId, TokenId, limits};
use syncline_desk::Fault;

use super::{Outcome, write_line};
use crate::cli::AccessName;
use crate::session::{Session, unexpected};

/// What can be done about groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a group and print its id.
    Create {
        /// For people.
        name: String,
    },
    /// List the groups with what they are granted, a line of JSON each.
    List,
    /// End a group, with all that it is granted.
    Delete {
        /// Which group.
        group: GroupId,
    },
    /// Put a token into a group.
    Join {
        /// Which group.
        group: GroupId,
        /// Which token, by its id.
        member: TokenId,
    },
    /// Take a token out of a group.
    Leave {
        /// Which group.
        group: GroupId,
        /// Which token, by its id.
        member: TokenId,
    },
    /// Say what a group's members may do to a log, whatever they were granted before.
    Grant {
        /// Which group.
        group: GroupId,
        /// Which log.
        log: LogId,
        /// What they may do.
        access: AccessName,
    },
    /// Take from a group what it is granted for a log.
    EndGrant {
        /// Which group.
        group: GroupId,
        /// Which log.
        log: LogId,
    },
}

/// Runs a command on groups.
///
/// # Errors
/// Why it stopped.
pub(super) async fn run(session: &Session, command: GroupCommand, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let call = match command {
        GroupCommand::Create { name } => return create(session, name, out).await,
        GroupCommand::List => return list(session, out).await,
        GroupCommand::Delete { group } => Call::DeleteGroup(group),
        GroupCommand::Join { group, member } => Call::SetMember { group, token: member, member: true },
        GroupCommand::Leave { group, member } => Call::SetMember { group, token: member, member: false },
        GroupCommand::Grant { group, log, access } => Call::SetGrant { group, log, access: Some(access.into()) },
        GroupCommand::EndGrant { group, log } => Call::SetGrant { group, log, access: None },
    };
    match session.ask(call).await? {
        Reply::Done => Ok(Outcome::Done),
        _ => Err(unexpected("that it is done")),
    }
}

async fn create(session: &Session, name: String, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let reply = session.ask(Call::CreateGroup { name }).await.map_err(|error| match error {
        CallError::Interrupted(_) => Fault::new(format!("{error}; a group may have been made: see `group list`")),
        error => error.into(),
    })?;
    let Reply::GroupMade(group) = reply else { return Err(unexpected("a group")) };
    writeln!(out, "{group}")?;
    Ok(Outcome::Done)
}

async fn list(session: &Session, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let (mut after, limit) = (None, limits::LIST_ITEMS_MAX);
    loop {
        let Reply::Groups(groups) = session.ask(Call::Groups { after, limit }).await? else {
            return Err(unexpected("a listing of groups"));
        };
        after = groups.last().map(|group| group.id);
        for group in &GroupsJson::of(&groups).groups {
            write_line(out, group)?;
        }
        if groups.len() < limit {
            return Ok(Outcome::Done);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Rig;

    #[tokio::test]
    async fn a_token_in_a_group_does_what_the_group_is_granted_and_a_rotated_one_goes_on() {
        let rig = Rig::new();
        let log = rig.log().await;
        let bearer = rig.run(&["token", "create", "--name", "phone", "--by-groups"]).await.done();
        let bearer: syncline::access::Bearer = bearer.trim().parse().unwrap();
        let token = bearer.id().to_string();
        let group = rig.run(&["group", "create", "family"]).await.done().trim().to_owned();
        rig.run(&["group", "grant", &group, &log, "write"]).await.done();
        rig.run(&["group", "join", &group, &token]).await.done();
        let listed = rig.run(&["group", "list"]).await.done();
        assert!(listed.contains("family") && listed.contains(&log) && listed.contains("write"), "{listed}");
        let tokens = rig.run(&["token", "list"]).await.done();
        assert!(tokens.contains(&token) && tokens.contains(&group) && tokens.contains("phone"), "{tokens}");
        let renewed = rig.run(&["token", "rotate", &token]).await.done();
        assert!(rig.lets_in(renewed.trim()).await && rig.lets_in(&bearer.to_string()).await);
        for line in [
            vec!["group", "end-grant", &group, &log],
            vec!["group", "leave", &group, &token],
            vec!["group", "delete", &group],
        ] {
            rig.run(&line).await.done();
        }
        assert_eq!(rig.run(&["group", "list"]).await.done(), "");
    }
}
