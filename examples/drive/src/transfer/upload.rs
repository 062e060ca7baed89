//! Sending what files contain: asked first what is missing, small blobs together, several requests on their way at once.
//!
//! Pieces go before the list that names them, so whoever finds a list finds what is in it.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use rustix::fs::readlinkat;
use syncline::blob::{Need, Piece};
use syncline::call::{Advice, Call, ErrorCode, ManifestKept, Refusal, Reply};
use syncline::client::CallError;
use syncline::digest::BlobId;
use syncline::files::What;
use syncline::{Digest, limits};

use super::again::{again, wait};
use super::{AT_ONCE, Progress, Transfer, TransferError, on_disk};
use crate::folder::Folder;
use crate::read::{self, Reading};

/// Bytes that small blobs are gathered to before they are sent: what is lost when a request is.
const TOGETHER_BYTES: usize = 4 << 20;
/// A blob of this size is worth a request of its own.
const ALONE_BYTES: u64 = 1 << 20;
/// How often a blob that is just being swept is asked about again.
const SWEEP_TRIES: u32 = 8;

/// A file or link whose content the server should have.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "what is sent")]
pub struct Outgoing {
    /// Where it lies.
    pub path: Vec<String>,
    /// What it is.
    pub what: What,
    /// What it contained when it was read.
    pub reading: Reading,
}

/// What became of one of them.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "it is there, is another by now, or is not taken")]
pub enum Sent {
    /// The server has it, and keeps it until it is referred to, for the time of a lease.
    Done,
    /// It contains something else by now: it is read again.
    Changed,
    /// The server does not take it.
    Refused(Refusal),
}

/// Where a blob's bytes are.
#[derive(Debug, Clone)]
enum Source {
    /// A part of the file with this number.
    File { number: usize, at: u64 },
    /// Where the link with this number leads.
    Link { number: usize },
    /// The list of the pieces of the file with this number.
    Made { bytes: Bytes },
}

#[derive(Debug, Clone)]
struct Wanted {
    blob: BlobId,
    size: u64,
    source: Source,
}

impl Outgoing {
    fn pieces(&self, number: usize) -> Vec<Wanted> {
        let content = &self.reading.content;
        match (&self.reading.manifest, self.what) {
            (Some(manifest), _) => {
                let wanted = |(at, Piece { blob, len }): (u64, Piece)| Wanted {
                    blob,
                    size: len.into(),
                    source: Source::File { number, at },
                };
                manifest.places().map(wanted).collect()
            }
            (None, What::Symlink) => {
                vec![Wanted { blob: content.blob, size: content.bytes, source: Source::Link { number } }]
            }
            (None, _) => {
                vec![Wanted { blob: content.blob, size: content.bytes, source: Source::File { number, at: 0 } }]
            }
        }
    }

    fn list(&self) -> Option<Wanted> {
        let bytes = self.reading.manifest.as_ref()?.to_bytes();
        let (blob, size) = (Digest::of(&[&bytes]), bytes.len() as u64);
        Some(Wanted { blob, size, source: Source::Made { bytes } })
    }
}

impl Transfer {
    /// Sends what the server lacks of these files; says of each what became of it.
    ///
    /// # Errors
    /// When the server cannot be reached, or will not talk to us at all. What arrived stays there for the time of a lease, so
    /// the next try goes on.
    pub async fn upload(&self, files: &[Outgoing], progress: &Progress) -> Result<Vec<Sent>, TransferError> {
        let files: Arc<[Outgoing]> = files.into();
        let mut sent: Vec<Sent> = Vec::with_capacity(files.len());
        while sent.len() < files.len() {
            let group = group(&files, sent.len());
            let numbers = sent.len()..sent.len() + group;
            match self.send(&files, numbers.clone().collect(), progress).await {
                Ok(changed) => {
                    sent.extend(numbers.map(|at| if changed.contains(&at) { Sent::Changed } else { Sent::Done }));
                }
                // Whose fault it is shows when each is sent alone.
                Err(TransferError::Call(CallError::Refused(refusal))) if concerns_file(&refusal) => {
                    for number in numbers {
                        sent.push(self.send_one(&files, number, progress).await?);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    async fn send_one(&self, files: &Arc<[Outgoing]>, at: usize, progress: &Progress) -> Result<Sent, TransferError> {
        match self.send(files, vec![at], progress).await {
            Ok(changed) => Ok(if changed.is_empty() { Sent::Done } else { Sent::Changed }),
            Err(TransferError::Call(CallError::Refused(refusal))) if concerns_file(&refusal) => {
                Ok(Sent::Refused(refusal))
            }
            Err(error) => Err(error),
        }
    }

    /// Sends some of the files; says which contain something else by now.
    async fn send(
        &self,
        files: &Arc<[Outgoing]>,
        numbers: Vec<usize>,
        progress: &Progress,
    ) -> Result<HashSet<usize>, TransferError> {
        let changed = Mutex::new(HashSet::new());
        let mut asked = HashSet::new();
        let mut window = Vec::new();
        for number in &numbers {
            let Some(file) = files.get(*number) else { continue };
            for wanted in file.pieces(*number) {
                if asked.insert(wanted.blob) {
                    window.push(wanted);
                } else {
                    progress.more(wanted.size);
                }
                if window.len() == limits::LIST_ITEMS_MAX {
                    self.send_window(files, std::mem::take(&mut window), &changed, progress).await?;
                }
            }
        }
        self.send_window(files, window, &changed, progress).await?;
        let gone = taken(&changed).clone();
        let lists = numbers.iter().filter(|number| !gone.contains(number));
        let lists: Vec<Wanted> = lists.filter_map(|number| files.get(*number)?.list()).collect();
        for part in lists.chunks(limits::LIST_ITEMS_MAX) {
            self.send_window(files, part.to_vec(), &changed, &Progress::none()).await?;
        }
        for (number, list) in numbers.iter().filter_map(|number| Some((*number, files.get(*number)?.list()?))) {
            if !taken(&changed).contains(&number) && !self.keep(list.blob).await? {
                taken(&changed).insert(number);
            }
        }
        Ok(changed.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the server keep the pieces of a list; `false`: some are not there any more, so the file is sent again.
    async fn keep(&self, list: BlobId) -> Result<bool, TransferError> {
        let call = || self.way.call(Call::KeepManifest { log: self.log, manifest: list });
        match again(&*self.env, call).await? {
            Reply::ManifestKept(ManifestKept::Kept { .. }) => Ok(true),
            Reply::ManifestKept(ManifestKept::Needs(_)) => Ok(false),
            _ => Err(CallError::Protocol("the answer is to another question".into()).into()),
        }
    }

    async fn send_window(
        &self,
        files: &Arc<[Outgoing]>,
        window: Vec<Wanted>,
        changed: &Mutex<HashSet<usize>>,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        let mut window = window;
        for failure in 0..SWEEP_TRIES {
            if window.is_empty() {
                return Ok(());
            }
            let (missing, later) = self.missing(window, progress).await?;
            let mut requests =
                stream::iter(requests(missing)).map(|request| self.put(files, request, changed, progress));
            let mut under_way = requests.by_ref().buffer_unordered(AT_ONCE);
            while let Some(done) = under_way.next().await {
                done?;
            }
            if !later.is_empty() {
                wait(self.env.as_ref(), failure, None).await;
            }
            window = later;
        }
        let detail = "a blob is being swept all the time";
        Err(CallError::Refused(Refusal::new(ErrorCode::Busy, detail)).into())
    }

    /// What the server lacks, and what it is just sweeping.
    async fn missing(
        &self,
        window: Vec<Wanted>,
        progress: &Progress,
    ) -> Result<(Vec<Wanted>, Vec<Wanted>), TransferError> {
        let blobs: Vec<(BlobId, u64)> = window.iter().map(|wanted| (wanted.blob, wanted.size)).collect();
        let ask = || self.way.call(Call::Reserve { log: self.log, blobs: blobs.clone() });
        let needs = match again(self.env.as_ref(), ask).await? {
            Reply::Needs(needs) if needs.len() == window.len() => needs,
            other => return Err(CallError::Protocol(format!("no answer to what is missing: {other:?}")).into()),
        };
        let (mut missing, mut later) = (Vec::new(), Vec::new());
        for (wanted, need) in window.into_iter().zip(needs) {
            match need {
                Need::Have => progress.more(wanted.size),
                Need::Send => missing.push(wanted),
                Need::Later => later.push(wanted),
            }
        }
        Ok((missing, later))
    }

    async fn put(
        &self,
        files: &Arc<[Outgoing]>,
        request: Vec<Wanted>,
        changed: &Mutex<HashSet<usize>>,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        if let [wanted] = request.as_slice()
            && wanted.size > limits::BLOB_PUT_BYTES_MAX
        {
            return self.put_large(files, wanted, changed, progress).await;
        }
        let (folder, files) = (Arc::clone(&self.folder), Arc::clone(files));
        let skipped = taken(changed).clone();
        let (blobs, gone) = on_disk(move || gather(&folder, &files, &request, &skipped)).await?;
        taken(changed).extend(gone);
        let bytes: usize = blobs.iter().map(|(_, bytes)| bytes.len()).sum();
        self.up.take(bytes).await;
        let env = self.env.as_ref();
        match blobs.as_slice() {
            [] => {}
            [(blob, bytes)] => {
                again(env, || self.way.put_blob(self.log, *blob, bytes.clone())).await?;
            }
            _ => {
                again(env, || self.way.put_blobs(self.log, blobs.clone())).await?;
            }
        }
        progress.more(bytes as u64);
        Ok(())
    }

    /// Sends a blob that is too large for one request, from where the last try came to.
    async fn put_large(
        &self,
        files: &Arc<[Outgoing]>,
        wanted: &Wanted,
        changed: &Mutex<HashSet<usize>>,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        let (blob, size, env) = (wanted.blob, wanted.size, self.env.as_ref());
        let (folder, all, one) = (Arc::clone(&self.folder), Arc::clone(files), wanted.clone());
        let Some(bytes) = on_disk(move || one.source.bytes(&folder, &all, &one)).await? else {
            taken(changed).extend(wanted.source.number());
            return Ok(());
        };
        let mut at = again(env, || self.way.upload_at(self.log, blob, size)).await?;
        progress.more(at);
        while at < size {
            let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let part = bytes.slice(from..bytes.len().min(from + TOGETHER_BYTES));
            self.up.take(part.len()).await;
            let next = match again(env, || self.way.append_blob(self.log, blob, size, at, part.clone())).await {
                Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::UploadOffset => {
                    again(env, || self.way.upload_at(self.log, blob, size)).await?
                }
                next => next?,
            };
            progress.more(next.saturating_sub(at));
            at = next;
        }
        Ok(())
    }
}

impl Source {
    const fn number(&self) -> Option<usize> {
        match self {
            Self::File { number, .. } | Self::Link { number } => Some(*number),
            Self::Made { .. } => None,
        }
    }

    /// The bytes of a blob, if they are still the same.
    fn bytes(&self, folder: &Folder, files: &[Outgoing], wanted: &Wanted) -> io::Result<Option<Bytes>> {
        let path = |number: &usize| files.get(*number).map(|file| file.path.iter().map(String::as_str).collect());
        match self {
            Self::Made { bytes } => Ok(Some(bytes.clone())),
            Self::File { number, at } => {
                let path: Vec<&str> = path(number).unwrap_or_default();
                let (file, _) = folder.file(&path)?;
                let len = u32::try_from(wanted.size).unwrap_or(u32::MAX);
                read::piece(&file, *at, Piece { blob: wanted.blob, len })
            }
            Self::Link { number } => {
                let path: Vec<&str> = path(number).unwrap_or_default();
                let (within, name) = folder.around(&path)?;
                let target = Bytes::from(readlinkat(within, name, Vec::new())?.into_bytes());
                Ok((Digest::of(&[&target]) == wanted.blob).then_some(target))
            }
        }
    }
}

type Gathered = (Vec<(BlobId, Bytes)>, HashSet<usize>);

/// The bytes of a request, and the files that contain something else by now.
fn gather(folder: &Folder, files: &[Outgoing], request: &[Wanted], skipped: &HashSet<usize>) -> io::Result<Gathered> {
    let (mut blobs, mut gone) = (Vec::with_capacity(request.len()), HashSet::new());
    for wanted in request {
        let number = wanted.source.number();
        if number.is_some_and(|number| skipped.contains(&number) || gone.contains(&number)) {
            continue;
        }
        match wanted.source.bytes(folder, files, wanted) {
            Ok(Some(bytes)) => blobs.push((wanted.blob, bytes)),
            Ok(None) => gone.extend(number),
            Err(error) if is_gone(&error) => gone.extend(number),
            Err(error) => return Err(error),
        }
    }
    Ok((blobs, gone))
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidInput)
}

/// How many files from this one on are asked about together.
fn group(files: &[Outgoing], from: usize) -> usize {
    let mut blobs = 0;
    let fit = files.iter().skip(from).take_while(|file| {
        blobs += file.reading.manifest.as_ref().map_or(1, |manifest| manifest.pieces().len());
        blobs <= limits::LIST_ITEMS_MAX
    });
    fit.count().max(1)
}

/// Blobs that are sent in one request.
fn requests(missing: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut requests = Vec::new();
    let (mut together, mut bytes) = (Vec::new(), 0_u64);
    for wanted in missing {
        if wanted.size >= ALONE_BYTES {
            requests.push(vec![wanted]);
            continue;
        }
        if bytes + wanted.size > TOGETHER_BYTES as u64 {
            requests.push(std::mem::take(&mut together));
            bytes = 0;
        }
        bytes += wanted.size;
        together.push(wanted);
    }
    requests.push(together);
    requests.retain(|request| !request.is_empty());
    requests
}

/// Whether a refusal is about what is sent, not about who sends it.
fn concerns_file(refusal: &Refusal) -> bool {
    refusal.code.advice() == Advice::Fix
        && !matches!(refusal.code, ErrorCode::LogNotFound | ErrorCode::NoBlobs | ErrorCode::UpgradeRequired)
}

fn taken<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{World, noise};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn files_of_every_size_arrive_and_only_what_is_missing_is_sent() {
        let world = World::new().await;
        let mut sizes = vec![0, 1, 5_000, 128 << 10, 3 << 20];
        sizes.extend(std::iter::repeat_n(10, 300));
        let files = world.files(&sizes);
        let sent = world.transfer.upload(&files, &Progress::none()).await.unwrap();
        assert!(sent.iter().all(|sent| matches!(sent, Sent::Done)), "{sent:?}");
        for file in &files {
            assert!(world.has(file).await);
        }
        let before = world.way.sent();
        world.transfer.upload(&files, &Progress::none()).await.unwrap();
        assert_eq!(world.way.sent(), before, "nothing is sent twice");

        // An edit in the middle of a large file sends a piece or two and the list.
        let mut bytes = noise(3 << 20, 4);
        bytes[1_500_000] ^= 1;
        let edited = world.file("4", &bytes);
        world.transfer.upload(std::slice::from_ref(&edited), &Progress::none()).await.unwrap();
        assert!(world.has(&edited).await);
        assert!(world.way.sent() - before < 200 << 10, "{} bytes", world.way.sent() - before);
    }

    #[tokio::test(start_paused = true)]
    async fn e08_what_changed_since_it_was_read_is_not_sent_under_its_old_name() {
        let world = World::new().await;
        let mut files: Vec<Outgoing> =
            ["a", "b", "c"].iter().zip(1..).map(|(name, seed)| world.file(name, &noise(400_000, seed))).collect();
        files.push(world.file("d", b"small"));
        fs::write(world.at("a"), noise(400_000, 99)).unwrap();
        fs::remove_file(world.at("b")).unwrap();
        fs::write(world.at("d"), b"SMALL").unwrap();
        let sent = world.transfer.upload(&files, &Progress::none()).await.unwrap();
        let done: Vec<bool> = sent.iter().map(|sent| matches!(sent, Sent::Done)).collect();
        assert_eq!(done, [false, false, true, false]);
        assert!(sent.iter().all(|sent| !matches!(sent, Sent::Refused(_))));
        assert!(world.has(&files[2]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn e05_a_way_that_breaks_now_and_then_delivers_everything() {
        let world = World::new().await;
        world.way.fail_every(3);
        let files: Vec<Outgoing> = (0..6).map(|at| world.file(&format!("{at}"), &noise(700_000, at))).collect();
        let sent = world.transfer.upload(&files, &Progress::none()).await.unwrap();
        assert!(sent.iter().all(|sent| matches!(sent, Sent::Done)), "{sent:?}");
        for file in &files {
            assert!(world.has(file).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn e38_what_the_quota_does_not_hold_is_refused_and_the_rest_arrives() {
        let world = World::new().await;
        world.quota(500_000).await;
        let files = [world.file("a", &noise(100_000, 1)), world.file("b", &noise(600_000, 2)), world.file("c", b"c")];
        let sent = world.transfer.upload(&files, &Progress::none()).await.unwrap();
        assert!(matches!(sent.as_slice(), [Sent::Done, Sent::Refused(_), Sent::Done]), "{sent:?}");
        world.quota(5_000_000).await;
        let sent = world.transfer.upload(&files, &Progress::none()).await.unwrap();
        assert!(sent.iter().all(|sent| matches!(sent, Sent::Done)), "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_blob_too_large_for_one_request_goes_on_where_it_was_cut_off() {
        let world = World::new().await;
        let bytes = Bytes::from(noise((9 << 20) + 5, 3));
        let wanted = Wanted {
            blob: Digest::of(&[&bytes]),
            size: bytes.len() as u64,
            source: Source::Made { bytes: bytes.clone() },
        };
        let files: Arc<[Outgoing]> = Arc::new([]);
        world.way.fail_every(2);
        let changed = Mutex::new(HashSet::new());
        world.transfer.send_window(&files, vec![wanted], &changed, &Progress::none()).await.unwrap();
        assert_eq!(world.bytes(Digest::of(&[&bytes])).await, bytes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_arrives_as_where_it_leads() {
        let world = World::new().await;
        let link = world.link("l", "some/where");
        world.transfer.upload(std::slice::from_ref(&link), &Progress::none()).await.unwrap();
        assert_eq!(world.bytes(link.reading.content.blob).await, "some/where");
    }
}
