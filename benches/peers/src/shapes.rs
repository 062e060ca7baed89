//! Two replicas part after a common text, each makes its edits alone, and each takes in the other's: the worse of both.

use crate::field::{Automerge, Cola, Diamond, Loro, Yrs};
use crate::ours::Ours;
use crate::peer::Peer;
use crate::rows::{Table, Wanted, timed};

const SHAPES: &[&str] = &["append", "own places", "scattered", "long against small", "prepend"];

pub fn all(wanted: &Wanted) {
    for count in [10_000, 20_000, 40_000] {
        let mut table = Table::default();
        for shape in SHAPES {
            one::<Ours>(shape, count, &mut table);
            // Their prepending is quadratic: once is enough to show it.
            let slow = *shape == "prepend" && count > 10_000;
            if wanted.has("diamond-types") && !slow {
                one::<Diamond>(shape, count, &mut table);
            }
            if wanted.has("yrs") && !slow {
                one::<Yrs>(shape, count, &mut table);
            }
            if wanted.has("loro") {
                one::<Loro>(shape, count, &mut table);
            }
            if wanted.has("cola") {
                one::<Cola>(shape, count, &mut table);
            }
            if wanted.has("automerge") && count == 10_000 {
                one::<Automerge>(shape, count, &mut table);
            }
        }
        table.print(&format!("two branches of {count} edits"));
    }
}

fn one<P: Peer>(shape: &'static str, count: usize, table: &mut Table) {
    let mut first = P::new(0);
    P::edit(&mut first, 0, 0, &"the common text. ".repeat(200));
    let common = P::update(&mut first);
    let mut second = P::new(1);
    P::apply(&mut second, &common);
    let len = 3_400;
    let ours = branch::<P>(&mut first, shape, count, len, 1);
    let theirs = branch::<P>(&mut second, shape, count, len, 2);
    let forward = timed(
        || rebuild::<P>(&common, &ours, 0),
        |mut doc| {
            P::apply(&mut doc, &theirs);
            P::text(&mut doc)
        },
    );
    let backward = timed(
        || rebuild::<P>(&common, &theirs, 1),
        |mut doc| {
            P::apply(&mut doc, &ours);
            P::text(&mut doc)
        },
    );
    let mut one = rebuild::<P>(&common, &ours, 0);
    P::apply(&mut one, &theirs);
    let mut other = rebuild::<P>(&common, &theirs, 1);
    P::apply(&mut other, &ours);
    assert_eq!(P::text(&mut one), P::text(&mut other), "{} {shape}", P::NAME);
    table.set(shape, P::NAME, forward.max(backward));
}

fn rebuild<P: Peer>(common: &P::Update, own: &P::Update, _: u64) -> P::Doc {
    let mut doc = P::new(77);
    P::apply(&mut doc, common);
    P::apply(&mut doc, own);
    doc
}

fn branch<P: Peer>(doc: &mut P::Doc, shape: &str, count: usize, len: usize, side: usize) -> P::Update {
    let mut random = side as u64 * 77;
    let mut below = |end: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % end
    };
    let mut now = len;
    for at in 0..count {
        match shape {
            "append" => P::edit(doc, now, 0, "x"),
            "prepend" => P::edit(doc, 0, 0, "x"),
            "own places" => {
                // Types words, jumping within its own half.
                let half = len / 2 * (side - 1);
                let place = half + at / 10 * 37 % (len / 2);
                P::edit(doc, place + at % 10, 0, "w");
            }
            "long against small" if side == 1 || at % 100 == 0 => {
                P::edit(doc, if side == 1 { now / 2 } else { below(len) }, 0, "y")
            }
            "scattered" if at % 3 == 2 => {
                P::edit(doc, below(now - 1), 1, "");
                now -= 2;
            }
            "scattered" => P::edit(doc, below(now), 0, "z"),
            _ => now -= 1,
        }
        now += 1;
    }
    P::update(doc)
}
