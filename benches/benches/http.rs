//! What does a server add to its store's own work? Only the server's threads are counted, not its client's.

use std::collections::VecDeque;
use std::sync::Arc;

use syncline::call::{Call, Push, Reply};
use syncline::client::Transport as _;
use syncline::server::Server;
use syncline::store::{MemoryFanout, PageLimit, Store};
use syncline::{Cursor, Seq, oplog::Op};
use syncline_benches::measure::{Meter, compare};
use syncline_benches::ops::{Author, env, log, push, schema, upload};
use syncline_benches::scale;
use syncline_benches::table::{self, Aim};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_transport_http::client::{ClientOptions, Form, HttpClient};
use syncline_transport_http::server::{App, ServerOptions, Tokens, serve};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

const TOKEN: &str = "a token for the length of this bench and no longer";
/// The server's runtime and the store's threads.
const SERVER: [&str; 2] = ["server", "syncline-"];
const BATCH: usize = 100;
const OURS: u32 = 0;
const FLOOR: u32 = 1;

fn main() -> anyhow::Result<()> {
    let world = World::start()?;
    table::begin("Over HTTP to a server on SQLite, durable; CPU of the server's threads; floor the store alone");
    world.pushes(Form::Binary, "push of 100, binary", Aim::Cost(2.0))?;
    world.pushes(Form::Json, "push of 100, JSON", Aim::Cost(2.0))?;
    world.pages(Form::Binary, "page of 500, binary")?;
    world.pages(Form::Json, "page of 500, JSON")?;
    world.stop()
}

/// A server on a socket, and whoever asks it.
struct World {
    server: Runtime,
    client: Runtime,
    store: Arc<dyn Store>,
    url: String,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

impl World {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(SqliteOptions::new(folder.path().join("ours.db")))?);
        let server = Builder::new_multi_thread().enable_all().thread_name("server").build()?;
        let client = Builder::new_current_thread().enable_all().build()?;
        let engine = Server::new(Arc::clone(&store), Arc::new(MemoryFanout::new()), schema());
        let tokens = Tokens::new(engine.clone()).with_operator(TOKEN, log(0).bucket);
        let options = ServerOptions { stop_notice: std::time::Duration::ZERO, ..ServerOptions::default() };
        let app = App::new(engine, tokens, options);
        let listener = server.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = server.spawn(serve(listener, app, async { drop(stopped.await) }));
        Ok(Self { server, client, store, url, stop, serving, _folder: folder })
    }

    fn dial(&self, form: Form) -> anyhow::Result<HttpClient> {
        Ok(HttpClient::new(ClientOptions::new(&self.url, TOKEN).form(form))?)
    }

    /// The same ops through the server and into its store directly, by a task of the server.
    fn pushes(&self, form: Form, question: &str, aim: Aim) -> anyhow::Result<()> {
        let (pairs, batches) = (scale(9, 1), scale(100, 2));
        let place = |log_number: u32| log(log_number + if form == Form::Json { 10 } else { 20 });
        let (mut author, before) = Author::of_log()?;
        for number in [OURS, FLOOR] {
            self.client.block_on(push(&*self.store, upload(place(number), before.clone()), env(0)?))?;
        }
        let mut waiting = VecDeque::new();
        for _ in 0..batches * (pairs + 1) {
            waiting.push_back(author.batch(BATCH)?);
        }
        let mut waiting_floor = waiting.clone();
        let http = self.dial(form)?;
        let mut ours = || {
            let mut done = 0;
            for ops in waiting.drain(..batches) {
                done += ops.len() as u64;
                self.client.block_on(push_over(&http, place(OURS).log, ops))?;
            }
            Ok(done)
        };
        let mut floor = || {
            let batches: Vec<Vec<Op>> = waiting_floor.drain(..batches).collect();
            let (store, log) = (Arc::clone(&self.store), place(FLOOR));
            let work = self.server.spawn(async move {
                let mut done = 0;
                for ops in batches {
                    done += push(&*store, upload(log, ops), env(1)?).await?;
                }
                anyhow::Ok(done)
            });
            self.client.block_on(work)?
        };
        let compared = compare(Meter::of_threads(&SERVER), pairs, &mut ours, &mut floor)?;
        table::row(question, "op", &compared, aim);
        Ok(())
    }

    /// The page the store reads, over the wire and alone.
    fn pages(&self, form: Form, question: &str) -> anyhow::Result<()> {
        let (pairs, pages) = (scale(9, 1), scale(100, 2));
        let place = log(30);
        if self.client.block_on(self.store.ops_after(place, Seq::ZERO, PageLimit::default()))?.bounds.is_none() {
            let (mut author, mut ops) = Author::of_log()?;
            ops.extend(author.batch(598)?);
            self.client.block_on(push(&*self.store, upload(place, ops), env(0)?))?;
        }
        let http = self.dial(form)?;
        let mut ours = || {
            let mut done = 0;
            for _ in 0..pages {
                let call = Call::Pull { log: place.log, cursor: Cursor::START, limit: PageLimit::default() };
                match self.client.block_on(http.call(call))? {
                    Reply::Pulled(page) => done += page.ops.len() as u64,
                    other => anyhow::bail!("not a page: {other:?}"),
                }
            }
            Ok(done)
        };
        let mut floor = || {
            let store = Arc::clone(&self.store);
            let work = self.server.spawn(async move {
                let mut done = 0;
                for _ in 0..pages {
                    done += store.ops_after(place, Seq::ZERO, PageLimit::default()).await?.ops.len() as u64;
                }
                anyhow::Ok(done)
            });
            self.client.block_on(work)?
        };
        let compared = compare(Meter::of_threads(&SERVER), pairs, &mut ours, &mut floor)?;
        table::row(question, "op", &compared, Aim::Known);
        Ok(())
    }

    fn stop(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.stop.send(()).is_ok(), "the server stopped before it was told to");
        Ok(self.client.block_on(self.serving)??)
    }
}

async fn push_over(http: &HttpClient, log: syncline::LogId, ops: Vec<Op>) -> anyhow::Result<()> {
    let count = ops.len();
    let push = Push { log, request: None, cursor: None, atomic: false, ops };
    match http.call(Call::Push(push)).await? {
        Reply::Pushed(pushed) => {
            let accepted = pushed.verdicts.iter().filter(|verdict| verdict.seq().is_some()).count();
            anyhow::ensure!(accepted == count, "{accepted} of {count} ops were accepted");
            Ok(())
        }
        other => anyhow::bail!("not an answer to a push: {other:?}"),
    }
}
