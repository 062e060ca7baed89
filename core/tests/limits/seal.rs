//! Limits on what is sealed: what fits before fits afterwards, and what does not is told so before anything is sent.

use super::check;
use syncline::conformance::author::{Author, entity_subject};
use syncline::conformance::support::{env, log};
use syncline::limits;
use syncline::oplog::{Draft, FullStateKind, OpKind, Payload, Subject};
use syncline::seal::{KeyRecipe, LogKeyring, LogSecret, RecipeError, SealContext, SealError, seal};

#[test]
fn a_payload_that_would_outgrow_its_place_once_sealed_is_refused_with_its_size() {
    let keyring = LogKeyring::with(1, &LogSecret::from_bytes([1; 32])).expect("a key");
    let things = || entity_subject("things", 1);
    let state = OpKind::FullState(FullStateKind::Initial);
    let places = [
        (OpKind::Create, things(), limits::SEALED_OP_CONTENT_BYTES_MAX, limits::OP_PAYLOAD_BYTES_MAX),
        (state, Subject::Log, limits::SEALED_STATE_CONTENT_BYTES_MAX, limits::FULL_STATE_BYTES_MAX),
    ];
    for (kind, subject, limit, max) in places {
        // The next step of the padding, and the envelope around it.
        let given = limit + 5 + (512 << 10) + limits::ENVELOPE_BYTES;
        let draft = Author::new(1).draft(kind, subject, Payload::Plain("".into()));
        check(limit, &SealError::TooLarge { given, max }, |bytes| {
            let plain = Payload::Plain(vec![0; bytes].into());
            let context = SealContext::of_draft(log(1), &draft);
            let sealed = seal(&keyring, &context, &plain, &env(1))?;
            let op = Draft { payload: sealed, ..draft.clone() }.seal().expect("what was sealed fits");
            assert!(op.payload().bytes().len() <= max);
            Ok(())
        });
    }
}

/// Who can change a recipe must not make guesses cheap, nor a device run out of memory.
#[test]
fn a_recipe_is_no_cheaper_and_no_dearer_than_its_limits() {
    let costs = [
        ("m", limits::PASSPHRASE_MEMORY_KIB, limits::PASSPHRASE_MEMORY_KIB_MAX),
        ("t", limits::PASSPHRASE_PASSES, limits::PASSPHRASE_PASSES_MAX),
        ("p", limits::PASSPHRASE_LANES, limits::PASSPHRASE_LANES_MAX),
    ];
    for (what, min, max) in costs {
        let parse = |given: u32| {
            let [m, t, p] = costs.map(|(name, least, _)| if name == what { given } else { least });
            let text = format!("$argon2id$v=19$m={m},t={t},p={p}$AAECAwQFBgcICQoLDA0ODw");
            text.parse::<KeyRecipe>().map(|recipe| assert_eq!(recipe.to_string(), text))
        };
        let refused = |given: u32| RecipeError::OutOfRange { what, given, min, max };
        for given in [min, min + 1, max - 1, max] {
            assert_eq!(parse(given), Ok(()), "{what}={given}");
        }
        for given in [0, min - 1, max + 1, u32::MAX] {
            assert_eq!(parse(given), Err(refused(given)), "{what}={given}");
        }
    }
}
