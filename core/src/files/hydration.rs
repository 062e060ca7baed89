//! Whether a file's bytes are here, and what happens when somebody wants them, changes them or takes them away.
//!
//! The states of a node's bytes and what may happen to it, as one table: what is next, and what to do about it. What must
//! hold: bytes that the server does not have are never dropped; who reads a file never gets bytes of two versions; nothing is
//! fetched for somebody who is about to replace all of it.
//!
//! Nothing here fetches anything. Who drives it does what [`Hydration::on`] says, and tells what came of it.

/// Whether a file's bytes are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums, reason = "the table is complete")]
pub enum Hydration {
    /// At the server only.
    Placeholder,
    /// On their way, for somebody who reads.
    Hydrating,
    /// On their way, for somebody who will change a part of them.
    HydratingToWrite,
    /// Here, as the server has them.
    Clean,
    /// Here, but the server has newer ones; somebody reads these. Dropped when they are closed.
    Stale,
    /// Here, but the server has newer ones, which are on their way and then take their place.
    Renewing,
    /// Changed here.
    Dirty,
    /// Changed here, and on their way to the server.
    Uploading,
    /// Changed here, and refused by the server.
    Refused,
    /// The file is no longer.
    Gone,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums, reason = "the table is complete")]
pub enum Happening {
    /// Somebody opens or reads it.
    Read,
    /// Somebody empties it, to write all of it.
    Emptied,
    /// Somebody writes a part of it.
    Wrote,
    /// The last who had it open closed it.
    Closed,
    /// It is to be here always, from now on.
    Pinned,
    /// Its bytes are to go, to make room.
    Evict,
    /// The server has another content.
    Changed,
    /// The server has it no longer.
    Deleted,
    /// The bytes came and are the right ones.
    Verified,
    /// What was on its way was cut off.
    Failed,
    /// Nobody has written it for a while.
    Quiet,
    /// The server took what was changed here.
    Accepted,
    /// The server took it as a file beside this one.
    Copied,
    /// The server refused it.
    Denied,
    /// What it was refused for is over.
    Cleared,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums, reason = "the table is complete")]
pub enum Act {
    /// Nothing.
    Nothing,
    /// Begin a download; whoever asked waits for it.
    Fetch,
    /// Whoever asked waits for the download that is under way.
    Join,
    /// Begin the download anew, of the newer content. Who already reads goes on with the old one.
    Restart,
    /// Let it happen, on the bytes that are here.
    Serve,
    /// Stop the download; nobody waits for it.
    Cancel,
    /// Stop the download; who waits for it gets an error.
    Abandon,
    /// Who waits gets an error, and nothing half is to be seen.
    Fail,
    /// Put the new bytes in place of the old ones at once.
    Swap,
    /// Drop the bytes: what is left is a placeholder.
    Drop,
    /// Show the new size and time.
    Show,
    /// Take the file away.
    Remove,
    /// Send the bytes.
    Upload,
    /// Try again later.
    Later,
    /// The bytes belong to the file beside; this one is brought anew.
    Split,
    /// Say so to its user.
    Tell,
    /// Say no.
    Refuse,
}

/// What else is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_structs, reason = "what the table asks")]
pub struct Around {
    /// Somebody has it open.
    pub open: bool,
    /// It is to be here always.
    pub pinned: bool,
}

impl Hydration {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Placeholder,
        Self::Hydrating,
        Self::HydratingToWrite,
        Self::Clean,
        Self::Stale,
        Self::Renewing,
        Self::Dirty,
        Self::Uploading,
        Self::Refused,
        Self::Gone,
    ];

    /// Whether the only copy of some bytes may be here.
    #[must_use]
    pub const fn is_precious(self) -> bool {
        matches!(self, Self::Dirty | Self::Uploading | Self::Refused)
    }

    /// What is next, and what to do about it.
    #[must_use]
    pub const fn on(self, what: Happening, around: Around) -> (Self, Act) {
        match self {
            Self::Placeholder => Self::on_placeholder(what),
            Self::Hydrating | Self::HydratingToWrite => self.on_hydrating(what, around),
            Self::Clean => Self::on_clean(what, around),
            Self::Stale => Self::on_stale(what, around),
            Self::Renewing => Self::on_renewing(what),
            Self::Dirty | Self::Uploading | Self::Refused => self.on_precious(what),
            Self::Gone => match what {
                Happening::Read | Happening::Emptied | Happening::Wrote | Happening::Evict => (Self::Gone, Act::Refuse),
                _ => (Self::Gone, Act::Nothing),
            },
        }
    }

    const fn on_placeholder(what: Happening) -> (Self, Act) {
        match what {
            Happening::Read | Happening::Pinned => (Self::Hydrating, Act::Fetch),
            Happening::Emptied => (Self::Dirty, Act::Serve),
            Happening::Wrote => (Self::HydratingToWrite, Act::Fetch),
            Happening::Changed => (Self::Placeholder, Act::Show),
            Happening::Deleted => (Self::Gone, Act::Remove),
            _ => (Self::Placeholder, Act::Nothing),
        }
    }

    const fn on_hydrating(self, what: Happening, around: Around) -> (Self, Act) {
        let to_write = matches!(self, Self::HydratingToWrite);
        match what {
            Happening::Read => (self, Act::Join),
            Happening::Wrote => (Self::HydratingToWrite, Act::Join),
            Happening::Emptied => (Self::Dirty, Act::Cancel),
            Happening::Changed => (self, Act::Restart),
            Happening::Deleted => (Self::Gone, Act::Abandon),
            Happening::Verified if to_write => (Self::Dirty, Act::Serve),
            Happening::Verified => (Self::Clean, Act::Serve),
            Happening::Failed => (Self::Placeholder, Act::Fail),
            Happening::Evict if to_write || around.open || around.pinned => (self, Act::Refuse),
            Happening::Evict => (Self::Placeholder, Act::Cancel),
            _ => (self, Act::Nothing),
        }
    }

    const fn on_clean(what: Happening, around: Around) -> (Self, Act) {
        match what {
            Happening::Read => (Self::Clean, Act::Serve),
            Happening::Emptied | Happening::Wrote => (Self::Dirty, Act::Serve),
            Happening::Changed if around.pinned => (Self::Renewing, Act::Fetch),
            Happening::Changed if around.open => (Self::Stale, Act::Nothing),
            Happening::Changed => (Self::Placeholder, Act::Drop),
            Happening::Deleted => (Self::Gone, Act::Remove),
            Happening::Evict if around.open || around.pinned => (Self::Clean, Act::Refuse),
            Happening::Evict => (Self::Placeholder, Act::Drop),
            _ => (Self::Clean, Act::Nothing),
        }
    }

    const fn on_stale(what: Happening, around: Around) -> (Self, Act) {
        match what {
            Happening::Read => (Self::Stale, Act::Serve),
            Happening::Emptied | Happening::Wrote => (Self::Dirty, Act::Serve),
            Happening::Closed => (Self::Placeholder, Act::Drop),
            Happening::Pinned => (Self::Renewing, Act::Fetch),
            Happening::Deleted => (Self::Gone, Act::Remove),
            Happening::Evict if around.open || around.pinned => (Self::Stale, Act::Refuse),
            Happening::Evict => (Self::Placeholder, Act::Drop),
            _ => (Self::Stale, Act::Nothing),
        }
    }

    const fn on_renewing(what: Happening) -> (Self, Act) {
        match what {
            Happening::Read => (Self::Renewing, Act::Serve),
            Happening::Emptied | Happening::Wrote => (Self::Dirty, Act::Cancel),
            Happening::Changed => (Self::Renewing, Act::Restart),
            Happening::Deleted => (Self::Gone, Act::Remove),
            Happening::Verified => (Self::Clean, Act::Swap),
            Happening::Failed => (Self::Renewing, Act::Later),
            Happening::Evict => (Self::Renewing, Act::Refuse),
            _ => (Self::Renewing, Act::Nothing),
        }
    }

    const fn on_precious(self, what: Happening) -> (Self, Act) {
        match (self, what) {
            (_, Happening::Evict) => (self, Act::Refuse),
            (_, Happening::Read) => (self, Act::Serve),
            (_, Happening::Emptied | Happening::Wrote) => (Self::Dirty, Act::Serve),
            (Self::Dirty, Happening::Quiet) => (Self::Uploading, Act::Upload),
            (Self::Uploading, Happening::Accepted) => (Self::Clean, Act::Nothing),
            (Self::Uploading, Happening::Copied) => (Self::Placeholder, Act::Split),
            (Self::Uploading, Happening::Denied) => (Self::Refused, Act::Tell),
            (Self::Uploading, Happening::Failed) => (Self::Uploading, Act::Later),
            (Self::Refused, Happening::Cleared) => (Self::Dirty, Act::Nothing),
            // What the server has by now is settled when it answers.
            _ => (self, Act::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAPPENINGS: [Happening; 15] = [
        Happening::Read,
        Happening::Emptied,
        Happening::Wrote,
        Happening::Closed,
        Happening::Pinned,
        Happening::Evict,
        Happening::Changed,
        Happening::Deleted,
        Happening::Verified,
        Happening::Failed,
        Happening::Quiet,
        Happening::Accepted,
        Happening::Copied,
        Happening::Denied,
        Happening::Cleared,
    ];

    const AROUND: [Around; 4] = [
        Around { open: false, pinned: false },
        Around { open: true, pinned: false },
        Around { open: false, pinned: true },
        Around { open: true, pinned: true },
    ];

    /// Each state with what changes it or asks for something; all else does nothing. `open`, `pinned` and `free` say when.
    const TABLE: &str = "
        Placeholder: Read>Hydrating,Fetch Emptied>Dirty,Serve Wrote>HydratingToWrite,Fetch Pinned>Hydrating,Fetch
            Changed>Placeholder,Show Deleted>Gone,Remove
        Hydrating: Read>Hydrating,Join Emptied>Dirty,Cancel Wrote>HydratingToWrite,Join Changed>Hydrating,Restart
            Deleted>Gone,Abandon Verified>Clean,Serve Failed>Placeholder,Fail
            Evict:free>Placeholder,Cancel Evict:open>Hydrating,Refuse Evict:pinned>Hydrating,Refuse
        HydratingToWrite: Read>HydratingToWrite,Join Emptied>Dirty,Cancel Wrote>HydratingToWrite,Join
            Changed>HydratingToWrite,Restart Deleted>Gone,Abandon Verified>Dirty,Serve Failed>Placeholder,Fail
            Evict>HydratingToWrite,Refuse
        Clean: Read>Clean,Serve Emptied>Dirty,Serve Wrote>Dirty,Serve Deleted>Gone,Remove
            Changed:pinned>Renewing,Fetch Changed:open>Stale,Nothing Changed:free>Placeholder,Drop
            Evict:free>Placeholder,Drop Evict:open>Clean,Refuse Evict:pinned>Clean,Refuse
        Stale: Read>Stale,Serve Emptied>Dirty,Serve Wrote>Dirty,Serve Closed>Placeholder,Drop Pinned>Renewing,Fetch
            Deleted>Gone,Remove Evict:free>Placeholder,Drop Evict:open>Stale,Refuse Evict:pinned>Stale,Refuse
        Renewing: Read>Renewing,Serve Emptied>Dirty,Cancel Wrote>Dirty,Cancel Changed>Renewing,Restart
            Deleted>Gone,Remove Verified>Clean,Swap Failed>Renewing,Later Evict>Renewing,Refuse
        Dirty: Read>Dirty,Serve Emptied>Dirty,Serve Wrote>Dirty,Serve Evict>Dirty,Refuse Quiet>Uploading,Upload
        Uploading: Read>Uploading,Serve Emptied>Dirty,Serve Wrote>Dirty,Serve Evict>Uploading,Refuse
            Accepted>Clean,Nothing Copied>Placeholder,Split Denied>Refused,Tell Failed>Uploading,Later
        Refused: Read>Refused,Serve Emptied>Dirty,Serve Wrote>Dirty,Serve Evict>Refused,Refuse Cleared>Dirty,Nothing
        Gone: Read>Gone,Refuse Emptied>Gone,Refuse Wrote>Gone,Refuse Evict>Gone,Refuse
    ";

    fn expected(state: Hydration, what: Happening, around: Around) -> String {
        let when = match around {
            Around { pinned: true, .. } => "pinned",
            Around { open: true, .. } => "open",
            Around { .. } => "free",
        };
        let mut in_state = false;
        for word in TABLE.split_whitespace() {
            if let Some(name) = word.strip_suffix(':') {
                in_state = name == format!("{state:?}");
            } else if in_state {
                let (left, right) = word.split_once('>').unwrap();
                if left == format!("{what:?}") || left == format!("{what:?}:{when}") {
                    return right.to_owned();
                }
            }
        }
        format!("{state:?},Nothing")
    }

    #[test]
    fn every_state_answers_everything_as_the_table_says() {
        for state in Hydration::ALL {
            for what in HAPPENINGS {
                for around in AROUND {
                    let (next, act) = state.on(what, around);
                    let expected = expected(state, what, around);
                    assert_eq!(format!("{next:?},{act:?}"), expected, "{state:?} {what:?} {around:?}");
                }
            }
        }
    }

    /// Only the server's word, or its user's own hand, ends what is precious.
    #[test]
    fn e32_bytes_that_only_this_device_has_are_never_dropped() {
        for state in Hydration::ALL.into_iter().filter(|state| state.is_precious()) {
            for what in HAPPENINGS {
                for around in AROUND {
                    let (next, act) = state.on(what, around);
                    let answered = matches!(what, Happening::Accepted | Happening::Copied);
                    assert!(next.is_precious() || answered, "{state:?} {what:?} lost its bytes");
                    assert!(!matches!(act, Act::Drop | Act::Remove | Act::Swap), "{state:?} {what:?}");
                }
            }
        }
    }

    #[test]
    fn e31_nothing_is_fetched_for_who_writes_all_of_it_and_all_of_it_for_who_writes_a_part() {
        let around = Around::default();
        assert_eq!(Hydration::Placeholder.on(Happening::Emptied, around), (Hydration::Dirty, Act::Serve));
        assert_eq!(Hydration::Placeholder.on(Happening::Wrote, around), (Hydration::HydratingToWrite, Act::Fetch));
    }
}
