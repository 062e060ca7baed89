//! What an edit of a value that merges costs: what it changes, not the whole state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use syncline::EntityId;
use syncline::client::Write;
use syncline::codec::DecodeError;
use syncline::crdt::position::SessionName;
use syncline::crdt::{Content, List, ListEdit, Moment};
use syncline::oplog::{OpKind, Payload, Precondition, Rules};
use syncline::store::MemoryStore;

use crate::world::{self, World, run};

/// A list that counts what is read and applied.
#[derive(Debug, Clone, Default, PartialEq)]
struct Counted(List);

static READ: AtomicUsize = AtomicUsize::new(0);
static APPLIED: AtomicUsize = AtomicUsize::new(0);

impl Content for Counted {
    type Edit = Vec<ListEdit>;
    const NAME: &'static str = "a counted list";

    fn read_edit(payload: Bytes) -> Result<Self::Edit, DecodeError> {
        List::read_edit(payload)
    }

    fn write_edit(edit: &Self::Edit) -> Bytes {
        List::write_edit(edit)
    }

    fn apply(&mut self, moment: &Moment, edit: Self::Edit) {
        APPLIED.fetch_add(1, Ordering::Relaxed);
        self.0.apply(moment, edit);
    }

    fn clear(&mut self, moment: &Moment) {
        self.0.clear(moment);
    }

    fn encode(&self) -> Vec<u8> {
        self.0.encode()
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        READ.fetch_add(1, Ordering::Relaxed);
        List::decode(bytes).map(Self)
    }

    fn view(&self) -> Result<Option<Bytes>, DecodeError> {
        self.0.view()
    }
}

#[test]
fn an_edit_made_from_what_is_shown_reads_no_state_again() {
    let mut world = World::new();
    let schema = world::schema().with("counted".parse().unwrap(), Rules::merging::<Counted>());
    let device = world.open_with(Arc::new(MemoryStore::new()), 0, |options| options.schema = schema);
    let value = device.replica.collection("counted").unwrap().value::<Counted>(EntityId::named("list")).unwrap();
    let session = SessionName([7; 6]);
    let push = |number: usize| {
        let text = Bytes::from(number.to_string());
        let edit = run(value.look(|list| list.0.inserting(list.0.len(), [text], session))).unwrap().unwrap();
        let payload = Payload::Plain(List::write_edit(&edit));
        let (key, precondition) = (value.key().clone(), Precondition::None);
        run(device.replica.write(Write { key, kind: OpKind::Update, precondition, payload })).unwrap();
    };
    push(0);
    push(1);
    let (read, applied) = (READ.load(Ordering::Relaxed), APPLIED.load(Ordering::Relaxed));
    (2..500).for_each(push);
    assert_eq!(READ.load(Ordering::Relaxed), read, "no state was read");
    assert_eq!(APPLIED.load(Ordering::Relaxed) - applied, 498, "each edit was applied once");
    assert_eq!(run(value.load()).unwrap().0.len(), 500);
    assert_eq!(Some(run(value.load()).unwrap().view().unwrap()), Some(run(device.replica.state(value.key())).unwrap()));
}
