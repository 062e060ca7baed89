//! Reader threads and the reads of logs.
//!
//! What must hold: each read sees one state of the store, and steps over no more rows than its page holds and one.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::params;
use syncline::id::{BucketId, EntityId, LogId, LogKey};
use syncline::oplog::{Collection, EntityKey, Head, Snapshot};
use syncline::seq::Seq;
use syncline::store::{HeadPage, LogPage, LogSummary, PageLimit, StoreError, StoreErrorKind};

use crate::bodies::Bodies;
use crate::db::{Db, Next, Source};
use crate::error::{Failed, Outcome};
use crate::queue::{Queue, Worker, queue};
use crate::reply;
use crate::rows::{self, LogRow};

/// A read that somebody waits for; it answers by itself.
type Job = Box<dyn FnOnce(&mut Reader) + Send>;

/// Heads in a page, at most, that is read in the thread that asks, where that is wanted.
const SHORT: usize = 16;

/// The threads that read.
#[derive(Debug)]
pub(crate) struct Readers {
    jobs: Option<Queue<Job>>,
    threads: Vec<JoinHandle<()>>,
    /// For short reads without another thread.
    here: Option<Mutex<Reader>>,
}

impl Readers {
    /// Opens one connection a thread, so that a file that cannot be read is found out when it is opened.
    pub(crate) fn start(source: &Arc<Source>) -> Outcome<Self> {
        let (jobs, workers) = queue(source.options.readers);
        let reader = || -> Outcome<Reader> { Ok(Reader { source: Arc::clone(source), db: Some(Db::reader(source)?) }) };
        let here = source.options.read_here.then(reader).transpose()?.map(Mutex::new);
        let mut readers = Self { jobs: Some(jobs), threads: Vec::new(), here };
        for (number, worker) in workers.into_iter().enumerate() {
            let reader = reader()?;
            let thread = crate::spawn(&format!("syncline-read-{number}"), move || reader.run(&worker))?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// A page of heads: one statement, which sees one state of the store without a transaction around it.
    pub(crate) async fn heads(
        &self,
        log: LogKey,
        collection: Collection,
        after: Option<EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        let read = move |db: &Db| heads(db, log, &collection, after.as_ref(), limit);
        // Whoever is first; another one meanwhile asks the threads.
        if let Some(mut reader) = self.here.as_ref().filter(|_| limit <= SHORT).and_then(|here| here.try_lock().ok()) {
            return reader.statement(read).map_err(|failed| failed.during("heads"));
        }
        self.answer("heads", move |reader| reader.statement(read)).await
    }

    /// Runs a read on some thread, inside a read transaction.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Db) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.answer(operation, move |reader| reader.read(read)).await
    }

    async fn answer<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&mut Reader) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, reply) = reply::pair();
        let job: Job = Box::new(move |reader| {
            if !answer.is_abandoned() {
                answer.send(read(reader));
            }
        });
        let gone = || Failed::new(StoreErrorKind::Unavailable, "the reader threads have stopped");
        if let Some(jobs) = &self.jobs {
            jobs.send(job);
        }
        reply.await.unwrap_or_else(|| Err(gone())).map_err(|failed| failed.during(operation))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs = None;
        self.threads.drain(..).for_each(crate::join);
    }
}

#[derive(Debug)]
struct Reader {
    source: Arc<Source>,
    /// `None` after a failure, until the next read.
    db: Option<Db>,
}

impl Reader {
    fn run(mut self, jobs: &Worker<Job>) {
        while let Some(job) = jobs.next() {
            job(&mut self);
        }
    }

    fn read<T>(&mut self, read: impl FnOnce(&Db) -> Outcome<T>) -> Outcome<T> {
        let db = self.connection()?;
        db.run("BEGIN", [])?;
        let outcome = read(&db);
        // A connection that cannot end its transaction is not used again.
        if db.run("COMMIT", []).is_ok() {
            self.db = Some(db);
        }
        outcome
    }

    /// A read of one statement. A connection that it failed on is not used again.
    fn statement<T>(&mut self, read: impl FnOnce(&Db) -> Outcome<T>) -> Outcome<T> {
        let db = self.connection()?;
        let outcome = read(&db);
        if outcome.is_ok() {
            self.db = Some(db);
        }
        outcome
    }

    fn connection(&mut self) -> Outcome<Db> {
        self.source.guard.check()?;
        match self.db.take() {
            Some(db) => Ok(db),
            None => Db::reader(&self.source),
        }
    }
}

pub(crate) fn ops_after(db: &Db, log: LogKey, after: Seq, limit: PageLimit) -> Outcome<LogPage> {
    let Some(row) = LogRow::find(db, log)? else {
        return Ok(LogPage { bounds: None, anchor: None, ops: Vec::new() });
    };
    let (origin, last) = (row.bounds.tip.origin, row.bounds.last);
    let left = usize::try_from(last.get().saturating_sub(after.get())).unwrap_or(usize::MAX);
    let most = left.min(limit.ops_max());
    let mut ops = Vec::with_capacity(most);
    let (mut held, mut bodies) = (0, Bodies::default());
    if after < last {
        db.each(
            "SELECT seq, digest, anchor, accepted_at, batch_rest, body FROM op
             WHERE log = ?1 AND seq > ?2 ORDER BY seq",
            params![row.id, rows::number(after.get())?],
            |op| {
                let seq = rows::seq(op, 0)?;
                if seq > last {
                    return Err(Failed::corrupt(format!("op {seq} stands behind {last}, the end of its log")));
                }
                let body = rows::blob(op, 5)?;
                if !limit.takes(ops.len(), held, body.len()) {
                    return Ok(Next::Stop);
                }
                held += body.len();
                let body = bodies.keep(body, most.saturating_sub(ops.len()));
                ops.push(rows::logged_op(op, origin, seq, body)?);
                Ok(if ops.len() < limit.ops_max() { Next::More } else { Next::Stop })
            },
        )?;
    }
    Ok(LogPage { anchor: row.anchor(db, after)?, bounds: Some(row.bounds), ops })
}

fn heads(db: &Db, log: LogKey, collection: &Collection, after: Option<&EntityKey>, limit: usize) -> Outcome<HeadPage> {
    let nothing = HeadPage { heads: Vec::new(), more: false };
    // The key to start behind may be of another collection, and then all of this one is before or behind it.
    let start: Option<EntityId> = match after {
        Some(after) if after.collection > *collection => return Ok(nothing),
        Some(after) if after.collection == *collection => Some(after.entity),
        _ => None,
    };
    let start: &[u8] = start.as_ref().map_or(&[], |entity| entity.as_bytes());
    let (mut found, mut more) = (Vec::new(), false);
    db.each(
        "SELECT entity, body FROM head
         WHERE log = (SELECT id FROM log WHERE bucket = ?1 AND log = ?2) AND collection = ?3 AND entity > ?4
         ORDER BY entity",
        params![log.bucket.as_bytes(), log.log.as_bytes(), collection.as_str().as_bytes(), start],
        |head| {
            if found.len() == limit {
                more = true;
                return Ok(Next::Stop);
            }
            let entity = EntityId::from_bytes(rows::fixed(head, 0)?);
            let key = EntityKey { collection: collection.clone(), entity };
            found.push((key, Head::from_bytes(rows::bytes(head, 1)?)?));
            Ok(Next::More)
        },
    )?;
    Ok(HeadPage { heads: found, more })
}

pub(crate) fn snapshot(db: &Db, log: LogKey, at: Seq) -> Outcome<Option<Snapshot>> {
    LogRow::find(db, log)?.map_or(Ok(None), |row| row.snapshot(db, at))
}

pub(crate) fn logs(db: &Db, bucket: BucketId, after: Option<LogId>, limit: usize) -> Outcome<Vec<LogSummary>> {
    let after: &[u8] = after.as_ref().map_or(&[], |log| log.as_bytes());
    let mut found = Vec::new();
    db.each(
        "SELECT log, bounds FROM log WHERE bucket = ?1 AND log > ?2 ORDER BY log",
        params![bucket.as_bytes(), after],
        |row| {
            if found.len() == limit {
                return Ok(Next::Stop);
            }
            found.push(rows::summary(row)?);
            Ok(Next::More)
        },
    )?;
    Ok(found)
}
