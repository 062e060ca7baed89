//! A machine whose power, disk and syncs fail on demand, as an SQLite VFS. For tests only.
//!
//! What was written and not synced is volatile: when the power is cut, each of its sectors is kept, dropped or torn
//! as the seed says, in any order, and the files of the machine are what a disk would hold then. File contents live
//! in memory; the database's own file exists empty on the real disk, where its locks, its shared memory and its
//! identity are the system's.
//!
//! Why this package alone may contain `unsafe`: SQLite calls a VFS through a table of C functions, and there is no
//! safe wrapper of it. All of it is in `shim`; `machine` holds every decision and is safe code. Nothing that ships
//! depends on this package.

mod machine;
#[allow(unsafe_code, reason = "the C functions of a VFS")]
mod shim;

pub use machine::Machine;
