//! Names of conflict copies.

use syncline::Timestamp;
use syncline::limits::NAME_BYTES_MAX;
use syncline::tree::{ConflictName, Label, LabelError, Name, NamePolicy};

use crate::fuzz::Dice;

fn copy(name: &str, label: &str, ms: u64, number: u32) -> String {
    let (name, label) = (Name::new(name, NamePolicy::Lenient).unwrap(), Label::new(label).unwrap());
    ConflictName::of(&name, &label, Timestamp::from_ms(ms).unwrap()).nth(number).as_str().to_owned()
}

#[test]
fn a_copy_is_named_after_the_file_the_device_and_the_servers_time() {
    let rows = [
        ("a.txt", "a (conflict PC 2023-11-14 221320).txt"),
        ("a", "a (conflict PC 2023-11-14 221320)"),
        ("x.tar.gz", "x (conflict PC 2023-11-14 221320).tar.gz"),
        ("x.TAR.ZST", "x (conflict PC 2023-11-14 221320).TAR.ZST"),
        ("x.y.bz2", "x.y (conflict PC 2023-11-14 221320).bz2"),
        (".tar.gz", ".tar (conflict PC 2023-11-14 221320).gz"),
        (".env", ".env (conflict PC 2023-11-14 221320)"),
        (".env.local", ".env (conflict PC 2023-11-14 221320).local"),
        ("v1.2 notes.txt", "v1.2 notes (conflict PC 2023-11-14 221320).txt"),
        ("v1. draft notes", "v1. draft notes (conflict PC 2023-11-14 221320)"),
        ("a.sixteencharacter", "a (conflict PC 2023-11-14 221320).sixteencharacter"),
        ("a.seventeencharacte", "a.seventeencharacte (conflict PC 2023-11-14 221320)"),
    ];
    for (name, expected) in rows {
        assert_eq!(copy(name, "PC", 1_700_000_000_999, 1), expected);
    }
    assert_eq!(copy("a.txt", "PC", 1_700_000_000_000, 2), "a (conflict PC 2023-11-14 221320) 2.txt");
}

#[test]
fn a_copy_of_a_copy_is_named_after_the_file() {
    let of_copies = [
        "a (conflict Old PC 2001-02-03 040506).txt",
        "a (conflict Old PC 2001-02-03 040506) 12.txt",
        "a (conflict x 10889-02-03 040506).txt",
    ];
    for name in &of_copies[..2] {
        assert_eq!(copy(name, "PC", 0, 1), "a (conflict PC 1970-01-01 000000).txt");
    }
    let others = [
        of_copies[2],
        "a (conflict).txt",
        "a (conflict PC).txt",
        "a (conflict PC 2001-02-03).txt",
        "a (conflict PC 2001-02-03 04:05).txt",
        "a (conflict  2001-02-03 040506).txt",
        "a(conflict PC 2001-02-03 040506).txt",
        "a (conflict PC 2001-02-03 040506)2.txt",
        "a (conflict PC 2001-02-03 040506) x.txt",
        "(conflict PC 2001-02-03 040506).txt",
    ];
    for name in others {
        let stem = name.strip_suffix(".txt").unwrap();
        assert_eq!(copy(name, "PC", 0, 1), format!("{stem} (conflict PC 1970-01-01 000000).txt"));
    }
}

#[test]
fn the_time_is_that_of_the_calendar() {
    let rows = [
        (0, "1970-01-01 000000"),
        (951_782_399_000, "2000-02-28 235959"),
        (951_782_400_000, "2000-02-29 000000"),
        (951_868_800_000, "2000-03-01 000000"),
        (4_107_542_399_000, "2100-02-28 235959"),
        (4_107_542_400_000, "2100-03-01 000000"),
        (1_709_251_199_999, "2024-02-29 235959"),
        (1_735_689_599_999, "2024-12-31 235959"),
        (253_402_300_799_000, "9999-12-31 235959"),
    ];
    for (ms, expected) in rows {
        assert_eq!(copy("a", "PC", ms, 1), format!("a (conflict PC {expected})"));
    }
    assert!(copy("a", "PC", Timestamp::MAX.ms(), 1).starts_with("a (conflict PC 10889-"));
}

#[test]
fn a_copys_name_always_fits_and_is_a_name() {
    let letters = ["a", "é", "日", ".", " ", "\u{1f600}", ".tar.gz", " (conflict x 2001-02-03 040506)", "e\u{301}"];
    let mut dice = Dice::new(3);
    for _ in 0..5_000 {
        let most = if dice.below(3) == 0 { 300 } else { 5 };
        let count = 1 + dice.below(most);
        let typed: String = (0..count).map(|_| letters[dice.below(letters.len())]).collect();
        let name = Name::new(&typed, NamePolicy::Strict).unwrap_or_else(|error| error.suggested);
        let names = ConflictName::of(&name, &Label::new(&"x".repeat(24)).unwrap(), Timestamp::MAX);
        for number in [1, 2, 10, u32::MAX] {
            let copy = names.nth(number);
            assert!(copy.as_str().len() <= NAME_BYTES_MAX);
            assert_eq!(Name::new(copy.as_str(), NamePolicy::Strict).as_ref(), Ok(&copy), "{typed:?}");
        }
    }
}

#[test]
fn a_label_is_what_a_copys_name_can_hold() {
    for good in ["PC", "Ann's phone", "日本語", "a.b"] {
        assert_eq!(Label::new(good).unwrap().as_str(), good);
    }
    let rows = [
        ("", LabelError::Empty),
        (" a", LabelError::Space),
        ("a ", LabelError::Space),
        ("a(b", LabelError::Character('(')),
        ("a)", LabelError::Character(')')),
        ("a/b", LabelError::Character('/')),
        ("a\n", LabelError::Character('\n')),
    ];
    for (bad, error) in rows {
        assert_eq!(Label::new(bad), Err(error));
    }
}
