//! Whatever a server hands back: the payload that was sealed, or a reason.

use bytes::Bytes;
use proptest::prelude::*;
use syncline::conformance::support::{env, log};
use syncline::limits;
use syncline::oplog::Payload;
use syncline::seal::{OpenError, SealContext, open, seal};

use crate::{keyring, vectors};

fn context() -> SealContext {
    SealContext::of_op(log(1), &vectors::draft())
}

fn envelope() -> Bytes {
    seal(&keyring(), &context(), &Payload::Json("{\"a\":1}".into()), &env(1)).expect("seals").bytes().clone()
}

fn opened(bytes: impl Into<Bytes>) -> Result<Payload, OpenError> {
    open(&keyring(), &context(), &Payload::Sealed(bytes.into()))
}

#[test]
fn each_changed_bit_of_an_envelope_is_noticed_and_named() {
    let envelope = envelope();
    assert_eq!(envelope.len(), limits::ENVELOPE_BYTES + limits::SEALED_FRAME_BYTES_MIN);
    for (at, bit) in (0..envelope.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut changed = envelope.to_vec();
        changed[at] ^= 1 << bit;
        let expected = match at {
            0..3 => OpenError::Malformed,
            3 => OpenError::UnknownSuite,
            // Epoch 3, with the low bits changed to 2 and 1: those keys are there, and are not the one.
            7 if bit < 2 => OpenError::WrongKey,
            4..8 => {
                let epoch: [u8; 4] = changed[4..8].try_into().expect("four bytes");
                OpenError::UnknownEpoch(u32::from_be_bytes(epoch))
            }
            8..40 => OpenError::WrongKey,
            _ => OpenError::Tampered,
        };
        assert_eq!(opened(changed), Err(expected), "bit {bit} of byte {at}");
    }
}

#[test]
fn a_cut_or_lengthened_envelope_is_refused() {
    let envelope = envelope();
    for len in 0..envelope.len() {
        assert_eq!(opened(envelope.slice(..len)), Err(OpenError::Malformed), "{len} bytes");
    }
    for more in [1, 16, 1_000] {
        let longer = [&envelope[..], &vec![0; more]].concat();
        assert_eq!(opened(longer), Err(OpenError::Tampered), "{more} bytes more");
    }
}

/// R14: a reader that expects sealed payloads takes nothing in the open.
#[test]
fn what_is_not_sealed_by_this_engine_is_not_opened() {
    for payload in [
        Payload::Plain(envelope()),
        Payload::Json("{}".into()),
        Payload::Sealed(Bytes::from_static(b"U2FsdGVkX1+another+program's+ciphertext")),
        Payload::Sealed(Bytes::new()),
    ] {
        assert_eq!(open(&keyring(), &context(), &payload), Err(OpenError::Malformed));
    }
    let mut epoch_zero = envelope().to_vec();
    epoch_zero[4..8].fill(0);
    assert_eq!(opened(epoch_zero), Err(OpenError::Malformed));
}

proptest! {
    #[test]
    fn no_bytes_open_and_none_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), headed in any::<bool>()) {
        let mut bytes = bytes;
        if headed {
            let envelope = envelope();
            let kept = bytes.len().min(40);
            bytes[..kept].copy_from_slice(&envelope[..kept]);
        }
        prop_assert!(opened(bytes).is_err());
    }

    #[test]
    fn no_splice_of_two_envelopes_opens(at in 0_usize..112, second in 2_u64..100) {
        let other = seal(&keyring(), &context(), &Payload::Json("{\"a\":2}".into()), &env(second)).expect("seals");
        let (one, two) = (envelope(), other.bytes().clone());
        let spliced = [&one[..at], &two[at..]].concat();
        let whole = spliced == one || spliced == two;
        prop_assert_eq!(opened(spliced).is_ok(), whole);
    }
}
