//! Logs to files and back. The file's form is [`archive`](crate::archive).

mod batch;
mod export;
mod import;
#[cfg(test)]
mod tests;

pub(super) use export::export;
pub(super) use import::import;
