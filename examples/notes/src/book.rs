//! Which collection holds what: one of each type of value that merges.
//!
//! What must hold: every device declares the same types, and so does a server that is to make snapshots
//! (its `--collection`, as `examples/README.md` gives it); what stands beside a note is named as the note is.
//!
//! | collection | type | holds |
//! |---|---|---|
//! | `notes` | text | the notes themselves |
//! | `likes` | counter | how often a note was liked |
//! | `tags` | set | its tags: an add wins over a remove that had not seen it |
//! | `stars` | list | the names of favourite notes, in an order of people's choosing |
//! | `outline` | tree | notes under notes; two devices that put a note for the first time at once put it twice |
//! | `titles` | register | what a note is called: the newest counts |
//! | `about` | document | facts, of each the newest counts; its `name` says which note an entity is |
//! | `writers` | register | which device an author in a text was |
//! | `presence` | fields | where each device's cursor is ([`presence`](crate::presence)) |

use serde_json::Value as Json;
use syncline::client::{Replica, SharedText, Value};
use syncline::crdt::{Counter, Document, ItemId, List, Register, Set, Tree};
use syncline::oplog::{Collection, Rules, Schema};
use syncline::{EntityId, ReplicaId};
use syncline_desk::Fault;

/// The one list of favourites, and the one outline.
const ONE: &str = "all";
/// Notes that are looked at in one go.
const PAGE: usize = 500;

/// The rules of every collection; those of `presence` are the usual ones.
///
/// # Errors
/// Never, as long as the collections' names are names.
pub(crate) fn schema() -> Result<Schema, Fault> {
    let collections = [
        ("notes", Rules::text()),
        ("likes", Rules::counter()),
        ("tags", Rules::set()),
        ("stars", Rules::list()),
        ("outline", Rules::tree()),
        ("titles", Rules::register()),
        ("about", Rules::document()),
        ("writers", Rules::register()),
    ];
    collections.into_iter().try_fold(Schema::default(), |schema, (name, rules)| {
        let name = Collection::new(name).map_err(|error| Fault::new(error.to_string()))?;
        Ok(schema.with(name, rules))
    })
}

/// Handles to what a replica holds.
#[derive(Debug, Clone)]
pub(crate) struct Book(pub(crate) Replica);

impl Book {
    /// A note.
    pub(crate) fn note(&self, name: &str) -> Result<SharedText, Fault> {
        Ok(self.0.collection("notes")?.text(name)?)
    }

    /// How often it was liked.
    pub(crate) fn likes(&self, name: &str) -> Result<Value<Counter>, Fault> {
        Ok(self.0.collection("likes")?.counter(name)?)
    }

    /// Its tags.
    pub(crate) fn tags(&self, name: &str) -> Result<Value<Set>, Fault> {
        Ok(self.0.collection("tags")?.set(name)?)
    }

    /// What it is called.
    pub(crate) fn title(&self, name: &str) -> Result<Value<Register>, Fault> {
        Ok(self.0.collection("titles")?.register(name)?)
    }

    /// Facts about it.
    pub(crate) fn about(&self, name: &str) -> Result<Value<Document>, Fault> {
        Ok(self.0.collection("about")?.document(name)?)
    }

    /// The favourites.
    pub(crate) fn stars(&self) -> Result<Value<List>, Fault> {
        Ok(self.0.collection("stars")?.list(ONE)?)
    }

    /// Notes under notes.
    pub(crate) fn outline(&self) -> Result<Value<Tree>, Fault> {
        Ok(self.0.collection("outline")?.tree(ONE)?)
    }

    /// Where a note is in the outline: the first place, should there be two.
    pub(crate) async fn node(&self, name: &str) -> Result<Option<ItemId>, Fault> {
        let wanted = serde_json::to_vec(name).map_err(|error| Fault::new(error.to_string()))?;
        let nodes = self.outline()?.nodes().await?;
        Ok(nodes.into_iter().find(|node| node.value == wanted).map(|node| node.id))
    }

    /// Which device an author in a text was.
    pub(crate) fn writer(&self, author: ReplicaId) -> Result<Value<Register>, Fault> {
        Ok(self.0.collection("writers")?.value(EntityId::from_bytes(*author.as_bytes()))?)
    }

    /// The names of the notes that are there, with the facts about them, by name.
    pub(crate) async fn all(&self) -> Result<Vec<(String, Json)>, Fault> {
        let about = self.0.collection("about")?;
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let ids = about.ids(after, PAGE).await?;
            for id in &ids {
                let facts = about.value::<Document>(*id)?.get::<Json>().await?.unwrap_or_default();
                let Some(name) = facts["name"].as_str().map(str::to_owned) else { continue };
                if self.note(&name)?.exists().await? {
                    found.push((name, facts));
                }
            }
            match ids.last() {
                Some(last) if ids.len() == PAGE => after = Some(*last),
                _ => break,
            }
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../README.md");

    #[test]
    fn what_a_server_is_told_is_what_a_device_declares() {
        let schema = schema().unwrap();
        let told = README.split("--collection ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
        assert_eq!(told.split(',').count(), 8, "{told}");
        for pair in told.split(',') {
            let (name, kind) = pair.split_once('=').unwrap();
            let holds = schema.rules(&Collection::new(name).unwrap()).reducer.holds();
            assert_eq!(holds, Some(format!("a {kind}").as_str()), "{name}");
        }
        let presence = schema.rules(&Collection::new("presence").unwrap());
        assert_eq!(format!("{:?}", presence.reducer), format!("{:?}", Rules::fields().reducer));
    }
}
