//! What a browser sees: which sites may ask, and what every answer forbids.

use serde_json::json;
use syncline_transport_http::dialect::super_productivity::Settings;

use crate::common::Answer;
use crate::rig::{Rig, op};

const SITE: &str = "https://app.example.org";
const OTHER: &str = "http://localhost:4200";

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn rig() -> Rig {
    let cors_origins = vec![SITE.to_owned(), OTHER.to_owned()];
    Rig::counting(Settings { cors_origins, ..Settings::default() }).await
}

async fn preflight(rig: &Rig, origin: &str, target: &str, method: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "authorization,content-encoding,content-type"),
    ];
    rig.send("OPTIONS", target, &headers, b"").await
}

/// Names of all headers by which a site is let in.
fn let_in(answer: &Answer) -> Vec<&str> {
    let names = answer.head.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    names.filter(|name| name.starts_with("access-control-")).collect()
}

/// What every answer carries, whatever it says.
#[track_caller]
fn is_guarded(answer: &Answer, what: &str) {
    let expected = [
        ("strict-transport-security", "max-age=31536000; includesubdomains"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "deny"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-permitted-cross-domain-policies", "none"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in expected {
        assert_eq!(answer.header(name), Some(value), "{what}: {name} in {}", answer.head);
    }
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{what}: {policy}");
    let vary = answer.head.lines().filter(|line| line.starts_with("vary:")).collect::<String>();
    assert!(vary.contains("origin"), "{what}: a cache tells sites apart: {vary}");
}

#[tokio::test]
async fn a_site_on_the_list_is_told_once_a_day_what_it_may_ask() {
    let rig = rig().await;
    for (origin, target, method) in [
        (SITE, "/api/sync/ops", "POST"),
        (OTHER, "/api/sync/ops?sinceSeq=0", "GET"),
        (SITE, "/api/sync/snapshot", "POST"),
        (SITE, "/api/sync/data", "DELETE"),
        (SITE, "/api/sync/nowhere", "GET"),
        (SITE, "/api/login", "POST"),
    ] {
        let answer = preflight(&rig, origin, target, method).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{target}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("access-control-max-age"), Some("86400"));
        let methods = "get, head, put, post, delete, options";
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
        let headers = "authorization, content-type, content-encoding, x-expected-rev, x-force-overwrite, \
                       x-requested-with";
        assert_eq!(answer.header("access-control-allow-headers"), Some(headers));
        is_guarded(&answer, target);
    }
    // A browser asks before each kind of request: none of that is counted.
    for _ in 0..150 {
        let answer = preflight(&rig, SITE, "/api/sync/ops", "POST").await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (204, None));
    }
}

#[tokio::test]
async fn a_site_that_is_not_on_the_list_is_let_in_by_nothing() {
    let rig = rig().await;
    let user = rig.made("a").await;
    let strangers = [
        "https://evil.example.org",
        "https://app.example.org.evil.org",
        "https://app.example.org:8443",
        "http://app.example.org",
        "HTTPS://APP.EXAMPLE.ORG",
        "https://app.example.org/",
        "null",
        "*",
        "",
    ];
    for origin in strangers {
        let asked = preflight(&rig, origin, "/api/sync/ops", "POST").await;
        assert_eq!((asked.status, let_in(&asked)), (204, vec![]), "{origin}");
        let read = user.ask("GET", "/api/sync/ops?sinceSeq=0", &[("origin", origin)], b"").await;
        assert_eq!((read.status, let_in(&read)), (200, vec![]), "{origin}");
    }
    let same = user.ask("GET", "/api/sync/status", &[], b"").await;
    assert_eq!((same.status, let_in(&same)), (200, vec![]), "no site, no header");
}

#[tokio::test]
async fn every_answer_to_a_site_reads_and_is_guarded_refusals_too() {
    let rig = rig().await;
    let user = rig.made("a").await;
    let upload = json!({"ops": [op("1", "devA", "t1", json!({"devA": 1}))], "clientId": "devA"}).to_string();
    let seed = json!({"state": {}, "clientId": "devA", "reason": "initial", "vectorClock": {"devA": 2}}).to_string();
    let long = "x".repeat(20 << 10);
    let rows: [(&str, &str, u16, Headers<'_>, &[u8]); 16] = [
        ("POST", "/api/sync/ops", 200, &[], upload.as_bytes()),
        ("POST", "/api/sync/ops", 400, &[], b"{"),
        ("POST", "/api/sync/ops", 401, &[("authorization", "Bearer x")], b"{}"),
        ("POST", "/api/sync/ops", 413, &[("content-encoding", "gzip")], &[0; (10 << 20) + 1]),
        ("POST", "/api/sync/ops", 415, &[("content-type", "text/css")], b"{}"),
        ("PUT", "/api/sync/ops", 404, &[], b""),
        ("GET", "/api/sync/nowhere", 404, &[], b""),
        ("POST", "/api/sync/snapshot", 200, &[], seed.as_bytes()),
        ("POST", "/api/sync/snapshot", 409, &[], seed.as_bytes()),
        ("GET", "/api/sync/restore/9", 400, &[], b""),
        ("GET", "/api/sync/status", 200, &[], b""),
        ("GET", "/api/sync/status", 431, &[("x-long", &long)], b""),
        ("GET", "/health", 200, &[], b""),
        ("DELETE", "/api/account", 401, &[("authorization", "")], b""),
        ("DELETE", "/api/account", 401, &[("authorization", "")], b""),
        ("DELETE", "/api/account", 401, &[("authorization", "")], b""),
    ];
    for (method, target, status, headers, body) in rows {
        let headers = [headers, &[("origin", OTHER)]].concat();
        let answer = user.ask(method, target, &headers, body).await;
        let what = format!("{method} {target} {status}");
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        let names = ["access-control-allow-credentials", "access-control-allow-origin"];
        let mut given = let_in(&answer);
        given.sort_unstable();
        assert_eq!(given, names, "{what}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(OTHER));
        is_guarded(&answer, &what);
    }
    let spent = user.ask("DELETE", "/api/account", &[("origin", OTHER)], b"").await;
    assert_eq!((spent.status, spent.header("access-control-allow-origin")), (429, Some(OTHER)));
    is_guarded(&spent, "429");
}
