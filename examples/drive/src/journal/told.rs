//! The bytes of a commit that waits for its answer: what becomes of each of its ops in the folder.
//!
//! ```text
//! told    = count, becomes...
//! becomes = 0 made, parent 16, at, print, opt content | 1 filled, print, content | 2 moved, parent 16, at | 3 gone
//! ```

use bytes::Bytes;
use syncline::EntityId;
use syncline::codec::{DecodeError, Reader, Writer};
use syncline::files::{Becomes, Wish};
use syncline::tree::Commit;

use super::form::{get_content, get_print, maybe, option, put_content, put_print, text};

const WHAT: &str = "what was told";

/// The bytes of what becomes of wishes.
#[must_use]
pub fn write_told(wishes: &[Wish]) -> Bytes {
    let mut out = Writer::with_capacity(wishes.len() * 128);
    out.len(wishes.len());
    for wish in wishes {
        match &wish.becomes {
            Becomes::Made { parent, at, print, content } => {
                out.u8(0);
                out.fixed(parent.as_bytes());
                out.bytes(at.as_bytes());
                put_print(print, &mut out);
                option(content.as_ref(), &mut out, put_content);
            }
            Becomes::Filled { print, content } => {
                out.u8(1);
                put_print(print, &mut out);
                put_content(content, &mut out);
            }
            Becomes::Moved { parent, at } => {
                out.u8(2);
                out.fixed(parent.as_bytes());
                out.bytes(at.as_bytes());
            }
            Becomes::Gone => out.u8(3),
        }
    }
    out.finish()
}

/// The wishes of a commit, by the bytes of what becomes of them.
///
/// # Errors
/// When they are nobody's, or another commit's.
pub fn read_told(commit: &Commit, told: Bytes) -> Result<Vec<Wish>, DecodeError> {
    let mut input = Reader::new(told);
    if input.count(1, WHAT)? != commit.ops().len() {
        return Err(DecodeError::NotCanonical(WHAT));
    }
    let mut wishes = Vec::with_capacity(commit.ops().len());
    for op in commit.ops() {
        let becomes = match input.u8(WHAT)? {
            0 => Becomes::Made {
                parent: EntityId::from_bytes(input.fixed(WHAT)?),
                at: text(&mut input)?,
                print: get_print(&mut input)?,
                content: maybe(&mut input, get_content)?,
            },
            1 => Becomes::Filled { print: get_print(&mut input)?, content: get_content(&mut input)? },
            2 => Becomes::Moved { parent: EntityId::from_bytes(input.fixed(WHAT)?), at: text(&mut input)? },
            3 => Becomes::Gone,
            value => return Err(DecodeError::Unknown { what: WHAT, value: value.into() }),
        };
        wishes.push(Wish { op: op.clone(), becomes });
    }
    input.finish()?;
    Ok(wishes)
}
