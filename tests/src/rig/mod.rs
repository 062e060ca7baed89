//! Real servers for tests: started in a temporary folder, stopped and removed with whoever started them.
//!
//! What must hold: a missing server fails the test that needs it, in a sentence that names the remedy; nothing is
//! left running, not even when the test process is killed. See [`guard`] for how.
//!
//! Next: [`postgres`] starts clusters, [`proxy`] cuts connections to them, [`bouncer`] pools them; [`seaweed`] is an S3
//! server, [`faulty_s3`] a bad way to it; [`server`] runs ours.

pub mod bouncer;
pub mod faulty_s3;
pub mod guard;
pub mod postgres;
pub mod proxy;
pub mod seaweed;
pub mod server;

use std::path::PathBuf;

/// A program that `tests/install` puts into a folder below what is built, or one of that name on the `PATH`.
#[must_use]
pub fn installed(folder: &str, program: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let kept = own.iter().flat_map(|own| own.ancestors());
    let kept = kept.map(|built| built.join("test-servers").join(folder).join("bin").join(program));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(program));
    kept.chain(on_path).find(|program| program.is_file())
}
