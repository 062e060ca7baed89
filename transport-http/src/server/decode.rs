//! Decompression while the body arrives: what is decoded is counted as it grows, so a bomb is refused when it passes
//! the limit and never unpacked.

use std::io::Write as _;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::write::GzDecoder;
use syncline::call::{ErrorCode, Refusal};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation as _};

use super::problem::malformed;

/// Window a zstd frame may ask for: 8 MiB, what every decoder of HTTP bodies must take and no more (RFC 9659).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The one encoding layer a body may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else {
            return Ok(Self::Identity);
        };
        if values.next().is_none() {
            for (name, encoding) in [("identity", Self::Identity), ("gzip", Self::Gzip), ("zstd", Self::Zstd)] {
                if value.as_bytes().eq_ignore_ascii_case(name.as_bytes()) {
                    return Ok(encoding);
                }
            }
        }
        Err(Refusal::new(ErrorCode::UnsupportedMediaType, "a body has one encoding at most: gzip or zstd"))
    }
}

/// Bytes up to a limit.
#[derive(Debug)]
pub(super) struct Capped {
    bytes: Vec<u8>,
    max: usize,
    over: bool,
}

impl Capped {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        if chunk.len() > self.max - self.bytes.len() {
            self.over = true;
            return Err(too_large(self.max));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

impl std::io::Write for Capped {
    fn write(&mut self, chunk: &[u8]) -> std::io::Result<usize> {
        self.push(chunk).map(|()| chunk.len()).map_err(|_| std::io::ErrorKind::FileTooLarge.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A body being decoded.
pub(super) enum Decoder {
    Identity(Capped),
    Gzip(Box<GzDecoder<Capped>>),
    Zstd(Box<Zstd>),
}

pub(super) struct Zstd {
    raw: ZstdDecoder<'static>,
    out: Capped,
    scratch: Vec<u8>,
    whole: bool,
}

impl Decoder {
    pub(super) fn new(encoding: Encoding, max: usize) -> Result<Self, Refusal> {
        let out = Capped { bytes: Vec::new(), max, over: false };
        Ok(match encoding {
            Encoding::Identity => Self::Identity(out),
            Encoding::Gzip => Self::Gzip(Box::new(GzDecoder::new(out))),
            Encoding::Zstd => {
                let mut raw = ZstdDecoder::new().map_err(|_| internal())?;
                raw.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|_| internal())?;
                Self::Zstd(Box::new(Zstd { raw, out, scratch: vec![0; 64 << 10], whole: false }))
            }
        })
    }

    /// Takes the next part of the body as received.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        // An empty part would look like the start of another zstd frame.
        if chunk.is_empty() {
            return Ok(());
        }
        match self {
            Self::Identity(out) => out.push(chunk),
            Self::Gzip(decoder) => feed_gzip(decoder, chunk),
            Self::Zstd(zstd) => zstd.feed(chunk),
        }
    }

    /// The whole body; refused when it ended early.
    pub(super) fn finish(self) -> Result<Bytes, Refusal> {
        match self {
            Self::Identity(out) => Ok(out.bytes.into()),
            Self::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes).into()),
                Err(error) => Err(gzip_fault(decoder.get_ref(), &error)),
            },
            Self::Zstd(zstd) if zstd.whole => Ok(zstd.out.bytes.into()),
            Self::Zstd(_) => Err(malformed("the zstd body ends early")),
        }
    }
}

fn feed_gzip(decoder: &mut GzDecoder<Capped>, mut rest: &[u8]) -> Result<(), Refusal> {
    while !rest.is_empty() {
        match decoder.write(rest) {
            Ok(0) => return Err(malformed("something follows the gzip body")),
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(error) => return Err(gzip_fault(decoder.get_ref(), &error)),
        }
    }
    Ok(())
}

fn gzip_fault(out: &Capped, error: &std::io::Error) -> Refusal {
    if out.over { too_large(out.max) } else { malformed(format!("the gzip body does not decode: {error}")) }
}

impl Zstd {
    fn feed(&mut self, mut rest: &[u8]) -> Result<(), Refusal> {
        loop {
            let status = self
                .raw
                .run_on_buffers(rest, &mut self.scratch)
                .map_err(|error| malformed(format!("the zstd body does not decode: {error}")))?;
            self.out.push(self.scratch.get(..status.bytes_written).unwrap_or_default())?;
            rest = rest.get(status.bytes_read..).unwrap_or_default();
            self.whole = status.remaining == 0;
            let more_to_write = status.bytes_written == self.scratch.len();
            if rest.is_empty() && (self.whole || !more_to_write) {
                return Ok(());
            }
            if status.bytes_read == 0 && status.bytes_written == 0 {
                return Err(malformed("the zstd body does not decode"));
            }
        }
    }
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(ErrorCode::BodyTooLarge, format!("a body has at most {max} bytes after decompression"))
}

fn internal() -> Refusal {
    Refusal::new(ErrorCode::Internal, "no decoder can be made")
}
