//! The exported suites: what every [`Store`](crate::store::Store) must pass. Not covered by semver.
