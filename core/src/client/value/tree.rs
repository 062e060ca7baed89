//! Nodes under nodes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Value, edit, parsed, text};
use crate::client::{Receipt, ReplicaError, Write};
use crate::crdt::{ItemId, Placed, Tree, TreeEdit};
use crate::oplog::OpKind;

impl Value<Tree> {
    /// Makes a node under another one, or under the root. It has this index among its siblings then; it is named by the
    /// receipt's op ([`ItemId::first`]).
    ///
    /// # Errors
    /// When there is no such place, the value does not become JSON, or as [`Value::load`] and
    /// [`Replica::write`](crate::client::Replica::write).
    pub async fn insert<T: Serialize + ?Sized>(
        &self,
        parent: Option<ItemId>,
        index: usize,
        value: &T,
    ) -> Result<Receipt, ReplicaError> {
        edit!(self, self.inserting(parent, index, value).await?)
    }

    /// [`Value::insert`] as a write.
    ///
    /// # Errors
    /// As [`Value::insert`].
    pub async fn inserting<T: Serialize + ?Sized>(
        &self,
        parent: Option<ItemId>,
        index: usize,
        value: &T,
    ) -> Result<Write, ReplicaError> {
        let (text, session) = (text(value)?, self.session());
        let edits = self.look(|tree| tree.inserting(parent, index, text, session)).await??;
        Ok(self.write(OpKind::Update, &edits))
    }

    /// Gives a node another value.
    ///
    /// # Errors
    /// When it is not there, or as [`Value::insert`].
    pub async fn set<T: Serialize + ?Sized>(&self, node: ItemId, value: &T) -> Result<Receipt, ReplicaError> {
        edit!(self, self.setting(node, value).await?)
    }

    /// [`Value::set`] as a write.
    ///
    /// # Errors
    /// As [`Value::set`].
    pub async fn setting<T: Serialize + ?Sized>(&self, node: ItemId, value: &T) -> Result<Write, ReplicaError> {
        let text = text(value)?;
        let edits = self.look(|tree| tree.setting(node, text)).await??;
        Ok(self.write(OpKind::Update, &edits))
    }

    /// Moves a node with everything under it, to this index among the nodes under `parent`.
    ///
    /// # Errors
    /// When one of them is not there, the node is above `parent`, or as [`Value::insert`].
    pub async fn move_to(&self, node: ItemId, parent: Option<ItemId>, index: usize) -> Result<Receipt, ReplicaError> {
        edit!(self, self.moving(node, parent, index).await?)
    }

    /// [`Value::move_to`] as a write.
    ///
    /// # Errors
    /// As [`Value::move_to`].
    pub async fn moving(&self, node: ItemId, parent: Option<ItemId>, index: usize) -> Result<Write, ReplicaError> {
        let session = self.session();
        let edits = self.look(|tree| tree.moving(node, parent, index, session)).await??;
        Ok(self.write(OpKind::Update, &edits))
    }

    /// Removes a node with everything under it. Who moves the node meanwhile, and is newer, keeps it.
    ///
    /// # Errors
    /// When it is not there, or as [`Value::insert`].
    pub async fn remove(&self, node: ItemId) -> Result<Receipt, ReplicaError> {
        edit!(self, self.removing(node).await?)
    }

    /// [`Value::remove`] as a write.
    ///
    /// # Errors
    /// As [`Value::remove`].
    pub async fn removing(&self, node: ItemId) -> Result<Write, ReplicaError> {
        let edits = self.look(|tree| tree.removing(node)).await??;
        Ok(self.write(OpKind::Update, &edits))
    }

    /// Removes every node that is seen here; `None` when there is none.
    ///
    /// # Errors
    /// As [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn delete(&self) -> Result<Option<Receipt>, ReplicaError> {
        let _pass = self.replica.inner.editing.enter().await;
        let nodes = self.look(|tree| tree.under(None)).await?;
        let edits: Vec<TreeEdit> = nodes.into_iter().map(TreeEdit::Remove).collect();
        if edits.is_empty() {
            return Ok(None);
        }
        self.send(self.write(OpKind::Delete, &edits)).await.map(Some)
    }

    /// Forgets removed nodes everywhere, when every device of the log is known to have all that was said of the tree;
    /// `None` when there are none, or that is not known yet. Removed nodes take room until then. Worth a call now and then.
    ///
    /// # Errors
    /// As [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn forget_removed(&self) -> Result<Option<Receipt>, ReplicaError> {
        let _pass = self.replica.inner.editing.enter().await;
        let tree = self.stable().await?.filter(Tree::has_hidden);
        match tree.and_then(|tree| tree.newest()) {
            Some(newest) => self.send(self.write(OpKind::Update, &vec![TreeEdit::Forget(newest)])).await.map(Some),
            None => Ok(None),
        }
    }

    /// The nodes as they stand: each before those under it, siblings in order. Values are JSON texts.
    ///
    /// # Errors
    /// As [`Value::load`].
    pub async fn nodes(&self) -> Result<Vec<Placed>, ReplicaError> {
        self.look(Tree::placed).await
    }

    /// The value of a node; `None` when it is not there.
    ///
    /// # Errors
    /// As [`Value::load`], or that it is no `T`.
    pub async fn get<T: DeserializeOwned>(&self, node: ItemId) -> Result<Option<T>, ReplicaError> {
        let nodes = self.nodes().await?;
        let found = nodes.iter().find(|placed| placed.id == node);
        found.map(|placed| parsed(&placed.value)).transpose()
    }
}
