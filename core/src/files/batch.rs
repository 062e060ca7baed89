//! The part of a plan's wishes that goes into one commit.
//!
//! A commit takes so many ops; who has more says them in several. What must hold: a name is asked for only together with, or
//! after, what frees it; a folder is deleted only together with, or after, the moves out of it; so what somebody else sees in
//! between is a tree that makes sense, and nothing collides that would not have.

use std::collections::{BTreeSet, HashMap};

use super::held::Base;
use super::recognize::{Local, name_of};
use super::wish::{Becomes, Wish};
use crate::id::EntityId;
use crate::limits::TREE_OPS_MAX;
use crate::tree::{NameKey, TreeOp};

/// Takes the first wishes, about `most` of them, with what they need: at most [`TREE_OPS_MAX`].
///
/// Where more than that need each other (a circle of more than a thousand names), moves and deletes go first, and some get
/// conflict names.
#[must_use]
pub fn batch(mut wishes: Vec<Wish>, base: &Base, local: &Local, most: usize) -> Vec<Wish> {
    let most = most.clamp(1, TREE_OPS_MAX);
    if wishes.len() <= most {
        return wishes;
    }
    let needs = Needs::of(&wishes, base, local);
    let mut taken = BTreeSet::new();
    for number in 0..wishes.len() {
        let mut more = needs.with(number, &wishes);
        more.retain(|number| !taken.contains(number));
        if taken.len() + more.len() > TREE_OPS_MAX {
            if taken.is_empty() {
                let frees = |number: &usize| {
                    matches!(wishes.get(*number).map(|w| &w.op), Some(TreeOp::Move { .. } | TreeOp::Delete { .. }))
                };
                taken.extend(more.into_iter().filter(frees).take(TREE_OPS_MAX));
            }
            break;
        }
        taken.extend(more);
        if taken.len() >= most {
            break;
        }
    }
    let mut number = 0;
    wishes.retain(|_| {
        number += 1;
        taken.contains(&(number - 1))
    });
    wishes
}

struct Needs<'a> {
    base: &'a Base,
    local: &'a Local,
    /// The ops that make or move a node, or delete it.
    made: HashMap<EntityId, usize>,
    moved: HashMap<EntityId, usize>,
    /// The ops after which a name is free.
    frees: HashMap<(EntityId, NameKey), usize>,
}

impl<'a> Needs<'a> {
    fn of(wishes: &[Wish], base: &'a Base, local: &'a Local) -> Self {
        let mut needs = Self { base, local, made: HashMap::new(), moved: HashMap::new(), frees: HashMap::new() };
        for (number, wish) in wishes.iter().enumerate() {
            let node = wish.op.node();
            match wish.becomes {
                Becomes::Made { .. } => drop(needs.made.insert(node, number)),
                Becomes::Moved { .. } => drop(needs.moved.insert(node, number)),
                Becomes::Filled { .. } => continue,
                Becomes::Gone => {}
            }
            if let Some(held) = base.get(node) {
                needs.frees.insert((held.parent, held.name.key()), number);
            }
        }
        needs
    }

    /// An op and all that it needs.
    fn with(&self, number: usize, wishes: &[Wish]) -> BTreeSet<usize> {
        let (mut found, mut open) = (BTreeSet::new(), vec![number]);
        while let Some(number) = open.pop() {
            let Some(wish) = wishes.get(number) else { continue };
            if !found.insert(number) {
                continue;
            }
            match &wish.becomes {
                Becomes::Made { parent, at, .. } | Becomes::Moved { parent, at } => {
                    let name = name_of(at).map(|name| (*parent, name.key()));
                    open.extend(name.and_then(|name| self.frees.get(&name)));
                    let mut folder = *parent;
                    while folder != self.base.root() {
                        open.extend(self.made.get(&folder).or_else(|| self.moved.get(&folder)));
                        let Some(place) = self.local.nodes.get(&folder) else { break };
                        folder = place.parent;
                    }
                }
                Becomes::Gone => {
                    let below = self.base.below(wish.op.node()).into_iter();
                    open.extend(below.filter_map(|id| self.moved.get(&id)));
                }
                Becomes::Filled { .. } => {}
            }
        }
        found
    }
}
