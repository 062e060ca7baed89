//! How to reach a bucket, and how hard to try.

use std::fmt;
use std::time::Duration;

use object_store::RetryConfig;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use syncline::store::BlobError;

use crate::error::from_s3;
use crate::http::Connector;

/// Smallest part that S3 takes.
const PART_BYTES_MIN: usize = 5 << 20;

/// Where the blobs are and how to get at them. The crate's front page has the settings of known services.
#[derive(Clone)]
pub struct S3Options {
    bucket: String,
    endpoint: Option<String>,
    region: String,
    keys: Option<(String, String)>,
    pub(crate) prefix: String,
    pub(crate) part_bytes: usize,
    pub(crate) parts_at_once: usize,
    retries: usize,
    retry_for: Duration,
    timeout: Duration,
    checksums: bool,
}

impl S3Options {
    /// A bucket at AWS in `us-east-1`, with the keys of the environment, the instance or the pod.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            endpoint: None,
            region: "us-east-1".to_owned(),
            keys: None,
            prefix: String::new(),
            part_bytes: 8 << 20,
            parts_at_once: 2,
            retries: 10,
            retry_for: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
            checksums: true,
        }
    }

    /// Another service, as an address without the bucket; with `http://` the bytes travel in the open.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The region, as requests are signed for it.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// An access key and its secret.
    #[must_use]
    pub fn keys(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.keys = Some((id.into(), secret.into()));
        self
    }

    /// Begin of every object's name, without slashes at its ends; several stores may share a bucket.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Size of a part of a large blob and of a piece of an upload; a blob up to this size is put at once. From 5 MiB, 8
    /// MiB unless said otherwise. Each put and append holds up to this times [`S3Options::parts_at_once`] plus two in memory.
    #[must_use]
    pub fn part_bytes(mut self, bytes: usize) -> Self {
        self.part_bytes = bytes.max(PART_BYTES_MIN);
        self
    }

    /// Parts of one blob on their way at once, from 1; 2 unless said otherwise.
    #[must_use]
    pub fn parts_at_once(mut self, parts: usize) -> Self {
        self.parts_at_once = parts.max(1);
        self
    }

    /// How often a request that may be repeated is repeated (10 times), at growing and random intervals, and for how long
    /// at most (a minute).
    #[must_use]
    pub fn retries(mut self, times: usize, at_most: Duration) -> Self {
        (self.retries, self.retry_for) = (times, at_most);
        self
    }

    /// How long a request may take until its answer begins, and the answer between two pieces; 30 seconds unless said
    /// otherwise. A part has to be sent in this time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether bytes are sent with their SHA-256, so that the service refuses what was damaged on the way to it; yes unless
    /// said otherwise. Not every service holds a body against the hash in its signature. To be switched off for one that
    /// refuses such requests: damage is then found by whoever reads.
    #[must_use]
    pub fn checksums(mut self, send: bool) -> Self {
        self.checksums = send;
        self
    }

    pub(crate) fn client(&self) -> Result<AmazonS3, BlobError> {
        let plain = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        // Credentials from the environment are read only where they are wanted.
        let builder = if self.keys.is_none() { AmazonS3Builder::from_env() } else { AmazonS3Builder::new() };
        let mut builder = builder
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_allow_http(plain)
            .with_http_connector(Connector { timeout: self.timeout })
            .with_retry(RetryConfig {
                max_retries: self.retries,
                retry_timeout: self.retry_for,
                ..RetryConfig::default()
            });
        if self.checksums {
            builder = builder.with_checksum_algorithm(Checksum::SHA256);
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some((id, secret)) = &self.keys {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        builder.build().map_err(from_s3)
    }
}

/// Without the secret.
impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("key", &self.keys.as_ref().map(|(id, _)| id))
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
