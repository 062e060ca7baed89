//! Bodies as phones and desktops send them: gzip, base64 of gzip, too long, damaged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use super::api::{Answer, Api, gzip};
use super::ops::run;
use super::world::World;

async fn send(account: &Api, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let request = account.request(Method::POST, "/api/sync/ops").body(body);
    Api::send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

fn upload(number: u64) -> Vec<u8> {
    json!({"ops": run("d1", number, 1), "clientId": "d1"}).to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_s_body_is_base64_of_gzip() {
    let world = World::sqlite(&[]);
    let account = world.account("phone").await;
    let (encoding, transfer) = (("Content-Encoding", "gzip"), ("Content-Transfer-Encoding", "base64"));
    assert_eq!(send(&account, &[encoding], gzip(&upload(1))).await.codes(), [None]);
    let text = STANDARD.encode(gzip(&upload(2)));
    assert_eq!(send(&account, &[encoding, transfer], text.clone().into_bytes()).await.codes(), [None]);
    assert_eq!(send(&account, &[("Content-Encoding", "identity")], upload(3)).await.codes(), [None]);

    let failed = json!({"error": "Failed to decompress gzip body"});
    let whole = gzip(&upload(4));
    let damaged = [
        (vec![encoding], b"not gzip".to_vec()),
        (vec![encoding], whole[..whole.len() / 2].to_vec()),
        (vec![encoding], gzip(b"{\"ops\":")),
        (vec![encoding, transfer], b"***".to_vec()),
    ];
    for (headers, body) in damaged {
        let answer = send(&account, &headers, body).await;
        assert_eq!((answer.status, &answer.body), (400, &failed), "{headers:?}");
    }
    assert_eq!(account.page(0, 10).await["latestSeq"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_over_ten_mebibytes_is_not_looked_at() {
    let world = World::sqlite(&[]);
    let account = world.account("large").await;
    let answer = send(&account, &[("Content-Encoding", "gzip")], vec![0; (10 << 20) + 1]).await;
    assert_eq!((answer.status, answer.body), (413, json!({"error": "Compressed payload too large"})));
    let answer = send(&account, &[("Content-Encoding", "gzip")], vec![0; 10 << 20]).await;
    assert_eq!(answer.status, 400, "at the limit it is looked at");
}
