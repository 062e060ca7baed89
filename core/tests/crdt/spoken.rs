//! What somebody who sees a value may say of it, by type.

use std::collections::BTreeMap;

use syncline::crdt::document::Path;
use syncline::crdt::position::SessionName;
use syncline::crdt::{
    Counter, CounterEdit, Document, DocumentEdit, List, ListEdit, Register, RegisterEdit, Set, SetEdit, Tree, TreeEdit,
};

use crate::world::{Step, Tried, text};

impl Tried for Counter {
    fn say(&self, step: &Step, _: SessionName) -> Option<CounterEdit> {
        Some(match step.choice % 8 {
            0 => CounterEdit::Reset(self.seen()),
            1 => CounterEdit::Delete(self.seen()),
            _ => CounterEdit::Add(i64::from(step.at) - 30_000),
        })
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for Register {
    fn say(&self, step: &Step, _: SessionName) -> Option<RegisterEdit> {
        Some(RegisterEdit((!step.choice.is_multiple_of(4)).then(|| text(step.at))))
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for Set {
    fn say(&self, step: &Step, _: SessionName) -> Option<SetEdit> {
        let some = [text(step.at % 4), text(step.other % 4)];
        match step.choice % 5 {
            0 => self.removing(self.iter().cloned().collect::<Vec<_>>()),
            1 | 2 => self.removing(some),
            _ => Some(self.adding(some)),
        }
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for List {
    fn say(&self, step: &Step, session: SessionName) -> Option<Vec<ListEdit>> {
        let (len, at) = (self.len(), usize::from(step.at));
        match step.choice % 8 {
            0 if len > 0 => self.removing(at % len, 1).ok(),
            1 if len > 1 => self.removing(at % (len - 1), 2).ok(),
            2 | 3 if len > 0 => self.moving(at % len, usize::from(step.other) % len, session).ok(),
            4 if len > 0 => self.setting(at % len, text(step.other)).ok(),
            choice => {
                let texts = (0..1 + choice % 3).map(|nth| text(u32::from(step.other) * 10 + u32::from(nth)));
                self.inserting(at % (len + 1), texts, session).ok()
            }
        }
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for Tree {
    fn say(&self, step: &Step, session: SessionName) -> Option<Vec<TreeEdit>> {
        let (placed, at) = (self.placed(), usize::from(step.at));
        let pick = |at: usize| (!placed.is_empty()).then(|| placed[at % placed.len()].id);
        let parent = pick(usize::from(step.other)).filter(|_| !step.other.is_multiple_of(3));
        let index = at % (self.under(parent).len() + 1);
        match step.choice % 8 {
            0 => self.removing(pick(at)?).ok(),
            1 => self.setting(pick(at)?, text(step.other)).ok(),
            2..=4 => self.moving(pick(at)?, parent, index.saturating_sub(1), session).ok(),
            _ => self.inserting(parent, index, text(step.other), session).ok(),
        }
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl Tried for Document {
    const KNOWS_TIES: bool = false;

    fn say(&self, step: &Step, _: SessionName) -> Option<DocumentEdit> {
        let path = |at: u16| {
            let names = ["a", "b", "\0c"];
            let deep = 1 + usize::from(at) % 3;
            Path::new((0..deep).map(|level| names[usize::from(at >> (2 * level + 2)) % 3])).ok()
        };
        let mut fields = BTreeMap::new();
        if !step.choice.is_multiple_of(16) {
            fields.insert(path(step.at)?, (!step.choice.is_multiple_of(4)).then(|| text(step.other)));
        }
        if step.choice.is_multiple_of(3) {
            fields.insert(path(step.other)?, Some(text(step.at)));
        }
        Some(DocumentEdit { fields, forget: None })
    }

    fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}
