//! What devices of an account tell each other about what they do now: passed on, never read, never stored.

use serde::{Deserialize, Serialize};
use syncline::time::Timestamp;

/// Bytes of what a device says.
const PAYLOAD_BYTES_MAX: usize = 8 << 10;
const STATE: &str = "presence_state";
const COMMAND: &str = "presence_cmd";

/// What a device said, as the others are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Presence {
    #[serde(rename = "type")]
    kind: String,
    payload: String,
    /// Grows with every state, so that devices whose clocks differ agree which is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordinal: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer_connected: Option<bool>,
    timestamp: u64,
}

#[derive(Debug, Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    payload: String,
}

impl Presence {
    /// What a device sends, if it is presence at all and not too large; `after`: what was said last.
    pub(super) fn of(text: &str, after: Option<&Self>, now: Timestamp) -> Option<Self> {
        let said: Said = serde_json::from_str(text).ok()?;
        let is_state = said.kind == STATE;
        if (!is_state && said.kind != COMMAND) || said.payload.is_empty() || said.payload.len() > PAYLOAD_BYTES_MAX {
            return None;
        }
        // Time, so that several servers count in one line; and on from what was there, should a clock go back.
        let ordinal = || after.and_then(|after| after.ordinal).map_or(0, |last| last + 1).max(now.ms());
        Some(Self {
            kind: said.kind,
            payload: said.payload,
            ordinal: is_state.then(ordinal),
            producer_connected: is_state.then_some(true),
            timestamp: now.ms(),
        })
    }

    /// Whether it says how things are, and is not a command.
    pub(super) fn is_state(&self) -> bool {
        self.kind == STATE
    }

    /// The same with its device there or gone; `None` when that is known.
    pub(super) fn with_producer(&self, connected: bool) -> Option<Self> {
        let news = self.is_state() && self.producer_connected != Some(connected);
        news.then(|| Self { producer_connected: Some(connected), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(ms).unwrap()
    }

    #[test]
    fn states_are_numbered_upwards_and_commands_are_not() {
        let said = r#"{"type":"presence_state","payload":"x","more":1}"#;
        let first = Presence::of(said, None, at(1_000)).unwrap();
        let json = serde_json::to_value(&first).unwrap();
        let told = serde_json::json!({
            "type": "presence_state", "payload": "x", "ordinal": 1_000, "producerConnected": true, "timestamp": 1_000,
        });
        assert_eq!(json, told);
        assert_eq!(Presence::of(said, Some(&first), at(900)).unwrap().ordinal, Some(1_001));
        let command = Presence::of(r#"{"type":"presence_cmd","payload":"stop"}"#, Some(&first), at(2_000)).unwrap();
        let told = serde_json::json!({"type": "presence_cmd", "payload": "stop", "timestamp": 2_000});
        assert_eq!(serde_json::to_value(&command).unwrap(), told);
        assert_eq!(command.with_producer(false), None);
        assert_eq!(first.with_producer(true), None);
        assert_eq!(first.with_producer(false).unwrap().producer_connected, Some(false));
    }

    #[test]
    fn what_is_not_presence_is_not_passed_on() {
        let large = format!(r#"{{"type":"presence_state","payload":"{}"}}"#, "x".repeat(PAYLOAD_BYTES_MAX + 1));
        for text in [
            "",
            "x",
            "[]",
            r#"{"type":"pong"}"#,
            r#"{"type":"new_ops","payload":"x"}"#,
            r#"{"type":"presence_state","payload":""}"#,
            r#"{"type":"presence_state","payload":{}}"#,
            &large,
        ] {
            assert_eq!(Presence::of(text, None, at(1)), None, "{}", text.get(..40).unwrap_or(text));
        }
    }
}
