//! Public links: making, listing and ending them, and what somebody finds who has an address.
//!
//! The second half takes no caller: the address is who asks. What must hold: it leads to its node and to what is below it,
//! nowhere else; whether there is a link is told only to who has its address; a download is counted before its first byte
//! goes out; a password that is right is not told from a wrong one once too many were wrong; guesses are counted before they are
//! looked at, so many at once are no more than five.
//!
//! *Next:* `access/link.rs` for when a link ends, `files` for the bytes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::{Server, refuse_store};
use crate::access::{Caller, LinkEnd, LinkRecord, LinkToken, LinkUse, Passwords};
use crate::call::{ErrorCode, Link, NewLink, Refusal, Reply};
use crate::decide::{self, Choice, Reads, Scope, View, link_key, link_notes, link_of, link_use_key, link_use_of};
use crate::digest::Digest;
use crate::id::{EntityId, LinkId, LogKey};
use crate::limits;
use crate::store::{BlobSource, ByteRange, NodePage, NodeQuery, StoreExt};
use crate::time::{Env, Timestamp};
use crate::tree::{Content, Kind, NameKey, Node, TreeRead};

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Linked {
    /// The log.
    pub log: LogKey,
    /// The link.
    pub link: LinkId,
    /// The file or folder.
    pub id: EntityId,
    /// As it is now.
    pub node: Node,
    /// What a file contains, as the link shows it.
    pub content: Option<Content>,
    /// Whether downloads are numbered: then each is of the whole file.
    pub numbered: bool,
}

impl Server {
    /// A server that keeps passwords, this way.
    #[must_use]
    pub fn with_passwords(mut self, passwords: Arc<dyn Passwords>) -> Self {
        self.passwords = Some(passwords);
        self
    }

    fn passwords(&self) -> Result<&Arc<dyn Passwords>, Refusal> {
        let none = || Refusal::new(ErrorCode::NoPasswords, "this server keeps no passwords");
        self.passwords.as_ref().ok_or_else(none)
    }

    pub(super) async fn make_link(
        &self,
        caller: &Caller,
        log: LogKey,
        new: NewLink,
        env: Env,
    ) -> Result<Reply, Refusal> {
        self.bounds(log).await?;
        let password = match new.password {
            None => None,
            Some(password) if (1..=limits::LINK_PASSWORD_BYTES_MAX).contains(&password.len()) => {
                Some(self.passwords()?.keep(&password).await.ok_or_else(no_hash)?)
            }
            Some(_) => {
                let detail = format!("a password has 1 to {} bytes", limits::LINK_PASSWORD_BYTES_MAX);
                return Err(Refusal::new(ErrorCode::Malformed, detail));
            }
        };
        let token = LinkToken::new(log, env.bytes32("link"));
        let record = LinkRecord {
            digest: token.digest(),
            node: new.node,
            pin: new.pin,
            expires_at: new.expires_at,
            password,
            max_downloads: new.max_downloads,
            created_by: caller.token,
            created_at: env.now,
            revoked_at: None,
        };
        let nowhere = || Refusal::new(ErrorCode::NodeNotFound, "no such file or folder lives in the tree");
        if new.pin.is_some() && self.pinned(log, &record).await?.is_none() {
            return Err(nowhere());
        }
        let reads = Reads { tree: vec![TreeRead::Node(new.node)], ..Reads::default() };
        let id = token.id();
        let rule = move |view: &View| decide::make_link(log, id, &record, view);
        let made = self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)?;
        if made { Ok(Reply::LinkMade { id, token }) } else { Err(nowhere()) }
    }

    pub(super) async fn links(&self, log: LogKey, after: Option<LinkId>, limit: usize) -> Result<Reply, Refusal> {
        if limit == 0 || limit > limits::LIST_ITEMS_MAX {
            let detail = format!("a listing has 1 to {} items", limits::LIST_ITEMS_MAX);
            return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail));
        }
        self.bounds(log).await?;
        let notes = self.notes(log, &link_notes(), after.map(link_key).as_ref(), limit).await?;
        let mut links = Vec::with_capacity(notes.len());
        for (key, note) in notes {
            let id = LinkId::from_bytes(*key.entity.as_bytes());
            let record: LinkRecord = serde_json::from_slice(&note).map_err(|error| unreadable(&error))?;
            links.push(link(id, &record, &self.link_use(log, id).await?));
        }
        Ok(Reply::Links(links))
    }

    pub(super) async fn revoke_link(&self, log: LogKey, link: LinkId, env: Env) -> Result<Reply, Refusal> {
        let there = self.link_rule(log, link, move |view| decide::revoke_link(log, link, env.now, view)).await?;
        if there { Ok(Reply::Done) } else { Err(end(LinkEnd::Unknown)) }
    }

    /// Where an address leads; with `below`, to that node below its folder.
    ///
    /// # Errors
    /// [`ErrorCode::LinkNotFound`] without such a link, or without such a node below it; [`ErrorCode::LinkGone`] when it has
    /// ended or its node is gone; [`ErrorCode::LinkPassword`] without the right password; [`ErrorCode::TooManyGuesses`]; else
    /// the store's failure.
    pub async fn open_link(
        &self,
        token: &LinkToken,
        password: Option<&str>,
        below: Option<EntityId>,
        env: Env,
    ) -> Result<Linked, Refusal> {
        let (log, link) = (token.log(), token.id());
        let note = self.store.head(log, &link_key(link)).await.map_err(refuse_store)?;
        let record = link_of(note.as_ref())
            .map_err(|error| unreadable(&error))?
            .filter(|record| record.digest == token.digest());
        let record = record.ok_or_else(|| end(LinkEnd::Unknown))?;
        let come = self.link_use(log, link).await?;
        record.admit(&come, env.now).map_err(end)?;
        if let Some(kept) = &record.password {
            self.check_password(log, link, kept, password, &come, env.now).await?;
        }
        let gone = || Refusal::new(ErrorCode::LinkGone, "what the link led to is gone");
        let (top, node) = self.live(log, record.node).await?.ok_or_else(gone)?;
        let (id, node) = match below.filter(|below| *below != top) {
            None => (top, node),
            Some(below) => self.below(log, top, below).await?.ok_or_else(|| end(LinkEnd::Unknown))?,
        };
        let content = match record.pin {
            Some(_) => Some(self.pinned(log, &record).await?.ok_or_else(gone)?),
            None => node.content,
        };
        // Links in the tree lead elsewhere, and other trees are others' to show.
        if !matches!(node.kind, Kind::File | Kind::Folder) {
            return Err(end(LinkEnd::Unknown));
        }
        Ok(Linked { log, link, id, node, content, numbered: record.max_downloads.is_some() })
    }

    /// What is in a linked folder, by folded names, after one.
    ///
    /// # Errors
    /// [`ErrorCode::LimitOutOfRange`], else the store's failure.
    pub async fn link_children(
        &self,
        linked: &Linked,
        after: Option<NameKey>,
        limit: usize,
    ) -> Result<NodePage, Refusal> {
        if !(1..=limits::TREE_PAGE_NODES_MAX).contains(&limit) {
            let detail = format!("a listing has 1 to {} items", limits::TREE_PAGE_NODES_MAX);
            return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail));
        }
        let asked = NodeQuery::Children { of: linked.id, after };
        self.store.nodes(linked.log, &asked, limit).await.map_err(refuse_store)
    }

    /// The bytes of a linked file, or a part of them. With `counted` it is one download more.
    ///
    /// # Errors
    /// [`ErrorCode::LinkNotFound`] for a folder; [`ErrorCode::LinkGone`] when it ended meanwhile; as
    /// [`open_blob`](Self::open_blob): what is quarantined is not read here either, and not counted.
    pub async fn open_linked(
        &self,
        linked: &Linked,
        range: ByteRange,
        counted: bool,
        env: Env,
    ) -> Result<Box<dyn BlobSource>, Refusal> {
        let content = linked.content.as_ref().ok_or_else(|| end(LinkEnd::Unknown))?;
        // By the file's own name, however it is kept.
        let (_, source) = self.open_admitted(linked.log, content.blob, range).await?;
        if counted {
            let (log, link) = (linked.log, linked.link);
            let counted = self.link_rule(log, link, move |view| decide::count_download(log, link, env.now, view));
            counted.await?.map_err(end)?;
        }
        Ok(source)
    }

    async fn check_password(
        &self,
        log: LogKey,
        link: LinkId,
        kept: &str,
        password: Option<&str>,
        come: &LinkUse,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        locked(come, now)?;
        let refused = |detail: &str| Refusal::new(ErrorCode::LinkPassword, detail);
        let password = password.ok_or_else(|| refused("the link has a password"))?;
        // Whoever knows it asks for many files, some at once.
        let proof = Digest::of(&[link.as_bytes(), kept.as_bytes(), b"\0", password.as_bytes()]);
        if self.proofs.know(proof) {
            return Ok(());
        }
        let begun = self.link_rule(log, link, move |view| decide::try_guess(log, link, now, view)).await?;
        begun.map_err(end)?.map_err(|until| too_many(until, now))?;
        // Nothing longer was ever kept; and guesses cost what they cost.
        let fits = match password.len() <= limits::LINK_PASSWORD_BYTES_MAX {
            true => self.passwords()?.fits(password, kept).await,
            false => Some(false),
        };
        // What cannot be looked at was no guess.
        let guess = (now, fits.unwrap_or(true));
        let ended = self.link_rule(log, link, move |view| decide::end_guess(log, link, guess, now, view)).await?;
        ended.map_err(end)?.map_err(|until| too_many(until, now))?;
        match fits {
            Some(true) => {
                self.proofs.keep(proof);
                Ok(())
            }
            Some(false) => Err(refused("that is not the link's password")),
            None => Err(no_hash()),
        }
    }

    async fn link_use(&self, log: LogKey, link: LinkId) -> Result<LinkUse, Refusal> {
        let note = self.store.head(log, &link_use_key(link)).await.map_err(refuse_store)?;
        link_use_of(note.as_ref()).map_err(|error| unreadable(&error))
    }

    /// A node that lives, or the one that stands for it.
    async fn live(&self, log: LogKey, node: EntityId) -> Result<Option<(EntityId, Node)>, Refusal> {
        let page = self.store.nodes(log, &NodeQuery::One(node), 1).await.map_err(refuse_store)?;
        Ok(page.nodes.into_iter().next().filter(|(_, node)| node.dead.is_none()))
    }

    /// A node that lives below another.
    async fn below(&self, log: LogKey, top: EntityId, node: EntityId) -> Result<Option<(EntityId, Node)>, Refusal> {
        let Some(found) = self.live(log, node).await? else { return Ok(None) };
        let mut parent = found.1.parent;
        for _ in 0..=limits::TREE_DEPTH_MAX {
            match parent {
                None => return Ok(None),
                Some(parent) if parent == top => return Ok(Some(found)),
                Some(above) => parent = self.live(log, above).await?.and_then(|(_, node)| node.parent),
            }
        }
        Ok(None)
    }

    /// The revision that a link shows for ever, if it is still kept.
    async fn pinned(&self, log: LogKey, record: &LinkRecord) -> Result<Option<Content>, Refusal> {
        let Some(pin) = record.pin else { return Ok(None) };
        let kept = self.store.revisions(log, record.node, pin.before(), 1).await.map_err(refuse_store)?;
        Ok(kept.first().filter(|revision| revision.seq == pin).map(|revision| revision.content))
    }

    async fn link_rule<R: Send + 'static>(
        &self,
        log: LogKey,
        link: LinkId,
        rule: impl Fn(&View) -> Result<Choice<R>, serde_json::Error> + Send + Sync + 'static,
    ) -> Result<R, Refusal> {
        let reads = Reads { heads: vec![link_key(link), link_use_key(link)], ..Reads::default() };
        let rule = move |view: &View| match rule(view) {
            Ok(Choice::Done(answer, writes)) => Choice::Done(Ok(answer), writes),
            Ok(Choice::Read(more)) => Choice::Read(more),
            Err(error) => Choice::Done(Err(error), None),
        };
        self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)?.map_err(|error| unreadable(&error))
    }
}

/// Passwords that were found right, by a hash that only somebody who has one can make. It saves work and nothing else: what is
/// not remembered is looked at again.
#[derive(Debug, Default)]
pub(super) struct Proofs(Mutex<HashSet<Digest>>);

/// More than these are forgotten all at once.
const PROOFS_MAX: usize = 4_096;

impl Proofs {
    fn know(&self, proof: Digest) -> bool {
        self.0.lock().is_ok_and(|proofs| proofs.contains(&proof))
    }

    fn keep(&self, proof: Digest) {
        if let Ok(mut proofs) = self.0.lock() {
            if proofs.len() >= PROOFS_MAX {
                proofs.clear();
            }
            proofs.insert(proof);
        }
    }
}

fn link(id: LinkId, record: &LinkRecord, come: &LinkUse) -> Link {
    Link {
        id,
        node: record.node,
        pin: record.pin,
        expires_at: record.expires_at,
        has_password: record.password.is_some(),
        max_downloads: record.max_downloads,
        downloads: come.downloads,
        created_by: record.created_by,
        created_at: record.created_at,
        revoked_at: record.revoked_at,
    }
}

fn locked(come: &LinkUse, now: Timestamp) -> Result<(), Refusal> {
    come.locked_until(now).map_or(Ok(()), |until| Err(too_many(until, now)))
}

fn too_many(until: Timestamp, now: Timestamp) -> Refusal {
    let detail = "the password was guessed wrong too often; nobody may guess for a while";
    Refusal::new(ErrorCode::TooManyGuesses, detail).with_retry_after(until.ms().saturating_sub(now.ms()))
}

fn end(end: LinkEnd) -> Refusal {
    let code = match end {
        LinkEnd::Unknown => ErrorCode::LinkNotFound,
        LinkEnd::Revoked | LinkEnd::Expired | LinkEnd::UsedUp => ErrorCode::LinkGone,
    };
    Refusal::new(code, end.to_string())
}

fn no_hash() -> Refusal {
    Refusal::new(ErrorCode::Internal, "a password does not hash")
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    Refusal::new(ErrorCode::LogDamaged, format!("what is kept of a link does not read: {error}"))
}
