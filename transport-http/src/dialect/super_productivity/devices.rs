//! Devices of an account: who was here when. A device's note is written at most once in a while, not per request.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use syncline::call::Refusal;
use syncline::limits;
use syncline::oplog::EntityKey;
use syncline::time::Timestamp;

use super::SuperProductivity;
use super::accounts::Account;
use super::answer::{Refused, json_of};
use super::log::{Log, collection};
use super::names;
use crate::server::env;

/// A device counts as online for so long after it was here.
const ONLINE_MS: u64 = 5 * 60 * 1_000;
/// A device that was not seen for so long is gone.
const GONE_MS: u64 = 45 * 24 * 60 * 60 * 1_000;
/// A note this young is not written again.
const FRESH_MS: u64 = 20_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    pub(super) client_id: String,
    pub(super) last_seen_at: u64,
}

#[derive(Debug, Serialize)]
struct Devices {
    devices: Vec<Device>,
}

/// `GET /api/sync/devices`.
pub(super) async fn list(State(sp): State<SuperProductivity>, account: Account) -> Response {
    match seen(&Log::new(&sp, &account), env::now()).await {
        Ok(devices) => json_of(&Devices { devices }),
        Err(refusal) => Refused::from(refusal).into_response(),
    }
}

/// Every device that was ever noted, and was not forgotten since.
async fn noted(log: &Log<'_>) -> Result<impl Iterator<Item = (EntityKey, Device)> + use<>, Refusal> {
    let notes = log.all_notes(&collection("sys.sp.device")?).await?;
    Ok(notes.into_iter().filter_map(|(key, state)| Some((key, serde_json::from_slice::<Device>(&state).ok()?))))
}

const fn is_gone(device: &Device, now: Timestamp) -> bool {
    now.ms().saturating_sub(device.last_seen_at) >= GONE_MS
}

/// Devices that are not gone, the one seen last first.
pub(super) async fn seen(log: &Log<'_>, now: Timestamp) -> Result<Vec<Device>, Refusal> {
    let mut devices: Vec<Device> = noted(log).await?.map(|(_, device)| device).collect();
    devices.retain(|device| !is_gone(device, now));
    devices.sort_by_key(|device| std::cmp::Reverse(device.last_seen_at));
    Ok(devices)
}

/// Forgets devices that are gone. One that comes back at this moment is noted again a little later.
pub(super) async fn forget_gone(log: &Log<'_>, now: Timestamp) -> Result<(), Refusal> {
    let gone: Vec<EntityKey> =
        noted(log).await?.filter(|(_, device)| is_gone(device, now)).map(|(key, _)| key).collect();
    for some in gone.chunks(limits::LIST_ITEMS_MAX) {
        log.server().forget_notes(log.key, some.to_vec()).await?;
    }
    Ok(())
}

/// How many of them are online.
pub(super) fn online(devices: &[Device], now: Timestamp) -> usize {
    devices.iter().filter(|device| now.ms().saturating_sub(device.last_seen_at) < ONLINE_MS).count()
}

/// Says that a device is here. What it came for does not fail because of this.
pub(super) async fn touch(log: &Log<'_>, client: &str, now: Timestamp) {
    let entity = names::device(client);
    let fresh = log.memory().touched.get(&(log.key, entity));
    if fresh.is_some_and(|at| now.ms().saturating_sub(at.ms()) < FRESH_MS) {
        return;
    }
    let device = Device { client_id: client.to_owned(), last_seen_at: now.ms() };
    let written = async {
        let key = EntityKey { collection: collection("sys.sp.device")?, entity };
        let state = serde_json::to_vec(&device).unwrap_or_default();
        log.note_beside(key, state.into()).await
    };
    match written.await {
        Ok(()) => log.memory().touched.put((log.key, entity), now),
        Err(refusal) => tracing::debug!(%refusal, "a device is not noted"),
    }
}
