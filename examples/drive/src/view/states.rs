//! How a file of the view stands, as one word that programs can ask for: the value of the attribute `user.syncline.state`.

use syncline::files::{Body, Fingerprint, Hydration};

use super::window::Both;

/// The attribute that says how a file stands. Who asks for it brings nothing.
pub const STATE: &str = "user.syncline.state";

/// How a file that is here stands.
pub(super) fn of(both: &Both, print: &Fingerprint, is_open: bool) -> Hydration {
    if both.shown.is_refused(print) {
        return Hydration::Refused;
    }
    let Some(here) = both.shown.file(print.identity) else {
        return if both.is_fact(print) { Hydration::Clean } else { Hydration::Dirty };
    };
    match (here.print == *print, here.is_current) {
        (false, _) => Hydration::Dirty,
        (true, true) => Hydration::Clean,
        (true, false) if is_open => Hydration::Stale,
        (true, false) => Hydration::Renewing,
    }
}

impl Both {
    /// Whether the view brought the file that looks like this.
    fn is_fact(&self, print: &Fingerprint) -> bool {
        self.facts().any(|held| held.body == Body::Here && held.print == Some(*print))
    }
}

/// The word for a state.
#[must_use]
pub const fn word(state: Hydration) -> &'static str {
    match state {
        Hydration::Placeholder => "placeholder",
        Hydration::Hydrating | Hydration::HydratingToWrite => "hydrating",
        Hydration::Clean => "clean",
        Hydration::Stale => "stale",
        Hydration::Renewing => "renewing",
        Hydration::Dirty => "dirty",
        Hydration::Uploading => "uploading",
        Hydration::Refused => "refused",
        Hydration::Gone => "gone",
    }
}
