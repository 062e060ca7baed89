//! The client's sync conversation, in scripts that people can read, and its laws under inputs nobody would write.
//!
//! How: every `*.script` here is one story. `script.rs` reads what happens (`>`) and writes what the conversation says to
//! it (`<`); the file is compared whole, so a changed habit shows every line it changed. `laws.rs` throws any inputs at
//! it; `replica.rs` lets it talk to the real server over the memory store, through lost answers, rollbacks and edits.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each proof uses its part")]
mod common;

mod laws;
mod replica;
mod script;
mod storm;

macro_rules! stories {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                story(stringify!($name));
            }
        )*

        /// Every script there is; a file without a test would prove nothing.
        const STORIES: &[&str] = &[$(stringify!($name),)*];
    };
}

stories! {
    a_fresh_device_with_an_empty_log_uploads_only_after_it_looked;
    a_fresh_device_starts_from_the_snapshot_and_reads_on;
    a_fresh_device_goes_on_where_its_download_stopped;
    a_declined_log_is_not_kept;
    a_thousand_edits_made_offline_take_one_round_trip;
    news_that_came_with_the_verdicts_are_read_to_the_end_before_the_next_batch;
    an_edit_during_a_push_goes_out_next;
    a_wake_during_a_pull_is_served_before_waiting;
    waiting_ends_with_its_time_a_wake_or_an_edit;
    failures_wait_longer_each_time_and_longer_still_when_asked;
    only_the_network_cuts_a_backoff_short;
    a_lost_answer_is_asked_for_with_the_same_batch;
    offline_waits_for_the_network_and_drops_nothing;
    gap_pruned_begins_anew_from_the_snapshot;
    gap_server_empty_is_offered_the_history;
    gap_client_ahead_is_found_by_the_servers_end;
    gap_diverged_is_found_by_binary_search;
    gap_foreign_log_halts;
    gap_hole_is_tried_once_more_and_then_slowly;
    gaps_that_come_again_wait;
    a_refused_op_is_parked_and_the_rest_goes_on;
    a_batch_too_large_is_halved;
    sign_in_and_upgrade_halt_until_told;
    a_missing_key_halts_until_it_comes_and_nothing_is_read_twice;
    a_damaged_log_is_tried_slowly;
    pushes_without_effect_end_in_a_backoff;
    answers_to_nothing_are_ignored_and_wrong_ones_are_unreadable;
}

fn story(name: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/session").join(format!("{name}.script"));
    let script = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    common::golden(&format!("session/{name}.script"), &script::run(&script));
}

#[test]
fn every_script_is_run() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/session");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of this test") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        if let Some(story) = name.strip_suffix(".script") {
            assert!(STORIES.contains(&story), "{name} is run by no test");
            found += 1;
        }
    }
    assert_eq!(found, STORIES.len());
}
