//! The server's side: the rendezvous, and what it answers to announcements.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio_util::task::AbortOnDropHandle;

use super::fifo::{self, READ, Reader, WRITE, Writer};
use super::rendezvous::{HELLO, Id, Place, Scanner, TO_CLIENT, TO_SERVER};
use super::sweep::keep_swept;
use crate::transport::names::{OwnedName, lock_folder_of};
use crate::transport::{Accepted, Credentials, ListenOptions, Listener, Peer, ReadHalf, WriteHalf};
use crate::{Address, Error, Result};

/// What a pipe of a connection holds, where the system allows it (`/proc/sys/fs/pipe-user-pages-soft` bounds
/// what all pipes of a user hold). Linux's own default is 64 KiB.
const PIPE_BYTES: usize = 256 << 10;

struct Pipe {
    address: Address,
    /// Removed before the rendezvous is closed: as long as it is read, no other server takes its place.
    _name: OwnedName,
    rendezvous: Receiver,
    /// Keeps the rendezvous from ending when the last client closes it.
    _keeper: OwnedFd,
    _sweeper: AbortOnDropHandle<()>,
    place: Arc<Place>,
    scanner: Scanner,
    /// Announced and not yet answered.
    announced: VecDeque<Id>,
}

/// Makes the rendezvous at `path` and listens there. Its name may have 227 bytes: those of the
/// clients' folders are longer.
pub fn listen(path: &Path, options: &ListenOptions) -> Result<impl Listener + use<>> {
    let address = Address::Pipe(path.to_owned());
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse => Error::AddressInUse { address: address.clone() },
        _ => Error::os(format!("listen at {address}"), e),
    };
    let place = Arc::new(Place::of(path).map_err(failed)?);
    let (name, reader, keeper) = {
        let _lock = lock_folder_of(path).map_err(failed)?;
        clear_stale(path).map_err(failed)?;
        let name = fifo::make(path, 0o600).map_err(failed)?;
        let reader = fifo::open(path, READ).map_err(failed)?;
        let keeper = fifo::open(path, WRITE).map_err(failed)?;
        rustix::fs::fchmod(&reader, Mode::from_raw_mode(options.mode)).map_err(|e| failed(e.into()))?;
        (name, reader, keeper)
    };
    let rendezvous = Receiver::from_owned_fd_unchecked(reader).map_err(failed)?;
    let sweeper = AbortOnDropHandle::new(tokio::spawn(keep_swept(place.clone())));
    Ok(Pipe {
        address,
        _name: name,
        rendezvous,
        _keeper: keeper,
        _sweeper: sweeper,
        place,
        scanner: Scanner::default(),
        announced: VecDeque::new(),
    })
}

impl Listener for Pipe {
    fn address(&self) -> &Address {
        &self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted>> {
        async {
            let mut buffer = [0; 4096];
            loop {
                while let Some(id) = self.announced.pop_front() {
                    match admit(&self.place, &id) {
                        Ok(accepted) => return Ok(accepted),
                        // Not the client's fault: it keeps its place.
                        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => {
                            self.announced.push_front(id);
                            return Err(Error::os("accept", error));
                        }
                        Err(error) => tracing::debug!(client = %id, %error, "an announced client cannot be answered"),
                    }
                }
                let read = self.rendezvous.read(&mut buffer).await.map_err(|e| Error::os("accept", e))?;
                debug_assert_ne!(read, 0, "the keeper writes to it");
                self.announced.extend(self.scanner.scan(&buffer[..read]));
            }
        }
        .boxed()
    }
}

/// Removes the FIFO that a dead server left; fails with `AddrInUse` when somebody reads it.
fn clear_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_fifo() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is not a named pipe is in the way"));
        }
        Ok(_) => {}
    }
    match fifo::open(path, WRITE) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Opens what a client announced, and answers. Nothing here waits, whatever the client made.
fn admit(place: &Place, id: &Id) -> rustix::io::Result<Accepted> {
    let name = place.client_folder(id);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(&place.folder, &name, flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&folder)?;
    let reader = open_fifo_of(&owner, &folder, TO_SERVER, READ)?;
    let writer = open_fifo_of(&owner, &folder, TO_CLIENT, WRITE)?;
    // A FIFO that nobody has opened to write would never end. It reads as if at its end, and an open one
    // that is still empty fails.
    match rustix::io::read(&reader, &mut [0; 1]) {
        Err(Errno::WOULDBLOCK) => {}
        Ok(0) => return Err(Errno::PIPE),
        Ok(_) => return Err(Errno::PROTO),
        Err(error) => return Err(error),
    }
    // Where this user may not remove them (in /tmp, another's), the client does.
    let _ = rustix::fs::unlinkat(&folder, TO_SERVER, AtFlags::empty());
    let _ = rustix::fs::unlinkat(&folder, TO_CLIENT, AtFlags::empty());
    let _ = rustix::fs::unlinkat(&place.folder, &name, AtFlags::REMOVEDIR);
    for pipe in [&reader, &writer] {
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
    }
    if rustix::io::write(&writer, HELLO)? != HELLO.len() {
        return Err(Errno::PROTO);
    }
    let credentials = Some(Credentials { pid: None, uid: owner.st_uid, gid: owner.st_gid });
    Ok(Accepted::new(Peer { credentials, ..Peer::new("pipe") }, move || {
        let reader = Reader::new((), Receiver::from_owned_fd_unchecked(reader)?);
        let writer = Writer::new((), Sender::from_owned_fd_unchecked(writer)?);
        Ok((ReadHalf::new(reader), WriteHalf::new(writer)))
    }))
}

/// Opens a FIFO in a client's folder, and nothing that is not one or belongs to somebody else.
fn open_fifo_of(owner: &Stat, folder: &OwnedFd, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    // Looked at before it is opened, since opening a device may do something, and afterwards, since it may
    // have been exchanged.
    let before = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(before.st_mode) != FileType::Fifo || before.st_uid != owner.st_uid {
        return Err(Errno::PROTO);
    }
    let fifo = rustix::fs::openat(folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    let after = rustix::fs::fstat(&fifo)?;
    if (after.st_dev, after.st_ino) != (before.st_dev, before.st_ino) {
        return Err(Errno::PROTO);
    }
    Ok(fifo)
}
