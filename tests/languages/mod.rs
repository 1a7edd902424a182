//! What tests need of the other languages, and what is said when it is not here.

use std::fs::File;
use std::path::{Path, PathBuf};

/// A part of a test for which something has to be installed is left out, but in CI, where everything is.
pub(crate) fn not_tried(what: &str, install: &str) {
    assert!(std::env::var("CI").is_err(), "{what} is not here: install {install}");
    eprintln!("not tried: {what}: install {install}");
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The folders of the clients in other languages, for one test at a time: tests build there.
pub(crate) struct Clients(#[allow(dead_code)] File);

impl Clients {
    /// Waits for the other tests that build there, of whatever process.
    pub(crate) fn alone() -> Self {
        let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients.lock")).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        Clients(lock)
    }
}
