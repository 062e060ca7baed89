//! The bank's entries fit the sources as they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use syncline_bank::{Form, all, root};

#[test]
fn every_bug_can_still_be_planted() {
    let bugs = all().unwrap();
    let unfit: Vec<String> = bugs.iter().filter_map(|bug| bug.unfit(&root())).collect();
    assert_eq!(unfit, Vec::<String>::new());
    for bug in &bugs {
        assert!(!bug.edit.is_empty() && !bug.source.is_empty() && bug.seeds > 0, "{}", bug.name);
        for edit in &bug.edit {
            assert_eq!(edit.form == Form::Text, edit.put.contains("PLANTED"), "{}", bug.name);
            assert!(edit.file.starts_with("core/src/"), "{}: the switch is core's", bug.name);
        }
    }
}

#[test]
fn there_are_at_least_25_bugs_of_different_names() {
    let bugs = all().unwrap();
    let names: BTreeSet<&str> = bugs.iter().map(|bug| bug.name.as_str()).collect();
    assert_eq!(names.len(), bugs.len());
    assert!(bugs.len() >= 25, "{} bugs", bugs.len());
}
