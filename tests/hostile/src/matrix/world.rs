//! A server with something in it worth hiding, and one caller of each class.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use syncline::access::{Bearer, Caller};
use syncline::call::{Call, Commit, Reply};
use syncline::client::BlobTransport as _;
use syncline::decide::TREE_ROOT;
use syncline::digest::{BlobId, Digest};
use syncline::id::{BucketId, EntityId, GroupId, LogId, OpId, ReplicaId, TokenId};
use syncline::oplog::Sealing;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline::time::{Env, Timestamp};
use syncline::tree::{self, Kind, Label, TreeOp};
use syncline_transport_http::dialect::super_productivity::{PasswordCost, Settings, SuperProductivity};
use syncline_transport_http::server::{Beside, ServerOptions, Tokens};

use super::classes::{Bound, CLASSES, Class, Comes, Group, Logs};
use crate::common::{BUCKET, LOG, OPERATOR, Rig, op_json, push_of, replica, server_over};

const OTHER_BUCKET: BucketId = BucketId::from_bytes([8; 16]);
const OTHER_LOG: LogId = LogId::from_bytes([10; 16]);
/// The id of nothing.
const NOTHING: &str = "00000000-0000-7000-8000-0000000000dd";
/// A log that is nowhere.
pub(super) const NOWHERE: LogId = LogId::from_bytes([0x6e; 16]);
/// Everything that is anybody's to hide has this in it.
pub(super) const MARK: &str = "classified";
/// The content of the log's blob.
pub(super) const BLOB_BYTES: &[u8] = b"classified bytes";
/// Who writes as the matrix asks.
const AUTHOR: u8 = 42;

/// What requests name.
pub(super) struct Ids {
    pub(super) author: u8,
    pub(super) replica: ReplicaId,
    pub(super) blob: BlobId,
    pub(super) root: String,
    /// The address of a link, its id, and a token and a group.
    pub(super) address: String,
    pub(super) link: String,
    pub(super) token: TokenId,
    pub(super) group: GroupId,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// What there is to hide or to break.
    This,
    /// The log, and a token, a group and a link that are not.
    TheLog,
    /// A log that is nowhere, else as the first.
    Nowhere,
}

/// A class with what its caller says, and the token's id where there is one.
pub(super) struct Person {
    pub(super) class: &'static Class,
    pub(super) says: Option<String>,
    pub(super) token: Option<TokenId>,
}

pub(super) struct World {
    pub(super) rig: Rig,
    pub(super) ids: Ids,
    pub(super) people: Vec<Person>,
    entropy: u64,
}

impl World {
    pub(super) async fn made() -> Self {
        let (store, fanout) = (Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()));
        let server = server_over(Arc::clone(&store), Arc::clone(&fanout));
        let settings = Settings {
            token_secret: "s".repeat(32),
            password_cost: PasswordCost { memory_kib: 8, passes: 1 },
            // Nobody is counted: hundreds of requests come from one address here.
            test_routes: true,
            ..Settings::default()
        };
        let dialect = SuperProductivity::new(store, fanout, BUCKET, settings).expect("settings that can be");
        let tokens = Tokens::new(server.clone()).with_operator(OPERATOR, BUCKET);
        let routes = dialect.router().merge(dialect.operator_router(Arc::new(tokens)));
        let beside = Beside::new(routes).worded_by(dialect);
        let rig = Rig::beside(server, beside, ServerOptions::default()).await;
        let ids = Ids {
            author: AUTHOR,
            replica: replica(AUTHOR),
            blob: Digest::of(&[BLOB_BYTES]),
            root: TREE_ROOT.to_string(),
            address: String::new(),
            link: String::new(),
            token: TokenId::from_bytes([0; 16]),
            group: GroupId::from_bytes([0; 16]),
        };
        let mut world = Self { rig, ids, people: Vec::new(), entropy: 0 };
        world.fill().await;
        for class in CLASSES {
            let person = world.person(class).await;
            world.people.push(person);
        }
        world
    }

    /// What the routes lead to: ops, a blob, a tree, a link, a group.
    async fn fill(&mut self) {
        for log in [LOG, OTHER_LOG] {
            self.ask(BUCKET, Call::CreateLog { log, sealing: Sealing::default() }).await;
        }
        let ops: Vec<String> = (1..=3).map(|n| op_json(1, n, r#"{"json":{"title":"classified"}}"#)).collect();
        let pushed = self.rig.push_json(&push_of(&ops)).await;
        assert_eq!(pushed.status, 200, "{pushed:?}");
        self.rig.client().put_blob(LOG, self.ids.blob, Bytes::from_static(BLOB_BYTES)).await.expect("sent");
        let node = EntityId::from_bytes([5; 16]);
        let made = TreeOp::Create { node, parent: TREE_ROOT, name: MARK.into(), kind: Kind::Folder, content: None };
        let commit = Commit {
            log: LOG,
            id: OpId::from_bytes([77; 16]),
            replica: replica(7),
            label: Label::new("x").expect("a label"),
            ops: Arc::new(tree::Commit::new(vec![made]).expect("a commit")),
        };
        let reply = self.ask(BUCKET, Call::Commit(commit)).await;
        assert!(matches!(reply, Reply::Committed(_)), "{reply:?}");
        let link = self.rig.request("POST", &format!("/v1/logs/{LOG}/links"), &[JSON], root_link().as_bytes()).await;
        let link = link.json();
        link["token"].as_str().expect("an address").clone_into(&mut self.ids.address);
        link["id"].as_str().expect("an id").clone_into(&mut self.ids.link);
        self.ids.group = self.group().await;
        let member = CLASSES.iter().find(|class| class.comes == Comes::WithToken && !class.foreign).expect("a class");
        self.ids.token = self.token(member, None).await.0;
        self.ask(BUCKET, Call::SetMember { group: self.ids.group, token: self.ids.token, member: true }).await;
    }

    /// Asks the engine itself, as a bucket's operator.
    pub(super) async fn ask(&mut self, bucket: BucketId, call: Call) -> Reply {
        self.entropy += 1;
        let mut entropy = [3; 32];
        entropy[..8].copy_from_slice(&self.entropy.to_be_bytes());
        let env = Env { now: Timestamp::from_ms(1_800_000_000_000).expect("a time"), entropy };
        self.rig.server.handle(&Caller::operator(bucket), call, env).await.expect("an answer")
    }

    async fn group(&mut self) -> GroupId {
        match self.ask(BUCKET, Call::CreateGroup { name: MARK.to_owned() }).await {
            Reply::GroupMade(group) => group,
            other => panic!("{other:?}"),
        }
    }

    async fn token(&mut self, class: &Class, expires_at: Option<Timestamp>) -> (TokenId, Bearer) {
        let bucket = if class.foreign { OTHER_BUCKET } else { BUCKET };
        let logs = match class.logs {
            Logs::All => None,
            Logs::This => Some(vec![LOG, NOWHERE]),
            Logs::Other => Some(vec![OTHER_LOG]),
            Logs::None => Some(Vec::new()),
        };
        let replica = match class.bound {
            Bound::No => None,
            Bound::ToTheirs => Some(self.ids.replica),
            Bound::ToAnother => Some(replica(99)),
        };
        let name = if class.foreign { "theirs" } else { MARK }.to_owned();
        let mint = Call::MintToken { name, access: class.access, logs, replica, expires_at };
        match self.ask(bucket, mint).await {
            Reply::Token { id, bearer } => (id, bearer),
            other => panic!("{other:?}"),
        }
    }

    async fn joined(&mut self, token: TokenId, group: Group) {
        let (access, then) = match group {
            Group::No => return,
            Group::Grants(access) | Group::Left(access) | Group::Ended(access) | Group::TakenBack(access) => {
                (access, group)
            }
        };
        let group = self.group().await;
        for log in [LOG, NOWHERE] {
            self.ask(BUCKET, Call::SetGrant { group, log, access: Some(access) }).await;
        }
        self.ask(BUCKET, Call::SetMember { group, token, member: true }).await;
        match then {
            Group::Left(_) => drop(self.ask(BUCKET, Call::SetMember { group, token, member: false }).await),
            Group::Ended(_) => drop(self.ask(BUCKET, Call::DeleteGroup(group)).await),
            Group::TakenBack(_) => {
                for log in [LOG, NOWHERE] {
                    self.ask(BUCKET, Call::SetGrant { group, log, access: None }).await;
                }
            }
            Group::No | Group::Grants(_) => {}
        }
    }

    async fn person(&mut self, class: &'static Class) -> Person {
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        let (says, token) = match class.comes {
            Comes::Silent => (None, None),
            Comes::Saying(words) => (Some(words.to_owned()), None),
            Comes::Operator => (bearer(OPERATOR), None),
            Comes::WithLink => (bearer(&self.ids.address.clone()), None),
            Comes::OfDialect => (bearer(&self.account().await), None),
            Comes::Forging => {
                let (_, token) = self.token(class, None).await;
                let forged = Bearer::new(token.bucket(), token.id(), [1; 32]);
                (bearer(&forged.to_string()), None)
            }
            Comes::Expired => {
                let (_, token) = self.token(class, Some(Timestamp::from_ms(1).expect("a time"))).await;
                (bearer(&token.to_string()), None)
            }
            Comes::Revoked => {
                let (id, token) = self.token(class, None).await;
                self.ask(BUCKET, Call::RevokeToken(id)).await;
                (bearer(&token.to_string()), None)
            }
            Comes::WithToken => {
                let (id, token) = self.token(class, None).await;
                self.joined(id, class.group).await;
                (bearer(&token.to_string()), Some(id))
            }
            Comes::Former => {
                let (id, token) = self.token(class, None).await;
                self.ask(BUCKET, Call::RotateToken(id)).await;
                (bearer(&token.to_string()), Some(id))
            }
        };
        Person { class, says, token }
    }

    /// An account of the dialect, and its token.
    async fn account(&self) -> String {
        let body = json!({"email": "a@example.org"}).to_string();
        let path = "/v1/admin/super-productivity/accounts";
        let answer = self.rig.request("POST", path, &[JSON], body.as_bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["token"].as_str().expect("a token").to_owned()
    }

    /// What a path's parameters are.
    pub(super) fn values(&self, path: &str, about: About) -> BTreeMap<&'static str, String> {
        let known = |id: String| if about == About::TheLog { NOTHING.to_owned() } else { id };
        let of_group = path.starts_with("/v1/groups/");
        // Who may grant a log grants it to a group that is there.
        let group =
            if path.ends_with("/logs/{log}") { self.ids.group.to_string() } else { known(self.ids.group.to_string()) };
        let token = known(self.ids.token.to_string());
        BTreeMap::from([
            ("log", if about == About::Nowhere { NOWHERE } else { LOG }.to_string()),
            ("node", self.ids.root.clone()),
            ("blob", self.ids.blob.to_string()),
            ("link", known(self.ids.link.clone())),
            ("token", self.ids.address.clone()),
            ("member", token.clone()),
            ("id", if of_group { group } else { token }),
        ])
    }

    /// Everything that somebody could have changed, as the operator sees it.
    pub(super) async fn seen(&self) -> BTreeMap<String, Value> {
        let log = format!("/v1/logs/{LOG}");
        let mut seen = BTreeMap::new();
        let below = [
            "",
            "/ops",
            "/snapshot",
            "/blobs",
            "/devices",
            "/restore-points",
            "/scans",
            "/tree",
            "/nodes",
            "/trash",
            "/links",
        ];
        let targets = below.iter().map(|below| format!("{log}{below}"));
        for target in targets.chain(["/v1/logs", "/v1/tokens", "/v1/groups"].map(str::to_owned)) {
            let answer = self.rig.request("GET", &target, &[], b"").await;
            assert!(matches!(answer.status, 200 | 204), "{target}: {answer:?}");
            let body = if answer.body.is_empty() { Value::Null } else { answer.json() };
            seen.insert(target, body);
        }
        seen
    }
}

pub(super) const JSON: (&str, &str) = ("content-type", "application/json");

fn root_link() -> String {
    json!({"node": TREE_ROOT.to_string()}).to_string()
}
