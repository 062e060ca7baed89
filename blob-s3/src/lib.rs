//! The blob store of syncline over S3-compatible services. Its logic comes with the blob half of the engine; the
//! trait it will implement is [`syncline::store::BlobStore`].
