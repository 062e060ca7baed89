//! Reading in pages.

use std::sync::Arc;

use super::author::{Author, entity_subject};
use super::support::{all_ops, bounds, log, push};
use crate::oplog::{OpKind, Payload};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, Store};

async fn fill(store: &dyn Store, count: u8, size: usize) {
    let mut author = Author::new(1);
    let ops: Vec<_> = (0..count)
        .map(|entity| {
            let payload = Payload::Plain(vec![entity; size].into());
            author.draft(OpKind::Create, entity_subject("merge", entity), payload).seal().unwrap()
        })
        .collect();
    push(store, log(1), &ops).await;
}

fn limit(ops: usize) -> PageLimit {
    PageLimit::ops(ops).expect("in range")
}

/// Exactly the limit, by count and by bytes.
pub async fn a_page_ends_by_count_and_by_bytes(store: Arc<dyn Store>) {
    fill(&*store, 10, 100).await;
    let all = all_ops(&*store, log(1)).await;
    for count in [1, 2, 9, 10, 11] {
        let page = store.ops_after(log(1), Seq::ZERO, limit(count)).await.unwrap();
        assert_eq!(page.ops, all[..count.min(10)]);
        assert_eq!(page.has_more(), count < 10);
    }
    let two: usize = all[..2].iter().map(|logged| logged.op.bytes().len()).sum();
    for (bytes, ops) in [(two - 1, 1), (two, 2), (two + 1, 2)] {
        let page = store.ops_after(log(1), Seq::ZERO, limit(10).bytes(bytes)).await.unwrap();
        assert_eq!(page.ops.len(), ops, "{bytes} bytes");
    }
}

/// However large the op.
pub async fn a_page_always_holds_at_least_one_op(store: Arc<dyn Store>) {
    fill(&*store, 3, 5_000).await;
    for after in 0..3 {
        let after = Seq::new(after).unwrap();
        let page = store.ops_after(log(1), after, limit(10).bytes(1)).await.unwrap();
        assert_eq!(page.ops.len(), 1);
        assert_eq!(Some(page.ops[0].seq), after.next());
    }
}

/// Page after page gives the log.
pub async fn pages_join_without_hole_or_overlap(store: Arc<dyn Store>) {
    fill(&*store, 23, 10).await;
    let mut cursor = Cursor::START;
    let mut seqs = Vec::new();
    loop {
        let page = store.ops_after(log(1), cursor.seq, limit(4)).await.unwrap();
        assert_eq!(page.gap(cursor), None);
        seqs.extend(page.ops.iter().map(|logged| logged.seq.get()));
        cursor = page.next(cursor);
        if !page.has_more() {
            break;
        }
    }
    assert_eq!(seqs, (1..=23).collect::<Vec<_>>());
    assert_eq!(cursor, bounds(&*store, log(1)).await.end());
}

/// What a cursor check needs comes with the page.
pub async fn a_page_carries_bounds_and_anchor_of_the_same_read(store: Arc<dyn Store>) {
    fill(&*store, 5, 10).await;
    let all = all_ops(&*store, log(1)).await;
    for after in 0..=5_u64 {
        let page = store.ops_after(log(1), Seq::new(after).unwrap(), limit(2)).await.unwrap();
        let bounds = page.bounds.expect("bounds");
        assert_eq!(bounds.last.get(), 5);
        let known = match after {
            0 => bounds.base,
            n => all[usize::try_from(n).unwrap() - 1].anchor,
        };
        assert_eq!(page.anchor, Some(known));
    }
}

/// A reader may come before the first writer.
pub async fn an_absent_log_reads_as_empty(store: Arc<dyn Store>) {
    let page = store.ops_after(log(9), Seq::ZERO, limit(1)).await.unwrap();
    assert_eq!((page.bounds.clone(), page.anchor, page.ops.len()), (None, None, 0));
    assert_eq!(page.gap(Cursor::START), None);
}

/// No ops, but bounds.
pub async fn past_the_end_there_is_nothing(store: Arc<dyn Store>) {
    fill(&*store, 2, 10).await;
    for after in [2, 3, u64::from(u32::MAX), Seq::MAX.get()] {
        let page = store.ops_after(log(1), Seq::new(after).unwrap(), limit(5)).await.unwrap();
        assert!(page.ops.is_empty());
        assert_eq!(page.bounds.expect("bounds").last.get(), 2);
    }
}
