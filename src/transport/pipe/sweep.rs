//! Removes the folders of clients that died before the server answered them.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::rendezvous::{Id, Place, TO_CLIENT, TO_SERVER};

/// How long after a client's folder appeared, or was last seen with its client alive, it is looked at.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the folder is looked through when the system has no more watches to give.
const PAUSE_WITHOUT_WATCH: Duration = Duration::from_secs(10);

/// Sees new names in the folder of the rendezvous.
struct Watch(AsyncFd<OwnedFd>);

/// Sweeps whenever there may be something to sweep; sleeps while there is no folder of a client.
pub(super) async fn keep_swept(place: Arc<Place>) {
    let watch = Watch::new(&place)
        .inspect_err(|error| tracing::debug!(%error, "no watch for folders of dead clients: looking now and then"))
        .ok();
    loop {
        while sweep(&place) {
            tokio::time::sleep(PAUSE).await;
        }
        match &watch {
            Some(watch) => {
                watch.client_folder(&place).await;
                tokio::time::sleep(PAUSE).await;
            }
            None => tokio::time::sleep(PAUSE_WITHOUT_WATCH).await,
        }
    }
}

/// Removes the folders of dead clients. True while there are some of live ones.
pub(super) fn sweep(place: &Place) -> bool {
    let Ok(entries) = Dir::read_from(&place.folder) else { return false };
    let mut live = false;
    for entry in entries.flatten() {
        if let Some(id) = place.client_of(entry.file_name().to_bytes()) {
            match remove_if_dead(place, &id) {
                Ok(()) => tracing::debug!(client = %id, "removed the folder of a dead client"),
                Err(Errno::WOULDBLOCK) => live = true,
                Err(Errno::NOENT) => {}
                Err(error) => tracing::debug!(client = %id, %error, "cannot remove the folder of a client"),
            }
        }
    }
    live
}

/// Fails with `EWOULDBLOCK` when the client lives: it holds the lock.
fn remove_if_dead(place: &Place, id: &Id) -> rustix::io::Result<()> {
    let name = place.client_folder(id);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(&place.folder, &name, flags, Mode::empty())?;
    rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
    for fifo in [TO_SERVER, TO_CLIENT] {
        let status = rustix::fs::statat(&folder, fifo, AtFlags::SYMLINK_NOFOLLOW);
        if status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Fifo) {
            rustix::fs::unlinkat(&folder, fifo, AtFlags::empty())?;
        }
    }
    rustix::fs::unlinkat(&place.folder, &name, AtFlags::REMOVEDIR)
}

impl Watch {
    #[allow(deprecated, reason = "an OwnedFd stays open as long as it is registered, which `new` cannot know")]
    fn new(place: &Place) -> io::Result<Self> {
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        inotify::add_watch(&watch, &place.folder_path, WatchFlags::CREATE | WatchFlags::ONLYDIR)?;
        AsyncFd::new(watch).map(Watch)
    }

    /// Waits until a client has made a folder since the last time.
    async fn client_folder(&self, place: &Place) {
        while let Ok(mut guard) = self.0.readable().await {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(self.0.get_ref(), &mut buffer);
            let mut seen = false;
            while let Ok(event) = events.next() {
                let name = event.file_name().map_or(OsStr::new(""), |name| OsStr::from_bytes(name.to_bytes()));
                // After an overflow events are missing, of whatever names.
                seen |=
                    event.events().contains(ReadFlags::QUEUE_OVERFLOW) || place.client_of(name.as_bytes()).is_some();
            }
            guard.clear_ready();
            if seen {
                return;
            }
        }
        // The runtime is shutting down.
        std::future::pending().await
    }
}
