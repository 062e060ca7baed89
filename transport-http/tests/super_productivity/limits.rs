//! How often who may ask, over sockets, at the last request that is allowed and the first that is not.
//!
//! All requests of a test fall into one window: the shortest is a minute, and each test asks memory only. When windows
//! end is tested where their clock is an argument.

use serde_json::{Value, json};
use syncline_transport_http::dialect::super_productivity::Settings;

use crate::common::Answer;
use crate::rig::{Rig, User, op};

async fn behind(trusted_proxies: usize) -> Rig {
    Rig::counting(Settings { trusted_proxies, ..Settings::default() }).await
}

/// One upload as the proxy says that this address sent it.
async fn upload(user: &User<'_>, number: usize, address: &str) -> Answer {
    let id = format!("op{number}");
    let body = json!({"ops": [op(&id, "devA", &id, json!({"devA": number}))], "clientId": "devA"});
    user.ask("POST", "/api/sync/ops", &[("x-forwarded-for", address)], body.to_string().as_bytes()).await
}

fn number(answer: &Answer, header: &str) -> Option<u64> {
    answer.header(header).map(|text| text.parse().expect("a number"))
}

#[track_caller]
fn announces(answer: &Answer, limit: u64, remaining: u64, window: u64) {
    assert_eq!(number(answer, "x-ratelimit-limit"), Some(limit), "{answer:?}");
    assert_eq!(number(answer, "x-ratelimit-remaining"), Some(remaining), "{answer:?}");
    let reset = number(answer, "x-ratelimit-reset").expect("a reset");
    assert!((1..=window).contains(&reset), "{reset}");
}

#[track_caller]
fn too_many(answer: &Answer, limit: u64, window: u64, words: &str) {
    let message = format!("Rate limit exceeded, retry in {words}");
    let body = json!({"statusCode": 429, "error": "Too Many Requests", "message": message});
    assert_eq!((answer.status, answer.json()), (429, body));
    announces(answer, limit, 0, window);
    assert_eq!(number(answer, "retry-after"), number(answer, "x-ratelimit-reset"));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
}

const UPLOADS_SPENT: &str = r#"{"error":"Rate limited","errorCode":"RATE_LIMITED"}"#;

#[tokio::test]
async fn an_address_uploads_a_hundred_times_a_minute_whoever_asks() {
    let rig = behind(0).await;
    let (one, two) = (rig.made("a").await, rig.made("b").await);
    for number in 1..=100_usize {
        let user = if number % 2 == 0 { &one } else { &two };
        let answer = upload(user, number, "1.2.3.4").await;
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
        announces(&answer, 100, 100 - u64::try_from(number).expect("few"), 60);
        assert_eq!(answer.header("retry-after"), None);
    }
    for _ in 0..2 {
        // Nobody is trusted to say whom they ask for: another name in the header helps nothing.
        too_many(&upload(&one, 101, "9.9.9.9").await, 100, 60, "1 minute");
    }
    let page = one.ask("GET", "/api/sync/ops?sinceSeq=0", &[], b"").await;
    announces(&page, 200, 199, 60);
    assert_eq!(page.json()["latestSeq"], 50, "what was refused was not stored");
}

#[tokio::test]
async fn an_address_reads_two_hundred_pages_a_minute() {
    let rig = behind(0).await;
    let user = rig.made("a").await;
    for left in (0..200).rev() {
        let answer = user.ask("GET", "/api/sync/ops?sinceSeq=0", &[], b"").await;
        assert_eq!(answer.status, 200);
        announces(&answer, 200, left, 60);
    }
    too_many(&user.ask("GET", "/api/sync/ops?sinceSeq=0", &[], b"").await, 200, 60, "1 minute");
}

#[tokio::test]
async fn routes_without_a_limit_of_their_own_share_a_hundred_in_a_quarter_of_an_hour() {
    let rig = behind(0).await;
    let user = rig.made("a").await;
    let routes = [
        ("GET", "/api/sync/status", 200),
        ("GET", "/api/sync/restore-points", 200),
        ("GET", "/api/sync/restore/0", 400),
        ("GET", "/api/nowhere", 404),
    ];
    for at in 0..100_u64 {
        let (method, target, status) = routes[usize::try_from(at % 4).expect("few")];
        // Refusals are counted and say so, too: of a token that is none, here.
        let headers: &[(&str, &str)] = if at == 50 { &[("authorization", "Bearer x")] } else { &[] };
        let answer = user.ask(method, target, headers, b"").await;
        assert_eq!(answer.status, if at == 50 { 401 } else { status }, "{at} {target}: {answer:?}");
        announces(&answer, 100, 99 - at, 900);
    }
    too_many(&user.ask("GET", "/api/sync/status", &[], b"").await, 100, 900, "15 minutes");
    assert_eq!(upload(&user, 1, "").await.status, 200, "uploads are counted by themselves");
    let health = rig.send("GET", "/health", &[], b"").await;
    assert_eq!((health.status, health.header("x-ratelimit-limit")), (200, None), "health is not counted");
}

#[tokio::test]
async fn an_account_uploads_a_hundred_times_a_minute_from_anywhere() {
    let rig = behind(1).await;
    let (user, other) = (rig.made("a").await, rig.made("b").await);
    for number in 1..=100 {
        let answer = upload(&user, number, &format!("6.6.6.6, 10.0.0.{}", number % 4)).await;
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
    }
    let refused = upload(&user, 101, "10.0.0.1").await;
    assert_eq!((refused.status, refused.json()), (429, serde_json::from_str::<Value>(UPLOADS_SPENT).expect("JSON")));
    announces(&refused, 100, 74, 60);
    assert_eq!(upload(&other, 1, "10.0.0.1").await.status, 200, "another account has its own");
    let state = json!({"state": {}, "clientId": "devA", "reason": "recovery", "vectorClock": {"devA": 200}});
    let state = user.ask("POST", "/api/sync/snapshot", &[], state.to_string().as_bytes()).await;
    assert_eq!(state.status, 200, "states are not uploads of ops");
}

#[tokio::test]
async fn an_upload_that_does_not_read_is_no_upload() {
    let rig = behind(1).await;
    let user = rig.made("a").await;
    for number in 0..101 {
        let address = format!("10.0.1.{}", number % 4);
        let answer = user.ask("POST", "/api/sync/ops", &[("x-forwarded-for", address.as_str())], b"{}").await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(upload(&user, 1, "10.0.1.9").await.status, 200);
}

#[tokio::test]
async fn deleting_an_account_s_data_forgets_how_often_it_uploaded() {
    let rig = behind(1).await;
    let user = rig.made("a").await;
    for number in 1..=101 {
        let answer = upload(&user, number, &format!("10.0.0.{}", number % 4)).await;
        assert_eq!(answer.status, if number <= 100 { 200 } else { 429 });
    }
    assert_eq!(user.ask("DELETE", "/api/sync/data", &[], b"").await.status, 200);
    let answer = upload(&user, 102, "10.0.0.9").await;
    assert_eq!((answer.status, &answer.json()["latestSeq"]), (200, &json!(1)));
}

#[tokio::test]
async fn only_as_many_proxies_as_are_trusted_say_who_asks() {
    for (proxies, own, foreign) in
        [(1, "6.6.6.6, 1.1.1.1", "6.6.6.6, 2.2.2.2"), (2, "1.1.1.1, 9.9.9.9", "2.2.2.2, 9.9.9.9")]
    {
        let rig = behind(proxies).await;
        let login = async |forwarded: &str| {
            let headers = [("content-type", "application/json"), ("x-forwarded-for", forwarded)];
            rig.send("DELETE", "/api/account", &headers, b"").await
        };
        for left in (0..3).rev() {
            let answer = login(own).await;
            assert_eq!(answer.status, 401);
            announces(&answer, 3, left, 900);
        }
        too_many(&login(own).await, 3, 900, "15 minutes");
        assert_eq!(login(foreign).await.status, 401, "another address, {proxies}");
        let claimed = if proxies == 1 { "3.3.3.3, 1.1.1.1" } else { "3.3.3.3, 1.1.1.1, 9.9.9.9" };
        too_many(&login(claimed).await, 3, 900, "15 minutes");
    }
}
