//! One device at work: run from what its process was opened on, with what it was told since, up to where it waits.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use syncline::call::{Call, Reply};
use syncline::client::{
    CallError, Input as SessionInput, Phase, Replica, ReplicaError, ReplicaOptions, Session, Transport,
};
use syncline::store::{MemoryStore, Store};
use syncline::time::EnvSource;

use super::disk::Disk;
use super::fixed::{Draws, LOG, once, run, schema};
use super::plant::Plant;
use super::scope::Wrote;
use super::server::{Answer, debug_number};

/// What a process was told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// The answer to its call.
    Answer(Answer),
    /// There will be none.
    Lost,
    /// The call did not arrive.
    Unreachable,
    /// Its user writes.
    Write(Wrote, u8),
    /// It is to begin another conversation.
    Again,
}

/// Where it waits.
#[derive(Debug)]
pub(crate) enum Stands {
    /// For the answer to this.
    Asks(Box<Call>),
    /// Its conversation failed; it may begin another.
    Rests,
    /// All is done.
    Done,
    /// The power went.
    Cut,
    /// It should not be here.
    Broken(String),
}

/// What a process begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Birth {
    pub(crate) actor: u64,
    /// The number of what is stored.
    pub(crate) stored: u64,
    pub(crate) ahead_ms: u64,
    pub(crate) plant: Plant,
}

#[derive(Debug, Default)]
struct Wire {
    answers: Mutex<VecDeque<Result<Reply, CallError>>>,
    asked: Mutex<Option<Call>>,
}

#[async_trait]
impl Transport for Wire {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        *self.asked.lock().unwrap() = Some(call);
        loop {
            let answer = self.answers.lock().unwrap().pop_front();
            if let Some(answer) = answer {
                return answer;
            }
            // Whoever drives this polls when there is something new.
            let mut waited = false;
            std::future::poll_fn(
                |_| {
                    if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
                },
            )
            .await;
        }
    }
}

/// A device's process, opened.
struct Process {
    replica: Replica,
    disk: Arc<Disk>,
    draws: Arc<Draws>,
    wire: Wire,
}

type Talk<'p> = Pin<Box<dyn Future<Output = Result<Phase, ReplicaError>> + 'p>>;

impl Process {
    fn converse<'p>(&'p self, session: &'p mut Session) -> Talk<'p> {
        Box::pin(async {
            self.replica.advance(session, &self.wire).await?;
            Ok(session.phase())
        })
    }

    fn stands(&self, talk: &mut Talk<'_>) -> Stands {
        match once(talk.as_mut()) {
            Poll::Ready(Ok(Phase::Live)) => Stands::Done,
            Poll::Ready(Ok(_)) => Stands::Rests,
            Poll::Ready(Err(error)) => Stands::Broken(format!("a conversation ended with: {error}")),
            Poll::Pending if self.disk.is_off() => Stands::Cut,
            Poll::Pending => match self.wire.asked.lock().unwrap().take() {
                Some(call) => Stands::Asks(Box::new(call)),
                None => Stands::Broken("a conversation waits for nothing that will come".into()),
            },
        }
    }

    /// One conversation, told what comes until it is told to begin another. Gives what is left to tell, and a number for
    /// how the conversation stands.
    fn conversation<'t>(&self, mut told: &'t [Told], cut: Cut) -> (Stands, u64, &'t [Told]) {
        let mut session = match once(Box::pin(self.replica.session()).as_mut()) {
            Poll::Ready(Ok(session)) => session,
            Poll::Ready(Err(error)) => return (Stands::Broken(error.to_string()), 0, &[]),
            Poll::Pending => return (Stands::Cut, 0, &[]),
        };
        session.handle(SessionInput::Online, self.draws.env());
        let mut talk = self.converse(&mut session);
        let mut stands = self.stands(&mut talk);
        while let [what, rest @ ..] = told {
            if matches!(what, Told::Again) {
                break;
            }
            told = rest;
            cut.prepare(&self.disk, told);
            let answer = match what {
                Told::Answer(answered) => answered.clone().map_err(CallError::Refused),
                Told::Unreachable => Err(CallError::Unreachable("no network".into())),
                Told::Write(what, number) => {
                    if let Err(why) = self.write(*what, *number) {
                        return (Stands::Broken(why), 0, &[]);
                    }
                    continue;
                }
                Told::Lost | Told::Again => Err(CallError::Interrupted("cut".into())),
            };
            self.wire.answers.lock().unwrap().push_back(answer);
            stands = self.stands(&mut talk);
        }
        drop(talk);
        (stands, debug_number(&session), told)
    }

    fn write(&self, what: Wrote, number: u8) -> Result<(), String> {
        self.draws.writes(u64::from(number) + 1);
        let mut writing = Box::pin(write(&self.replica, what, number));
        let outcome = match once(writing.as_mut()) {
            Poll::Ready(outcome) => outcome.map_err(|error| format!("a write failed: {error}")),
            Poll::Pending => Err("a write waits for the network".into()),
        };
        self.draws.writes(0);
        outcome
    }
}

/// By how much the write with this number counts: a digit of its own, to the base 4.
pub(crate) const fn amount(number: u8) -> i64 {
    1 << (2 * number)
}

async fn write(replica: &Replica, what: Wrote, number: u8) -> Result<(), ReplicaError> {
    match what {
        Wrote::Counter => {
            replica.collection("counters")?.counter("hot")?.add(amount(number)).await?;
        }
        Wrote::Fields => {
            let fields = [(format!("w{number}"), 1), ("hot".to_owned(), number)];
            replica.collection("maps")?.named("hot").put(&std::collections::BTreeMap::from(fields)).await?;
        }
        Wrote::Causal => {
            replica.collection("causal")?.named("hot").set("hot", &number).await?;
        }
    }
    Ok(())
}

pub(crate) fn options() -> ReplicaOptions {
    let mut options = ReplicaOptions::default();
    options.schema = schema();
    options
}

/// When the power goes.
#[derive(Debug, Clone, Copy)]
struct Cut {
    after: Option<u32>,
}

impl Cut {
    /// Before the last thing that is told, or before the beginning where nothing is.
    fn prepare(self, disk: &Disk, left: &[Told]) {
        if let Some(commits) = self.after.filter(|_| left.is_empty()) {
            disk.works_for(commits);
        }
    }
}

/// Runs a process. With `cut_after`, the power goes after so many commits that the last thing it was told led to, or, where
/// it was told nothing, those of its beginning. What is stored is then in `store`. Gives where it stands, and a number for
/// how its conversation does.
pub(crate) fn process(store: &Arc<MemoryStore>, birth: Birth, told: &[Told], cut_after: Option<u32>) -> (Stands, u64) {
    let draws = Arc::new(Draws::new(birth.actor, birth.stored, birth.ahead_ms));
    let disk = Arc::new(Disk::new(Arc::clone(store), draws.stored(), birth.plant));
    let cut = Cut { after: cut_after };
    cut.prepare(&disk, told);
    let (on, env) = (Arc::clone(&disk) as Arc<dyn Store>, Arc::clone(&draws) as Arc<dyn EnvSource>);
    let mut opening = Box::pin(Replica::open(on, LOG, env, options()));
    let replica = match once(opening.as_mut()) {
        Poll::Ready(Ok(replica)) => replica,
        Poll::Ready(Err(error)) => return (Stands::Broken(format!("a replica does not open: {error}")), 0),
        Poll::Pending => return (Stands::Cut, 0),
    };
    let process = Process { replica, disk, draws, wire: Wire::default() };
    let mut told = told;
    loop {
        let (stands, number, left) = process.conversation(told, cut);
        let [Told::Again, rest @ ..] = left else { return (stands, number) };
        told = rest;
        cut.prepare(&process.disk, told);
    }
}

/// Opens a replica, lets its user write, and ends it.
pub(crate) fn write_alone(store: &Arc<MemoryStore>, birth: Birth, what: Wrote, number: u8) -> Result<(), String> {
    let draws = Arc::new(Draws::new(birth.actor, birth.stored, birth.ahead_ms));
    let disk = Arc::new(Disk::new(Arc::clone(store), draws.stored(), birth.plant));
    let (on, env) = (Arc::clone(&disk) as Arc<dyn Store>, Arc::clone(&draws) as Arc<dyn EnvSource>);
    let replica = run(Replica::open(on, LOG, env, options())).map_err(|error| format!("it does not open: {error}"))?;
    Process { replica, disk, draws, wire: Wire::default() }.write(what, number)
}
