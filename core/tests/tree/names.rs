//! Names: each rule by examples on both of its sides, and that two spellings are one name or two.

use syncline::tree::{Name, NameFault, NamePolicy};

use crate::fuzz::Dice;
use crate::server::id;

const BOTH: [NamePolicy; 2] = [NamePolicy::Strict, NamePolicy::Lenient];

/// A name as typed, what strict and lenient trees say of it, and what is suggested instead.
type Row = (&'static str, Option<NameFault>, Option<NameFault>, &'static str);

fn table() -> Vec<Row> {
    use NameFault::{Beginning, Character, Device, Dots, Empty, Ending, Ours};
    let good = [
        "a",
        "A b",
        ".env",
        "...a",
        "con1",
        "CONSOLE.txt",
        "a.con",
        "COM",
        "COM10",
        "LPTx",
        "é",
        "日本語",
        "~$a",
        "a;b'&%",
    ];
    let mut rows: Vec<Row> = good.map(|name| (name, None, None, "")).to_vec();
    rows.extend([
        ("", Some(Empty), Some(Empty), "unnamed"),
        (".", Some(Dots), Some(Dots), "unnamed"),
        ("..", Some(Dots), Some(Dots), "unnamed"),
        ("a/b", Some(Character('/')), Some(Character('/')), "a_b"),
        ("a\0b", Some(Character('\0')), Some(Character('\0')), "a_b"),
        ("a<b", Some(Character('<')), None, "a_b"),
        ("a>b", Some(Character('>')), None, "a_b"),
        ("a:b", Some(Character(':')), None, "a_b"),
        ("a\"b", Some(Character('"')), None, "a_b"),
        ("a\\b", Some(Character('\\')), None, "a_b"),
        ("a|b", Some(Character('|')), None, "a_b"),
        ("a?b", Some(Character('?')), None, "a_b"),
        ("a*b", Some(Character('*')), None, "a_b"),
        ("a\u{1}b", Some(Character('\u{1}')), None, "a_b"),
        ("Icon\r", Some(Character('\r')), None, "Icon_"),
        ("a\u{1f}", Some(Character('\u{1f}')), None, "a_"),
        ("a\u{7f}b", Some(Character('\u{7f}')), None, "a_b"),
        ("x ", Some(Ending), None, "x"),
        ("x.", Some(Ending), None, "x"),
        ("x. .", Some(Ending), None, "x"),
        ("...", Some(Ending), None, "unnamed"),
        (" ", Some(Ending), None, "unnamed"),
        (" x", Some(Beginning), None, "x"),
        ("CON", Some(Device), None, "CON_"),
        ("con.txt", Some(Device), None, "con_.txt"),
        ("Prn.tar.gz", Some(Device), None, "Prn_.tar.gz"),
        ("aux", Some(Device), None, "aux_"),
        ("NUL.", Some(Ending), None, "NUL_"),
        ("nul .txt", Some(Device), None, "nul _.txt"),
        ("COM0", Some(Device), None, "COM0_"),
        ("com9.log", Some(Device), None, "com9_.log"),
        ("LPT0", Some(Device), None, "LPT0_"),
        ("lpt9", Some(Device), None, "lpt9_"),
        ("COM²", Some(Device), None, "COM²_"),
        (".syncline-tmp-00", Some(Ours), None, "_syncline-tmp-00"),
    ]);
    rows
}

#[test]
fn every_rule_of_names_refuses_what_breaks_it_and_suggests_what_does_not() {
    for (typed, strict, lenient, suggested) in table() {
        for (policy, expected) in BOTH.into_iter().zip([strict, lenient]) {
            match (Name::new(typed, policy), expected) {
                (Ok(name), None) => assert_eq!(name.as_str(), typed),
                (Err(error), Some(fault)) => {
                    assert_eq!((error.fault, error.suggested.as_str()), (fault, suggested), "{typed:?}, {policy:?}");
                    assert!(error.to_string().contains(suggested));
                }
                (found, _) => panic!("{typed:?}, {policy:?}: {found:?}, not {expected:?}"),
            }
        }
    }
}

#[test]
fn what_is_suggested_is_a_name_whatever_was_typed() {
    let letters = ['a', '.', ' ', '/', ':', '\0', 'é', '\u{301}', '日', 'C', 'O', 'N', '1', '\u{1f600}', '\u{7f}'];
    let mut dice = Dice::new(1);
    for _ in 0..20_000 {
        let long = dice.below(10) == 0;
        let count = dice.below(if long { 400 } else { 8 });
        let mut typed: String = (0..count).map(|_| letters[dice.below(letters.len())]).collect();
        if dice.below(20) == 0 {
            typed.insert_str(0, ".syncline-");
        }
        for policy in BOTH {
            let name = Name::new(&typed, policy).unwrap_or_else(|error| error.suggested);
            assert_eq!(Name::new(name.as_str(), policy).as_ref(), Ok(&name), "{typed:?}");
            let local = name.local(id(0xabcd));
            assert_eq!(Name::new(local.as_str(), NamePolicy::Strict).as_ref(), Ok(&local), "{typed:?}");
        }
    }
}

#[test]
fn what_is_suggested_for_a_name_that_is_too_long_is_a_name() {
    let (dots, blanks, far) = (".".repeat(256), " ".repeat(252), " ".repeat(300));
    let rows = [
        (format!("{dots}seventeencharacters"), "unnamed"),
        (format!("CON{blanks}x"), "CON_"),
        (format!("a{far}x"), "a"),
        (format!("com1{far}.txt"), "com1_.txt"),
    ];
    for (typed, expected) in rows {
        for policy in BOTH {
            let Err(refused) = Name::new(&typed, policy) else { panic!("{typed:?} is taken") };
            let suggested = refused.suggested;
            assert_eq!(Name::new(suggested.as_str(), NamePolicy::Strict).as_ref(), Ok(&suggested), "{typed:?}");
            assert_eq!(suggested.as_str(), expected, "{typed:?}");
        }
    }
}

#[test]
fn a_device_keeps_names_it_cannot_hold_under_others() {
    let local = |typed: &str| Name::new(typed, NamePolicy::Lenient).unwrap().local(id(0xabcd)).as_str().to_owned();
    let rows = [
        ("a.txt", "a.txt"),
        ("a:b", "a_b~abcd"),
        ("x ", "x ~abcd"),
        ("x.", "x.~abcd"),
        (" x", "_x~abcd"),
        ("CON.txt", "CON_.txt~abcd"),
        (".syncline-x", "_syncline-x~abcd"),
    ];
    for (typed, expected) in rows {
        assert_eq!(local(typed), expected);
    }
    assert_eq!(local(&":".repeat(255)), "_".repeat(250) + "~abcd");
}

#[test]
fn names_that_differ_in_case_or_spelling_are_one_and_others_are_not() {
    let same = [
        ("a", "A"),
        ("Notes.txt", "nOTES.TXT"),
        ("straße", "STRASSE"),
        ("ﬁle", "FILE"),
        ("\u{212a}", "k"),
        ("Σίσυφος", "σίσυφοσ"),
        ("Ǆ", "ǆ"),
        ("Ａ", "ａ"),
        ("caf\u{e9}", "cafe\u{301}"),
        ("CAF\u{c9}", "cafe\u{301}"),
        ("İ", "i\u{307}"),
        ("\u{345}\u{3b1}", "\u{345}\u{391}"),
    ];
    let others = [("a", "b"), ("a", "a "), ("ss", "s"), ("e", "é"), ("ı", "I"), ("Ａ", "A"), ("i", "İ"), ("ο", "o")];
    let key = |typed: &str| Name::new(typed, NamePolicy::Lenient).unwrap().key();
    for (one, other) in same {
        assert_eq!(key(one), key(other), "{one} and {other}");
    }
    for (one, other) in others {
        assert_ne!(key(one), key(other), "{one} and {other}");
    }
    let composed = Name::new("cafe\u{301}", NamePolicy::Strict).unwrap();
    assert_eq!(composed.as_str(), "caf\u{e9}", "a name is kept in NFC");
    assert_eq!(composed, Name::new("caf\u{e9}", NamePolicy::Strict).unwrap());
}

#[test]
fn a_key_is_the_same_for_the_key() {
    let mut dice = Dice::new(2);
    for _ in 0..5_000 {
        let name: String = (0..=dice.below(6))
            .filter_map(|_| char::from_u32(u32::try_from(dice.below(0x3000)).unwrap()))
            .filter(|c| !matches!(c, '/' | '\0'))
            .collect();
        let Ok(name) = Name::new(&name, NamePolicy::Lenient) else { continue };
        let key = name.key();
        let Ok(again) = Name::new(key.as_str(), NamePolicy::Lenient) else { continue };
        assert_eq!(again.key(), key, "{name:?}");
    }
}
