//! Programs that are not ours.

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
