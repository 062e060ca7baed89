//! Every sequential history replays to its exact end, edit by edit, one update at a time and in one batch; and is saved in
//! no more bytes than it was when this was written.

use syncline::crdt::text::Text;

use crate::replica;
use crate::traces::{Trace, load};

fn replay(trace: &Trace, mut each: impl FnMut(&mut Text)) -> Text {
    let mut text = Text::new();
    for patch in trace.txns.iter().flat_map(|txn| &txn.patches) {
        if patch.1 > 0 {
            text.delete(replica(1), patch.0..patch.0 + patch.1).unwrap();
        }
        text.insert(replica(1), patch.0, &patch.2).unwrap();
        each(&mut text);
    }
    text
}

fn check(name: &str, most_bytes: usize) {
    let trace: Trace = load(&format!("sequential/{name}.json.gz"));
    let (mut reader, mut sent) = (Text::new(), 0);
    let mut all = replay(&trace, |text| {
        let delta = text.delta(replica(1), sent).unwrap();
        sent = text.seen(replica(1));
        reader.apply(replica(1), &delta).unwrap();
    });
    assert_eq!(all.to_string(), trace.end_content, "typed");
    assert_eq!(reader.to_string(), trace.end_content, "update by update");
    let mut batch = Text::new();
    batch.apply(replica(1), &all.delta(replica(1), 0).unwrap()).unwrap();
    assert_eq!(batch.to_string(), trace.end_content, "in one batch");
    all.check().unwrap();
    reader.check().unwrap();
    batch.check().unwrap();
    assert_eq!(all.state_hash(), reader.state_hash());
    assert_eq!(all.state_hash(), batch.state_hash());
    let saved = all.save().unwrap();
    assert!(saved.len() <= most_bytes, "{} bytes with the whole history", saved.len());
    let mut loaded = Text::load(&saved).unwrap();
    assert_eq!(loaded.to_string(), trace.end_content, "loaded");
    assert_eq!(loaded.save().unwrap(), saved, "read and saved again");
    loaded.check().unwrap();
    assert_eq!(reader.save().unwrap(), saved, "another replica saves the same");
}

#[test]
fn sveltecomponent_replays() {
    check("sveltecomponent", 30_000);
}

#[test]
fn rustcode_replays() {
    check("rustcode", 86_000);
}

#[test]
fn seph_blog1_replays() {
    check("seph-blog1", 111_000);
}

#[test]
fn automerge_paper_replays() {
    check("automerge-paper", 71_500);
}

#[test]
fn json_crdt_patch_replays() {
    check("json-crdt-patch", 24_500);
}

#[test]
fn json_crdt_blog_post_replays() {
    check("json-crdt-blog-post", 18_500);
}

#[test]
fn friendsforever_flat_replays() {
    check("friendsforever_flat", 19_500);
}

#[test]
fn clownschool_flat_replays() {
    check("clownschool_flat", 20_500);
}

#[test]
fn egwalker_replays() {
    check("egwalker", 373_000);
}
