//! Call to request.

use bytes::Bytes;
use syncline::call::Call;
use syncline::digest::BlobId;
use syncline::id::{EntityId, GroupId, LogId};
use syncline::seq::Cursor;
use syncline::store::NodeQuery;
use syncline::wire::json::{
    AcknowledgeJson, CommitJson, CreateGroupJson, MakeLinkJson, MintTokenJson, NamedJson, NewTermsJson, PushJson,
    QuotaJson, ReserveJson, RestoreJson, RotateKeysJson, ScanningJson, ShareJson, SnapshotJson, UndoRestoreJson,
};
use syncline::wire::{WireError, binary};

use super::Form;
use crate::route::Route;

/// A request before it is sent.
pub(super) struct Ask {
    pub(super) route: Route,
    pub(super) target: String,
    pub(super) body: Option<(Form, Bytes)>,
}

/// The request that a call makes. `None` for a call that is newer than this build.
pub(super) fn ask(call: Call, form: Form) -> Result<Option<Ask>, WireError> {
    let bare = |route: Route, target: String| Ok(Some(Ask { route, target, body: None }));
    let json = |route: Route, target: String, body: Vec<u8>| {
        Ok(Some(Ask { route, target, body: Some((Form::Json, body.into())) }))
    };
    match call {
        Call::CreateLog { log, sealing } => {
            bare(Route::CreateLog, format!("{}?sealing={sealing}", path(Route::CreateLog, log)))
        }
        Call::RotateKeys { log, from } => {
            json(Route::RotateKeys, path(Route::RotateKeys, log), serde_json::to_vec(&RotateKeysJson { from })?)
        }
        Call::Status(log) => bare(Route::LogStatus, path(Route::LogStatus, log)),
        Call::Logs { after, limit } => {
            let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
            bare(Route::Logs, format!("{}?limit={limit}{after}", Route::Logs.path()))
        }
        Call::DeleteLog { log, seen } => {
            let target = format!("{}?seq={}{}", path(Route::DeleteLog, log), seen.seq, anchor(seen));
            bare(Route::DeleteLog, target)
        }
        Call::Push(push) => {
            let target = path(Route::Push, push.log);
            let body = match form {
                Form::Binary => binary::encode_push(&push),
                Form::Json => serde_json::to_vec(&PushJson::of(&push)?)?.into(),
            };
            Ok(Some(Ask { route: Route::Push, target, body: Some((form, body)) }))
        }
        Call::Pull { log, cursor, limit } => {
            let (ops, bytes) = (limit.ops_max(), limit.bytes_max());
            let (path, anchor) = (path(Route::Pull, log), anchor(cursor));
            bare(Route::Pull, format!("{path}?after={}{anchor}&limit={ops}&bytes={bytes}", cursor.seq))
        }
        Call::GetSnapshot(log) => bare(Route::GetSnapshot, path(Route::GetSnapshot, log)),
        Call::PutSnapshot { log, snapshot } => {
            let target = path(Route::PutSnapshot, log);
            let body = match form {
                Form::Binary => binary::encode_snapshot(&snapshot),
                Form::Json => serde_json::to_vec(&SnapshotJson::of(&snapshot)?)?.into(),
            };
            Ok(Some(Ask { route: Route::PutSnapshot, target, body: Some((form, body)) }))
        }
        Call::RestorePoints { log, limit } => {
            bare(Route::RestorePoints, format!("{}?limit={limit}", path(Route::RestorePoints, log)))
        }
        Call::Restore { log, to, seen, request } => {
            let body = serde_json::to_vec(&RestoreJson { to, seen, request })?;
            json(Route::Restore, path(Route::Restore, log), body)
        }
        Call::UndoRestore { log, seen, request } => {
            let body = serde_json::to_vec(&UndoRestoreJson { seen, request })?;
            json(Route::UndoRestore, path(Route::UndoRestore, log), body)
        }
        Call::Acknowledge { log, replica, cursor } => {
            let body = serde_json::to_vec(&AcknowledgeJson { replica, cursor })?;
            json(Route::Acknowledge, path(Route::Acknowledge, log), body)
        }
        Call::Devices(log) => bare(Route::Devices, path(Route::Devices, log)),
        Call::Reserve { log, blobs } => {
            let blobs = blobs.into_iter().map(|(blob, size)| NamedJson { blob, size }).collect();
            let body = serde_json::to_vec(&ReserveJson { blobs })?;
            json(Route::ReserveBlobs, path(Route::ReserveBlobs, log), body)
        }
        Call::BlobUsage(log) => bare(Route::BlobUsage, path(Route::BlobUsage, log)),
        Call::SetBlobQuota { log, quota } => {
            let body = serde_json::to_vec(&QuotaJson { quota })?;
            json(Route::SetBlobQuota, path(Route::SetBlobQuota, log), body)
        }
        Call::SetScanning { log, policy } => {
            let body = serde_json::to_vec(&ScanningJson { policy })?;
            json(Route::SetScanning, path(Route::SetScanning, log), body)
        }
        Call::Scans { log, after, limit } => {
            let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
            bare(Route::Scans, format!("{}?limit={limit}{after}", path(Route::Scans, log)))
        }
        Call::ReleaseBlob { log, blob } => bare(Route::ReleaseBlob, about(Route::ReleaseBlob, log, blob)),
        Call::RescanBlob { log, blob } => bare(Route::RescanBlob, about(Route::RescanBlob, log, blob)),
        Call::KeepManifest { log, manifest } => {
            let path = path(Route::KeepManifest, log).replace("{blob}", &manifest.to_string());
            bare(Route::KeepManifest, path)
        }
        Call::Commit(commit) => {
            json(Route::Commit, path(Route::Commit, commit.log), serde_json::to_vec(&CommitJson::of(&commit))?)
        }
        Call::Nodes { log, asked, limit } => {
            let (route, target) = listing(log, &asked, limit);
            bare(route, target)
        }
        Call::Revisions { log, node, after, limit } => {
            let path = of_node(Route::Revisions, log, node);
            bare(Route::Revisions, format!("{path}?after={after}&limit={limit}"))
        }
        Call::PurgeTrash { log, node } => bare(Route::PurgeTrash, of_node(Route::PurgeTrash, log, node)),
        Call::ShareFolder(share) => {
            json(Route::ShareFolder, path(Route::ShareFolder, share.log), serde_json::to_vec(&ShareJson::of(&share))?)
        }
        Call::TreeTerms(log) => bare(Route::TreeTerms, path(Route::TreeTerms, log)),
        Call::SetTreeTerms { log, terms } => {
            json(Route::SetTreeTerms, path(Route::SetTreeTerms, log), serde_json::to_vec(&NewTermsJson::of(&terms))?)
        }
        Call::RotateToken(id) => bare(Route::RotateToken, Route::RotateToken.path().replace("{id}", &id.to_string())),
        Call::Tokens { after, limit } => {
            let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
            bare(Route::Tokens, format!("{}?limit={limit}{after}", Route::Tokens.path()))
        }
        Call::CreateGroup { name } => {
            let body = serde_json::to_vec(&CreateGroupJson { name })?;
            json(Route::CreateGroup, Route::CreateGroup.path().to_owned(), body)
        }
        Call::Groups { after, limit } => {
            let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
            bare(Route::Groups, format!("{}?limit={limit}{after}", Route::Groups.path()))
        }
        Call::DeleteGroup(group) => bare(Route::DeleteGroup, of_group(Route::DeleteGroup, group)),
        Call::SetMember { group, token, member } => {
            let route = if member { Route::JoinGroup } else { Route::LeaveGroup };
            bare(route, of_group(route, group).replace("{member}", &token.to_string()))
        }
        Call::SetGrant { group, log, access } => {
            let route = if access.is_some() { Route::Grant } else { Route::EndGrant };
            let target = of_group(route, group).replace("{log}", &log.to_string());
            let access = access.map(|access| format!("?access={}", access.name())).unwrap_or_default();
            bare(route, format!("{target}{access}"))
        }
        Call::MakeLink(new) => {
            let target = path(Route::MakeLink, new.log);
            json(Route::MakeLink, target, serde_json::to_vec(&MakeLinkJson::of(new))?)
        }
        Call::Links { log, after, limit } => {
            let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
            bare(Route::Links, format!("{}?limit={limit}{after}", path(Route::Links, log)))
        }
        Call::RevokeLink { log, link } => {
            bare(Route::RevokeLink, path(Route::RevokeLink, log).replace("{link}", &link.to_string()))
        }
        Call::MintToken { name, access, logs, replica, expires_at } => {
            let body = serde_json::to_vec(&MintTokenJson { name, access, logs, replica, expires_at })?;
            json(Route::MintToken, Route::MintToken.path().to_owned(), body)
        }
        Call::Partly { part, call } if !matches!(*call, Call::Partly { .. }) => {
            Ok(ask(*call, form)?.map(|mut asked| {
                let sign = if asked.target.contains('?') { '&' } else { '?' };
                asked.target.push_str(&format!("{sign}part={part}"));
                asked
            }))
        }
        Call::RevokeToken(token) => {
            bare(Route::RevokeToken, Route::RevokeToken.path().replace("{id}", &token.to_string()))
        }
        _ => Ok(None),
    }
}

/// The path of a route about a log. Ids have no characters that a path would have to escape.
pub(super) fn path(route: Route, log: LogId) -> String {
    route.path().replace("{log}", &log.to_string())
}

/// The path of a route about a blob.
fn about(route: Route, log: LogId, blob: BlobId) -> String {
    path(route, log).replace("{blob}", &blob.to_string())
}

fn of_node(route: Route, log: LogId, node: EntityId) -> String {
    path(route, log).replace("{node}", &node.to_string())
}

fn listing(log: LogId, asked: &NodeQuery, limit: usize) -> (Route, String) {
    let after = |after: &Option<EntityId>| after.map(|after| format!("&after={after}")).unwrap_or_default();
    match asked {
        NodeQuery::All { after: id } => {
            (Route::Nodes, format!("{}?limit={limit}{}", path(Route::Nodes, log), after(id)))
        }
        NodeQuery::Trash { after: id } => {
            (Route::Trash, format!("{}?limit={limit}{}", path(Route::Trash, log), after(id)))
        }
        NodeQuery::Leaves { of } => (Route::Leaves, format!("{}?limit={limit}", of_node(Route::Leaves, log, *of))),
        NodeQuery::One(node) => (Route::Node, format!("{}?limit={limit}", of_node(Route::Node, log, *node))),
        NodeQuery::Children { of, after } => {
            let after = after.as_ref().map(|key| format!("&after={}", escaped(key.as_str()))).unwrap_or_default();
            (Route::Children, format!("{}?limit={limit}{after}", of_node(Route::Children, log, *of)))
        }
    }
}

/// Every byte as `%XX`: what a name may contain, no query may.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn of_group(route: Route, group: GroupId) -> String {
    route.path().replace("{id}", &group.to_string())
}

fn anchor(cursor: Cursor) -> String {
    cursor.anchor.map(|anchor| format!("&anchor={anchor}")).unwrap_or_default()
}
