//! What every contestant can do. Positions count characters; the traces used are ASCII, so that bytes agree.

/// One library's text document.
pub trait Peer {
    const NAME: &'static str;
    type Doc;
    type Update: Clone;

    /// An empty document of writer `agent`.
    fn new(agent: u64) -> Self::Doc;
    fn edit(doc: &mut Self::Doc, at: usize, deleted: usize, inserted: &str);
    /// What was written here since the last call.
    fn update(doc: &mut Self::Doc) -> Self::Update;
    /// Bytes of an update on the wire.
    fn size(update: &Self::Update) -> usize;
    fn apply(doc: &mut Self::Doc, update: &Self::Update);
    fn apply_all(doc: &mut Self::Doc, updates: &[Self::Update]) {
        for update in updates {
            Self::apply(doc, update);
        }
    }
    fn text(doc: &mut Self::Doc) -> String;
    /// With the whole history.
    fn save(doc: &mut Self::Doc) -> Vec<u8>;
    /// To the text that can be shown.
    fn load(bytes: &[u8]) -> Self::Doc;
}
