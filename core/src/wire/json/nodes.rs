//! Nodes of a tree of files, and what files contained before.

use super::tree::{ContentJson, KindJson, ReasonJson};
use super::*;
use crate::store::NodePage;
use crate::tree::{Node, Revision, Stamp};

/// A listing of nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodesJson {
    nodes: Vec<NodeJson>,
    more: bool,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    end: Option<Cursor>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct NodeJson {
    id: EntityId,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    parent: Option<EntityId>,
    name: String,
    kind: KindJson,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    mount: Option<LogId>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    content: Option<ContentJson>,
    content_stamp: StampJson,
    parent_stamp: StampJson,
    name_stamp: StampJson,
    created: Seq,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    dead: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    conflict_of: Option<EntityId>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct StampJson {
    seq: Seq,
    by: ReplicaId,
}

impl StampJson {
    const fn of(stamp: Stamp) -> Self {
        Self { seq: stamp.seq, by: stamp.by }
    }

    const fn read(self) -> Stamp {
        Stamp { seq: self.seq, by: self.by }
    }
}

impl NodeJson {
    fn of(id: EntityId, node: &Node) -> Self {
        let (kind, mount) = KindJson::of(node.kind);
        Self {
            id,
            parent: node.parent,
            name: node.name.as_str().to_owned(),
            kind,
            mount,
            content: node.content.as_ref().map(ContentJson::of),
            content_stamp: StampJson::of(node.content_stamp),
            parent_stamp: StampJson::of(node.parent_stamp),
            name_stamp: StampJson::of(node.name_stamp),
            created: node.created,
            dead: node.dead,
            conflict_of: node.conflict_of,
        }
    }

    fn read(self) -> Result<(EntityId, Node), WireError> {
        let name = Node::kept_name(self.parent, &self.name);
        let node = Node {
            parent: self.parent,
            name: name.ok_or_else(|| WireError::Json(format!("no node is called {:?}", self.name)))?,
            kind: self.kind.read(self.mount)?,
            content: self.content.map(ContentJson::read),
            content_stamp: self.content_stamp.read(),
            parent_stamp: self.parent_stamp.read(),
            name_stamp: self.name_stamp.read(),
            created: self.created,
            dead: self.dead,
            conflict_of: self.conflict_of,
        };
        if node.kind.has_content() != node.content.is_some() {
            return Err(WireError::Json("files and links have a content, and nothing else has".into()));
        }
        Ok((self.id, node))
    }
}

impl NodesJson {
    /// The JSON form of a listing.
    #[must_use]
    pub fn of(page: &NodePage) -> Self {
        let nodes = page.nodes.iter().map(|(id, node)| NodeJson::of(*id, node)).collect();
        Self { nodes, more: page.more, end: page.end }
    }

    /// The listing.
    ///
    /// # Errors
    /// When one is no node.
    pub fn read(self) -> Result<NodePage, WireError> {
        let nodes = self.nodes.into_iter().map(NodeJson::read).collect::<Result<_, _>>()?;
        Ok(NodePage { nodes, more: self.more, end: self.end })
    }
}

/// What files contained, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevisionsJson {
    revisions: Vec<RevisionJson>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct RevisionJson {
    node: EntityId,
    seq: Seq,
    content: ContentJson,
    by: ReplicaId,
    accepted_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    base: Option<Seq>,
    reason: ReasonJson,
}

impl RevisionsJson {
    /// The JSON form of a listing.
    #[must_use]
    pub fn of(revisions: &[Revision]) -> Self {
        let revision = |revision: &Revision| RevisionJson {
            node: revision.node,
            seq: revision.seq,
            content: ContentJson::of(&revision.content),
            by: revision.by,
            accepted_at: revision.accepted_at,
            base: revision.base,
            reason: ReasonJson::of(revision.reason),
        };
        Self { revisions: revisions.iter().map(revision).collect() }
    }

    /// The listing.
    #[must_use]
    pub fn read(self) -> Vec<Revision> {
        let revision = |revision: RevisionJson| Revision {
            node: revision.node,
            seq: revision.seq,
            content: revision.content.read(),
            by: revision.by,
            accepted_at: revision.accepted_at,
            base: revision.base,
            reason: revision.reason.read(),
        };
        self.revisions.into_iter().map(revision).collect()
    }
}
