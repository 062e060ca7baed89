//! Public links: who has the address reads one file, or what is below one folder, and nothing else.
//!
//! An address holds 256 random bits, and of those only a hash is kept; the hash's first half is the link's id. Text form: the
//! bucket, the log and the secret as base64url (RFC 4648, section 5, unpadded), 86 characters.
//!
//! What must hold: a link ends when it is revoked, at its time, or with its last download, whichever comes first, and what has
//! ended is told to nobody who does not have the address; a password can be guessed at only so often.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{BucketId, EntityId, LinkId, LogId, LogKey, TokenId};
use crate::limits;
use crate::seq::Seq;
use crate::time::Timestamp;

/// A link's address as its holder has it. Debug output hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken {
    log: LogKey,
    secret: [u8; 32],
}

/// The text is not an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a link")]
pub struct LinkTokenError;

impl LinkToken {
    /// An address with this secret, which must be fresh random bits.
    #[must_use]
    pub const fn new(log: LogKey, secret: [u8; 32]) -> Self {
        Self { log, secret }
    }

    /// The log it leads to.
    #[must_use]
    pub const fn log(&self) -> LogKey {
        self.log
    }

    /// What a server keeps of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[b"syncline/link/v1\0", self.log.bucket.as_bytes(), self.log.log.as_bytes(), &self.secret])
    }

    /// The id under which it is kept.
    #[must_use]
    pub fn id(&self) -> LinkId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.digest().as_bytes()[..16]);
        LinkId::from_bytes(id)
    }
}

impl fmt::Display for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.log.bucket.as_bytes()[..], self.log.log.as_bytes(), &self.secret].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkToken({}, …)", self.log)
    }
}

impl FromStr for LinkToken {
    type Err = LinkTokenError;

    fn from_str(text: &str) -> Result<Self, LinkTokenError> {
        let mut bytes = [0; 64];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| LinkTokenError)?;
        let (Some((bucket, rest)), 64) = (bytes.split_first_chunk(), length) else { return Err(LinkTokenError) };
        let (log, secret) = rest.split_first_chunk().ok_or(LinkTokenError)?;
        let log = LogKey { bucket: BucketId::from_bytes(*bucket), log: LogId::from_bytes(*log) };
        Ok(Self { log, secret: secret.try_into().map_err(|_| LinkTokenError)? })
    }
}

/// What a log keeps of a link, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a stored record")]
pub struct LinkRecord {
    /// SHA-256 of the address, see [`LinkToken::digest`].
    pub digest: Digest,
    /// The file or folder it leads to, wherever that is and whatever it is called.
    pub node: EntityId,
    /// The revision of the file that it shows for ever; absent for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Seq>,
    /// When it ends; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What is kept of its password; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// How often its files may be downloaded; absent for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downloads: Option<u64>,
    /// Who made it; absent for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<TokenId>,
    /// When.
    pub created_at: Timestamp,
    /// When it was revoked; absent while it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// What has come of a link, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a stored record")]
pub struct LinkUse {
    /// Downloads so far.
    pub downloads: u64,
    /// When its password was guessed wrong, the newest last; only those that count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<Timestamp>,
    /// When guesses began of which nobody knows yet what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trying: Vec<Timestamp>,
}

/// How long a guess counts that nobody has ended.
const GUESS_MS_MAX: u64 = 30_000;
/// How long to wait where others guess.
const MOMENT_MS: u64 = 1_000;

/// Why a link leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkEnd {
    /// There is no such link.
    #[error("no such link")]
    Unknown,
    /// It was revoked.
    #[error("the link was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the link has expired")]
    Expired,
    /// It was downloaded as often as it may be.
    #[error("the link has been downloaded as often as it may be")]
    UsedUp,
}

impl LinkRecord {
    /// Whether it still leads somewhere.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, come: &LinkUse, now: Timestamp) -> Result<(), LinkEnd> {
        if self.revoked_at.is_some() {
            return Err(LinkEnd::Revoked);
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(LinkEnd::Expired);
        }
        if self.max_downloads.is_some_and(|most| come.downloads >= most) {
            return Err(LinkEnd::UsedUp);
        }
        Ok(())
    }
}

impl LinkUse {
    /// Until when nobody may guess at the password; `None` when they may.
    #[must_use]
    pub fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = |at: &Timestamp| at.plus_ms(limits::LINK_GUESS_WINDOW_MS);
        let mut counted = self.wrong.iter().map(ends).filter(|end| *end > now);
        // The lock ends when the oldest of the last guesses counts no more.
        counted.clone().count().checked_sub(limits::LINK_GUESSES_MAX).and_then(|before| counted.nth(before))
    }

    /// Begins a guess: until it has [ended](Self::guessed) it counts like a wrong one, so that those which come at once are no
    /// more than those which come one after the other. One that nobody ends, for who asked has gone, counts for half a minute.
    ///
    /// # Errors
    /// Until when to wait: where too many were wrong, the end of that; where too many are under way, a moment.
    pub fn try_guess(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.trying.retain(|begun| begun.plus_ms(GUESS_MS_MAX) > now);
        if let Some(until) = self.locked_until(now) {
            return Err(until);
        }
        let wrong = self.wrong.iter().filter(|at| at.plus_ms(limits::LINK_GUESS_WINDOW_MS) > now).count();
        if wrong + self.trying.len() >= limits::LINK_GUESSES_MAX {
            return Err(now.plus_ms(MOMENT_MS));
        }
        self.trying.push(now);
        Ok(())
    }

    /// A guess that began then has ended, and was right or wrong.
    ///
    /// # Errors
    /// Until when to wait, whatever it was: it took so long that it had stopped counting, and too many were wrong meanwhile.
    pub fn guessed(&mut self, begun: Timestamp, right: bool, now: Timestamp) -> Result<(), Timestamp> {
        match self.trying.iter().position(|at| *at == begun) {
            Some(at) => drop(self.trying.remove(at)),
            None => self.locked_until(now).map_or(Ok(()), Err)?,
        }
        if !right {
            self.wrong.retain(|at| at.plus_ms(limits::LINK_GUESS_WINDOW_MS) > now);
            self.wrong.push(now);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::default().plus_ms(ms)
    }

    #[test]
    fn an_address_is_read_back_and_nothing_else_is_one() {
        let log = LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([2; 16]) };
        let token = LinkToken::new(log, [3; 32]);
        let text = token.to_string();
        assert_eq!((text.len(), text.parse()), (86, Ok(token.clone())));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
        for wrong in ["", &text[1..], &text[..85], &format!("{text}A"), &format!("{text}=="), &text.replace('A', "+")] {
            assert_eq!(wrong.parse::<LinkToken>(), Err(LinkTokenError), "{wrong}");
        }
        assert!(!format!("{token:?}").contains(&text[43..]));
        let other = LinkToken::new(LogKey { log: LogId::from_bytes([9; 16]), ..log }, [3; 32]);
        assert_ne!(token.digest(), other.digest(), "an address leads into its own log only");
    }

    #[test]
    fn a_password_is_guessed_at_five_times_in_a_quarter_of_an_hour() {
        let (mut come, window) = (LinkUse::default(), limits::LINK_GUESS_WINDOW_MS);
        for guess in 0..5 {
            assert_eq!(come.locked_until(at(guess)), None, "before guess {guess}");
            assert_eq!((come.try_guess(at(guess)), come.guessed(at(guess), false, at(guess))), (Ok(()), Ok(())));
        }
        assert_eq!(come.try_guess(at(10)), Err(at(window)));
        assert_eq!(come.locked_until(at(10)), Some(at(window)), "until the first counts no more");
        assert_eq!(come.locked_until(at(window - 1)), Some(at(window)));
        assert_eq!(come.locked_until(at(window)), None);
        assert_eq!((come.try_guess(at(window)), come.guessed(at(window), false, at(window))), (Ok(()), Ok(())));
        assert_eq!(come.locked_until(at(window)), Some(at(window + 1)), "until the second does");
        assert_eq!(come.wrong.len(), limits::LINK_GUESSES_MAX, "and what counts no more is forgotten");
    }

    #[test]
    fn guesses_that_are_under_way_count_until_they_turn_out_right_or_nobody_waits_for_them() {
        let mut come = LinkUse::default();
        for guess in 0..5 {
            assert_eq!(come.try_guess(at(guess)), Ok(()), "guess {guess}");
        }
        assert_eq!(come.try_guess(at(5)), Err(at(5 + MOMENT_MS)), "a sixth beside five");
        assert_eq!(come.guessed(at(0), true, at(6)), Ok(()));
        assert_eq!(come.try_guess(at(6)), Ok(()), "a right one was none");
        for begun in [1, 2, 3, 4, 6] {
            assert_eq!(come.guessed(at(begun), false, at(7)), Ok(()));
        }
        assert_eq!(come.try_guess(at(8)), Err(at(7 + limits::LINK_GUESS_WINDOW_MS)));
        let mut come = LinkUse::default();
        (0..5).for_each(|guess| come.try_guess(at(guess)).unwrap());
        assert_eq!(come.try_guess(at(GUESS_MS_MAX - 1)), Err(at(GUESS_MS_MAX - 1 + MOMENT_MS)));
        for guess in 0..5 {
            assert_eq!(come.try_guess(at(GUESS_MS_MAX + 4)), Ok(()), "who went away hinders nobody for ever");
            assert_eq!(come.guessed(at(GUESS_MS_MAX + 4), false, at(GUESS_MS_MAX + 4 + guess)), Ok(()));
        }
        let late = come.guessed(at(0), true, at(GUESS_MS_MAX + 9));
        assert!(late.is_err(), "it is told to nobody who would not have been told one after the other: {late:?}");
    }
}
