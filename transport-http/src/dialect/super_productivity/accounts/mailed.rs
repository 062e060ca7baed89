//! Secrets that travel by mail: in a link to a person, as a digest in the account's record.
//!
//! What must always hold: the record never holds what opens it, and a link names its account, so that finding it again
//! needs no index. Whether it was used already is decided by the compare and swap that uses it.
//!
//! Next: `record` keeps them, `register`, `reset` and `magic` use them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use syncline::digest::Digest;
use syncline::time::{Env, Timestamp};

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mailed {
    pub(crate) digest: Digest,
    pub(crate) until: Timestamp,
}

/// What a kept one says to a secret that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    Fits,
    Expired,
    Unknown,
}

/// What a mail is for: a secret for one thing is no secret for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Verify,
    Reset,
    Magic,
    #[cfg(feature = "passkeys")]
    Recover,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::Magic => "magic",
            #[cfg(feature = "passkeys")]
            Self::Recover => "recover",
        }
    }

    /// How long its secret holds: a day, an hour, a quarter of an hour, an hour.
    const fn valid_ms(self) -> u64 {
        match self {
            Self::Verify => 24 * 60 * 60 * 1_000,
            Self::Reset => 60 * 60 * 1_000,
            #[cfg(feature = "passkeys")]
            Self::Recover => 60 * 60 * 1_000,
            Self::Magic => 15 * 60 * 1_000,
        }
    }

    /// A fresh secret, and what is to be kept of it.
    pub(crate) fn mint(self, env: &Env) -> (String, Mailed) {
        let mut secret = String::with_capacity(64);
        for byte in env.bytes32(self.name()) {
            // Writing to a string cannot fail.
            let _ = write!(secret, "{byte:02x}");
        }
        let kept = Mailed { digest: self.digest(&secret), until: env.now.plus_ms(self.valid_ms()) };
        (secret, kept)
    }

    /// What a kept secret says to one that came back.
    pub(crate) fn check(self, kept: Option<&Mailed>, secret: &str, now: Timestamp) -> Returned {
        match kept {
            Some(kept) if kept.digest == self.digest(secret) => {
                if now < kept.until {
                    Returned::Fits
                } else {
                    Returned::Expired
                }
            }
            _ => Returned::Unknown,
        }
    }

    fn digest(self, secret: &str) -> Digest {
        Digest::of(&[b"syncline/sp/mailed\0", self.name().as_bytes(), b"\0", secret.as_bytes()])
    }
}

/// The text of a link's token: which account, and the secret.
pub(crate) fn token(id: u64, secret: &str) -> String {
    format!("{id}.{secret}")
}

/// The parts of a link's token.
pub(crate) fn parse(token: &str) -> Option<(u64, &str)> {
    let (id, secret) = token.split_once('.')?;
    Some((id.parse().ok()?, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(ms: u64) -> Env {
        Env { now: Timestamp::from_ms(ms).unwrap(), entropy: [7; 32] }
    }

    #[test]
    fn a_secret_fits_its_own_purpose_until_its_end() {
        let (secret, kept) = Purpose::Magic.mint(&env(1_000));
        let until = 1_000 + 15 * 60 * 1_000;
        assert_eq!(Purpose::Magic.check(Some(&kept), &secret, env(until - 1).now), Returned::Fits);
        assert_eq!(Purpose::Magic.check(Some(&kept), &secret, env(until).now), Returned::Expired);
        assert_eq!(Purpose::Reset.check(Some(&kept), &secret, env(1_000).now), Returned::Unknown);
        assert_eq!(Purpose::Magic.check(Some(&kept), "", env(1_000).now), Returned::Unknown);
        assert_eq!(Purpose::Magic.check(None, &secret, env(1_000).now), Returned::Unknown);
    }

    #[test]
    fn a_token_names_its_account() {
        assert_eq!(parse(&token(42, "ab")), Some((42, "ab")));
        for bad in ["", "42", "x.ab", "-1.ab", "99999999999999999999.ab"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
