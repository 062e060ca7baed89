//! Blobs in a bucket of an S3-compatible service: [`S3Blobs`] is a [`BlobStore`](syncline::store::BlobStore).
//!
//! What must hold: our own hash is the only truth: a blob is made visible only after all its bytes hashed to its name,
//! and ETags and checksums of the service are never asked; a list is a hint, whatever depends on it is asked again by
//! name; what must be made once is made by a conditional put. Any number of servers may use one bucket and prefix.
//!
//! # What the service must do
//!
//! Conditional puts (`If-None-Match: *`), strongly consistent reads after writes, ListObjectsV2 in the order of keys,
//! multipart uploads, ranged reads. [`S3Blobs::connect`] tries the first, for services are known that overwrite silently.
//!
//! | service | settings |
//! |---|---|
//! | AWS S3 | `S3Options::new(bucket)`, `region`; keys, or none for those of the environment, the instance or the pod. Not S3 Express: its lists have no order |
//! | MinIO | `endpoint("https://minio.example:9000")`, keys; a release from 2024 or later for conditional puts |
//! | Cloudflare R2 | `endpoint("https://<account>.r2.cloudflarestorage.com")`, `region("auto")`, keys. All parts but the last have one size, as it wants |
//! | SeaweedFS | `endpoint("http://host:8333")`, keys. What the tests run against |
//!
//! Needed permissions: get, put, delete and list (`s3:GetObject`, `s3:PutObject`, `s3:DeleteObject`,
//! `s3:AbortMultipartUpload`, and `s3:ListBucket`, without which an absent blob is answered as a forbidden one). Give
//! the bucket a rule that aborts incomplete multipart uploads after some days: a server that dies in a large put leaves
//! invisible parts, which cost money and nothing else.
//!
//! # What is where
//!
//! ```text
//! <prefix>/format                               the version of all this
//! <prefix>/blobs/<bucket>/<hash>                a blob
//! <prefix>/uploads/<bucket>/<upload>/<number>   a piece of an upload, behind its mark
//! ```
//!
//! Uploads are pieces with names of their own and not parts of a multipart upload: a piece is made by one conditional
//! put together with the state of the hash behind it, so of two servers at one offset one wins, pieces may have any size,
//! and nothing has to be kept elsewhere. The price: on finishing, the pieces pass through the server once more.
//!
//! Next: `put` for small and large blobs, `upload` for what may be continued, `http` for why there is an HTTP client.

mod error;
mod http;
mod layout;
mod options;
mod put;
mod read;
mod store;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::signer::Signer as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode};
use syncline::store::{BlobError, BlobKey};

use error::from_s3;
use layout::Layout;
pub use options::S3Options;

const FORMAT: &[u8] = b"syncline blobs 1\n";

/// Blobs in a bucket. Cheap to clone; all clones are one store.
#[derive(Debug, Clone)]
pub struct S3Blobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    s3: AmazonS3,
    layout: Layout,
    part_bytes: usize,
    parts_at_once: usize,
}

impl S3Blobs {
    /// Connects, and finds out that the bucket is there and that conditional puts are kept.
    ///
    /// # Errors
    /// [`BlobError::Denied`] for wrong keys or too few permissions; [`BlobError::Unavailable`] when the service does not
    /// answer, there is no such bucket, conditional puts overwrite, the prefix is of another version of ours, or an option
    /// makes no sense.
    pub async fn connect(options: &S3Options) -> Result<Self, BlobError> {
        let s3 = options.client()?;
        let layout = Layout::new(options.prefix.clone());
        let inner = Inner { s3, layout, part_bytes: options.part_bytes, parts_at_once: options.parts_at_once };
        inner.claim().await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// An address from which anybody can read this blob until `valid` has passed, straight from the service. Whether the
    /// blob is there is not asked, and whoever reads has to verify it.
    ///
    /// # Errors
    /// [`BlobError::Denied`] and [`BlobError::Unavailable`]: there are no keys to sign with.
    pub async fn read_url(&self, key: BlobKey, valid: Duration) -> Result<String, BlobError> {
        let path = self.inner.layout.blob(key);
        let url = self.inner.s3.signed_url(::http::Method::GET, &path, valid).await.map_err(from_s3)?;
        Ok(url.into())
    }
}

impl Inner {
    /// Makes the format object, once; the second time must be refused.
    async fn claim(&self) -> Result<(), BlobError> {
        let path = self.layout.format();
        for _ in 0..2 {
            match self.s3.put_opts(&path, FORMAT.into(), PutMode::Create.into()).await {
                Ok(_) => {}
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    let found = async { self.s3.get(&path).await?.bytes().await };
                    return match found.await.map_err(from_s3)? {
                        format if format == FORMAT => Ok(()),
                        _ => Err(unusable("the prefix holds something else than blobs of this version")),
                    };
                }
                // Of a put, it is the bucket that is not there.
                Err(object_store::Error::NotFound { source, .. }) => return Err(BlobError::Unavailable(source)),
                Err(error) => return Err(from_s3(error)),
            }
        }
        Err(unusable("the service overwrites where it was told to create: conditional puts are needed"))
    }
}

fn unusable(why: &'static str) -> BlobError {
    BlobError::Unavailable(why.into())
}
