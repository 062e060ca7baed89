//! A Postgres of our own that keeps what it commits; without one the question is left open, and said to be.

use std::fs;

use anyhow::Context as _;
use syncline_tests::rig::postgres::{Cluster, Durability};

use crate::measure::Meter;
use crate::table;

/// A running cluster and the meter that counts its work along with ours.
#[derive(Debug)]
#[non_exhaustive]
pub struct Server {
    /// Where it is.
    pub url: String,
    /// Counts this process and the cluster.
    pub meter: Meter,
    /// The process whose children the cluster is.
    pub postmaster: u32,
    _cluster: Cluster,
}

/// Starts a durable cluster. `None`, and a line that says so, when that does not work on a machine of one's own.
///
/// # Errors
/// On CI, when Postgres does not start: there a question that is not asked is a failure.
pub fn durable_postgres(questions: &str) -> anyhow::Result<Option<Server>> {
    match start() {
        Ok(server) => Ok(Some(server)),
        Err(error) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => Err(error.context("CI has Postgres")),
        Err(error) => {
            table::not_run(questions, &format!("{error:#}"));
            Ok(None)
        }
    }
}

fn start() -> anyhow::Result<Server> {
    let cluster = Cluster::start(Durability::Full)?;
    let file = cluster.socket_folder().join("data/postmaster.pid");
    let text = fs::read_to_string(&file).context("the cluster's process id")?;
    let postmaster = text.lines().next().unwrap_or_default().parse().context("the cluster's process id")?;
    Ok(Server { url: cluster.url(), meter: Meter::with_cluster(postmaster), postmaster, _cluster: cluster })
}
