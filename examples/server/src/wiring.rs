//! Which store and which bus: the only file that names backends.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use syncline::store::{Fanout, MemoryFanout, MemoryStore, Store};
use syncline_storage_postgres::{PostgresFanout, PostgresOptions, PostgresStore};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

use crate::config::Config;

/// What the server runs on.
pub(crate) struct Backends {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) fanout: Arc<dyn Fanout>,
}

/// Opens what the settings name.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Backends> {
    match split(&config.store) {
        ("memory", "") => Ok(Backends { store: Arc::new(MemoryStore::new()), fanout: Arc::new(MemoryFanout::new()) }),
        ("sqlite", path) if !path.is_empty() => {
            let store = open_sqlite(path.into()).await?;
            Ok(Backends { store: Arc::new(store), fanout: Arc::new(MemoryFanout::new()) })
        }
        ("postgres" | "postgresql", _) => {
            let url = config.store.strip_prefix("postgres:").filter(|rest| rest.contains("://"));
            let options = PostgresOptions::new(url.unwrap_or(&config.store));
            let store = PostgresStore::connect(&options).await.context("cannot use the database")?;
            let fanout = PostgresFanout::connect(&options).await.context("cannot listen to the database")?;
            Ok(Backends { store: Arc::new(store), fanout: Arc::new(fanout) })
        }
        _ => bail!("a store is sqlite:PATH, postgres:URL or memory, not {:?}", config.store.split(':').next()),
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
