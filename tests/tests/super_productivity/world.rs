//! The servers of a scenario and the accounts on them: one process on SQLite, or two that share a Postgres.

use serde_json::json;
use syncline_tests::rig::postgres;
use syncline_tests::rig::server::{Process, TOKEN};

use super::api::Api;

/// What both servers sign tokens with.
const SECRET: &str = "a-token-secret-for-tests-0123456789abcdef";

/// Servers of one store.
#[derive(Debug)]
pub(crate) struct World {
    _data: tempfile::TempDir,
    servers: Vec<Process>,
}

impl World {
    fn start(store: Option<&str>, count: usize, more: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let flags = [&["--test-routes", "--sp-token-secret", SECRET][..], more].concat();
        let servers = (0..count).map(|_| Process::start_with(data.path(), store, &flags)).collect();
        Self { _data: data, servers }
    }

    pub(crate) fn sqlite(more: &[&str]) -> Self {
        Self::start(None, 1, more)
    }

    pub(crate) async fn two_on_postgres(more: &[&str]) -> Self {
        Self::start(Some(&format!("postgres:{}", postgres::fresh_schema_url().await)), 2, more)
    }

    /// The first server, for somebody without a token.
    pub(crate) fn front_door(&self) -> Api {
        Api::new(&self.servers[0].url, "")
    }

    /// The first server, for its operator.
    pub(crate) fn as_operator(&self) -> Api {
        Api::new(&self.servers[0].url, TOKEN)
    }

    /// A new account, seen through the first server.
    pub(crate) async fn account(&self, name: &str) -> Api {
        let api = self.front_door();
        let body = json!({"email": format!("{name}@example.org"), "password": "a long password"});
        let user = api.post("/api/test/create-user", &body).await;
        assert_eq!(user.status, 201, "{}", user.body);
        Api::new(&self.servers[0].url, user.body["token"].as_str().expect("a token"))
    }

    /// The most memory the first server ever held, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let pid = self.servers[0].pid().expect("running");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
        line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
    }

    /// The same account through another server, if there is one.
    pub(crate) fn elsewhere(&self, api: &Api) -> Api {
        api.at(&self.servers[self.servers.len() - 1].url)
    }
}

/// One scenario on both kinds of world.
macro_rules! on_both {
    ($scenario:ident, $sqlite:ident, $postgres:ident $(, $flag:literal)*) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $sqlite() {
            $scenario(&$crate::world::World::sqlite(&[$($flag),*])).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $postgres() {
            $scenario(&$crate::world::World::two_on_postgres(&[$($flag),*]).await).await;
        }
    };
}
pub(crate) use on_both;
