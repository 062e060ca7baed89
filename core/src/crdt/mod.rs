//! Conflict-free types: states that replicas change apart and merge alike, in whatever order the changes arrive.
//!
//! *What must hold:* merging is commutative, associative and idempotent; nothing here knows logs, stores or networks;
//! nothing recurses on data and no input panics. *Where next:* [`text`], the collaborative text.

pub mod text;
