//! Every class of callers there is, as far as the rights over one log and over its bucket tell them apart.
//!
//! Next: `world` makes one of each.

use syncline::access::Access;

/// What a token that lets in is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logs {
    /// All of the bucket.
    All,
    /// The one that is asked about.
    This,
    /// Another one.
    Other,
    /// None.
    None,
}

/// How somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comes {
    /// Without saying who they are.
    Silent,
    /// With these words in the header.
    Saying(&'static str),
    /// With a token's bucket and id, and another secret.
    Forging,
    /// With a token whose time is over.
    Expired,
    /// With a token that was revoked.
    Revoked,
    /// With an account token of the dialect.
    OfDialect,
    /// With the address of a public link instead of a token.
    WithLink,
    /// With a token of their own.
    WithToken,
    /// With the secret that a token had until a moment ago.
    Former,
    /// As the operator.
    Operator,
}

/// The only replica that a token may write as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// Any.
    No,
    /// The one that the requests name.
    ToTheirs,
    /// Another one.
    ToAnother,
}

/// What a group grants its member over the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// The member is in none.
    No,
    /// This much.
    Grants(Access),
    /// This much, and the member has left it.
    Left(Access),
    /// This much, and it was ended.
    Ended(Access),
    /// This much once, and it was taken back.
    TakenBack(Access),
}

/// One class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) comes: Comes,
    /// Whether it is another bucket that they come from.
    pub(super) foreign: bool,
    pub(super) access: Access,
    pub(super) logs: Logs,
    pub(super) bound: Bound,
    pub(super) group: Group,
}

const NOBODY: Class = Class {
    name: "",
    comes: Comes::Silent,
    foreign: false,
    access: Access::Admin,
    logs: Logs::All,
    bound: Bound::No,
    group: Group::No,
};

const fn stranger(name: &'static str, comes: Comes) -> Class {
    Class { name, comes, ..NOBODY }
}

const fn holder(name: &'static str, access: Access, logs: Logs) -> Class {
    Class { name, comes: Comes::WithToken, access, logs, ..NOBODY }
}

const fn member(name: &'static str, group: Group) -> Class {
    Class { name, comes: Comes::WithToken, access: Access::Read, logs: Logs::None, group, ..NOBODY }
}

const fn foreigner(name: &'static str, access: Access) -> Class {
    Class { name, comes: Comes::WithToken, foreign: true, access, ..NOBODY }
}

/// All of them.
pub(super) const CLASSES: &[Class] = &[
    stranger("nobody", Comes::Silent),
    stranger("garbage", Comes::Saying("Bearer x")),
    stranger("no words", Comes::Saying("Bearer ")),
    stranger("another scheme", Comes::Saying("Basic b3BlcmF0b3I6b3BlcmF0b3I=")),
    stranger("a forged token", Comes::Forging),
    stranger("an expired token", Comes::Expired),
    stranger("a revoked token", Comes::Revoked),
    stranger("an account token of the dialect", Comes::OfDialect),
    stranger("the address of a link as a token", Comes::WithLink),
    foreigner("a reader of another bucket", Access::Read),
    foreigner("a writer of another bucket", Access::Write),
    foreigner("an administrator of another bucket", Access::Admin),
    holder("a token for no log", Access::Admin, Logs::None),
    holder("an administrator of another log", Access::Admin, Logs::Other),
    holder("a reader of the log", Access::Read, Logs::This),
    holder("a writer of the log", Access::Write, Logs::This),
    holder("an administrator of the log", Access::Admin, Logs::This),
    holder("a reader of the bucket", Access::Read, Logs::All),
    holder("a writer of the bucket", Access::Write, Logs::All),
    holder("an administrator of the bucket", Access::Admin, Logs::All),
    Class { bound: Bound::ToTheirs, ..holder("a writer bound to its replica", Access::Write, Logs::This) },
    Class { bound: Bound::ToAnother, ..holder("a writer bound to another replica", Access::Write, Logs::This) },
    Class { bound: Bound::ToAnother, ..holder("an administrator bound to another replica", Access::Admin, Logs::This) },
    Class { comes: Comes::Former, ..holder("a writer with a former secret", Access::Write, Logs::This) },
    member("a member of a group that reads", Group::Grants(Access::Read)),
    member("a member of a group that writes", Group::Grants(Access::Write)),
    member("a member of a group that administers", Group::Grants(Access::Admin)),
    member("who has left a group", Group::Left(Access::Admin)),
    member("a member of a group that was ended", Group::Ended(Access::Admin)),
    member("a member of a group whose grant was taken back", Group::TakenBack(Access::Admin)),
    Class { group: Group::Grants(Access::Write), ..holder("a reader whose group writes", Access::Read, Logs::This) },
    stranger("the operator", Comes::Operator),
];

impl Class {
    /// Whether the server knows them.
    pub(super) const fn is_known(&self) -> bool {
        matches!(self.comes, Comes::WithToken | Comes::Former | Comes::Operator)
    }

    /// What they may do to the log of this bucket that is asked about.
    pub(super) fn over_the_log(&self) -> Option<Access> {
        if !self.is_known() || self.foreign {
            return None;
        }
        let own = matches!(self.logs, Logs::All | Logs::This).then_some(self.access);
        let granted = match self.group {
            Group::Grants(access) => Some(access),
            _ => None,
        };
        own.max(granted)
    }

    /// Whether a listing of logs shows them this one.
    pub(super) fn lists_the_log(&self) -> bool {
        self.over_the_log().is_some()
    }
}
