//! A device, written from the contract's section 16 alone: local state, local op log, vector clock, cursor.
//!
//! What must hold: what a device edits while it is away is never lost by syncing, unless another device's newer edit
//! of the same entity won; a rejection with an unknown code loses the op, as it does in the app.
//!
//! Next: `upload` and `download` are the two halves of a cycle, `apply` decides what arrives.

mod apply;
mod download;
mod upload;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::api::Api;
use super::clock::Clock;
use super::crypto;

/// Entities by type and id, as the app's state is laid out when it becomes a snapshot.
pub(crate) type State = BTreeMap<String, BTreeMap<String, Value>>;

/// What became of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pending,
    Synced,
    Rejected,
}

/// One op of the local log. Remote ones are synced.
#[derive(Debug, Clone)]
struct Entry {
    op: Value,
    fate: Fate,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) api: Api,
    pub(crate) id: String,
    /// The clock on its wall, in milliseconds; tests move it.
    pub(crate) now: u64,
    /// What the user answers when a wholly fresh device is about to take over what is on the server.
    pub(crate) confirms: bool,
    password: Option<String>,
    counter: u64,
    clock: Clock,
    log: Vec<Entry>,
    state: State,
    pub(crate) cursor: u64,
    /// Codes of the rejections it has met, for tests to look at.
    pub(crate) codes: Vec<String>,
    /// How many downloads started again from 0.
    pub(crate) gaps: usize,
    /// How many ops it had to make anew after a rejection.
    pub(crate) recreated: usize,
}

fn is_full_state(op: &Value) -> bool {
    matches!(op["opType"].as_str(), Some("SYNC_IMPORT" | "BACKUP_IMPORT" | "REPAIR"))
}

/// The entities of an op.
fn entities(op: &Value) -> BTreeSet<(String, String)> {
    let kind = op["entityType"].as_str().unwrap_or_default();
    let ids = op["entityIds"].as_array().into_iter().flatten().chain(op.get("entityId"));
    ids.filter_map(|id| Some((kind.to_owned(), id.as_str()?.to_owned()))).collect()
}

impl Device {
    /// A device that was just set up.
    pub(crate) fn new(id: &str, api: Api, password: Option<&str>) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Self {
            api,
            id: id.to_owned(),
            now: u64::try_from(now.as_millis()).expect("in range") - 600_000,
            confirms: true,
            password: password.map(str::to_owned),
            counter: 0,
            clock: Clock::default(),
            log: Vec::new(),
            state: State::new(),
            cursor: 0,
            codes: Vec::new(),
            gaps: 0,
            recreated: 0,
        }
    }

    /// Adds or changes an entity.
    #[allow(clippy::needless_pass_by_value, reason = "callers write literals")]
    pub(crate) fn put(&mut self, kind: &str, id: &str, payload: Value) {
        let known = self.entity(kind, id).is_some();
        self.edit(if known { "UPD" } else { "CRT" }, kind, id, &payload);
    }

    /// Removes an entity.
    pub(crate) fn remove(&mut self, kind: &str, id: &str) {
        self.edit("DEL", kind, id, &Value::Null);
    }

    fn edit(&mut self, op_type: &str, kind: &str, id: &str, payload: &Value) {
        self.now += 1_000;
        self.clock.increment(&self.id);
        let (clock, now) = (self.clock.clone(), self.now);
        let mut op = self.op(op_type, kind, payload, &clock, now);
        op["entityId"] = id.into();
        self.change(&op);
        self.log.push(Entry { op, fate: Fate::Pending });
    }

    /// Replaces everything by a file, which all other devices take over.
    pub(crate) fn import(&mut self, op_type: &str, state: State) {
        self.now += 1_000;
        self.clock.increment(&self.id);
        let (clock, now) = (self.clock.clone(), self.now);
        let payload = serde_json::to_value(&state).expect("plain");
        let op = self.op(op_type, "ALL", &payload, &clock, now);
        self.state = state;
        self.log.push(Entry { op, fate: Fate::Pending });
    }

    fn op(&mut self, op_type: &str, kind: &str, payload: &Value, clock: &Clock, timestamp: u64) -> Value {
        self.counter += 1;
        json!({
            "id": format!("{:012x}-{}-{:06}", self.now, self.id, self.counter),
            "clientId": self.id,
            "actionType": format!("[{kind}] {op_type}"),
            "opType": op_type,
            "entityType": kind,
            "payload": payload,
            "vectorClock": clock.json(),
            "timestamp": timestamp,
            "schemaVersion": 1,
        })
    }

    /// An entity as this device shows it.
    pub(crate) fn entity(&self, kind: &str, id: &str) -> Option<&Value> {
        self.state.get(kind)?.get(id)
    }

    /// Everything this device shows.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// How many local ops wait for the server.
    pub(crate) fn pending(&self) -> usize {
        self.log.iter().filter(|entry| entry.fate == Fate::Pending).count()
    }

    /// One sync cycle: upload, download, and again while that makes new ops; at most five times.
    pub(crate) async fn sync(&mut self) {
        self.upload().await;
        self.download().await;
        for _ in 0..5 {
            if self.pending() == 0 {
                break;
            }
            self.upload().await;
        }
    }

    /// "Wholly fresh": nothing was ever done or received here.
    fn is_fresh(&self) -> bool {
        self.log.is_empty()
    }

    fn knows(&self, op: &Value) -> bool {
        let mine = is_full_state(op) && op["clientId"] == self.id.as_str();
        self.log.iter().any(|entry| {
            // The server names a snapshot that came through its own route anew; its clock tells it from others.
            entry.op["id"] == op["id"] || mine && entry.op["vectorClock"] == op["vectorClock"]
        })
    }

    fn sealed(&self, payload: &Value) -> Value {
        self.password.as_ref().map_or_else(|| payload.clone(), |password| crypto::encrypt(password, payload))
    }

    /// The op with a readable payload; a wrong or missing password fails the whole download, as in the app.
    fn opened(&self, mut op: Value) -> Result<Value, String> {
        if op["isPayloadEncrypted"] == true {
            let password = self.password.as_ref().ok_or("encrypted, and there is no password")?;
            op["payload"] = crypto::decrypt(password, &op["payload"]).ok_or("the password is wrong")?;
        }
        Ok(op)
    }

    /// Puts an op into the state.
    fn change(&mut self, op: &Value) {
        if is_full_state(op) {
            let payload = op["payload"].get("appDataComplete").unwrap_or(&op["payload"]);
            self.state = serde_json::from_value(payload.clone()).expect("a state");
            return;
        }
        for (kind, id) in entities(op) {
            let of_kind = self.state.entry(kind).or_default();
            if op["opType"] == "DEL" {
                of_kind.remove(&id);
                continue;
            }
            let entity = of_kind.entry(id).or_insert_with(|| Value::Object(Map::new()));
            if let (Some(entity), Some(payload)) = (entity.as_object_mut(), op["payload"].as_object()) {
                entity.extend(payload.clone());
            }
        }
    }
}
