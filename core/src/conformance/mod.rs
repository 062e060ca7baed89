//! The suite that every [`Store`] must pass, for authors of adapters. Not covered by semver.
//!
//! ```ignore
//! syncline::store_conformance! { run: block_on, fresh: || async { Fixture::of(MyStore::new()) } }
//! ```
//!
//! expands to one `#[test]` per case. `run` drives a future to its end on whatever runtime the store needs; `fresh`
//! makes an empty store. A case is a named async function over the store and says in its name what it proves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "cases fail by panicking"
)]

pub mod author;
pub mod blobs;
pub mod bodies;
pub mod fanouts;
pub mod forget;
pub mod heads;
pub mod holders;
pub mod horizon;
pub mod logs;
pub mod model;
pub mod order;
pub mod pages;
pub mod prune;
pub mod race;
pub mod receipts;
pub mod retention;
pub mod rewind;
mod rewrite;
pub mod shares;
pub mod snapshots;
pub mod support;
pub mod tree_runs;
mod tree_world;
pub mod trees;
pub mod uploads;
pub mod verdicts;
pub mod writes;

use std::any::Any;
use std::sync::Arc;

use crate::store::{BlobStore, Store};

/// A store to test, and whatever must live as long as it does (a temporary folder, say).
#[derive(Debug)]
pub struct Fixture {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Dropped after the store.
    pub keep: Box<dyn Any + Send>,
}

impl Fixture {
    /// A store that needs nothing else.
    #[must_use]
    pub fn of(store: impl Store) -> Self {
        Self { store: Arc::new(store), keep: Box::new(()) }
    }

    /// A store and what it stands on.
    #[must_use]
    pub fn with(store: impl Store, keep: impl Any + Send) -> Self {
        Self { store: Arc::new(store), keep: Box::new(keep) }
    }
}

/// A blob store to test, and whatever must live as long as it does.
#[derive(Debug)]
pub struct BlobFixture {
    /// The store.
    pub store: Arc<dyn BlobStore>,
    /// Dropped after the store.
    pub keep: Box<dyn Any + Send>,
}

impl BlobFixture {
    /// A store and what it stands on.
    #[must_use]
    pub fn with(store: impl BlobStore, keep: impl Any + Send) -> Self {
        Self { store: Arc::new(store), keep: Box::new(keep) }
    }
}

/// One `#[test]` per conformance case.
#[macro_export]
macro_rules! store_conformance {
    (run: $run:expr, fresh: $fresh:expr) => {
        $crate::store_conformance_cases! { ($run) ($fresh)
            verdicts: [
                an_op_is_accepted_once_and_then_a_duplicate
                the_same_id_with_other_content_is_refused
                a_batch_gets_one_verdict_per_op_in_order
                an_op_sees_what_the_ops_before_it_in_the_batch_did
                an_atomic_batch_lands_whole_or_not_at_all
                causal_ops_must_have_seen_what_they_change
                the_first_write_whose_precondition_holds_wins
                appended_entities_never_change
                a_delete_leaves_a_tombstone_that_judges
                a_counter_that_skips_or_repeats_is_refused
                a_clock_names_only_what_the_log_has
                a_conflict_spends_the_authors_counter
                a_full_state_supersedes_what_had_not_seen_it
                what_a_log_begins_with_replaces_nothing
                a_state_that_comes_too_late_to_begin_a_log_spends_no_counter
                only_one_replica_seeds_a_log
                an_op_about_several_entities_is_accepted_for_all_or_none
                system_collections_are_reserved
                unknown_kinds_and_schema_versions_are_stored_and_relayed
                the_first_envelope_sets_the_key_epoch_and_others_are_refused
            ]
            order: [
                seqs_are_dense_from_one
                ops_come_back_byte_for_byte
                anchors_chain_from_genesis
                a_cursor_that_does_not_fit_writes_nothing
                a_log_made_again_has_another_origin
            ]
            pages: [
                a_page_ends_by_count_and_by_bytes
                a_page_always_holds_at_least_one_op
                pages_join_without_hole_or_overlap
                a_page_carries_bounds_and_anchor_of_the_same_read
                an_absent_log_reads_as_empty
                past_the_end_there_is_nothing
            ]
            heads: [
                heads_come_in_key_order_by_bytes
                heads_page_without_hole_or_overlap
                a_head_is_replaced_not_added
                one_head_is_found_by_its_key
            ]
            receipts: [
                a_repeated_request_gets_the_first_answer
                a_request_id_stands_for_one_request
                an_aborted_atomic_batch_is_remembered_too
                receipts_go_by_age
                old_receipts_are_swept_as_the_log_grows
            ]
            snapshots: [
                the_newest_snapshot_is_kept
                a_snapshot_off_the_log_is_not_kept
                a_snapshot_newer_than_asked_is_not_given
            ]
            logs: [
                making_a_log_twice_makes_it_once
                a_log_keeps_its_sealing_and_its_key_epoch
                logs_are_listed_in_id_order
                buckets_are_apart
                deleting_takes_what_was_seen
                a_deleted_log_is_gone_with_everything
                a_damaged_log_takes_no_writes
            ]
            prune: [
                pruned_ops_are_gone_and_the_rest_stays
                a_pruned_op_id_still_has_its_one_effect
                a_copy_forgets_the_ids_of_what_it_pruned
                a_copy_goes_on_at_a_later_place_and_keeps_its_heads
            ]
            forget: [
                forgotten_heads_are_gone_and_the_others_stay
                a_forgotten_head_judges_nobody
                forgetting_all_heads_keeps_those_written_along
                heads_of_system_collections_are_forgotten_like_others
                forgetting_what_is_absent_is_no_error
                a_forgotten_head_leaves_its_slot
                a_head_is_not_forgotten_and_written_at_once
            ]
            horizon: [
                a_log_begun_at_a_horizon_reads_from_there
                a_log_begun_at_a_horizon_goes_on_from_there
                a_log_begins_at_a_horizon_with_the_ops_after_it
                a_log_begun_at_a_horizon_serves_its_snapshot
                a_log_begun_anew_forgets_everything_of_the_old
                contradictory_horizons_are_refused
            ]
            holders: [
                acknowledgements_of_many_at_once_are_all_kept
                acknowledgements_are_of_their_log_and_go_with_it
            ]
            rewind: [
                a_log_that_is_cut_back_is_the_log_it_was
                cutting_back_takes_a_later_snapshot_along
                a_log_is_cut_back_and_goes_on_at_once
                contradictory_cuts_are_refused
            ]
            writes: [
                an_aborted_decision_leaves_nothing
                a_decision_may_read_in_rounds
                a_decision_that_keeps_reading_is_stopped
                writes_that_contradict_the_view_are_refused
                a_read_outside_the_scope_is_refused
                two_logs_change_together_or_not_at_all
                slots_have_one_holder
                a_panicking_decision_harms_nobody
            ]
            race: [
                racing_writers_get_dense_seqs
                the_same_batch_pushed_twice_at_once_lands_once
                a_log_made_by_many_at_once_has_one_origin
                racing_preconditions_have_one_winner
            ]
            trees: [
                a_tree_begins_with_its_root
                a_log_without_a_tree_answers_nothing
                a_node_is_read_with_its_path_to_the_root
                a_live_child_is_found_by_its_folded_name
                what_died_with_its_folder_is_found_by_name_and_group
                what_others_changed_below_a_folder_is_found
                the_height_of_a_folder_counts_the_dead_too
                a_deleted_folder_takes_all_along_but_what_is_kept
                what_died_together_comes_back_together
                an_alias_leads_to_what_stands_for_it
                purging_forgets_nodes_aliases_and_revisions
                names_change_hands_in_one_write
                nodes_are_listed_by_id
                children_are_listed_by_folded_name_as_bytes
                the_trash_lists_the_roots_of_what_was_deleted
                revisions_come_oldest_first_and_may_be_forgotten
                a_tree_is_of_its_log_and_goes_with_it
                writes_that_would_make_the_tree_none_are_refused_whole
            ]
            tree_runs: [
                random_commits_agree_with_the_memory_store
            ]
            retention: [
                a_decision_is_told_of_the_oldest_revisions
                leaves_are_what_has_nothing_in_it
                no_retention_takes_what_lives
            ]
            shares: [
                a_share_is_one_step_of_both_logs
                racing_shares_and_commits_lose_nothing
            ]
            model: [
                random_runs_agree_with_the_memory_store
            ]
        }
    };
}

/// Expands the list of [`store_conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_cases {
    (($run:expr) ($fresh:expr) $($family:ident: [$($case:ident)*])*) => {$(
        $crate::store_conformance_family! { ($run) ($fresh) $family: [$($case)*] }
    )*};
}

/// Expands one family of [`store_conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_family {
    (($run:expr) ($fresh:expr) $family:ident: []) => {};
    (($run:expr) ($fresh:expr) $family:ident: [$case:ident $($rest:ident)*]) => {
        #[test]
        fn $case() {
            let fresh = $fresh;
            $run(async move {
                let fixture: $crate::conformance::Fixture = fresh().await;
                let store = std::sync::Arc::clone(&fixture.store);
                $crate::conformance::$family::$case(store).await;
                drop(fixture);
            });
        }
        $crate::store_conformance_family! { ($run) ($fresh) $family: [$($rest)*] }
    };
}

/// One `#[test]` per case that a [`BlobStore`] must pass; `fresh` makes an empty one in a [`BlobFixture`].
#[macro_export]
macro_rules! blob_conformance {
    (run: $run:expr, fresh: $fresh:expr) => {
        $crate::blob_conformance_family! { ($run) ($fresh) blobs:
            a_blob_is_stored_once_and_read_back
            bytes_that_are_not_the_ones_announced_are_not_stored
            bytes_are_verified_also_where_the_blob_is_there
            the_empty_blob_is_a_blob
            a_range_is_half_open_and_clamped
            buckets_do_not_share_blobs
            blobs_are_listed_in_id_order_and_deleted
            fault_b09_sixteen_writers_of_one_blob_store_it_once
            a_long_blob_passes_in_pieces
            a_source_that_breaks_half_way_leaves_nothing
            a_put_that_is_given_up_leaves_nothing_visible
        }
        $crate::blob_conformance_family! { ($run) ($fresh) uploads:
            an_upload_goes_on_where_it_stopped
            a_wrong_offset_changes_nothing_and_says_the_true_one
            an_upload_that_does_not_fit_its_name_is_discarded
            an_upload_that_is_too_short_goes_on
            an_upload_does_not_grow_past_its_bound
            nobody_gets_a_blob_by_finishing_nothing
            an_append_that_breaks_goes_on_where_it_is
            uploads_are_listed_and_dropped
            racing_appends_take_each_byte_once
            racing_finishes_make_one_blob
            a_long_upload_passes_in_pieces
        }
    };
}

/// Expands one family of [`blob_conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! blob_conformance_family {
    (($run:expr) ($fresh:expr) $family:ident:) => {};
    (($run:expr) ($fresh:expr) $family:ident: $case:ident $($rest:ident)*) => {
        #[test]
        fn $case() {
            let fresh = $fresh;
            $run(async move {
                let fixture: $crate::conformance::BlobFixture = fresh().await;
                let store = std::sync::Arc::clone(&fixture.store);
                $crate::conformance::$family::$case(store).await;
                drop(fixture);
            });
        }
        $crate::blob_conformance_family! { ($run) ($fresh) $family: $($rest)* }
    };
}

/// One `#[test]` per case that a [`Fanout`](crate::store::Fanout) must pass; `fresh` makes one behind an `Arc`.
#[macro_export]
macro_rules! fanout_conformance {
    (run: $run:expr, fresh: $fresh:expr) => {
        $crate::fanout_conformance_case! { ($run) ($fresh)
            a_wake_reaches_everyone_interested
            a_wake_of_another_log_is_not_heard
            waiting_wakes_end_with_the_newest
            an_ephemeral_is_relayed_as_it_is
            a_dropped_subscription_harms_nobody
        }
    };
}

/// Expands [`fanout_conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! fanout_conformance_case {
    (($run:expr) ($fresh:expr)) => {};
    (($run:expr) ($fresh:expr) $case:ident $($rest:ident)*) => {
        #[test]
        fn $case() {
            let fresh = $fresh;
            $run(async move {
                let subject: std::sync::Arc<dyn $crate::store::Fanout> = fresh().await;
                $crate::conformance::fanouts::$case(subject).await;
            });
        }
        $crate::fanout_conformance_case! { ($run) ($fresh) $($rest)* }
    };
}
