//! Stores blobs in a folder and says what is done: the process that `blob_faults` makes fail.

fn main() {
    if let Some(root) = std::env::args_os().nth(1) {
        syncline_faults::blobs::disk::work(root.as_ref());
    }
}
