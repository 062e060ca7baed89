//! Ops as lines of JSON: one op per line, whatever its payload looks like.
//!
//! An op's JSON payload keeps its text to the byte, so it may hold line breaks. Such an op stands in its line as
//! `"bytes"`, its canonical bytes in base64, instead of `"op"`: a changed byte would make it another op.

use std::io::{BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use syncline::call::PageOp;
use syncline::oplog::{Op, Payload};
use syncline::wire::json::OpJson;
use syncline::{Digest, Seq, Timestamp};
use syncline_desk::Fault;

/// The longest line read: the largest op in base64, with room for its other fields.
const LINE_BYTES_MAX: u64 = 48 << 20;

/// A line of `pull`, and of an export, which adds `hash`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineJson {
    pub(crate) seq: Seq,
    pub(crate) accepted_at: Timestamp,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) batch_rest: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) op: Option<OpJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl LineJson {
    /// The line of one op of a page.
    ///
    /// # Errors
    /// Never for ops that came through the wire.
    pub(crate) fn of(op: &PageOp) -> Result<Self, Fault> {
        let line = Self {
            seq: op.seq,
            accepted_at: op.accepted_at,
            batch_rest: op.batch_rest,
            hash: None,
            op: None,
            bytes: None,
        };
        let as_bytes = || Some(BASE64.encode(op.op.bytes()));
        // An op of a newer format does not read here and is passed on as it is.
        let Some(read) = op.op.read().ok().filter(fits_a_line) else {
            return Ok(Self { bytes: as_bytes(), ..line });
        };
        let json = OpJson::of(&read).map_err(|error| Fault::new(format!("op {} does not write: {error}", op.seq)))?;
        Ok(Self { op: Some(json), ..line })
    }

    /// The op in it.
    ///
    /// # Errors
    /// A sentence without the line's number.
    pub(crate) fn read(self) -> Result<Op, String> {
        match (self.op, self.bytes) {
            (Some(op), None) => op.read(0).map_err(|error| error.to_string()),
            (None, Some(bytes)) => {
                let bytes = BASE64.decode(bytes).map_err(|error| format!("base64: {error}"))?;
                Op::decode(bytes.into()).map_err(|error| error.to_string())
            }
            _ => Err("exactly one of op and bytes is expected".into()),
        }
    }
}

fn fits_a_line(op: &Op) -> bool {
    match op.payload() {
        Payload::Json(text) => !text.iter().any(|byte| matches!(byte, b'\n' | b'\r')),
        _ => true,
    }
}

/// Reads an op from a line: as the wire writes it, or a line of `pull`.
///
/// # Errors
/// A sentence without the line's number.
pub(crate) fn read_op(line: &str) -> Result<Op, String> {
    match serde_json::from_str::<OpJson>(line) {
        Ok(op) => op.read(0).map_err(|error| error.to_string()),
        Err(error) => serde_json::from_str::<LineJson>(line).map_err(|_| error.to_string())?.read(),
    }
}

/// Lines with their numbers, from 1.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) const fn new(from: R) -> Self {
        Self { from, number: 0, text: Vec::new() }
    }

    /// The number of the line read last.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end; `None` after the last.
    ///
    /// # Errors
    /// When the input does not read, is not UTF-8, or a line is longer than any op.
    pub(crate) fn next(&mut self) -> Result<Option<&str>, Fault> {
        self.text.clear();
        self.number += 1;
        let number = self.number;
        let read = (&mut self.from).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.text);
        let read = read.map_err(|error| Fault::new(format!("line {number} does not read: {error}")))?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == LINE_BYTES_MAX && self.text.last() != Some(&b'\n') {
            return Err(Fault::new(format!("line {number} is longer than any op can be ({LINE_BYTES_MAX} bytes)")));
        }
        let text = std::str::from_utf8(&self.text).map_err(|_| Fault::new(format!("line {number} is not UTF-8")))?;
        Ok(Some(text.trim_end_matches(['\n', '\r'])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::op_with;

    fn line_of(payload: &str) -> (Op, String) {
        let op = op_with(1, 1, payload);
        let page_op =
            PageOp { seq: Seq::FIRST, accepted_at: Timestamp::default(), batch_rest: 0, op: op.raw().clone() };
        let line = serde_json::to_string(&LineJson::of(&page_op).unwrap()).unwrap();
        (op, line)
    }

    #[test]
    fn an_op_is_one_line_and_comes_back_byte_for_byte() {
        for payload in ["{\"a\":1}", "{ \"a\" : 1.50 }", "{\n  \"a\": 1\n}", "{\r\"a\":1}", "{\"a\":\"\\n\"}"] {
            let (op, line) = line_of(payload);
            assert!(!line.contains(['\n', '\r']), "{payload:?} broke the line");
            assert_eq!(read_op(&line).unwrap(), op, "{payload:?}");
        }
    }

    #[test]
    fn lines_are_counted_from_one_and_may_lack_their_end() {
        let mut lines = Lines::new(&b"a\r\n\nb"[..]);
        assert_eq!(lines.next().unwrap(), Some("a"));
        assert_eq!(lines.next().unwrap(), Some(""));
        assert_eq!(lines.next().unwrap(), Some("b"));
        assert_eq!(lines.number(), 3);
        assert_eq!(lines.next().unwrap(), None);
    }
}
