//! Bad peers of the real server; those who take their time are in transport-http's own tests, where its times are short.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use syncline_hostile::peers::{self, Effort};
use syncline_prove::Tally;

#[tokio::test]
async fn bombs_floods_and_ambiguous_requests_are_refused_in_bounded_memory_while_others_are_answered() {
    let mut tally = Tally::new("hostile_peers");
    peers::run(&mut tally, Effort::Once, 1).await.expect("the server answers who behaves");
    assert!(tally.findings().is_empty(), "{:#?}", tally.findings());
}
