//! What a browser would call of documents, clocks and text, so that no more of the engine is built than that takes.
//!
//! Bytes go in and out one at a time: this is measured, not used, and a memory interface would have to be unsafe.

use std::cell::RefCell;

use bytes::Bytes;
#[cfg(feature = "document")]
use syncline::crdt::{Content, Document, Moment};
#[cfg(feature = "text")]
use syncline::crdt::text::Text;
#[cfg(feature = "document")]
use syncline::time::Hlc;
use syncline::codec::{Reader, Writer};
#[cfg(any(feature = "text", feature = "document"))]
use syncline::ReplicaId;
use syncline::{Causality, VectorClock};

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    #[cfg(feature = "text")]
    text: Text,
    #[cfg(feature = "document")]
    document: Document,
    clock: VectorClock,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

#[cfg(any(feature = "text", feature = "document"))]
const ME: ReplicaId = ReplicaId::from_bytes([1; 16]);
#[cfg(feature = "text")]
const OTHER: ReplicaId = ReplicaId::from_bytes([2; 16]);

fn with(act: impl FnOnce(&mut State, Bytes) -> Option<Bytes>) -> u32 {
    STATE.with_borrow_mut(|state| {
        let given = Bytes::from(std::mem::take(&mut state.buffer));
        match act(state, given) {
            Some(bytes) => {
                state.buffer = bytes.into();
                u32::try_from(state.buffer.len()).unwrap_or(u32::MAX)
            }
            None => u32::MAX,
        }
    })
}

/// Adds a byte to what the next call is given.
#[no_mangle]
pub extern "C" fn give(byte: u32) {
    STATE.with_borrow_mut(|state| state.buffer.push(byte.to_le_bytes()[0]));
}

/// A byte of what the last call answered.
#[no_mangle]
pub extern "C" fn take(at: u32) -> u32 {
    STATE.with_borrow(|state| state.buffer.get(at as usize).copied().unwrap_or_default().into())
}

#[cfg(feature = "text")]
mod text {
    use super::*;

    #[no_mangle]
    pub extern "C" fn text_insert(at: u32) -> u32 {
        with(|state, given| {
            state.text.insert(ME, at as usize, std::str::from_utf8(&given).ok()?).ok()?;
            Some(Bytes::new())
        })
    }

    #[no_mangle]
    pub extern "C" fn text_delete(from: u32, to: u32) -> u32 {
        with(|state, _| state.text.delete(ME, from as usize..to as usize).ok().map(|()| Bytes::new()))
    }

    #[no_mangle]
    pub extern "C" fn text_delta(since: u32) -> u32 {
        with(|state, _| state.text.delta(ME, since.into()).ok())
    }

    #[no_mangle]
    pub extern "C" fn text_apply() -> u32 {
        with(|state, given| state.text.apply(OTHER, &given).ok().map(|()| Bytes::new()))
    }

    #[no_mangle]
    pub extern "C" fn text_get() -> u32 {
        with(|state, _| Some(state.text.to_string().into()))
    }

    #[no_mangle]
    pub extern "C" fn text_save() -> u32 {
        with(|state, _| state.text.save().ok())
    }

    #[no_mangle]
    pub extern "C" fn text_load() -> u32 {
        with(|state, given| {
            state.text = Text::load(&given).ok()?;
            Some(Bytes::new())
        })
    }
}

#[cfg(feature = "document")]
mod document {
    use super::*;

    #[no_mangle]
    pub extern "C" fn document_apply(ms: u32) -> u32 {
        with(|state, given| {
            let edit = Document::read_edit(given).ok()?;
            let hlc = Hlc { ms: syncline::time::Timestamp::from_ms(ms.into())?, counter: 0 };
            let moment = Moment { op: syncline::OpId::from_bytes([1; 16]), replica: ME, hlc, accepted_at: None };
            state.document.apply(&moment, edit);
            Some(Bytes::new())
        })
    }

    #[no_mangle]
    pub extern "C" fn document_get() -> u32 {
        with(|state, _| state.document.view().ok()?)
    }

    #[no_mangle]
    pub extern "C" fn document_save() -> u32 {
        with(|state, _| Some(state.document.encode().into()))
    }

    #[no_mangle]
    pub extern "C" fn document_merge() -> u32 {
        with(|state, given| {
            state.document.merge(&Document::decode(given).ok()?);
            Some(Bytes::new())
        })
    }
}

#[no_mangle]
pub extern "C" fn clock_join() -> u32 {
    with(|state, given| {
        let other = VectorClock::decode(&mut Reader::new(given)).ok()?;
        let order = u8::from(state.clock.compare(&other) == Causality::Concurrent);
        state.clock.join(&other).ok()?;
        let mut out = Writer::default();
        out.u8(order);
        state.clock.encode(&mut out);
        Some(out.finish())
    })
}
