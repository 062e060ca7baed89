//! Who may do what, over every route that is served.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use syncline_hostile::matrix;

#[tokio::test]
async fn every_operation_is_allowed_to_those_who_may_and_tells_others_nothing() {
    let outcome = matrix::run(1).await;
    assert!(outcome.findings.is_empty(), "{:#?}", outcome.findings);
    assert!(outcome.cells >= outcome.operations * outcome.classes, "{outcome:?}");
}
