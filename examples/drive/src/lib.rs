//! A cloud drive: a folder that is the same on several devices. The rules are [`syncline::files`] and [`syncline::tree`];
//! here is everything that touches a disk.
//!
//! What must hold: no step follows a link out of the folder; every path holds its old or its new bytes at every moment;
//! what is not as a step says is left alone, and looked at again.
//!
//! Next: [`journal`] remembers, [`walk`] finds what is there, [`read`] reads a file once, [`steps`] carries out a step,
//! [`transfer`] sends and brings bytes, [`engine`] does all of it in turn, [`mounts`] for each of several trees, [`follow`] again
//! and again; [`view`] shows what is not here as well.

#![forbid(unsafe_code)]

pub mod credentials;
pub mod ear;
pub mod engine;
pub mod folder;
pub mod follow;
pub mod journal;
pub mod lock;
pub mod locks;
pub mod looks;
pub mod mounts;
pub mod read;
pub mod rules;
pub mod steps;
pub mod temp;
pub mod transfer;
pub mod uses;
pub mod view;
pub mod walk;
pub mod watch;
