//! Several sources of signals as one.

use async_trait::async_trait;
use futures_util::future::select_all;
use syncline::store::{Signal, SignalSource};

/// Whoever of them hears something; it ends when one of them does, so that all are asked for again.
#[derive(Debug)]
struct Any(Vec<Box<dyn SignalSource>>);

/// One source of several; `None` when there are none.
pub(super) fn any(sources: Vec<Box<dyn SignalSource>>) -> Option<Box<dyn SignalSource>> {
    if sources.is_empty() { None } else { Some(Box::new(Any(sources))) }
}

#[async_trait]
impl SignalSource for Any {
    async fn next(&mut self) -> Option<Signal> {
        select_all(self.0.iter_mut().map(|source| source.next())).await.0
    }
}
