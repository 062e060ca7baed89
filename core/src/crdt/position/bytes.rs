//! A position's bytes: see the module above for what they are.

use super::SessionName;
use super::path::{Level, Path};

/// Numbers below this, and from minus this, are within a level's first byte.
const NUMBER_SMALL: u8 = 32;
/// The first byte of a level with the number 0 in another session.
const OTHER: u8 = 0xa0;
/// The first byte of a level with the number 0 in the same session, and a count below −31; and one above 30.
const BELOW: u8 = 0x60;
const ABOVE: u8 = 0x9f;

/// After equal levels: what follows is smaller than they are, or larger.
const SMALLER: u8 = 0;
const LARGER: u8 = 1;

impl Path {
    /// `None` for one that is too deep to be written.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(12 * self.0.len());
        let mut before = None;
        let mut levels = self.0.iter().peekable();
        while let Some((level, times)) = levels.next() {
            encode_level(*level, before, &mut out);
            before = Some(level.session);
            let Some(more) = times.checked_sub(2) else { continue };
            let start = out.len();
            encode_level(*level, before, &mut out);
            let end = out.len();
            // What follows, to compare it; it is written again when its turn comes.
            let larger = levels.peek().is_some_and(|(next, _)| {
                encode_level(*next, before, &mut out);
                out[end..] > out[start..end]
            });
            out.truncate(end);
            let more = i64::try_from(more).ok()?;
            out.push(if larger { LARGER } else { SMALLER });
            encode_int(if larger { !more } else { more }, &mut out);
        }
        Some(out)
    }

    /// `None` where the bytes are none in their one spelling.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input { rest: bytes, session: None };
        let mut path = Self(Vec::with_capacity(bytes.len().min(8)));
        // The bytes of the equal levels that end here, and whether what follows is larger.
        let mut run: Option<(&[u8], bool)> = None;
        while !input.rest.is_empty() {
            let start = input.rest;
            let level = input.level()?;
            let spelled = &start[..start.len() - input.rest.len()];
            if let Some((equal, larger)) = run.take()
                && (spelled == equal || (spelled > equal) != larger)
            {
                return None;
            }
            match path.0.last_mut() {
                Some((last, times)) if *last == level => {
                    let (mark, more) = (input.byte()?, input.int()?);
                    let (larger, more) = match mark {
                        SMALLER => (false, more),
                        LARGER => (true, !more),
                        _ => return None,
                    };
                    *times = u64::try_from(more).ok()? + 2;
                    run = Some((spelled, larger));
                }
                _ => path.0.push((level, 1)),
            }
        }
        let nothing_larger = run.is_none_or(|(_, larger)| !larger);
        nothing_larger.then_some(path)
    }
}

fn encode_level(level: Level, before: Option<SessionName>, out: &mut Vec<u8>) {
    let same = before == Some(level.session);
    if level.number == 0 {
        if same {
            match level.count {
                -31..=30 => {
                    encode_int(level.count, out);
                    return;
                }
                ..-31 => out.push(BELOW),
                31.. => out.push(ABOVE),
            }
        } else {
            out.push(OTHER);
            out.extend_from_slice(&level.session.0);
        }
        encode_int(level.count, out);
        return;
    }
    let small = u8::try_from(level.number.saturating_add(NUMBER_SMALL.into())).ok();
    match small.filter(|small| *small < 2 * NUMBER_SMALL) {
        Some(small) if level.number < 0 => out.push(BELOW - NUMBER_SMALL + small),
        Some(small) => out.push(OTHER - NUMBER_SMALL + small),
        None => encode_long(level.number, out),
    }
    if same {
        out.push(0);
    } else {
        out.push(1);
        out.extend_from_slice(&level.session.0);
    }
    encode_int(level.count, out);
}

fn encode_int(value: i64, out: &mut Vec<u8>) {
    match u8::try_from(value.saturating_add(128)) {
        Ok(small @ 64..192) => out.push(small),
        _ => encode_long(value, out),
    }
}

fn encode_long(value: i64, out: &mut Vec<u8>) {
    let bytes = if value < 0 { !value } else { value }.to_be_bytes();
    let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
    let more = u8::try_from(7 - skipped.min(7)).unwrap_or(7);
    if value < 0 {
        out.push(0x3f - more);
        out.extend(bytes[7 - usize::from(more)..].iter().map(|byte| !byte));
    } else {
        out.push(0xc0 + more);
        out.extend_from_slice(&bytes[7 - usize::from(more)..]);
    }
}

/// Reads levels; `None` at the end, and where the bytes are none.
struct Input<'b> {
    rest: &'b [u8],
    session: Option<SessionName>,
}

impl Input<'_> {
    fn level(&mut self) -> Option<Level> {
        let head = self.byte()?;
        let number = match head {
            BELOW..=ABOVE => {
                let session = self.session?;
                let count = match head {
                    BELOW => self.int().filter(|count| *count < -31)?,
                    ABOVE => self.int().filter(|count| *count > 30)?,
                    small => i64::from(small) - 128,
                };
                return Some(Level { number: 0, session, count });
            }
            OTHER => {
                let session = self.other()?;
                return Some(Level { number: 0, session, count: self.int()? });
            }
            0x40..BELOW => i64::from(head) - i64::from(BELOW),
            0xa1..0xc0 => i64::from(head) - i64::from(OTHER),
            _ => self.long(head, NUMBER_SMALL.into())?,
        };
        let session = match self.byte()? {
            0 => self.session?,
            1 => self.other()?,
            _ => return None,
        };
        Some(Level { number, session, count: self.int()? })
    }

    /// A session that is not that of the level before.
    fn other(&mut self) -> Option<SessionName> {
        let (name, rest) = self.rest.split_first_chunk::<6>()?;
        self.rest = rest;
        let name = Some(SessionName(*name)).filter(|name| self.session != Some(*name));
        self.session = name;
        name
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn int(&mut self) -> Option<i64> {
        match self.byte()? {
            head @ 0x40..0xc0 => Some(i64::from(head) - 128),
            head => self.long(head, 64),
        }
    }

    /// One that is no smaller than `least`, or below its negative.
    fn long(&mut self, head: u8, least: i64) -> Option<i64> {
        let (more, negative) = match head {
            0xc0..=0xc7 => (usize::from(head - 0xc0), false),
            0x38..=0x3f => (usize::from(0x3f - head), true),
            _ => return None,
        };
        let (bytes, rest) = self.rest.split_at_checked(more + 1)?;
        self.rest = rest;
        let mut all = [0; 8];
        all[7 - more..].copy_from_slice(bytes);
        if negative {
            all[7 - more..].iter_mut().for_each(|byte| *byte = !*byte);
        }
        let value = i64::from_be_bytes(all);
        let fewest = value >= least && (more == 0 || all[7 - more] != 0);
        fewest.then_some(if negative { !value } else { value })
    }
}
