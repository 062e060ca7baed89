//! Sealed payloads: what comes out is what went in, or a reason why not; never something else, never a panic.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each proof uses its part")]
mod common;

mod bound;
mod hostile;
mod vectors;

use bytes::Bytes;
use proptest::prelude::*;
use syncline::Env;
use syncline::arbitrary::draft;
use syncline::conformance::support::{env, log};
use syncline::limits;
use syncline::oplog::{Draft, JsonFault, Op, Payload};
use syncline::seal::{
    KeyRecipe, KeyringError, LogKeyring, LogSecret, OpenError, RecipeError, SealContext, SealError, SecretError, open,
    seal, seal_under,
};

pub(crate) fn secret(number: u8) -> LogSecret {
    LogSecret::from_bytes([number; 32])
}

/// Keys of epochs 1 to 3.
pub(crate) fn keyring() -> LogKeyring {
    let mut keyring = LogKeyring::new();
    (1..=3).for_each(|epoch: u8| keyring.add(epoch.into(), &secret(epoch)).expect("a new epoch"));
    keyring
}

/// The draft with its payload sealed, as an op.
pub(crate) fn sealed(draft: &Draft, keyring: &LogKeyring, env: &Env) -> Op {
    let context = SealContext::of_draft(log(1), draft);
    let payload = seal(keyring, &context, &draft.payload, env).expect("seals");
    Draft { payload, ..draft.clone() }.seal().expect("a good draft")
}

proptest! {
    /// The context of a draft is that of its op, whatever the draft's fields.
    #[test]
    fn what_was_sealed_in_a_draft_opens_in_its_op(
        draft in draft(),
        at in any::<u64>().prop_map(|at| at >> 32),
        plain in any::<bool>(),
        content in proptest::collection::vec(any::<u8>(), 0..200),
        backwards in any::<bool>(),
    ) {
        let payload = if plain { Payload::Plain(content.into()) } else { Payload::Json("{\"a\":[1e2,-0]}".into()) };
        let mut draft = Draft { payload: payload.clone(), ..draft };
        if backwards && let syncline::oplog::Subject::Entity { also, .. } = &mut draft.subject {
            also.reverse();
        }
        let op = sealed(&draft, &keyring(), &env(at));
        prop_assert_eq!(open(&keyring(), &SealContext::of_op(log(1), &op), op.payload()), Ok(payload));
    }
}

#[test]
fn the_newest_epoch_seals_and_older_ones_open() {
    let (context, plain) = (context(), Payload::Plain("x".into()));
    for epoch in 1..=3 {
        let sealed = seal_under(&keyring(), epoch, &context, &plain, &env(1)).expect("seals");
        assert_eq!(epoch_of(&sealed), epoch);
        assert_eq!(open(&keyring(), &context, &sealed), Ok(plain.clone()));
        let mut without = keyring();
        assert!(without.forget(epoch) && !without.forget(epoch));
        assert_eq!(open(&without, &context, &sealed), Err(OpenError::UnknownEpoch(epoch)));
        assert_eq!(seal_under(&without, epoch, &context, &plain, &env(1)), Err(SealError::UnknownEpoch(epoch)));
    }
    assert_eq!(epoch_of(&seal(&keyring(), &context, &plain, &env(1)).expect("seals")), 3);
    assert_eq!(seal(&LogKeyring::new(), &context, &plain, &env(1)), Err(SealError::NoKey));
    let mut keyring = keyring();
    assert_eq!((keyring.newest(), keyring.epochs().collect::<Vec<_>>()), (Some(3), vec![1, 2, 3]));
    assert_eq!(keyring.add(2, &secret(2)), Ok(()), "the same key again");
    assert_eq!(keyring.add(2, &secret(3)), Err(KeyringError::EpochTaken(2)), "an epoch has one key");
    assert_eq!(keyring.add(0, &secret(2)), Err(KeyringError::EpochZero));
}

fn epoch_of(payload: &Payload) -> u32 {
    syncline::seal::EnvelopeHead::read(payload.bytes()).expect("an envelope").epoch
}

fn context() -> SealContext {
    SealContext::of_draft(log(1), vectors::draft().draft())
}

/// A wrong key is no accusation; the same key in another epoch is another key.
#[test]
fn a_wrong_key_is_told_apart_from_tampering() {
    let sealed = seal(&keyring(), &context(), &Payload::Plain("x".into()), &env(1)).expect("seals");
    for other in [1, 2, 9] {
        let wrong = LogKeyring::with(3, &secret(other)).expect("a key");
        assert_eq!(open(&wrong, &context(), &sealed), Err(OpenError::WrongKey));
    }
}

/// Entropy that repeats, on a cloned device for example, must not repeat a nonce for another message.
#[test]
fn a_nonce_repeats_only_with_everything_else() {
    let nonce = |context: &SealContext, text: &'static str, at| {
        let sealed = seal(&keyring(), context, &Payload::Plain(text.into()), &env(at)).expect("seals");
        sealed.bytes()[40..64].to_vec()
    };
    let first = nonce(&context(), "x", 1);
    assert_eq!(nonce(&context(), "x", 1), first, "a decision may run twice");
    assert_ne!(nonce(&context(), "y", 1), first);
    assert_ne!(nonce(&context(), "x", 2), first);
    assert_ne!(nonce(&SealContext::of_op(log(2), &vectors::draft()), "x", 1), first);
}

/// What is short looks alike, and what is long is longer by an eighth at most.
#[test]
fn a_length_says_little() {
    let bytes = |content: usize| {
        let plain = Payload::Plain(vec![7; content].into());
        seal(&keyring(), &context(), &plain, &env(1)).expect("seals").bytes().len() - limits::ENVELOPE_BYTES
    };
    assert!((0..=30).all(|content| bytes(content) == limits::SEALED_FRAME_BYTES_MIN));
    for content in [31, 32, 100, 1_000, 65_536, 1_000_000] {
        let frame = bytes(content);
        assert!(frame > content && frame - content <= content / 8 + 8, "{content} became {frame}");
    }
}

#[test]
fn what_is_not_a_payload_to_seal_is_refused() {
    let refused = |plain: &Payload| seal(&keyring(), &context(), plain, &env(1)).expect_err("refused");
    assert_eq!(refused(&Payload::Sealed(Bytes::new())), SealError::AlreadySealed);
    assert!(matches!(refused(&Payload::Json("{".into())), SealError::Json(JsonFault::Malformed(_))));
    let many = format!("[0{}]", ",0".repeat(limits::JSON_NODES_MAX));
    assert_eq!(
        refused(&Payload::Json(many.into())),
        SealError::Json(JsonFault::TooManyNodes { max: limits::JSON_NODES_MAX })
    );
}

/// RFC 9106 gives the algorithm its own vectors; this one pins the parameters and what goes in.
#[test]
fn a_passphrase_makes_the_same_secret_on_every_device() {
    let salt: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).expect("small"));
    let secret = KeyRecipe::new(salt).secret("correct horse battery staple").expect("made");
    let hex: String = secret.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "0d1a3c6523c8f06e4e0af9c515aa5b5448cfebd6838f2d52c3d8b6ef8ddc3c2e");
    assert_ne!(KeyRecipe::new([0; 16]).secret("correct horse battery staple"), Ok(secret));
    assert_eq!(KeyRecipe::new(salt).secret(""), Err(SecretError::Empty));
}

/// A log outlives the costs that seem right today, so they stand beside the salt.
#[test]
fn a_recipe_says_how_a_passphrase_becomes_a_key() {
    let text = "$argon2id$v=19$m=65536,t=3,p=1$AAECAwQFBgcICQoLDA0ODw";
    let recipe = KeyRecipe::new(std::array::from_fn(|index| u8::try_from(index).expect("small")));
    assert_eq!(recipe.to_string(), text);
    assert_eq!(text.parse(), Ok(recipe));
    let dearer: KeyRecipe = text.replace("t=3", "t=4").parse().expect("a recipe");
    assert_ne!(dearer.secret("x"), recipe.secret("x"));
    for bad in [
        "",
        "$argon2id$v=19$m=65536,t=3,p=1",
        "$argon2i$v=19$m=65536,t=3,p=1$AAECAwQFBgcICQoLDA0ODw",
        "$argon2id$v=16$m=65536,t=3,p=1$AAECAwQFBgcICQoLDA0ODw",
        "$argon2id$v=19$m=65536,t=3$AAECAwQFBgcICQoLDA0ODw",
        "$argon2id$v=19$m=65536,t=3,p=1,x=1$AAECAwQFBgcICQoLDA0ODw",
        "$argon2id$v=19$t=3,m=65536,p=1$AAECAwQFBgcICQoLDA0ODw",
        "$argon2id$v=19$m=+65536,t=3,p=1$AAECAwQFBgcICQoLDA0ODw",
        "$argon2id$v=19$m=065536,t=3,p=1$AAECAwQFBgcICQoLDA0ODw",
        "$argon2id$v=19$m=99999999999,t=3,p=1$AAECAwQFBgcICQoLDA0ODw",
        "$argon2id$v=19$m=65536,t=3,p=1$AAECAwQFBgcICQoLDA0O",
        "$argon2id$v=19$m=65536,t=3,p=1$AAECAwQFBgcICQoLDA0ODw==",
        "$argon2id$v=19$m=65536,t=3,p=1$AAECAwQFBgcICQoLDA0ODw$x",
    ] {
        assert_eq!(bad.parse::<KeyRecipe>(), Err(RecipeError::Malformed), "{bad}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let shown = format!("{:?} {:?}", secret(0xab), keyring());
    assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
    assert!(shown.contains("1, 2, 3"), "epochs are no secret: {shown}");
}
