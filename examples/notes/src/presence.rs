//! Who is where: each device says in an entity of its own which note it has open and where its cursor is.
//!
//! **Presence is in the log**, because the engine has no call for what need not be kept. What it costs: each device has
//! one small entity that it overwrites, so what is to be read does not grow; but every said place is an op, of some 200
//! bytes, until the log's history is pruned. So it is said when a note is opened; when the cursor moved, only while somebody else
//! is shown, at most once in [`EVERY_MS`]; and not at all while offline, but for the last place. Who is alone and types for
//! hours says it once; two who watch each other all day cost 20 MB at most. An application with many people should not copy
//! this.
//!
//! What must hold: a place is an anchor, so it is right on a device whose text is newer or older; a device is shown for
//! [`SHOWN_MS`] after it last said something, by the clocks of both.

use serde_json::{Value, json};
use syncline::EntityId;
use syncline::client::{Map, Replica};
use syncline::time::Timestamp;
use syncline_desk::Fault;

use crate::page::{Page, anchor_text};

/// Where it is said.
pub(crate) const COLLECTION: &str = "presence";
/// A place is said at most once in so many milliseconds.
pub(crate) const EVERY_MS: u64 = 2_000;
/// For how many milliseconds a device is shown.
pub(crate) const SHOWN_MS: u64 = 30_000;

/// What this device said of itself.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    said_at: Option<Timestamp>,
    said: Option<(String, String)>,
    /// What is to be said.
    next: Option<(String, String)>,
    /// Where the cursor is.
    here: Option<(String, String)>,
    /// Somebody else is shown until then.
    company_until: Timestamp,
}

impl Presence {
    /// Takes note of where the cursor is; whether the note is another than was said.
    pub(crate) fn at(&mut self, page: &Page) -> bool {
        let place = (page.name.clone(), anchor_text(page.cursor()));
        let elsewhere = self.said.as_ref().is_none_or(|said| said.0 != place.0);
        self.next = Some(place.clone()).filter(|place| self.said.as_ref() != Some(place));
        self.here = Some(place);
        elsewhere
    }

    /// Takes note of when somebody else last said something. Whoever was not shown before is told where this device is.
    pub(crate) fn heard(&mut self, ago_ms: Option<u64>, now: Timestamp) {
        let Some(left) = ago_ms.and_then(|ago| SHOWN_MS.checked_sub(ago)) else { return };
        if self.company_until <= now && self.here.is_some() {
            self.next.clone_from(&self.here);
        }
        self.company_until = self.company_until.max(now.plus_ms(left));
    }

    /// In how many milliseconds something is to be said; `None` while there is nothing, or nobody who would see it.
    pub(crate) fn due_in_ms(&self, now: Timestamp) -> Option<u64> {
        let next = self.next.as_ref()?;
        let elsewhere = self.said.as_ref().is_none_or(|said| said.0 != next.0);
        if !elsewhere && self.company_until <= now {
            return None;
        }
        let Some(said_at) = self.said_at else { return Some(0) };
        // A clock that was set back must not silence it.
        let since = now.ms().checked_sub(said_at.ms()).unwrap_or(EVERY_MS);
        Some(EVERY_MS.saturating_sub(since))
    }

    /// Says it.
    ///
    /// # Errors
    /// The replica's.
    pub(crate) async fn say(&mut self, replica: &Replica, device: &str, now: Timestamp) -> Result<(), Fault> {
        let Some((note, place)) = self.next.take() else { return Ok(()) };
        let own = entity(replica)?;
        own.put(&json!({ "device": device, "note": note, "place": place, "at_ms": now.ms() })).await?;
        (self.said_at, self.said) = (Some(now), Some((note, place)));
        Ok(())
    }
}

/// The entity of this device.
fn entity(replica: &Replica) -> Result<Map, Fault> {
    Ok(replica.collection(COLLECTION)?.map(own(replica)))
}

/// Its name: the replica's, which is the device's alone also where a folder was copied.
pub(crate) fn own(replica: &Replica) -> EntityId {
    EntityId::from_bytes(*replica.id().as_bytes())
}

/// What was said lately: by whom, how many milliseconds ago, and what.
///
/// # Errors
/// The store's.
pub(crate) async fn lately(replica: &Replica, now: Timestamp) -> Result<Vec<(EntityId, u64, Value)>, Fault> {
    let presence = replica.collection(COLLECTION)?;
    let mut found = Vec::new();
    for id in presence.ids(None, syncline::limits::LIST_ITEMS_MAX).await? {
        let said = presence.map(id).get::<Value>().await?.unwrap_or_default();
        let Some(at) = said["at_ms"].as_u64() else { continue };
        // A device whose clock is ahead is here now.
        let ago = now.ms().saturating_sub(at);
        if ago < SHOWN_MS {
            found.push((id, ago, said));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(ms).unwrap()
    }

    #[test]
    fn a_place_is_said_at_once_and_then_at_most_every_two_seconds() {
        let place = |place: &str| Some(("soup".to_owned(), place.to_owned()));
        let mut presence = Presence::default();
        assert_eq!(presence.due_in_ms(at(10_000)), None, "nothing to say");
        presence.next = place("end");
        assert_eq!(presence.due_in_ms(at(10_000)), Some(0));
        presence = Presence { said_at: Some(at(10_000)), said: place("end"), next: place("start"), ..presence };
        assert_eq!(presence.due_in_ms(at(20_000)), None, "nobody is there to see it");
        presence.company_until = at(100_000);
        for (now, due) in [(10_000, EVERY_MS), (10_001, 1_999), (11_999, 1), (12_000, 0), (90_000, 0), (9_999, 0)] {
            assert_eq!(presence.due_in_ms(at(now)), Some(due), "{now}");
        }
    }

    #[test]
    fn who_comes_is_told_where_this_device_is_and_once_alone_it_is_silent() {
        let place = |place: &str| Some(("soup".to_owned(), place.to_owned()));
        let mut presence =
            Presence { said_at: Some(at(1)), said: place("end"), here: place("end"), ..Presence::default() };
        presence.heard(None, at(50_000));
        presence.heard(Some(SHOWN_MS + 1), at(50_000));
        assert_eq!(presence.due_in_ms(at(50_000)), None, "nobody came");
        presence.heard(Some(1_000), at(50_000));
        assert_eq!((presence.next.clone(), presence.due_in_ms(at(50_000))), (place("end"), Some(0)));
        presence.next = None;
        presence.heard(Some(0), at(51_000));
        assert_eq!(presence.next, None, "they were here already");
        presence.next = place("start");
        assert_eq!(presence.due_in_ms(at(51_000 + SHOWN_MS - 1)), Some(0));
        assert_eq!(presence.due_in_ms(at(51_000 + SHOWN_MS)), None, "they are gone");
    }
}
