//! Heads: one per entity, in byte order.

use std::sync::Arc;

use super::author::{Author, entity_key};
use super::support::{bounds, log, push};
use crate::oplog::{Collection, EntityKey, OpKind};
use crate::store::{Store, StoreExt};

fn collection(name: &str) -> Collection {
    Collection::new(name).unwrap()
}

/// By bytes, whatever the locale says of `a`, `B` and `_`.
pub async fn heads_come_in_key_order_by_bytes(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    for entity in [200, 3, 127, 128, 0, 255] {
        push(&*store, log(1), &[author.op(OpKind::Create, "B", entity, "a")]).await;
        push(&*store, log(1), &[author.op(OpKind::Create, "a", entity, "a")]).await;
        push(&*store, log(1), &[author.op(OpKind::Create, "_", entity, "a")]).await;
    }
    for name in ["B", "_", "a"] {
        let page = store.heads(log(1), &collection(name), None, 10).await.unwrap();
        let keys: Vec<EntityKey> = page.heads.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [0, 3, 127, 128, 200, 255].map(|entity| entity_key(name, entity)));
        assert!(!page.more);
    }
}

/// Page after page gives the collection.
pub async fn heads_page_without_hole_or_overlap(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    let ops: Vec<_> = (0..11).map(|entity| author.op(OpKind::Create, "causal", entity, "a")).collect();
    push(&*store, log(1), &ops).await;
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = store.heads(log(1), &collection("causal"), after.as_ref(), 4).await.unwrap();
        seen.extend(page.heads.iter().map(|(key, _)| key.clone()));
        after = seen.last().cloned();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, (0..11).map(|entity| entity_key("causal", entity)).collect::<Vec<_>>());
}

/// A thousand edits, one head.
pub async fn a_head_is_replaced_not_added(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    for _ in 0..5 {
        push(&*store, log(1), &[author.op(OpKind::Update, "causal", 1, "a")]).await;
    }
    let page = store.heads(log(1), &collection("causal"), None, 10).await.unwrap();
    assert_eq!(page.heads.len(), 1);
    let head = &page.heads[0].1;
    assert_eq!((head.version, head.clock.get(author.replica())), (bounds(&*store, log(1)).await.last, 5));
}

/// At the ends of the key space too.
pub async fn one_head_is_found_by_its_key(store: Arc<dyn Store>) {
    let mut author = Author::new(1);
    for entity in [0, 7, 255] {
        push(&*store, log(1), &[author.op(OpKind::Create, "causal", entity, "a")]).await;
        let head = store.head(log(1), &entity_key("causal", entity)).await.unwrap();
        assert_eq!(head.map(|head| head.replica), Some(author.replica()));
    }
    for absent in [entity_key("causal", 8), entity_key("merge", 7)] {
        assert_eq!(store.head(log(1), &absent).await.unwrap(), None);
    }
}
