//! Listings of a log's tree of files: what is asked stands in path and query.

use axum::extract::RawPathParams;
use axum::http::request::Parts;
use syncline::call::{Call, Refusal};
use syncline::id::{EntityId, LogId};
use syncline::limits;
use syncline::seq::Seq;
use syncline::store::NodeQuery;
use syncline::tree::NameKey;

use super::ask::{param, query};
use super::problem::{malformed, no_such_route};
use super::query::{ChildrenQuery, LimitQuery, NoQuery, NodesQuery, RevisionsQuery};
use crate::route::Route;

/// The call a request without a body stands for.
pub(super) fn read(route: Route, params: &RawPathParams, parts: &Parts) -> Result<Call, Refusal> {
    let log: LogId = param(params, "log")?;
    let node = || param::<EntityId>(params, "node");
    let nodes = |asked, limit: Option<usize>| {
        let limit = limit.unwrap_or(limits::TREE_PAGE_NODES_MAX);
        Call::Nodes { log, asked, limit }
    };
    Ok(match route {
        Route::KeepManifest => {
            let NoQuery {} = query(parts)?;
            Call::KeepManifest { log, manifest: param(params, "blob")? }
        }
        Route::TreeTerms => {
            let NoQuery {} = query(parts)?;
            Call::TreeTerms(log)
        }
        Route::Nodes => {
            let NodesQuery { after, limit } = query(parts)?;
            nodes(NodeQuery::All { after }, limit)
        }
        Route::Trash => {
            let NodesQuery { after, limit } = query(parts)?;
            nodes(NodeQuery::Trash { after }, limit)
        }
        Route::Node => {
            let LimitQuery { limit } = query(parts)?;
            nodes(NodeQuery::One(node()?), limit)
        }
        Route::Leaves => {
            let LimitQuery { limit } = query(parts)?;
            nodes(NodeQuery::Leaves { of: node()? }, limit)
        }
        Route::PurgeTrash => {
            let NoQuery {} = query(parts)?;
            Call::PurgeTrash { log, node: node()? }
        }
        Route::Children => {
            let ChildrenQuery { after, limit } = query(parts)?;
            let place = |text: String| NameKey::place(&text).ok_or_else(|| malformed("after: no name contains that"));
            nodes(NodeQuery::Children { of: node()?, after: after.map(place).transpose()? }, limit)
        }
        Route::Revisions => {
            let RevisionsQuery { after, limit } = query(parts)?;
            let (after, limit) = (after.unwrap_or(Seq::ZERO), limit.unwrap_or(limits::LIST_ITEMS_MAX));
            Call::Revisions { log, node: node()?, after, limit }
        }
        _ => return Err(no_such_route()),
    })
}
