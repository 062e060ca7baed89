//! A device whose own tree is seen through a view. What is mounted in it is all in the folder.

use std::path::Path;

use super::Mounts;
use crate::view::{Mounted, ViewError};

impl Mounts {
    /// From now on only what is pinned, or in a mount, is brought by itself.
    pub fn bring_what_is_opened(&mut self) {
        let _ = self.own.bring_what_is_opened();
    }

    /// Shows the folder, with placeholders for what is not in it; see [`Engine::show_at`](crate::engine::Engine::show_at).
    ///
    /// # Errors
    /// When the system cannot show it.
    pub fn show_at(&mut self, at: &Path) -> Result<Mounted, ViewError> {
        self.own.show_at(at)
    }

    /// Waits until the view has something that cannot be heard in the folder. Nothing is lost when it is dropped.
    pub fn asked(&self) -> impl Future<Output = ()> + use<> {
        self.own.asked()
    }
}
