//! Folders that are shared, through a server over the store: a folder is in one log or in the other, never in both or none.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::support::{all_ops, env, log, schema, side_by_side};
use crate::access::Caller;
use crate::call::{Call, Commit, Committed, ErrorCode, Refusal, Reply, Share, Shared};
use crate::decide::TREE_ROOT;
use crate::digest::Digest;
use crate::id::{EntityId, LogId, LogKey, OpId, ReplicaId};
use crate::oplog::Sealing;
use crate::server::Server;
use crate::store::{BlobSource as _, ByteRange, BytesSource, MemoryBlobs, MemoryFanout, NodeQuery, Store};
use crate::time::Timestamp;
use crate::tree::{self, Content, Entry, Kind, Label, Node, TreeOp};

struct World {
    server: Server,
    store: Arc<dyn Store>,
    now: std::sync::atomic::AtomicU64,
}

const fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

const fn replica() -> ReplicaId {
    ReplicaId::from_bytes([9; 16])
}

fn content(text: &str) -> Content {
    Content {
        blob: Digest::of(&[text.as_bytes()]),
        bytes: text.len() as u64,
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    }
}

fn create(node: u8, parent: EntityId, name: &str, text: Option<&str>) -> TreeOp {
    let kind = if text.is_some() { Kind::File } else { Kind::Folder };
    TreeOp::Create { node: id(node), parent, name: name.to_owned(), kind, content: text.map(content) }
}

impl World {
    async fn new(store: Arc<dyn Store>) -> Self {
        let server = Server::new(Arc::clone(&store), Arc::new(MemoryFanout::new()), schema());
        let server = server.with_blobs(Arc::new(MemoryBlobs::new()));
        let world = Self { server, store, now: 1.into() };
        world.ask(Call::CreateLog { log: log(1).log, sealing: Sealing::default() }).await.expect("a log");
        for text in ["x", "y", "z", "deep"] {
            world.put(text).await;
        }
        let ops = vec![
            create(1, TREE_ROOT, "d", None),
            create(2, id(1), "sub", None),
            create(3, id(1), "x", Some("x")),
            create(4, id(2), "deep", Some("deep")),
            create(5, TREE_ROOT, "y", Some("y")),
        ];
        world.commit(1, ops).await.expect("made");
        world
    }

    fn now(&self) -> u64 {
        self.now.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    async fn ask(&self, call: Call) -> Result<Reply, Refusal> {
        self.server.handle(&Caller::operator(log(1).bucket), call, env(self.now())).await
    }

    async fn put(&self, text: &str) {
        let mut body = BytesSource::new(Bytes::from(text.to_owned()));
        let (caller, named) = (Caller::operator(log(1).bucket), (content(text).blob, text.len() as u64));
        self.server.put_blob(&caller, log(1).log, named, &mut body, env(self.now())).await.expect("stored");
    }

    async fn commit(&self, number: u8, ops: Vec<TreeOp>) -> Result<Committed, Refusal> {
        let commit = Commit {
            log: log(1).log,
            id: OpId::from_bytes([number; 16]),
            replica: replica(),
            label: Label::new("D").expect("a label"),
            ops: Arc::new(tree::Commit::new(ops).expect("a commit")),
        };
        match self.ask(Call::Commit(commit)).await? {
            Reply::Committed(committed) => Ok(committed),
            other => panic!("{other:?}"),
        }
    }

    async fn share(&self, number: u8, folder: EntityId) -> Result<Shared, ErrorCode> {
        let share = Share {
            log: log(1).log,
            id: OpId::from_bytes([number; 16]),
            replica: replica(),
            folder,
            to: LogId::from_bytes([number; 16]),
            mount: id(number),
        };
        match self.ask(Call::ShareFolder(share)).await.map_err(|refusal| refusal.code)? {
            Reply::Shared(shared) => Ok(shared),
            other => panic!("{other:?}"),
        }
    }

    async fn live(&self, of: LogKey) -> Vec<(EntityId, Node)> {
        let page = self.store.nodes(of, &NodeQuery::All { after: None }, 1_000).await.expect("a listing");
        page.nodes.into_iter().filter(|(_, node)| node.dead.is_none()).collect()
    }

    /// What each log's entries say becomes what its tree is.
    async fn entries(&self, of: LogKey) -> Vec<Entry> {
        let entry = |op: crate::oplog::LoggedOp| match op.op.read().expect("an op").payload() {
            crate::oplog::Payload::Plain(bytes) => Entry::from_bytes(bytes.clone()).expect("an entry"),
            other => panic!("{other:?}"),
        };
        all_ops(&*self.store, of).await.into_iter().map(entry).collect()
    }

    async fn reads(&self, of: LogKey, text: &str) -> bool {
        let caller = Caller::operator(of.bucket);
        let opened = self.server.open_blob(&caller, of.log, content(text).blob, ByteRange::default()).await;
        let Ok((_, mut source)) = opened else { return false };
        let mut held = Vec::new();
        while let Some(bytes) = source.next().await.expect("bytes") {
            held.extend_from_slice(&bytes);
        }
        held == text.as_bytes()
    }
}

fn ids(nodes: &[(EntityId, Node)]) -> BTreeSet<EntityId> {
    nodes.iter().map(|(id, _)| *id).collect()
}

/// One op in each log, with ids kept and bytes readable; sent twice it has one effect.
pub async fn a_share_is_one_step_of_both_logs(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let shared = world.share(7, id(1)).await.expect("shared");
    assert_eq!(world.share(7, id(1)).await, Ok(shared), "sent twice, one effect and one answer");
    assert_eq!(world.share(7, id(2)).await, Err(ErrorCode::RequestIdReused), "another body under the id");
    let (from, to) = (world.live(log(1)).await, world.live(log(7)).await);
    assert_eq!(ids(&from), BTreeSet::from([TREE_ROOT, id(5), id(7)]));
    assert_eq!(ids(&to), BTreeSet::from([TREE_ROOT, id(2), id(3), id(4)]), "ids are kept");
    let mount = from.iter().find(|(node, _)| *node == id(7)).expect("the mount");
    assert_eq!((mount.1.name.as_str(), mount.1.kind), ("d", Kind::Mount(log(7).log)));
    assert!(world.reads(log(7), "deep").await && world.reads(log(7), "x").await);
    assert!(!world.reads(log(7), "y").await, "nothing else came along");
    let (entries, moved) = (world.entries(log(1)).await, world.entries(log(7)).await);
    assert_eq!((entries.len(), moved.len()), (2, 1));
    assert_eq!(entries[1].asked, moved[0].asked, "one act, written in both logs");
}

/// Whoever comes first is followed by what that makes of the other; nothing that lived is lost.
pub async fn racing_shares_and_commits_lose_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    type Race<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
    let races: Vec<Race<'_>> = vec![
        Box::pin(async { world.share(7, id(1)).await.is_ok() }),
        Box::pin(async { world.share(8, id(2)).await.is_ok() }),
        Box::pin(async { world.commit(2, vec![create(6, id(2), "late", Some("z"))]).await.is_ok() }),
    ];
    let done = side_by_side(races).await;
    assert!(done[2], "a commit is never refused for a share");
    assert!(done[0] != done[1], "the inner folder was gone, or a mount was in the outer one");
    let mut found = Vec::new();
    for of in [log(1), log(7), log(8)] {
        for (node, kept) in world.live(of).await {
            if let Some(content) = kept.content {
                found.push((node, content.blob));
            }
        }
    }
    found.sort_unstable();
    let expected = [(3, "x"), (4, "deep"), (5, "y"), (6, "z")].map(|(node, text)| (id(node), content(text).blob));
    assert_eq!(found, expected, "each file is in one tree");
}
