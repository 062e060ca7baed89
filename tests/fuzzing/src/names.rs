//! Names of files and folders, as anybody types them and as two devices spell them.
//!
//! What must hold: what is taken stays as it is when it is typed again, and is one step below a folder and nowhere else; what is
//! refused comes with a name that is taken; two spellings of one name are one, and fold alike; what a device keeps a name under,
//! and what a copy is called, is a name again.

use std::path::{Component, Path};

use proptest::strategy::Strategy as _;
use syncline::EntityId;
use syncline::limits::NAME_BYTES_MAX;
use syncline::time::Timestamp;
use syncline::tree::{ConflictName, Label, Name, NameKey, NamePolicy, is_conflict_name, kept_name};

use crate::given::{each, how};
use crate::random::Random;

/// What is awkward on one system or another, alone or beside something else.
const PIECES: &[&str] = &[
    "a",
    "A",
    "z",
    "0",
    " ",
    ".",
    "..",
    "/",
    "\\",
    "\0",
    ":",
    "*",
    "?",
    "\"",
    "<",
    ">",
    "|",
    "~",
    "\u{1}",
    "\u{1f}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "CON",
    "con",
    "NUL",
    "COM1",
    "LPT¹",
    "aux.txt",
    ".syncline-",
    ".tar.gz",
    ".txt",
    "ß",
    "SS",
    "ẞ",
    "ı",
    "İ",
    "i\u{307}",
    "ﬁ",
    "Σ",
    "ς",
    "é",
    "e\u{301}",
    "\u{301}",
    "\u{345}",
    "\u{3b1}",
    "ᾳ",
    "Å",
    "\u{212b}",
    "\u{212a}",
    "가",
    "\u{1100}\u{1161}",
    "\u{1e9b}\u{323}",
    "\u{202e}",
    "\u{200d}",
    "\u{feff}",
    "\u{fffd}",
    "👍",
    "\u{10ffff}",
    "日本",
    "Ǆ",
    " (conflict phone 2026-11-22 081643)",
    " (conflict ",
    ")",
    " 2",
    "%2e%2e",
    "﷽",
];

/// A text of pieces that were chosen, some of them often.
fn pieced(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(6) {
        let piece = PIECES[random.below(PIECES.len())];
        let times = [1, 1, 1, 2, 3, 63, 64, 127, 128, 254, 255, 256][random.below(12)];
        text.push_str(&piece.repeat(times));
    }
    text
}

fn is_one_step(name: &Name) {
    let folder = Path::new("/folder");
    let path = folder.join(name.as_str());
    assert_eq!(path.parent(), Some(folder), "{name:?} leads elsewhere");
    let mut steps = path.strip_prefix(folder).expect("below the folder").components();
    assert_eq!((steps.next(), steps.next()), (Some(Component::Normal(name.as_str().as_ref())), None), "{name:?}");
}

fn is_name(name: &Name, policy: NamePolicy) {
    assert_eq!(Name::new(name.as_str(), policy).as_ref(), Ok(name), "typed again it is another");
    assert!((1..=NAME_BYTES_MAX).contains(&name.as_str().len()), "{name:?}");
    assert!(!name.as_str().contains(['/', '\0']), "{name:?}");
    is_one_step(name);
    let key = name.key();
    assert_eq!(NameKey::place(key.as_str()).as_ref(), Some(&key), "a listing goes on behind it");
    // A key may be longer than a name, or be none that this policy takes.
    if let Ok(folded) = Name::new(key.as_str(), NamePolicy::Lenient) {
        assert_eq!(folded.key(), key, "{name:?} folds further");
    }
}

pub(crate) fn names(data: &[u8]) {
    let (how, data) = how(data);
    let (tape, rest) = data.split_at(data.len().min(24));
    let mut random = Random::over(tape);
    let typed = if how & 1 == 0 { String::from_utf8_lossy(data).into_owned() } else { pieced(&mut random) };
    let taken = |policy| match Name::new(&typed, policy) {
        Ok(name) => {
            is_name(&name, policy);
            Some(name)
        }
        Err(error) => {
            is_name(&error.suggested, NamePolicy::Strict);
            None
        }
    };
    let (strict, lenient) = (taken(NamePolicy::Strict), taken(NamePolicy::Lenient));
    if strict.is_some() {
        assert_eq!(strict, lenient, "what every device can hold is what some can");
    }
    let Some(name) = lenient else { return };
    let ids = proptest::array::uniform16(proptest::num::u8::ANY).prop_map(EntityId::from_bytes);
    let id = each(&ids, &rest[..rest.len().min(4)]).pop().unwrap_or(EntityId::from_bytes([how; 16]));
    let local = name.local(id);
    is_name(&local, NamePolicy::Strict);
    if strict.is_some() {
        assert_eq!(local, name);
    }
    // From the year 10000 on a copy is a name like any other.
    let at = Timestamp::from_ms(random.read(8) % 253_402_300_800_000).unwrap_or_default();
    let label = Label::new(["phone", "a b", "2026-11-22 000000", "x"][random.below(4)]).expect("a label");
    let number = [0, 1, 2, 9, 10, u32::MAX][random.below(6)];
    let copies = ConflictName::of(&name, &label, at);
    let copy = copies.nth(number);
    is_name(&copy, if strict.is_some() { NamePolicy::Strict } else { NamePolicy::Lenient });
    assert!(is_conflict_name(&copy), "{copy:?} of {name:?}");
    assert_ne!(copies.nth(2), copies.nth(3));
    is_name(&kept_name(&copy, number), NamePolicy::Lenient);
}
