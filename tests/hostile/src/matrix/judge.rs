//! What a class and a need lead to, and whether an answer is that.

use serde_json::Value;
use syncline::access::Access;

use super::classes::{Bound, Class, Logs};
use super::table::Needs;
use crate::common::Answer;

/// What must come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// What the row says.
    Admitted,
    /// It is admitted where they come from, which is not here.
    Elsewhere,
    /// Nobody knows them.
    Unauthenticated,
    /// They may know of it, and not do this.
    Forbidden,
    /// They may do this, and not as this replica.
    ForbiddenReplica,
    /// As if it were not there.
    Hidden,
}

impl Expected {
    pub(super) const fn is_refused(self) -> bool {
        !matches!(self, Self::Admitted | Self::Elsewhere)
    }

    /// Whether a log that is nowhere must be answered the same.
    pub(super) const fn tells_nothing(self) -> bool {
        matches!(self, Self::Unauthenticated | Self::Hidden)
    }

    pub(super) fn is(self, answer: &Answer) -> bool {
        let wanted = match self {
            Self::Unauthenticated => "401 UNAUTHENTICATED",
            Self::Forbidden => "403 FORBIDDEN",
            Self::ForbiddenReplica => "403 FORBIDDEN_REPLICA",
            Self::Hidden => "404 LOG_NOT_FOUND",
            Self::Admitted | Self::Elsewhere => return false,
        };
        if answer.status == 401 && answer.header("www-authenticate") != Some("bearer") {
            return false;
        }
        // An answer to HEAD has no body to say the code.
        said(answer) == wanted || answer.body.is_empty() && wanted.starts_with(&said(answer))
    }
}

/// The rule.
pub(super) fn expected(needs: Needs, class: &Class) -> Expected {
    let over_log = |access: Access| match class.over_the_log() {
        Some(held) if held >= access => Expected::Admitted,
        Some(_) => Expected::Forbidden,
        None => Expected::Hidden,
    };
    match needs {
        Needs::Nothing => Expected::Admitted,
        _ if !class.is_known() => Expected::Unauthenticated,
        Needs::AToken => Expected::Admitted,
        Needs::Bucket => match (class.logs == Logs::All, class.access) {
            (true, Access::Admin) if class.foreign => Expected::Elsewhere,
            (true, Access::Admin) => Expected::Admitted,
            (true, _) => Expected::Forbidden,
            (false, _) => Expected::Hidden,
        },
        Needs::OverLog(access) | Needs::AsReplica(access) if class.foreign => {
            if class.access >= access {
                Expected::Elsewhere
            } else {
                Expected::Forbidden
            }
        }
        Needs::OverLog(access) => over_log(access),
        Needs::AsReplica(access) => match over_log(access) {
            Expected::Admitted if class.bound == Bound::ToAnother => Expected::ForbiddenReplica,
            other => other,
        },
    }
}

/// An answer in short: its status, and its code where it is a refusal.
pub(super) fn said(answer: &Answer) -> String {
    let code = serde_json::from_slice::<Value>(&answer.body).ok();
    let code = code.as_ref().and_then(|body| body["code"].as_str()).filter(|_| answer.status >= 400);
    code.map_or_else(|| answer.status.to_string(), |code| format!("{} {code}", answer.status))
}

/// An answer without what differs from request to request.
pub(super) fn plain(answer: &Answer) -> (u16, Vec<String>, Vec<u8>) {
    let own = ["x-request-id:", "date:"];
    let head = answer.head.lines().filter(|line| !own.iter().any(|name| line.starts_with(name)));
    (answer.status, head.map(str::to_owned).collect(), answer.body.clone())
}
