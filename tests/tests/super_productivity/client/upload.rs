//! The first half of a cycle: everything local goes out, and what comes back with it comes in.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::clock::Clock;
use super::{Device, Entry, Fate, entities, is_full_state};

/// How many ops the app sends at once.
const CHUNK: usize = 25;

impl Device {
    pub(crate) async fn upload(&mut self) {
        if self.is_fresh() {
            return;
        }
        self.migrate_if_the_server_is_new().await;
        for op in self.waiting(true) {
            self.upload_full_state(&op).await;
        }
        let (mut arrived, mut rejected) = (Vec::new(), Vec::new());
        for chunk in self.waiting(false).chunks(CHUNK) {
            self.upload_chunk(chunk, &mut arrived, &mut rejected).await;
        }
        // What came along is processed before the rejections: it may have decided them.
        self.receive(arrived);
        self.answer_rejections(rejected).await;
    }

    /// Pending ops, full states or the others, in local order.
    fn waiting(&self, full_state: bool) -> Vec<Value> {
        let pending = self.log.iter().filter(|entry| entry.fate == Fate::Pending);
        pending.map(|entry| &entry.op).filter(|op| is_full_state(op) == full_state).cloned().collect()
    }

    pub(super) fn set_fate(&mut self, id: &Value, fate: Fate) {
        if let Some(entry) = self.log.iter_mut().find(|entry| entry.op["id"] == *id) {
            entry.fate = fate;
        }
    }

    fn is_pending(&self, id: &Value) -> bool {
        self.log.iter().any(|entry| entry.op["id"] == *id && entry.fate == Fate::Pending)
    }

    async fn upload_full_state(&mut self, op: &Value) {
        let body = json!({
            "state": self.sealed(&op["payload"]),
            "clientId": self.id,
            "reason": if op["opType"] == "SYNC_IMPORT" { "initial" } else { "recovery" },
            "vectorClock": op["vectorClock"],
            "schemaVersion": 1,
            "isPayloadEncrypted": self.password.is_some(),
        });
        let answer = self.api.post_gzip("/api/sync/snapshot", &body).await;
        if answer.status == 409 {
            assert_eq!(answer.body["errorCode"], "SYNC_IMPORT_EXISTS", "{}", answer.body);
            self.codes.push("SYNC_IMPORT_EXISTS".to_owned());
            self.log.retain(|entry| entry.op["id"] != op["id"]);
            return;
        }
        let body = answer.ok();
        if body["accepted"] == true {
            self.set_fate(&op["id"], Fate::Synced);
            self.cursor = body["serverSeq"].as_u64().expect("a seq");
        } else {
            self.set_fate(&op["id"], Fate::Rejected);
            self.codes.push(body["error"].to_string());
        }
    }

    async fn upload_chunk(&mut self, chunk: &[Value], arrived: &mut Vec<Value>, rejected: &mut Vec<(Value, String)>) {
        let ops: Vec<Value> = chunk.iter().map(|op| self.outgoing(op)).collect();
        let body = json!({"ops": ops, "clientId": self.id, "lastKnownServerSeq": self.cursor});
        let answer = self.api.post_gzip("/api/sync/ops", &body).await;
        if answer.status == 413 || answer.status == 429 {
            self.codes.push(answer.body["errorCode"].as_str().unwrap_or("HTTP").to_owned());
            return;
        }
        let body = answer.ok();
        let results = body["results"].as_array().expect("results");
        assert_eq!(results.len(), chunk.len(), "one result per op");
        for (op, result) in chunk.iter().zip(results) {
            assert_eq!(result["opId"], op["id"], "results in request order");
            if result["accepted"] == true {
                self.set_fate(&op["id"], Fate::Synced);
            } else {
                let code = result["errorCode"].as_str().unwrap_or("NONE").to_owned();
                self.codes.push(code.clone());
                rejected.push((op.clone(), code));
            }
        }
        let came: Vec<Value> = body["newOps"].as_array().cloned().unwrap_or_default();
        let furthest = came.iter().filter_map(|envelope| envelope["serverSeq"].as_u64()).max();
        let latest = body["latestSeq"].as_u64().expect("latestSeq");
        self.cursor = match body["hasMorePiggyback"].as_bool() {
            Some(true) => furthest.unwrap_or(self.cursor),
            _ => self.cursor.max(latest),
        };
        for envelope in came {
            arrived.push(self.opened(envelope["op"].clone()).expect("the same password on all devices"));
        }
    }

    /// An op as it goes over the wire.
    fn outgoing(&self, op: &Value) -> Value {
        let mut op = op.clone();
        if self.password.is_some() {
            op["payload"] = self.sealed(&op["payload"]);
            op["isPayloadEncrypted"] = true.into();
        }
        op
    }

    async fn answer_rejections(&mut self, rejected: Vec<(Value, String)>) {
        let mut conflicts = Vec::new();
        for (op, code) in rejected {
            match code.as_str() {
                "DUPLICATE_OPERATION" => self.set_fate(&op["id"], Fate::Synced),
                "INTERNAL_ERROR" => {}
                "CONFLICT_CONCURRENT" | "CONFLICT_STALE" => conflicts.push(op),
                // Any other code is for ever: this is how an unknown code loses data.
                _ => self.set_fate(&op["id"], Fate::Rejected),
            }
        }
        if conflicts.iter().any(|op| self.is_pending(&op["id"])) && self.download().await == 0 {
            conflicts.retain(|op| self.is_pending(&op["id"]));
            if !conflicts.is_empty() {
                self.recreate(&conflicts).await;
            }
        }
    }

    /// The server knows clocks that this device has never seen: reads them all, and writes what it shows now with a
    /// clock that dominates them.
    async fn recreate(&mut self, conflicts: &[Value]) {
        let clocks = self.all_clocks().await;
        let mut by_entity: BTreeMap<(String, String), u64> = BTreeMap::new();
        for op in conflicts {
            self.set_fate(&op["id"], Fate::Rejected);
            for entity in entities(op) {
                let latest = by_entity.entry(entity).or_default();
                *latest = op["timestamp"].as_u64().unwrap_or_default().max(*latest);
            }
        }
        let Some(clocks) = clocks else { return };
        self.clock.merge(&clocks);
        for ((kind, id), timestamp) in by_entity {
            self.write_again(&kind, &id, timestamp);
        }
    }

    /// The current entity as a new op that dominates everything known; nothing when it is gone.
    pub(super) fn write_again(&mut self, kind: &str, id: &str, timestamp: u64) {
        let Some(entity) = self.entity(kind, id).cloned() else { return };
        self.clock.increment(&self.id);
        let clock = self.clock.clone();
        let mut op = self.op("UPD", kind, &entity, &clock, timestamp);
        op["entityId"] = id.into();
        op["actionType"] = format!("[{kind}] LWW Update").into();
        self.log.push(Entry { op, fate: Fate::Pending });
        self.recreated += 1;
    }

    /// A device that has synced before meets a server that knows nothing: it brings everything.
    async fn migrate_if_the_server_is_new(&mut self) {
        let synced = self.log.iter().any(|entry| entry.fate == Fate::Synced && !is_full_state(&entry.op));
        if self.cursor == 0 && synced && self.api.page(0, 1).await["latestSeq"] == 0 {
            self.migrate();
        }
    }

    pub(super) fn migrate(&mut self) {
        if self.state.values().all(BTreeMap::is_empty) {
            return;
        }
        let clocks: Vec<Clock> = self.log.iter().map(|entry| Clock::of(&entry.op["vectorClock"])).collect();
        clocks.iter().for_each(|clock| self.clock.merge(clock));
        self.import("SYNC_IMPORT", self.state.clone());
    }
}
