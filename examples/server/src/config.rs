//! What can be set, from where, and what comes out: flags before environment before file before defaults. Unknown
//! fields are refused, and `--print-config` shows the one form that counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Parser;
use serde::{Deserialize, Serialize};
use syncline::id::BucketId;
use syncline::oplog::{Collection, ConflictPolicy, Rules, Schema};

use crate::super_productivity::{SpConfig, SpFlags};

/// Where the server listens when nothing is said.
const LISTEN: &str = "127.0.0.1:7110";
/// Where the data lives when nothing is said.
const DATA: &str = "./data";
/// The operator's bucket when nothing is said.
const BUCKET: &str = "00000000-0000-7000-8000-000000000001";
/// The policy of collections that are not named.
const OTHERWISE: Policy = Policy::Fields;
/// The collections when none are named: those whose content asks for something else than the newest edit of each field.
const COLLECTIONS: [(&str, Policy); 3] =
    [("notes", Policy::Text), ("files", Policy::Precondition), ("messages", Policy::Append)];

/// A sync server over HTTP.
#[derive(Debug, Parser)]
#[command(name = "syncline-server", version, about)]
pub(crate) struct Flags {
    /// A TOML file with the same settings; flags and environment go before it.
    #[arg(long, env = "SYNCLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:7110].
    #[arg(long, env = "SYNCLINE_LISTEN")]
    listen: Option<SocketAddr>,
    /// Folder for everything the server keeps [default: ./data].
    #[arg(long, env = "SYNCLINE_DATA")]
    data: Option<PathBuf>,
    /// `sqlite:PATH`, `postgres:URL` or `memory` [default: sqlite:DATA/syncline.db].
    #[arg(long, env = "SYNCLINE_STORE", hide_env_values = true)]
    store: Option<String>,
    /// Where blobs lie: `fs:PATH`, `s3:BUCKET` or `s3:BUCKET/PREFIX`, or `memory` [default: fs:DATA/blobs, or memory where
    /// the store is]. The keys of S3 are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    #[arg(long, env = "SYNCLINE_BLOBS")]
    blobs: Option<String>,
    /// The address of the S3 service; AWS itself when there is none.
    #[arg(long, env = "SYNCLINE_S3_ENDPOINT")]
    s3_endpoint: Option<String>,
    /// The region of the S3 service.
    #[arg(long, env = "AWS_REGION")]
    s3_region: Option<String>,
    /// Who looks into blobs of logs whose policy says so: `process:COMMAND` (the blob on standard input; exit code 0 clean,
    /// 1 found, 3 cannot be judged), `clamd:HOST:PORT` or `none` [default: none].
    #[arg(long, env = "SYNCLINE_SCANNER")]
    scanner: Option<String>,
    /// A command that prints a number which grows with what the scanner's process knows: then it is asked about everything
    /// again. clamd says so itself.
    #[arg(long, env = "SYNCLINE_SCANNER_VERSION")]
    scanner_version: Option<String>,
    /// The operator's token, at least 32 characters. On a loopback address one is made when it is missing.
    #[arg(long, env = "SYNCLINE_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// The operator's bucket [default: 00000000-0000-7000-8000-000000000001].
    #[arg(long, env = "SYNCLINE_BUCKET")]
    bucket: Option<BucketId>,
    /// A collection and its conflict policy: name=fields (the newest edit of each field wins), causal (an edit must have
    /// seen what it changes), merge (every payload is kept), precondition or append; or what its entities are, and then
    /// every edit is accepted and merged: text, counter, set, list, tree, register or document (fields in fields). It
    /// has to be what the devices say, or the server's snapshots are of no use to them. May be repeated; naming any
    /// replaces the built-in ones.
    #[arg(long = "collection", env = "SYNCLINE_COLLECTIONS", value_delimiter = ',', value_parser = pair)]
    collections: Option<Vec<(String, Policy)>>,
    /// The policy of every other collection [default: fields].
    #[arg(long, env = "SYNCLINE_OTHERWISE", value_enum)]
    otherwise: Option<Policy>,
    /// What to log, as in `info` or `syncline_transport_http=debug` [default: info].
    #[arg(long, env = "SYNCLINE_LOG")]
    log: Option<String>,
    /// How to log [default: text].
    #[arg(long, env = "SYNCLINE_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    #[command(flatten)]
    super_productivity: SpFlags,
    /// Print the settings that count, without secrets, and stop.
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    store: Option<String>,
    blobs: Option<String>,
    s3_endpoint: Option<String>,
    s3_region: Option<String>,
    scanner: Option<String>,
    scanner_version: Option<String>,
    admin_token: Option<String>,
    bucket: Option<BucketId>,
    collections: Option<BTreeMap<String, Policy>>,
    otherwise: Option<Policy>,
    log: Option<String>,
    log_format: Option<LogFormat>,
    #[serde(default)]
    super_productivity: SpConfig,
}

/// How conflicts in a collection are decided and its ops become state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "what a collection may follow")]
pub(crate) enum Policy {
    Fields,
    Causal,
    Merge,
    Precondition,
    Append,
    Text,
    Counter,
    Set,
    List,
    Tree,
    Register,
    Document,
}

/// The shape of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "lines or documents")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The settings that count.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) store: String,
    pub(crate) blobs: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_region: Option<String>,
    pub(crate) scanner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scanner_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin_token: Option<String>,
    pub(crate) bucket: BucketId,
    pub(crate) otherwise: Policy,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) collections: BTreeMap<String, Policy>,
    #[serde(skip_serializing_if = "SpConfig::is_unset")]
    pub(crate) super_productivity: SpConfig,
}

impl Config {
    /// Puts flags, environment, file and defaults together.
    pub(crate) fn load(flags: Flags) -> anyhow::Result<Self> {
        let file = match &flags.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                toml::from_str(&text).with_context(|| format!("{} does not read", path.display()))?
            }
        };
        let data = flags.data.or(file.data).unwrap_or_else(|| DATA.into());
        let store = flags.store.or(file.store);
        let store = store.unwrap_or_else(|| format!("sqlite:{}", data.join("syncline.db").display()));
        let blobs = flags.blobs.or(file.blobs).unwrap_or_else(|| match store.as_str() {
            "memory" => "memory".into(),
            _ => format!("fs:{}", data.join("blobs").display()),
        });
        let collections = flags.collections.map(|pairs| pairs.into_iter().collect()).or(file.collections);
        let config = Self {
            listen: pick(flags.listen, file.listen, LISTEN)?,
            store,
            blobs,
            s3_endpoint: flags.s3_endpoint.or(file.s3_endpoint),
            s3_region: flags.s3_region.or(file.s3_region),
            scanner: flags.scanner.or(file.scanner).unwrap_or_else(|| "none".into()),
            scanner_version: flags.scanner_version.or(file.scanner_version),
            data,
            admin_token: flags.admin_token.or(file.admin_token),
            bucket: pick(flags.bucket, file.bucket, BUCKET)?,
            otherwise: flags.otherwise.or(file.otherwise).unwrap_or(OTHERWISE),
            log: flags.log.or(file.log).unwrap_or_else(|| "info".into()),
            log_format: flags.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            collections: collections
                .unwrap_or_else(|| COLLECTIONS.map(|(name, policy)| (name.to_owned(), policy)).into()),
            super_productivity: SpConfig::of(flags.super_productivity, file.super_productivity),
        };
        config.schema()?;
        Ok(config)
    }

    /// As TOML, without secrets.
    pub(crate) fn printed(&self) -> anyhow::Result<String> {
        let mut shown = self.clone();
        if let Some(token) = &mut shown.admin_token {
            *token = "<redacted>".into();
        }
        shown.super_productivity.hide();
        shown.store = without_password(&shown.store);
        Ok(toml::to_string(&shown)?)
    }

    /// The rules of the collections.
    pub(crate) fn schema(&self) -> anyhow::Result<Schema> {
        self.collections.iter().try_fold(Schema::new(self.otherwise.rules()), |schema, (name, policy)| {
            let collection: Collection =
                name.parse().map_err(|error| anyhow::anyhow!("the collection {name:?} cannot be: {error}"))?;
            Ok(schema.with(collection, policy.rules()))
        })
    }
}

impl Policy {
    fn rules(self) -> Rules {
        match self {
            Self::Fields => Rules::fields(),
            Self::Causal => Rules::of(ConflictPolicy::Causal),
            Self::Merge => Rules::of(ConflictPolicy::Merge),
            Self::Precondition => Rules::of(ConflictPolicy::Precondition),
            Self::Append => Rules::of(ConflictPolicy::Append),
            Self::Text => Rules::text(),
            Self::Counter => Rules::counter(),
            Self::Set => Rules::set(),
            Self::List => Rules::list(),
            Self::Tree => Rules::tree(),
            Self::Register => Rules::register(),
            Self::Document => Rules::document(),
        }
    }
}

fn pick<T>(flag: Option<T>, file: Option<T>, default: &str) -> anyhow::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    match flag.or(file) {
        Some(value) => Ok(value),
        None => Ok(default.parse()?),
    }
}

fn pair(text: &str) -> anyhow::Result<(String, Policy)> {
    let Some((name, policy)) = text.split_once('=') else { bail!("write it as name=policy") };
    let policy = <Policy as clap::ValueEnum>::from_str(policy, false).map_err(anyhow::Error::msg)?;
    Ok((name.to_owned(), policy))
}

/// Hides what stands between `://user:` and `@`, and the values of the query, where a password may stand, too.
fn without_password(store: &str) -> String {
    let (address, query) = store.split_once('?').map_or((store, ""), |(address, _)| (address, "?<redacted>"));
    let Some((scheme, rest)) = address.split_once("://") else { return format!("{address}{query}") };
    let shown = match rest.rsplit_once('@') {
        Some((credentials, host)) => {
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            format!("{user}:<redacted>@{host}")
        }
        None => rest.to_owned(),
    };
    format!("{scheme}://{shown}{query}")
}
