//! An engine whose folder is seen through a view: what it tells it, and what it takes over from it.

use std::path::Path;
use std::sync::Arc;

use syncline::EntityId;
use syncline::files::{Body, Held, Plan, Step};

use super::{Done, Engine};
use crate::view::{self, Mounted, Shown, ViewError, Window};

impl Engine {
    /// From now on only what is pinned is brought by itself; everything else is a placeholder in a view until somebody opens
    /// it. Gives what the view and the engine tell each other.
    pub fn bring_what_is_opened(&mut self) -> Arc<Window> {
        let window = Arc::clone(self.window.get_or_insert_with(Arc::default));
        self.show();
        window
    }

    /// Shows the folder with placeholders for what is not in it, at a place where nothing is, until what is given back is
    /// dropped. Within a runtime.
    ///
    /// # Errors
    /// When the system cannot show it.
    pub fn show_at(&mut self, at: &Path) -> Result<Mounted, ViewError> {
        let window = self.bring_what_is_opened();
        let parts = view::Parts {
            folder: Arc::clone(&self.folder),
            window,
            transfer: Arc::clone(&self.transfer),
            way: Arc::clone(&self.way),
            env: Arc::clone(&self.env),
            log: self.device.log,
            replica: self.device.replica,
            label: self.device.label.clone(),
        };
        view::show(parts, &self.device.state, at)
    }

    /// Waits until the view has something that cannot be heard in the folder. Nothing is lost when it is dropped.
    pub fn asked(&self) -> impl Future<Output = ()> + use<> {
        let (window, uses) = (self.window.clone(), self.folder.uses().clone());
        async move {
            match window {
                Some(window) => tokio::select! {
                    () = window.asked() => {}
                    () = uses.left() => {}
                },
                None => std::future::pending().await,
            }
        }
    }

    /// Tells the view what is known by now.
    pub(super) fn show(&self) {
        if let Some(window) = &self.window {
            let seq = self.server.cursor().seq;
            window.show(Shown::of(&self.base, self.server.tree(), seq, &self.issues));
        }
    }

    /// Tells the view of a file that is taken away and stays a placeholder, so that it is missing at no time.
    pub(super) fn will_leave(&self, step: &Step) {
        if let (Some(window), Step::Evict { node }) = (&self.window, step)
            && let Some(held) = self.base.get(*node)
        {
            window.leaving(*node, held);
        }
    }

    /// Takes over what the view did where placeholders stood.
    pub(super) fn take_over_from_view(&mut self) -> Done<()> {
        let Some(window) = self.window.clone() else { return Ok(()) };
        let mut changed = Vec::new();
        for (id, held) in window.take() {
            // Who came meanwhile is known better here.
            let is_away = self.base.get(id).is_some_and(|held| held.body == Body::Elsewhere);
            if is_away || self.came_too_late(id, &held) {
                self.base.hold(id, held);
                changed.push(id);
            }
        }
        changed.extend(self.base.drop_displaced());
        self.note(&changed)
    }

    /// Whether a file was brought that the server had deleted: it is held, so that it is not taken for a new one.
    fn came_too_late(&self, id: EntityId, held: &Held) -> bool {
        let is_dead = self.server.tree().get(id).is_none_or(|node| node.dead.is_some());
        let has_place = self.base.path(held.parent).is_some() && self.base.at(held.parent, &held.at).is_none();
        is_dead && has_place && self.base.get(id).is_none() && held.body == Body::Here && held.print.is_some()
    }

    /// Leaves placeholders where they are that the view had moved by a commit that was not read yet.
    pub(super) fn keep_what_is_ahead(&self, plan: &mut Plan) {
        let last = self.server.cursor().seq;
        let is_ahead = |id| self.base.get(id).is_some_and(|held| held.parent_seq.max(held.name_seq) > last);
        plan.hold.retain(|(id, _)| !is_ahead(*id));
    }

    /// Somebody may have said by now that files are wanted otherwise.
    pub(super) fn want_anew(&mut self) -> Done<()> {
        self.pins = self.journal.pins()?.into_iter().collect();
        Ok(())
    }
}
