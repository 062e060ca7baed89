//! Bringing the bytes of placeholders, and what else becomes of them: emptied, replaced, deleted.
//!
//! What must hold: a file's bytes are all there, and are the right ones, before anybody sees one of them; how a node is held is
//! in the journal before whoever asked hears that it was done, and a delete is nothing else than that; what is cut leaves the
//! placeholder as it was.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use syncline::EntityId;
use syncline::files::{Body, Happening, Held};

use super::core::{Core, Inside, errno};
use super::flights::Asked;
use super::window::Both;
use crate::journal::JournalError;
use crate::looks;
use crate::steps::{Sink, put_new};
use crate::temp::{Temp, Whole};
use crate::transfer::{Progress, TransferError};

type Done<T> = Result<T, Errno>;

impl Core {
    /// Has the bytes of a placeholder brought into the open folder that it lies in; ends when they are there.
    pub(super) async fn hydrate(self: &Arc<Self>, id: EntityId, folder: OwnedFd, what: Happening) -> Done<()> {
        let asked = self.window().both().want(id, folder, what);
        match asked {
            Asked::Serve => Ok(()),
            Asked::Refused => Err(Errno::NOENT),
            Asked::Wait(told, begin) => {
                if let Some(number) = begin {
                    tokio::spawn(Arc::clone(self).bring(id, number));
                }
                told.await.unwrap_or(Err(Errno::IO))
            }
        }
    }

    async fn bring(self: Arc<Self>, id: EntityId, number: u64) {
        loop {
            let flight = {
                let both = self.window().both();
                both.flights
                    .get(id, number)
                    .map(|flight| (flight.round, flight.held.clone(), Arc::clone(&flight.changed)))
            };
            let Some((round, held, changed)) = flight else { return };
            let whole = tokio::select! {
                biased;
                () = changed.notified() => continue,
                whole = self.fetch(&held) => whole,
            };
            let this = Arc::clone(&self);
            let landed = match whole {
                Ok(whole) => {
                    let land = tokio::task::spawn_blocking(move || this.land(id, (number, round), whole));
                    land.await.unwrap_or(Err(Errno::IO))
                }
                Err(error) => Err(error),
            };
            match landed {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return self.window().both().ended((id, number), Err(error)),
            }
        }
    }

    /// Brings what a file contains; where it is then nobody looks.
    async fn fetch(&self, held: &Held) -> Done<Whole> {
        let _turn = self.at_once.acquire().await.map_err(|_| Errno::IO)?;
        let content = held.content.ok_or(Errno::IO)?;
        let coming = self.coming.try_clone().map_err(|error| errno(&error))?;
        let mut sink = Sink::File(Temp::begin(coming).map_err(|error| errno(&error))?);
        let known = content.manifest.and_then(|manifest| {
            let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.manifest(manifest).ok().flatten()
        });
        let unseen = Progress::none();
        let download = self.parts.transfer.download(&content, known, &[], &mut sink, &unseen);
        download.await.map_err(|error| match error {
            TransferError::Disk(error) => errno(&error),
            _ => Errno::IO,
        })?;
        let Sink::File(temp) = sink else { return Err(Errno::IO) };
        let finish = tokio::task::spawn_blocking(move || temp.finish(&content, None));
        finish.await.map_err(|_| Errno::IO)?.map_err(|error| errno(&error))
    }

    /// Puts a whole file where its placeholder stands. `false`: the server has another content by now.
    fn land(&self, id: EntityId, (number, round): (u64, u64), whole: Whole) -> Done<bool> {
        let mut both = self.window().both();
        let Some(flight) = both.flights.get(id, number) else { return Ok(true) };
        if flight.round != round {
            return Ok(false);
        }
        let (held, folder) = (flight.held.clone(), Arc::clone(&flight.folder));
        let content = held.content.ok_or(Errno::IO)?;
        match put_new(whole, &content, folder.as_fd(), &held.at) {
            Ok(print) => {
                self.inodes().came(id, print.identity);
                self.hold(&mut both, id, Held { print: Some(print), body: Body::Here, ..held })?;
                both.ended((id, number), Ok(()));
            }
            // Who waited finds what somebody put there.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => both.replaced(id),
            Err(error) => return Err(errno(&error)),
        }
        Ok(true)
    }

    /// Writes down how a node is held from now on, and tells the engine.
    pub(super) fn hold(&self, both: &mut Both, id: EntityId, held: Held) -> Done<()> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let written = journal.write(|batch| batch.hold(id, Some(&held)));
        drop(journal);
        written.map_err(|error| match error {
            JournalError::Full(_) => Errno::NOSPC,
            _ => Errno::IO,
        })?;
        both.did(id, held);
        Ok(())
    }

    /// Puts an empty file where a placeholder stands: nothing of the old one is needed.
    pub(super) fn empty(&self, inside: &Inside, name: &str, id: EntityId) -> Done<()> {
        let mut both = self.window().both();
        let Some(held) = both.placeholder(id) else { return Ok(()) };
        let runs = held.content.is_some_and(|content| content.executable);
        let mode = Mode::from_raw_mode(if runs { 0o777 } else { 0o666 });
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&inside.folder, name, flags, mode) {
            // Somebody put something there.
            Err(Errno::EXIST) => return Ok(()),
            opened => opened?,
        };
        let identity = looks::open(&file).map_err(|error| errno(&error))?.print.identity;
        let held = self.hold(&mut both, id, Held { print: None, body: Body::Here, ..held });
        if held.is_err() {
            // It was not there before.
            let _ = unlinkat(&inside.folder, name, AtFlags::empty());
            return held;
        }
        self.inodes().came(id, identity);
        both.replaced(id);
        Ok(())
    }

    /// Takes the place of a placeholder by something else, which `put` puts there: it is that node's new content, or another
    /// node's that was moved there.
    pub(super) fn replace(&self, id: EntityId, put: impl FnOnce() -> Done<()>) -> Done<()> {
        let mut both = self.window().both();
        put()?;
        let Some(held) = both.placeholder(id) else { return Ok(()) };
        both.replaced(id);
        self.hold(&mut both, id, Held { print: None, body: Body::Here, ..held })
    }

    /// Deletes a placeholder: it is held as a file that was here, and is not any more. The engine tells the server, now or when
    /// there is one.
    pub(super) fn delete(&self, id: EntityId) -> Done<()> {
        let mut both = self.window().both();
        let held = both.placeholder(id).ok_or(Errno::NOENT)?;
        self.hold(&mut both, id, Held { print: None, body: Body::Here, ..held })?;
        both.deleted(id);
        // Nothing was changed in the folder that could be heard.
        self.window().look_soon();
        Ok(())
    }
}
