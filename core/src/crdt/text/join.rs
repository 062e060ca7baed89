//! Putting an author's deltas together: keystrokes that were not sent yet travel as the runs they make.
//!
//! *What must hold:* who takes in the joined delta has taken in both. Only the bytes are looked at; no text is needed.

use std::ops::Range;

use bytes::Bytes;

use super::rope::chars_in;
use crate::codec::{DecodeError, Reader, Writer};

/// The form of a delta, without what its names mean.
#[derive(Debug)]
struct Outline {
    /// Numbers of its author's events in it.
    events: Range<u64>,
    /// Where its first item begins.
    items: usize,
    /// Its first item, if that inserts: position and place of the text.
    first: Option<(u64, Range<usize>)>,
    /// Its last item, if that inserts: where it begins, its position and the place of its text.
    last: Option<(usize, u64, Range<usize>)>,
}

/// One delta that says what two of the same author say, the second coming right after the first; `None` when it does not.
#[must_use]
pub fn join(older: &Bytes, newer: &Bytes) -> Option<Bytes> {
    let (one, two) = (outline(older).ok()?, outline(newer).ok()?);
    if one.events.end != two.events.start || one.events.is_empty() || two.events.is_empty() {
        return None;
    }
    let mut out = Writer::with_capacity(older.len() + newer.len());
    match (one.last, two.first) {
        // Typed on from where the author was: one run.
        (Some((begin, position, typed)), Some((0, more))) => {
            out.fixed(&older[..begin]);
            out.u64(((typed.len() + more.len()) as u64) << 2);
            out.u64(position);
            out.fixed(&older[typed]);
            out.fixed(&newer[more.start..]);
        }
        _ => {
            out.fixed(older);
            out.fixed(&newer[two.items..]);
        }
    }
    Some(out.finish())
}

fn outline(delta: &Bytes) -> Result<Outline, DecodeError> {
    const WHAT: &str = "a delta";
    let mut input = Reader::new(delta.clone());
    let at = |input: &Reader| delta.len() - input.remaining();
    let seq = input.u64(WHAT)?;
    let items = at(&input);
    let mut outline = Outline { events: seq..seq, items, first: None, last: None };
    while input.remaining() > 0 {
        let begin = at(&input);
        let head = input.u64(WHAT)?;
        outline.last = None;
        if head & 3 == 3 {
            for _ in 0..head >> 3 {
                if input.u64(WHAT)? == 0 {
                    input.fixed::<16>(WHAT)?;
                }
                input.u64(WHAT)?;
            }
            continue;
        }
        let position = input.u64(WHAT)?;
        let mut events = head >> 2;
        if head & 3 == 0 {
            let len = usize::try_from(events).map_err(|_| DecodeError::Truncated(WHAT))?;
            let place = input.place(len, WHAT)?;
            let text = std::str::from_utf8(&delta[place.clone()]).map_err(|_| DecodeError::NotCanonical(WHAT))?;
            events = chars_in(text).into();
            if begin == items {
                outline.first = Some((position, place.clone()));
            }
            outline.last = Some((begin, position, place));
        }
        outline.events.end = outline.events.end.checked_add(events).ok_or(DecodeError::NotCanonical(WHAT))?;
    }
    Ok(outline)
}

#[cfg(test)]
mod tests {
    use super::super::Text;
    use super::*;
    use crate::id::ReplicaId;

    const ME: ReplicaId = ReplicaId::from_bytes([1; 16]);
    const OTHER: ReplicaId = ReplicaId::from_bytes([2; 16]);

    #[test]
    fn joined_keystrokes_are_one_run_and_say_the_same() {
        let mut text = Text::new();
        let mut joined: Option<Bytes> = None;
        for (at, typed) in "héllo, world".chars().enumerate() {
            let since = text.seen(ME);
            text.insert(ME, at, &typed.to_string()).expect("within");
            let next = text.delta(ME, since).expect("there");
            joined = Some(joined.map_or(next.clone(), |older| join(&older, &next).expect("they follow each other")));
        }
        let joined = joined.expect("some");
        assert_eq!(joined.len(), 3 + "héllo, world".len());
        let mut copy = Text::new();
        copy.apply(ME, &joined).expect("a delta");
        assert_eq!((copy.to_string(), copy.state_hash()), (text.to_string(), text.state_hash()));
    }

    #[test]
    fn deletions_others_and_jumps_join_as_they_are() {
        let (mut text, mut copy) = (Text::new(), Text::new());
        text.insert(OTHER, 0, "0123456789").expect("within");
        copy.apply(OTHER, &text.delta(OTHER, 0).expect("there")).expect("a delta");
        let mut deltas: Vec<Bytes> = Vec::new();
        let edits: [(usize, usize, &str); 6] =
            [(3, 0, "ab"), (4, 2, ""), (0, 0, "x"), (1, 0, "y"), (6, 1, "z"), (0, 1, "")];
        for (at, gone, new) in edits {
            let since = text.seen(ME);
            text.delete(ME, at..at + gone).expect("within");
            text.insert(ME, at, new).expect("within");
            deltas.push(text.delta(ME, since).expect("there"));
        }
        let mut parts = deltas.into_iter().rev();
        let last = parts.next().expect("some");
        let joined = parts.fold(last, |newer, older| join(&older, &newer).expect("they follow each other"));
        copy.apply(ME, &joined).expect("a delta");
        assert_eq!((copy.to_string(), copy.state_hash()), (text.to_string(), text.state_hash()));
    }

    #[test]
    fn what_does_not_follow_is_not_joined() {
        let mut text = Text::new();
        text.insert(ME, 0, "abc").expect("within");
        let first = text.delta(ME, 0).expect("there");
        text.insert(ME, 3, "d").expect("within");
        text.insert(ME, 4, "e").expect("within");
        let late = text.delta(ME, 4).expect("there");
        assert_eq!(join(&first, &late), None);
        assert_eq!(join(&first, &first), None);
        assert_eq!(join(&first, &Bytes::from_static(b"\x03\xff")), None);
        assert_eq!(join(&Bytes::new(), &first), None);
    }
}
