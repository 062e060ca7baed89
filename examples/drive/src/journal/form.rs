//! The bytes of what a journal keeps and core has no bytes for.
//!
//! ```text
//! held     = 1, parent 16, at, name, kind, content, three seqs, opt print, body
//! print    = size, three times as eight bytes, device, inode, opt born
//! content  = blob 32, size, opt manifest 32, modified_at, executable, opt attributes 32
//! issue    = opt print, answer
//! ```

use bytes::Bytes;
use syncline::codec::{DecodeError, Reader, Writer};
use syncline::files::{Body, Fingerprint, Held, Identity, Issue};
use syncline::tree::{Answer, Content, Kind, Name, NamePolicy, TreeVerdict};
use syncline::{Anchor, Cursor, Digest, EntityId, LogId, Seq, Timestamp};

type Read<T> = Result<T, DecodeError>;

const VERSION: u8 = 1;
const HELD: &str = "what is held";
const PRINT: &str = "a print";
const CONTENT: &str = "a content";

pub(super) fn write_held(held: &Held) -> Bytes {
    let mut out = Writer::with_capacity(256);
    out.u8(VERSION);
    out.fixed(held.parent.as_bytes());
    out.bytes(held.at.as_bytes());
    out.bytes(held.name.as_str().as_bytes());
    match held.kind {
        Kind::Folder => out.u8(1),
        Kind::Symlink => out.u8(2),
        Kind::Mount(log) => {
            out.u8(3);
            out.fixed(log.as_bytes());
        }
        _ => out.u8(0),
    }
    option(held.content.as_ref(), &mut out, put_content);
    for seq in [held.content_seq, held.parent_seq, held.name_seq] {
        out.u64(seq.get());
    }
    option(held.print.as_ref(), &mut out, put_print);
    out.u8(u8::from(held.body == Body::Elsewhere));
    out.finish()
}

pub(super) fn read_held(bytes: Vec<u8>) -> Read<Held> {
    let mut input = Reader::new(bytes.into());
    if input.u8(HELD)? != VERSION {
        return Err(DecodeError::NotCanonical(HELD));
    }
    let parent = EntityId::from_bytes(input.fixed(HELD)?);
    let (at, name) = (text(&mut input)?, text(&mut input)?);
    let kind = match input.u8(HELD)? {
        0 => Kind::File,
        1 => Kind::Folder,
        2 => Kind::Symlink,
        3 => Kind::Mount(LogId::from_bytes(input.fixed(HELD)?)),
        value => return Err(DecodeError::Unknown { what: "a kind", value: value.into() }),
    };
    let content = maybe(&mut input, get_content)?;
    let (content_seq, parent_seq, name_seq) = (seq(&mut input)?, seq(&mut input)?, seq(&mut input)?);
    let print = maybe(&mut input, get_print)?;
    let body = if flag(&mut input)? { Body::Elsewhere } else { Body::Here };
    input.finish()?;
    let name = Name::new(&name, NamePolicy::Lenient).map_err(|_| DecodeError::NotCanonical("a name"))?;
    Ok(Held { parent, at, name, kind, content, content_seq, parent_seq, name_seq, print, body })
}

pub(super) fn write_print(print: &Fingerprint) -> Bytes {
    let mut out = Writer::with_capacity(48);
    put_print(print, &mut out);
    out.finish()
}

pub(super) fn read_print(bytes: Vec<u8>) -> Read<Fingerprint> {
    whole(bytes, get_print)
}

pub(super) fn write_content(content: &Content) -> Bytes {
    let mut out = Writer::with_capacity(96);
    put_content(content, &mut out);
    out.finish()
}

pub(super) fn read_content(bytes: Vec<u8>) -> Read<Content> {
    whole(bytes, get_content)
}

pub(super) fn write_issue(issue: &Issue) -> Bytes {
    let mut out = Writer::with_capacity(96);
    option(issue.print.as_ref(), &mut out, put_print);
    let verdict = TreeVerdict::Rejected(issue.refusal.clone());
    Answer::write_all(&[Answer { verdict, long_path: false }], &mut out);
    out.finish()
}

pub(super) fn read_issue(bytes: Vec<u8>) -> Read<Issue> {
    whole(bytes, |input| {
        let print = maybe(input, get_print)?;
        match Answer::read_all(input)?.pop().map(|answer| answer.verdict) {
            Some(TreeVerdict::Rejected(refusal)) => Ok(Issue { print, refusal }),
            _ => Err(DecodeError::NotCanonical("a refusal")),
        }
    })
}

pub(super) fn write_cursor(cursor: Cursor) -> Bytes {
    let mut out = Writer::with_capacity(64);
    out.u64(cursor.seq.get());
    option(cursor.anchor.as_ref(), &mut out, |anchor, out| out.fixed(&anchor.to_bytes()));
    out.finish()
}

pub(super) fn read_cursor(bytes: Vec<u8>) -> Read<Cursor> {
    whole(bytes, |input| {
        let seq = seq(input)?;
        let anchor = maybe(input, |input| Ok(Anchor::from_bytes(input.fixed("an anchor")?)))?;
        Ok(Cursor { seq, anchor })
    })
}

pub(super) fn put_print(print: &Fingerprint, out: &mut Writer) {
    out.u64(print.size);
    out.fixed(&print.modified_ns.to_be_bytes());
    out.fixed(&print.changed_ns.to_be_bytes());
    out.u64(print.identity.device);
    out.u64(print.identity.inode);
    option(print.identity.born_ns.as_ref(), out, |born, out| out.fixed(&born.to_be_bytes()));
}

pub(super) fn get_print(input: &mut Reader) -> Read<Fingerprint> {
    let size = input.u64(PRINT)?;
    let modified_ns = i64::from_be_bytes(input.fixed(PRINT)?);
    let changed_ns = i64::from_be_bytes(input.fixed(PRINT)?);
    let (device, inode) = (input.u64(PRINT)?, input.u64(PRINT)?);
    let born_ns = maybe(input, |input| Ok(i64::from_be_bytes(input.fixed(PRINT)?)))?;
    Ok(Fingerprint { size, modified_ns, changed_ns, identity: Identity { device, inode, born_ns } })
}

pub(super) fn put_content(content: &Content, out: &mut Writer) {
    out.fixed(content.blob.as_bytes());
    out.u64(content.bytes);
    option(content.manifest.as_ref(), out, |manifest, out| out.fixed(manifest.as_bytes()));
    out.u64(content.modified_at.ms());
    out.u8(u8::from(content.executable));
    option(content.attributes.as_ref(), out, |attributes, out| out.fixed(attributes.as_bytes()));
}

pub(super) fn get_content(input: &mut Reader) -> Read<Content> {
    let digest = |input: &mut Reader| Ok(Digest::from_bytes(input.fixed(CONTENT)?));
    Ok(Content {
        blob: digest(input)?,
        bytes: input.u64(CONTENT)?,
        manifest: maybe(input, digest)?,
        modified_at: Timestamp::from_ms(input.u64(CONTENT)?).ok_or(DecodeError::NotCanonical("a time"))?,
        executable: flag(input)?,
        attributes: maybe(input, digest)?,
    })
}

pub(super) fn option<T>(value: Option<&T>, out: &mut Writer, put: impl FnOnce(&T, &mut Writer)) {
    out.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, out);
    }
}

pub(super) fn maybe<T>(input: &mut Reader, get: impl FnOnce(&mut Reader) -> Read<T>) -> Read<Option<T>> {
    if flag(input)? { get(input).map(Some) } else { Ok(None) }
}

fn flag(input: &mut Reader) -> Read<bool> {
    match input.u8("a flag")? {
        flag @ (0 | 1) => Ok(flag == 1),
        _ => Err(DecodeError::NotCanonical("a flag")),
    }
}

fn seq(input: &mut Reader) -> Read<Seq> {
    Seq::new(input.u64("a seq")?).ok_or(DecodeError::NotCanonical("a seq"))
}

pub(super) fn text(input: &mut Reader) -> Read<String> {
    let bytes = input.bytes("a name")?;
    String::from_utf8(bytes.into()).map_err(|_| DecodeError::NotCanonical("a name"))
}

pub(super) fn whole<T>(bytes: Vec<u8>, get: impl FnOnce(&mut Reader) -> Read<T>) -> Read<T> {
    let mut input = Reader::new(bytes.into());
    let value = get(&mut input)?;
    input.finish()?;
    Ok(value)
}
