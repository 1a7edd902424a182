//! Names in the file system that a server claims, and that nobody else's place is taken by.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// A name and what it stood for when it was looked at, which tells whether another has taken its place.
#[derive(Clone)]
pub(super) struct Name {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// A name that this process made and removes when it is done, unless another has taken its place.
pub(super) struct OwnedName(Name);

impl Name {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(Name { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the name, unless it stands for something else by now.
    pub(super) fn remove(&self) {
        let same = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode));
        if same {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl OwnedName {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Name::of(path).map(OwnedName)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for OwnedName {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// Holds the folder of `path` against other servers that are about to claim a name in it, until dropped.
pub(super) fn lock_folder_of(path: &Path) -> io::Result<File> {
    lock(path, FlockOperation::LockExclusive)
}

/// As [`lock_folder_of`], but fails where that would wait.
pub(super) fn try_lock_folder_of(path: &Path) -> io::Result<File> {
    lock(path, FlockOperation::NonBlockingLockExclusive)
}

/// The folder that a name is in: `.` for a name alone.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn lock(path: &Path, operation: FlockOperation) -> io::Result<File> {
    let folder = File::open(folder_of(path))?;
    rustix::fs::flock(&folder, operation)?;
    Ok(folder)
}
