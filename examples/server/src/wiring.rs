//! Which store, which bus and which scanner: the only file that names backends.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use syncline::store::{BlobStore, Fanout, MemoryBlobs, MemoryFanout, MemoryStore, Scanner, Store};
use syncline_blob_fs::FsBlobs;
use syncline_blob_s3::{S3Blobs, S3Options};
use syncline_scan::{ClamdScanner, ProcessScanner};
use syncline_storage_postgres::{PostgresFanout, PostgresOptions, PostgresStore};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

use crate::config::Config;

/// What the server runs on.
pub(crate) struct Backends {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) fanout: Arc<dyn Fanout>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) scanner: Option<Arc<dyn Scanner>>,
}

/// Opens what the settings name.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Backends> {
    let (store, fanout) = open_store(config).await?;
    Ok(Backends { store, fanout, blobs: open_blobs(config).await?, scanner: open_scanner(config)? })
}

type Stores = (Arc<dyn Store>, Arc<dyn Fanout>);

async fn open_store(config: &Config) -> anyhow::Result<Stores> {
    match split(&config.store) {
        ("memory", "") => Ok((Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()))),
        ("sqlite", path) if !path.is_empty() => {
            let store = open_sqlite(path.into()).await?;
            Ok((Arc::new(store), Arc::new(MemoryFanout::new())))
        }
        ("postgres" | "postgresql", _) => {
            let url = config.store.strip_prefix("postgres:").filter(|rest| rest.contains("://"));
            let options = PostgresOptions::new(url.unwrap_or(&config.store));
            let store = PostgresStore::connect(&options).await.context("cannot use the database")?;
            let fanout = PostgresFanout::connect(&options).await.context("cannot listen to the database")?;
            Ok((Arc::new(store), Arc::new(fanout)))
        }
        _ => bail!("a store is sqlite:PATH, postgres:URL or memory, not {:?}", config.store.split(':').next()),
    }
}

async fn open_blobs(config: &Config) -> anyhow::Result<Arc<dyn BlobStore>> {
    match split(&config.blobs) {
        ("memory", "") => Ok(Arc::new(MemoryBlobs::new())),
        ("fs", path) if !path.is_empty() => {
            let path = PathBuf::from(path);
            let shown = path.display().to_string();
            let opened = tokio::task::spawn_blocking(move || FsBlobs::open(path)).await?;
            Ok(Arc::new(opened.with_context(|| format!("cannot keep blobs in {shown}"))?))
        }
        ("s3", place) if !place.is_empty() => {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            let mut options = S3Options::new(bucket).prefix(prefix);
            if let Some(endpoint) = &config.s3_endpoint {
                options = options.endpoint(endpoint);
            }
            if let Some(region) = &config.s3_region {
                options = options.region(region);
            }
            if let (Ok(id), Ok(secret)) = (env::var("AWS_ACCESS_KEY_ID"), env::var("AWS_SECRET_ACCESS_KEY")) {
                options = options.keys(id, secret);
            }
            let connected = S3Blobs::connect(&options).await;
            Ok(Arc::new(connected.with_context(|| format!("cannot keep blobs in the S3 bucket {bucket}"))?))
        }
        _ => bail!("blobs are in fs:PATH, s3:BUCKET or memory, not in {:?}", config.blobs),
    }
}

fn open_scanner(config: &Config) -> anyhow::Result<Option<Arc<dyn Scanner>>> {
    match split(&config.scanner) {
        ("none", "") => Ok(None),
        ("process", command) if !command.is_empty() => {
            let scanner = ProcessScanner::new(command);
            Ok(Some(Arc::new(match &config.scanner_version {
                Some(version) => scanner.version(version),
                None => scanner,
            })))
        }
        ("clamd", address) if address.contains(':') => Ok(Some(Arc::new(ClamdScanner::new(address)))),
        _ => bail!("a scanner is process:COMMAND, clamd:HOST:PORT or none, not {:?}", config.scanner),
    }
}

async fn open_sqlite(path: PathBuf) -> anyhow::Result<SqliteStore> {
    let shown = path.display().to_string();
    let open = move || {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok::<_, anyhow::Error>(SqliteStore::open(SqliteOptions::new(&path))?)
    };
    tokio::task::spawn_blocking(open).await?.with_context(|| format!("cannot open {shown}"))
}

/// `scheme:rest`.
fn split(store: &str) -> (&str, &str) {
    store.split_once(':').unwrap_or((store, ""))
}
