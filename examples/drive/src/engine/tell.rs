//! Telling the server what was done in the folder: bytes first, then the commit, which is in the journal before it is sent.

use std::sync::Arc;

use syncline::OpId;
use syncline::call::{Call, Commit, Committed, ErrorCode, Refusal, Reply};
use syncline::client::CallError;
use syncline::files::{About, Becomes, Issue, Local, Wish, batch, settle};
use syncline::limits::TREE_OPS_MAX;
use syncline::tree::{self, Answer, Refusal as TreeRefusal};
use syncline::{Cursor, Seq};

use super::{Done, Engine, EngineError, Skipped, Synced};
use crate::journal::{Waiting, read_told, write_told};
use crate::read::Reading;
use crate::transfer::{Outgoing, Progress, Sent};
use crate::walk::Walk;

/// How often bytes may be gone again before the commit that refers to them.
const NEEDS_MAX: usize = 8;
/// Bytes that are sent before they are committed.
const BATCH_BYTES: u64 = 1 << 30;

impl Engine {
    /// Sends a commit that waits since the last time.
    pub(super) async fn send_waiting(&mut self, synced: &mut Synced) -> Done<()> {
        for waiting in self.journal.waiting()? {
            let wishes = tree::Commit::from_bytes(waiting.asked.clone())
                .and_then(|commit| read_told(&commit, waiting.told.clone()).map(|wishes| (commit, wishes)));
            match wishes {
                Ok((commit, wishes)) => self.send(waiting.id, commit, &wishes, synced).await?,
                // It is worked out anew from the folder.
                Err(_) => self.journal.write(|batch| batch.answered(waiting.id))?,
            }
        }
        Ok(())
    }

    /// Tells some of these; says whether anything was told, or turned out not to be as it was.
    pub(super) async fn tell(
        &mut self,
        walk: &Walk,
        local: &Local,
        wishes: Vec<Wish>,
        skipped: &mut Skipped,
        synced: &mut Synced,
    ) -> Done<bool> {
        let mut wishes = batch(wishes, &self.base, local, TREE_OPS_MAX);
        let (mut outgoing, mut whose, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut last = wishes.len();
        for (number, wish) in wishes.iter().enumerate() {
            let (Becomes::Made { print, content: Some(content), .. } | Becomes::Filled { print, content }) =
                &wish.becomes
            else {
                continue;
            };
            let Some(place) = local.nodes.get(&wish.op.node()) else { continue };
            let manifest = match content.manifest {
                Some(manifest) => match self.journal.manifest(manifest)? {
                    None => {
                        // It is cut again.
                        self.contents.remove(print);
                        return Ok(true);
                    }
                    manifest => manifest,
                },
                None => None,
            };
            let path = walk.scan.path(place.entry).into_iter().map(str::to_owned).collect();
            let reading = Reading { content: *content, manifest, print: *print };
            outgoing.push(Outgoing { path, what: place.what, reading });
            whose.push(number);
            bytes += content.bytes;
            // Contents come last, so what is left for the next commit is contents.
            if bytes >= BATCH_BYTES {
                last = number + 1;
                break;
            }
        }
        wishes.truncate(last);
        let mut gone = Vec::new();
        if !outgoing.is_empty() {
            let progress = Progress::start("sending", bytes);
            let sent = self.transfer.upload(&outgoing, &progress).await?;
            for ((sent, number), out) in sent.into_iter().zip(whose).zip(&outgoing) {
                match sent {
                    Sent::Done => {}
                    Sent::Changed => {
                        self.contents.remove(&out.reading.print);
                        skipped.insert(out.reading.print);
                        gone.push(number);
                    }
                    Sent::Refused(refusal) => {
                        let refusal = refusal_of(refusal)?;
                        if let Some(wish) = wishes.get(number) {
                            self.refused(wish, local, refusal, synced);
                        }
                        gone.push(number);
                    }
                }
            }
        }
        if !gone.is_empty() {
            let issues = &self.issues;
            self.journal.write(|batch| batch.issues(issues))?;
        }
        let mut number = 0;
        wishes.retain(|_| {
            number += 1;
            !gone.contains(&(number - 1))
        });
        let Ok(commit) = tree::Commit::new(wishes.iter().map(|wish| wish.op.clone()).collect()) else {
            return Ok(!gone.is_empty());
        };
        let paths = self.paths(walk, local, &wishes);
        let id = OpId::from_bytes(self.env.env().uuid7("commit"));
        let waiting = Waiting { id, asked: commit.to_bytes(), told: write_told(&wishes) };
        self.journal.write(|batch| batch.wait(&waiting))?;
        self.send(id, commit, &wishes, synced).await?;
        if let Some(ear) = &mut self.ear {
            paths.iter().for_each(|path| ear.told(path));
        }
        Ok(true)
    }

    /// The paths that these are about, where somebody hears of them.
    fn paths(&self, walk: &Walk, local: &Local, wishes: &[Wish]) -> Vec<String> {
        if self.ear.is_none() {
            return Vec::new();
        }
        let place = |wish: &Wish| match local.nodes.get(&wish.op.node()) {
            Some(place) => Some(walk.scan.path(place.entry).join("/")),
            None => self.base.path(wish.op.node()).map(|path| path.join("/")),
        };
        wishes.iter().filter_map(place).collect()
    }

    fn refused(&mut self, wish: &Wish, local: &Local, refusal: TreeRefusal, synced: &mut Synced) {
        let Some(place) = local.nodes.get(&wish.op.node()) else { return };
        let about = if matches!(wish.becomes, Becomes::Made { .. }) { About::Make } else { About::Fill };
        let (parent, at) = (place.parent, place.at.clone());
        let notice = syncline::files::Notice::Refused { parent, at: at.clone(), refusal: refusal.clone() };
        synced.notices.push(notice);
        self.issues.raise(parent, at, about, Issue { print: Some(place.print), refusal });
    }

    /// Sends a commit until it is answered, and takes the answer over.
    async fn send(&mut self, id: OpId, commit: tree::Commit, wishes: &[Wish], synced: &mut Synced) -> Done<()> {
        let call = Call::Commit(Commit {
            log: self.device.log.log,
            id,
            replica: self.device.replica,
            label: self.device.label.clone(),
            ops: Arc::new(commit),
        });
        match self.way.call(call).await {
            Ok(Reply::Committed(Committed::Done { seq, answers, end })) => {
                self.take_over(id, wishes, (seq, &answers, end), synced).await
            }
            // They were swept meanwhile: they are sent again, under another commit.
            Ok(Reply::Committed(Committed::Needs(_))) => {
                self.needs += 1;
                if self.needs > NEEDS_MAX {
                    return Err(EngineError::Nonsense("it asks again and again for bytes that it was given"));
                }
                Ok(self.journal.write(|batch| batch.answered(id))?)
            }
            Ok(_) => Err(EngineError::Nonsense("another answer than to a commit")),
            Err(CallError::Refused(refusal)) if is_over(refusal.code) => {
                // It is worked out anew from the folder, and what it did is found there.
                Ok(self.journal.write(|batch| batch.answered(id))?)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn take_over(
        &mut self,
        id: OpId,
        wishes: &[Wish],
        (seq, answers, end): (Option<Seq>, &[Answer], Cursor),
        synced: &mut Synced,
    ) -> Done<()> {
        self.read_on(synced).await?;
        let at = seq.unwrap_or(end.seq);
        if self.server.cursor().seq < at {
            return Err(EngineError::Nonsense("the log ends before a commit that is in it"));
        }
        let (changed, notices) = settle(&mut self.base, &mut self.issues, self.server.tree(), at, wishes, answers);
        let (base, issues) = (&self.base, &self.issues);
        self.journal.write(|batch| {
            changed.iter().try_for_each(|id| batch.hold(*id, base.get(*id)))?;
            batch.issues(issues)?;
            batch.answered(id)
        })?;
        synced.told += wishes.len();
        synced.notices.extend(notices);
        Ok(())
    }
}

/// Whether a commit under this id has no future: another was sent under it, or its answer is not kept any more.
const fn is_over(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::RequestIdReused | ErrorCode::GapPruned)
}

/// What a refused blob means for its file.
fn refusal_of(refusal: Refusal) -> Done<TreeRefusal> {
    match refusal.code {
        ErrorCode::QuotaExceeded => Ok(TreeRefusal::QuotaExceeded),
        ErrorCode::BlobTooLarge => Ok(TreeRefusal::TooLarge),
        _ => Err(CallError::Refused(refusal).into()),
    }
}
