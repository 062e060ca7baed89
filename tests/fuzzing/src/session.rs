//! The conversation of a client: inputs and answers in any order, sensible or not.
//!
//! What must hold: the promises at the head of `core/src/client/session.rs`, checked after each input.

use crate::given::{each, holds, how};
use crate::session_laws::{inputs, moment, places, promises_hold};

/// Inputs of one conversation.
const INPUTS_MAX: usize = 200;

pub(crate) fn session(data: &[u8]) {
    let (begins, data) = how(data);
    let (at, data) = data.split_at(data.len().min(4));
    let Some(at) = each(&places(), at).pop() else { return };
    let script = each(&(inputs(), moment()), &data[..data.len().min(4 * INPUTS_MAX)]);
    holds(promises_hold(begins & 1 == 1, begins & 2 == 2, at, script));
}
