//! The served document is what the server does.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use syncline_hostile::schema::{self, Effort};
use syncline_prove::Tally;

#[test]
fn what_a_machine_makes_of_the_document_is_answered_as_the_document_says() {
    let mut tally = Tally::new("schema_cases");
    schema::run(&mut tally, Effort::Once, 1).expect("schemathesis runs");
    assert!(tally.findings().is_empty(), "{:#?}", tally.findings());
}
