//! Bringing what a file contains: its pieces in order, several on their way at once, and those that are in the folder already
//! from there.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use syncline::blob::{Manifest, Piece};
use syncline::call::ErrorCode;
use syncline::client::CallError;
use syncline::digest::BlobId;
use syncline::store::{BlobError, ByteRange};
use syncline::tree::Content;
use syncline::{Digest, limits};

use super::again::{again, wait};
use super::together::runs;
use super::{AT_ONCE, Progress, Transfer, TransferError, on_disk};
use crate::read;
use crate::steps::Sink;

/// How often a download that makes no headway is begun again.
const TRIES: u32 = 5;
/// The largest list of pieces: each has a name, a length, and there is a head.
const LIST_BYTES_MAX: usize = limits::MANIFEST_PIECES_MAX * 36 + 128;

/// A file in the folder that may contain some of the same pieces: the old version of the same file above all.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "where pieces are")]
pub struct Near {
    /// Where it lies.
    pub path: Vec<String>,
    /// What it contains.
    pub content: Content,
    /// Where it is cut.
    pub manifest: Option<Manifest>,
}

/// Where pieces are in the folder.
pub(super) type Places = HashMap<BlobId, (Arc<[String]>, u64)>;

impl Transfer {
    /// Brings a content into a sink; gives the list of its pieces back, if it has one. `known` is that list where it is known.
    ///
    /// # Errors
    /// Why not. What the sink has by then is of no use.
    pub async fn download(
        &self,
        content: &Content,
        known: Option<Manifest>,
        near: &[Near],
        sink: &mut Sink,
        progress: &Progress,
    ) -> Result<Option<Manifest>, TransferError> {
        let places = places(near);
        let Some(list) = content.manifest else {
            let piece = u32::try_from(content.bytes).ok().map(|len| Piece { blob: content.blob, len });
            let own = match piece.filter(|piece| u64::from(piece.len) <= limits::BLOB_PUT_BYTES_MAX) {
                Some(piece) => self.own(piece, &places).await?,
                None => None,
            };
            match own {
                Some(bytes) => sink.write(&bytes)?,
                None => self.whole(content, sink, progress).await?,
            }
            return Ok(None);
        };
        let manifest = match known.filter(|known| known.id() == list) {
            Some(known) => known,
            None => self.list(content.blob, list).await?,
        };
        if (manifest.file(), manifest.size()) != (content.blob, content.bytes) {
            return Err(TransferError::OtherFile(content.blob));
        }
        let places = &places;
        // Made before anything waits: of a stream that maps while it is waited for, nobody can tell that it may go to another thread.
        let runs: Vec<_> = runs(manifest.pieces(), places).into_iter().map(|run| self.run(run, places)).collect();
        let mut runs = stream::iter(runs).buffered(AT_ONCE);
        while let Some(run) = runs.next().await {
            for bytes in run? {
                sink.write(&bytes)?;
                progress.more(bytes.len() as u64);
            }
        }
        drop(runs);
        Ok(Some(manifest))
    }

    /// Brings one piece of a file, for whoever reads just that part.
    ///
    /// # Errors
    /// Why not.
    pub async fn bring(&self, piece: Piece) -> Result<Bytes, TransferError> {
        self.piece(piece, &Places::new()).await
    }

    /// Brings the list of the pieces of a file.
    ///
    /// # Errors
    /// Why not.
    pub async fn list(&self, file: BlobId, list: BlobId) -> Result<Manifest, TransferError> {
        let bytes = self.blob(list, LIST_BYTES_MAX).await?;
        Manifest::from_bytes(bytes).map_err(|source| TransferError::Manifest { file, source })
    }

    pub(super) async fn piece(&self, piece: Piece, places: &Places) -> Result<Bytes, TransferError> {
        if let Some(own) = self.own(piece, places).await? {
            return Ok(own);
        }
        let bytes = self.blob(piece.blob, usize::try_from(piece.len).unwrap_or(usize::MAX)).await?;
        if bytes.len() as u64 == u64::from(piece.len) { Ok(bytes) } else { Err(TransferError::Damaged(piece.blob)) }
    }

    /// A piece that is in the folder, if it still is.
    async fn own(&self, piece: Piece, places: &Places) -> Result<Option<Bytes>, TransferError> {
        let Some((path, at)) = places.get(&piece.blob).cloned() else { return Ok(None) };
        let folder = Arc::clone(&self.folder);
        let read = on_disk(move || {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let (file, _) = folder.file(&path)?;
            read::piece(&file, at, piece)
        });
        // Whatever is wrong with it, the server has it too.
        Ok(read.await.unwrap_or(None))
    }

    /// A blob that fits in memory, verified.
    async fn blob(&self, blob: BlobId, bytes_max: usize) -> Result<Bytes, TransferError> {
        let mut failures = 0;
        loop {
            match self.blob_once(blob, bytes_max).await {
                Err(Broken::Way(_)) if failures + 1 < TRIES => wait(self.env.as_ref(), failures, None).await,
                Err(Broken::Way(error)) => return Err(interrupted(error)),
                Err(Broken::For(error)) => return Err(error),
                Ok(bytes) => return Ok(bytes),
            }
            failures += 1;
        }
    }

    async fn blob_once(&self, blob: BlobId, bytes_max: usize) -> Result<Bytes, Broken> {
        let open = || self.way.open_blob(self.log, blob, ByteRange::default());
        let mut source = again(self.env.as_ref(), open).await.map_err(|error| Broken::For(error.into()))?;
        let (mut first, mut rest) = (None, BytesMut::new());
        while let Some(bytes) = source.next().await.map_err(|error| broken(blob, error))? {
            self.down.take(bytes.len()).await;
            if rest.len() + first.as_ref().map_or(0, Bytes::len) + bytes.len() > bytes_max {
                return Err(Broken::For(TransferError::Damaged(blob)));
            }
            // Mostly it comes as one.
            match first.take() {
                None if rest.is_empty() => first = Some(bytes),
                begun => {
                    rest.extend_from_slice(&begun.unwrap_or_default());
                    rest.extend_from_slice(&bytes);
                }
            }
        }
        let bytes = first.unwrap_or_else(|| rest.freeze());
        // A way that verifies nothing may be under us.
        if Digest::of(&[&bytes]) == blob { Ok(bytes) } else { Err(Broken::For(TransferError::Damaged(blob))) }
    }

    /// A blob of any size, on from where the way broke; the sink verifies it.
    async fn whole(&self, content: &Content, sink: &mut Sink, progress: &Progress) -> Result<(), TransferError> {
        let (blob, mut at, mut failures) = (content.blob, 0, 0);
        loop {
            let before = at;
            match self.whole_from(content, &mut at, sink, progress).await {
                Ok(()) if at == content.bytes => return Ok(()),
                Ok(()) => return Err(TransferError::Damaged(blob)),
                Err(Broken::For(error)) => return Err(error),
                Err(Broken::Way(error)) => {
                    failures = if at > before { 0 } else { failures + 1 };
                    if failures == TRIES {
                        return Err(interrupted(error));
                    }
                    wait(self.env.as_ref(), failures, None).await;
                }
            }
        }
    }

    async fn whole_from(
        &self,
        content: &Content,
        at: &mut u64,
        sink: &mut Sink,
        progress: &Progress,
    ) -> Result<(), Broken> {
        let range = ByteRange { start: *at, end: None };
        let open = || self.way.open_blob(self.log, content.blob, range);
        let mut source = again(self.env.as_ref(), open).await.map_err(|error| Broken::For(error.into()))?;
        while let Some(bytes) = source.next().await.map_err(|error| broken(content.blob, error))? {
            self.down.take(bytes.len()).await;
            *at += bytes.len() as u64;
            if *at > content.bytes {
                return Err(Broken::For(TransferError::Damaged(content.blob)));
            }
            sink.write(&bytes).map_err(|error| Broken::For(error.into()))?;
            progress.more(bytes.len() as u64);
        }
        Ok(())
    }
}

/// What ended a download.
enum Broken {
    /// The way: another try may help.
    Way(BlobError),
    /// For good.
    For(TransferError),
}

fn broken(blob: BlobId, error: BlobError) -> Broken {
    match error {
        BlobError::Corrupt { .. } | BlobError::Mismatch { .. } => Broken::For(TransferError::Damaged(blob)),
        BlobError::NotFound => {
            let refusal = syncline::call::Refusal::new(ErrorCode::BlobNotFound, format!("no blob {blob}"));
            Broken::For(CallError::Refused(refusal).into())
        }
        error => Broken::Way(error),
    }
}

fn interrupted(error: BlobError) -> TransferError {
    CallError::Interrupted(error.into()).into()
}

fn places(near: &[Near]) -> Places {
    let mut places = Places::new();
    for file in near {
        let path: Arc<[String]> = file.path.clone().into();
        match &file.manifest {
            Some(manifest) => {
                for (at, piece) in manifest.places() {
                    places.entry(piece.blob).or_insert_with(|| (Arc::clone(&path), at));
                }
            }
            None => {
                places.entry(file.content.blob).or_insert((path, 0));
            }
        }
    }
    places
}

impl From<TransferError> for io::Error {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Disk(error) => error,
            error => Self::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{World, noise};
    use super::super::{Outgoing, Progress};
    use super::*;
    use crate::temp::Temp;

    impl World {
        async fn bring(&self, content: &Content, near: &[Near]) -> Result<Vec<u8>, TransferError> {
            let mut sink = Sink::File(Temp::begin(self.folder.inside(&[])?)?);
            self.transfer.download(content, None, near, &mut sink, &Progress::none()).await?;
            let Sink::File(temp) = sink else { panic!("a file") };
            let whole = temp.finish(content, None)?;
            Ok(fs::read(self.at(whole.name()))?)
        }

        async fn kept(&self, name: &str, bytes: &[u8]) -> Outgoing {
            let file = self.file(name, bytes);
            self.transfer.upload(std::slice::from_ref(&file), &Progress::none()).await.unwrap();
            file
        }
    }

    fn near(file: &Outgoing) -> Near {
        let Outgoing { path, reading, .. } = file.clone();
        Near { path, content: reading.content, manifest: reading.manifest }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_comes_back() {
        let world = World::new().await;
        for (at, len) in [0, 1, 100_000, 128 << 10, 2 << 20].into_iter().enumerate() {
            let bytes = noise(len, at as u64);
            let file = world.kept(&format!("{at}"), &bytes).await;
            assert_eq!(world.bring(&file.reading.content, &[]).await.unwrap(), bytes);
        }
        assert_eq!(fs::read_dir(world.at("")).unwrap().count(), 5, "nothing half is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_pieces_take_a_few_requests_and_small_files_one() {
        let world = World::new().await;
        let bytes = noise(2 << 20, 1);
        let file = world.kept("large", &bytes).await;
        assert!(file.reading.manifest.as_ref().is_some_and(|manifest| manifest.pieces().len() > 90));
        let before = world.way.asked();
        assert_eq!(world.bring(&file.reading.content, &[]).await.unwrap(), bytes);
        assert!(world.way.asked() - before <= 4, "{} requests", world.way.asked() - before);

        let small = world.files(&[10, 100_000, 1_000, 0, 7]);
        world.transfer.upload(&small, &Progress::none()).await.unwrap();
        let contents = || small.iter().map(|file| &file.reading.content);
        assert_eq!(Transfer::together(contents()), 5);
        let (before, names) = (world.way.asked(), contents().map(|content| content.blob).collect::<Vec<_>>());
        let brought = world.transfer.bring_many(&names).await.unwrap();
        assert_eq!(world.way.asked() - before, 1);
        assert!(small.iter().zip(brought).all(|(file, bytes)| bytes.len() as u64 == file.reading.content.bytes));
        world.way.lie();
        assert!(matches!(world.transfer.bring_many(&names).await, Err(TransferError::Damaged(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_that_are_in_the_folder_are_not_fetched_unless_they_changed() {
        let world = World::new().await;
        let old = world.kept("old", &noise(2 << 20, 1)).await;
        let mut bytes = noise(2 << 20, 1);
        bytes[1_000_000] ^= 1;
        let new = world.kept("new", &bytes).await;
        let before = world.way.received();
        assert_eq!(world.bring(&new.reading.content, &[near(&old)]).await.unwrap(), bytes);
        assert!(world.way.received() - before < 200 << 10, "{}", world.way.received() - before);

        // Whoever is near may be another by now, or gone.
        fs::write(world.at("old"), noise(2 << 20, 9)).unwrap();
        assert_eq!(world.bring(&new.reading.content, &[near(&old)]).await.unwrap(), bytes);
        fs::remove_file(world.at("old")).unwrap();
        assert_eq!(world.bring(&new.reading.content, &[near(&old)]).await.unwrap(), bytes);

        let small = world.kept("small", b"the same").await;
        let before = world.way.received();
        assert_eq!(world.bring(&small.reading.content, &[near(&small)]).await.unwrap(), b"the same");
        assert_eq!(world.way.received(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn e28_a_way_that_breaks_is_gone_on_with_and_one_that_stays_broken_leaves_nothing() {
        let world = World::new().await;
        let (small, large) = (world.kept("a", &noise(90_000, 1)).await, world.kept("b", &noise(1 << 20, 2)).await);
        world.way.cut_after(20_000);
        assert_eq!(world.bring(&small.reading.content, &[]).await.unwrap(), noise(90_000, 1));
        world.way.fail_every(3);
        assert_eq!(world.bring(&small.reading.content, &[]).await.unwrap(), noise(90_000, 1));
        world.way.cut_after(0);
        for file in [small, large] {
            let error = world.bring(&file.reading.content, &[]).await.unwrap_err();
            assert!(matches!(error, TransferError::Call(_)), "{error}");
        }
        assert_eq!(fs::read_dir(world.at("")).unwrap().count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_are_not_what_they_should_be_are_refused() {
        let world = World::new().await;
        let (small, large) = (world.kept("a", &noise(90_000, 1)).await, world.kept("b", &noise(1 << 20, 2)).await);
        world.way.lie();
        for file in [&small, &large] {
            let error = world.bring(&file.reading.content, &[]).await.unwrap_err();
            assert!(matches!(error, TransferError::Damaged(_) | TransferError::Disk(_)), "{error}");
        }
        let other = Content { blob: small.reading.content.blob, ..large.reading.content };
        let world = World::new().await;
        world.kept("b", &noise(1 << 20, 2)).await;
        assert!(matches!(world.bring(&other, &[]).await, Err(TransferError::OtherFile(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_does_not_have_is_said() {
        let world = World::new().await;
        let file = world.file("a", b"never sent");
        let error = world.bring(&file.reading.content, &[]).await.unwrap_err();
        assert!(
            matches!(&error, TransferError::Call(CallError::Refused(refusal)) if refusal.code == ErrorCode::BlobNotFound),
            "{error}"
        );
    }
}
