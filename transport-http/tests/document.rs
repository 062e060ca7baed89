//! The OpenAPI document: it describes exactly what is served, and real bodies are what it says.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use std::sync::Arc;

use common::*;
use syncline::call::{Call, Commit};
use syncline::client::BlobTransport as _;
use syncline::id::{EntityId, OpId};
use syncline::tree::{self, Kind, Label, TreeOp};
use syncline_transport_http::route::Route;

const ROOT: &str = "00000000-0000-0000-0000-000000000000";
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn the_document_describes_exactly_the_routes_that_are_served() {
    let rig = Rig::start().await;
    let document = rig.request("GET", "/v1/openapi.json", &[("authorization", "none")], b"").await.json();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].is_string() && operation["responses"]["default"].is_object(), "{operation}");
            described.insert((
                path.clone(),
                method.to_uppercase(),
                operation["operationId"].as_str().unwrap().to_owned(),
            ));
        }
    }
    let served: BTreeSet<_> = Route::ALL
        .iter()
        .map(|route| (route.path().to_owned(), route.verb().name().to_owned(), route.operation().to_owned()))
        .collect();
    assert_eq!(described, served);
    assert_eq!(served.len(), Route::ALL.len());
    // And each is really served: none is answered as unknown, and only the open ones without a token.
    for route in Route::ALL {
        let target = route.path().replace("{log}", &LOG.to_string()).replace("{id}", &LOG.to_string());
        let answer = rig.request(route.verb().name(), &target, &[("authorization", "Bearer x")], b"").await;
        // The address of a link is a key of its own, and this is none.
        let open = if route.is_link() { 404 } else { 200 };
        assert_eq!(answer.status, if route.is_open() { open } else { 401 }, "{route:?}");
    }
}

/// A commit that makes a folder.
fn first_folder() -> Commit {
    let (node, parent) = (EntityId::from_bytes([1; 16]), syncline::decide::TREE_ROOT);
    let made = TreeOp::Create { node, parent, name: "a".into(), kind: Kind::Folder, content: None };
    Commit {
        log: LOG,
        id: OpId::from_bytes([77; 16]),
        replica: replica(7),
        label: Label::new("x").unwrap(),
        ops: Arc::new(tree::Commit::new(vec![made]).unwrap()),
    }
}

/// Whether a value is what a schema says: types, required and known properties, references. A property that the
/// schema does not name is a lie of the document, whether or not the schema forbids it.
fn check(document: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value, at: &str) {
    if let Err(why) = fits(document, schema, value, at) {
        panic!("{why}");
    }
}

fn fits(
    document: &serde_json::Value,
    schema: &serde_json::Value,
    value: &serde_json::Value,
    at: &str,
) -> Result<(), String> {
    let must = |holds: bool, why: &str| if holds { Ok(()) } else { Err(format!("{at}: {why}: {value}")) };
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let target = &document["components"]["schemas"][name];
        must(target.is_object(), "is not described")?;
        return fits(document, target, value, at);
    }
    if let Some(variants) = schema["oneOf"].as_array() {
        let misfits: Vec<_> = variants.iter().filter_map(|one| fits(document, one, value, at).err()).collect();
        return must(misfits.len() + 1 == variants.len(), &format!("is not exactly one of {misfits:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array() {
        must(allowed.contains(value), "is none of those")?;
    }
    if let Some(least) = schema["minimum"].as_u64() {
        must(value.as_u64().is_some_and(|value| value >= least), "is too small")?;
    }
    if let Some(most) = schema["maximum"].as_u64() {
        must(value.as_u64().is_some_and(|value| value <= most), "is too large")?;
    }
    match schema["type"].as_str() {
        Some("object") => {
            let object = value.as_object().ok_or_else(|| format!("{at}: {value} is no object"))?;
            for name in schema["required"].as_array().into_iter().flatten() {
                must(object.contains_key(name.as_str().unwrap()), &format!("{name} is missing"))?;
            }
            for (name, inner) in object {
                let known = &schema["properties"][name];
                let known = if known.is_object() { known } else { &schema["additionalProperties"] };
                must(known.is_object(), &format!("{name} is not described"))?;
                fits(document, known, inner, &format!("{at}.{name}"))?;
            }
            Ok(())
        }
        Some("array") => {
            for inner in value.as_array().ok_or_else(|| format!("{at}: {value} is no array"))? {
                fits(document, &schema["items"], inner, &format!("{at}[]"))?;
            }
            Ok(())
        }
        Some("integer") => must(value.is_u64(), "is no whole number"),
        Some("string") => must(value.is_string(), "is no string"),
        Some("boolean") => must(value.is_boolean(), "is no boolean"),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn what_a_request_must_bring_is_in_the_document() {
    let rig = Rig::start().await;
    let document = rig.request("GET", "/v1/openapi.json", &[], b"").await.json();
    for route in Route::ALL.iter().copied() {
        let operation = &document["paths"][route.path()][route.verb().name().to_lowercase()];
        let sends = matches!(route, Route::PutBlob | Route::PutBlobs | Route::AppendBlob | Route::GetBlobs);
        let sends = sends || route.takes_body() || route == Route::OpenLinkByForm;
        assert_eq!(operation["requestBody"].is_object(), sends, "{route:?}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["name"] == "limit" {
                // A listing has at least one item; what the most is, the server says when it refuses one more.
                let name = parameter["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
                let schema = &document["components"]["schemas"][name];
                let (least, most) = (schema["minimum"].as_u64().unwrap(), schema["maximum"].as_u64().unwrap());
                let target = route.path().replace("{log}", &LOG.to_string()).replace("{node}", ROOT);
                for (limit, taken) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
                    let answer = rig.request(route.verb().name(), &format!("{target}?limit={limit}"), &[], b"").await;
                    let refused = answer.status == 400 && answer.code() == "LIMIT_OUT_OF_RANGE";
                    assert!(refused != taken || route.is_link(), "{route:?} with {limit}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn real_bodies_are_what_the_document_says() {
    let rig = Rig::start().await;
    let document = rig.request("GET", "/v1/openapi.json", &[], b"").await.json();
    let by_operation: BTreeMap<String, serde_json::Value> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|methods| methods.as_object().unwrap().values().cloned())
        .map(|operation| (operation["operationId"].as_str().unwrap().to_owned(), operation))
        .collect();
    let exchange = async |route: Route, query: &str, body: Option<serde_json::Value>| {
        let target =
            route.path().replace("{log}", &LOG.to_string()).replace("{node}", ROOT).replace("{blob}", &"ab".repeat(32))
                + query;
        let bytes = body.as_ref().map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let headers: &[(&str, &str)] = if body.is_some() { &[JSON] } else { &[] };
        let answer = rig.request(route.verb().name(), &target, headers, &bytes).await;
        let operation = &by_operation[route.operation()];
        if let Some(body) = &body {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            check(&document, schema, body, route.operation());
        }
        let described = &operation["responses"][answer.status.to_string()];
        let described = if answer.status < 400 { described } else { &operation["responses"]["default"] };
        assert!(described.is_object(), "{route:?}: {} is not described: {answer:?}", answer.status);
        if !answer.body.is_empty() {
            let media_type = answer.header("content-type").unwrap();
            let schema = &described["content"][media_type]["schema"];
            assert!(schema.is_object(), "{route:?}: {media_type} is not described");
            check(&document, schema, &answer.json(), route.operation());
        }
        answer
    };
    exchange(Route::LogStatus, "", None).await;
    exchange(Route::CreateLog, "?sealing=optional", None).await;
    exchange(Route::CreateLog, "?sealing=required", None).await;
    exchange(Route::CreateLog, "?sealing=perhaps", None).await;
    let op = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let ops: Vec<_> = (1..=3).map(|n| op(op_json(1, n, r#"{"json":{"a":1}}"#))).collect();
    exchange(Route::Push, "", Some(serde_json::json!({"cursor": {"seq": 0}, "ops": ops}))).await;
    // A conflict names the head that stands in the way.
    let blind = op(op_json(2, 1, r#"{"plain":"AAAA"}"#).replace(
        &format!(r#""entity":"{}"#, &op_json(2, 1, "")[7..43]),
        &format!(r#""entity":"{}"#, &op_json(1, 1, "")[7..43]),
    ));
    let answer = exchange(Route::Push, "", Some(serde_json::json!({"atomic": false, "ops": [blind]}))).await;
    assert_eq!(answer.json()["verdicts"][0]["verdict"], "conflict", "{}", answer.json());
    let end = exchange(Route::LogStatus, "", None).await.json()["end"].clone();
    let request = "00000000-0000-7000-8000-000000000001";
    let restore = serde_json::json!({"to": 2, "seen": end, "request": request});
    assert_eq!(exchange(Route::Restore, "", Some(restore)).await.status, 200);
    let end = exchange(Route::LogStatus, "", None).await.json()["end"].clone();
    exchange(Route::Logs, "?limit=10", None).await;
    exchange(Route::Pull, "?after=0", None).await;
    let snapshot = exchange(Route::GetSnapshot, "", None).await.json();
    exchange(Route::PutSnapshot, "", Some(snapshot)).await;
    exchange(Route::RestorePoints, "", None).await;
    let undo = serde_json::json!({"seen": end, "request": "00000000-0000-7000-8000-000000000002"});
    assert_eq!(exchange(Route::UndoRestore, "", Some(undo)).await.status, 200);
    let end = exchange(Route::LogStatus, "", None).await.json()["end"].clone();
    let held = serde_json::json!({"replica": LOG.to_string(), "cursor": end});
    assert_eq!(exchange(Route::Acknowledge, "", Some(held)).await.json()["stable"], end["seq"]);
    assert_eq!(exchange(Route::Devices, "", None).await.json()["devices"][0]["seq"], end["seq"]);
    let id = |number: u8| format!("000000{number:02}-0000-7000-8000-000000000000");
    let create = |node: u8, name: &str| serde_json::json!({"op": "create", "node": id(node), "parent": ROOT, "name": name, "kind": "folder"});
    let commit = |number: u8, ops: Vec<serde_json::Value>| serde_json::json!({"id": id(number), "replica": id(90), "label": "phone", "ops": ops});
    let ops = vec![create(1, "a"), create(2, "b:c"), create(3, &"n".repeat(256))];
    let answers = exchange(Route::Commit, "", Some(commit(1, ops))).await.json()["answers"].clone();
    assert_eq!((&answers[0]["verdict"], &answers[1]["suggested"]), (&"done".into(), &"b_c".into()), "{answers}");
    let content = serde_json::json!({"blob": "ab".repeat(32), "bytes": 1, "modified_at": 1, "executable": true});
    let put = serde_json::json!({"op": "put", "node": id(1), "content": content, "base": 1, "seen": 1, "copy": id(9)});
    assert!(exchange(Route::Commit, "", Some(commit(2, vec![put]))).await.json()["needs"].is_array());
    assert!(exchange(Route::KeepManifest, "", None).await.json()["needs"].is_array());
    exchange(Route::Nodes, "?limit=10", None).await;
    exchange(Route::Node, "", None).await;
    let children = exchange(Route::Children, "?after=_", None).await.json();
    assert_eq!(children["nodes"][0]["name"], "a", "{children}");
    exchange(Route::Trash, "", None).await;
    exchange(Route::Leaves, "", None).await;
    assert_eq!(exchange(Route::PurgeTrash, "", None).await.json()["code"], "NOT_IN_TRASH");
    exchange(Route::Revisions, "?after=0", None).await;
    let share = serde_json::json!({"id": id(80), "replica": id(90), "folder": id(1), "to": id(81), "mount": id(82)});
    let shared = exchange(Route::ShareFolder, "", Some(share.clone())).await.json();
    assert_eq!(exchange(Route::ShareFolder, "", Some(share)).await.json(), shared);
    let terms = serde_json::json!({"names": "lenient", "file_bytes_max": 10, "nodes_max": 10,
        "retention": {"version_days": 1, "max_versions": 2, "tombstone_days": 3}});
    assert_eq!(exchange(Route::SetTreeTerms, "", Some(terms)).await.json()["nodes"], 3);
    exchange(Route::TreeTerms, "", None).await;
    let token = serde_json::json!({"name": "a", "access": "read", "logs": [LOG.to_string()], "expires_at": 1});
    assert_eq!(exchange(Route::MintToken, "", Some(token)).await.status, 201);
    exchange(Route::DeleteLog, "?seq=0", None).await;
    exchange(Route::SetScanning, "", Some(serde_json::json!({"policy": "meanwhile"}))).await;
    let bytes = bytes::Bytes::from_static(b"released before anybody looked at it");
    let blob = syncline::digest::Digest::of(&[&bytes]);
    rig.client().put_blob(LOG, blob, bytes).await.unwrap();
    rig.ask(Call::ReleaseBlob { log: LOG, blob }).await;
    let scans = exchange(Route::Scans, "?limit=3", None).await.json();
    assert_eq!((&scans["policy"], &scans["scans"][0]["state"]), (&"meanwhile".into(), &"released".into()));
    let group = exchange(Route::CreateGroup, "", Some(serde_json::json!({"name": "a"}))).await;
    assert_eq!(group.status, 201);
    let group = group.json()["id"].as_str().unwrap().parse().unwrap();
    rig.ask(Call::SetGrant { group, log: LOG, access: Some(syncline::access::Access::Write) }).await;
    assert_eq!(exchange(Route::Groups, "?limit=3", None).await.json()["groups"][0]["grants"][LOG.to_string()], "write");
    let tokens = exchange(Route::Tokens, "", None).await.json();
    assert_eq!(tokens["tokens"][0]["expires_at"], 1);
    let root = syncline::decide::TREE_ROOT;
    let made = rig.ask(Call::Commit(first_folder())).await;
    assert!(matches!(made, syncline::call::Reply::Committed(_)), "{made:?}");
    let link = serde_json::json!({"node": root.to_string(), "password": "x", "max_downloads": 3, "expires_at": 1});
    assert_eq!(exchange(Route::MakeLink, "", Some(link)).await.status, 201);
    assert_eq!(exchange(Route::Links, "?limit=3", None).await.json()["links"][0]["has_password"], true);
    let link = serde_json::json!({"node": root.to_string()});
    let token = exchange(Route::MakeLink, "", Some(link)).await.json()["token"].as_str().unwrap().to_owned();
    let linked = rig.request("GET", &format!("/p/{token}"), &[("authorization", "none")], b"").await;
    let described = &by_operation["openLink"]["responses"]["200"]["content"]["application/json"]["schema"];
    check(&document, described, &linked.json(), "openLink");
    assert_eq!(linked.json()["children"][0]["kind"], "folder");
    let rotate = serde_json::json!({"from": 0});
    assert_eq!(exchange(Route::RotateKeys, "", Some(rotate.clone())).await.json()["key_epoch"], 1);
    assert_eq!(exchange(Route::RotateKeys, "", Some(rotate)).await.status, 409);
    // A payload of another program, which the log no longer takes.
    let stale = op(op_json(3, 1, r#"{"sealed":"AAAA"}"#));
    let answer = exchange(Route::Push, "", Some(serde_json::json!({"ops": [stale]}))).await.json();
    assert_eq!(answer["verdicts"][0]["reason"], "KEY_EPOCH_STALE", "{answer}");
    assert_eq!(answer["verdicts"][0]["key_epoch"], 1, "{answer}");
}
