//! Devices, groups and grants over a socket: who may do what, from the next request on.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{LOG, Rig, json_payload, op};
use syncline::access::Access;
use syncline::call::{Call, ErrorCode, Push, Reply};
use syncline::client::{CallError, Transport as _};
use syncline_transport_http::client::{Compression, Form, HttpClient};

fn push(counter: u32) -> Call {
    let ops = vec![op(1, counter, json_payload("1"))];
    Call::Push(Push { log: LOG, request: None, cursor: None, atomic: false, ops })
}

async fn ask(client: &HttpClient, call: Call) -> Result<Reply, ErrorCode> {
    match client.call(call).await {
        Ok(reply) => Ok(reply),
        Err(CallError::Refused(refusal)) => Err(refusal.code),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn e39_e40_what_a_device_may_do_changes_with_its_groups_and_ends_with_its_token() {
    let rig = Rig::start().await;
    let operator = rig.client();
    let device_of = |bearer: String| rig.client_of(&bearer, Form::Json, Compression::Gzip);
    ask(&operator, push(1)).await.expect("pushed");
    let (name, logs) = ("phone".to_owned(), Some(Vec::new()));
    let mint = Call::MintToken { name, access: Access::Read, logs, replica: None, expires_at: None };
    let Ok(Reply::Token { id: token, bearer }) = ask(&operator, mint).await else { panic!("no token") };
    let device = device_of(bearer.to_string());
    let code = async |call| ask(&device, call).await.err();
    assert_eq!(code(Call::Status(LOG)).await, Some(ErrorCode::LogNotFound));

    let Ok(Reply::GroupMade(group)) = ask(&operator, Call::CreateGroup { name: "family".into() }).await else {
        panic!("no group")
    };
    let grant = |access| Call::SetGrant { group, log: LOG, access };
    ask(&operator, grant(Some(Access::Write))).await.expect("granted");
    ask(&operator, Call::SetMember { group, token, member: true }).await.expect("joined");
    assert_eq!(code(push(2)).await, None);
    assert_eq!(code(grant(Some(Access::Admin))).await, Some(ErrorCode::Forbidden));
    ask(&operator, grant(Some(Access::Read))).await.expect("granted");
    assert_eq!((code(push(3)).await, code(Call::Status(LOG)).await), (Some(ErrorCode::Forbidden), None));
    let Ok(Reply::Groups(groups)) = ask(&operator, Call::Groups { after: None, limit: 5 }).await else {
        panic!("no list")
    };
    assert_eq!((groups.len(), groups[0].name.as_str(), groups[0].grants[&LOG]), (1, "family", Access::Read));
    let Ok(Reply::Tokens(tokens)) = ask(&operator, Call::Tokens { after: None, limit: 5 }).await else {
        panic!("no list")
    };
    assert_eq!((tokens[0].id, &tokens[0].groups[..], tokens[0].logs.as_deref()), (token, &[group][..], Some(&[][..])));
    let after = Some(token);
    assert!(
        matches!(ask(&operator, Call::Tokens { after, limit: 5 }).await, Ok(Reply::Tokens(rest)) if rest.is_empty())
    );
    ask(&operator, grant(None)).await.expect("taken");
    assert_eq!(code(Call::Status(LOG)).await, Some(ErrorCode::LogNotFound));
    ask(&operator, grant(Some(Access::Read))).await.expect("granted");

    // The device itself puts another token in its token's place.
    let Ok(Reply::Token { id, bearer }) = ask(&device, Call::RotateToken(token)).await else { panic!("no token") };
    assert_eq!(id, token);
    let renewed = device_of(bearer.to_string());
    assert!(ask(&renewed, Call::Status(LOG)).await.is_ok() && ask(&device, Call::Status(LOG)).await.is_ok());
    ask(&operator, Call::SetMember { group, token, member: false }).await.expect("left");
    assert_eq!(ask(&renewed, Call::Status(LOG)).await.err(), Some(ErrorCode::LogNotFound));
    ask(&operator, Call::RevokeToken(token)).await.expect("revoked");
    for client in [&device, &renewed] {
        for call in [Call::Status(LOG), push(3), Call::RotateToken(token)] {
            assert_eq!(ask(client, call).await.err(), Some(ErrorCode::Unauthenticated));
        }
    }
    ask(&operator, Call::DeleteGroup(group)).await.expect("ended");
}
