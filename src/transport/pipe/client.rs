//! The client's side of the handshake.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::fifo::{self, READ, Reader, WRITE, Writer};
use super::rendezvous::{HELLO, Id, Place, TO_CLIENT, TO_SERVER};
use crate::transport::names::{Name, try_lock_folder_of};
use crate::transport::{Credentials, Peer, ReadHalf, Stream, WriteHalf};
use crate::{Address, Error, Limits, Result};

/// How often a folder that the server swept away is made again.
const ATTEMPTS: usize = 100;

/// When a client whose connection ended looks again whether the server is dead.
const SECOND_LOOK: Duration = Duration::from_millis(200);

/// The server's rendezvous, open for announcements.
pub(super) struct Rendezvous {
    pub(super) place: Place,
    address: Address,
    sender: Sender,
    peer: Peer,
    owner: u32,
    witness: Witness,
}

/// A client's folder with its two FIFOs, locked. It is removed when this is dropped.
pub(super) struct Folder<'a> {
    pub(super) id: Id,
    place: &'a Place,
    folder: OwnedFd,
}

/// The client's ends of its FIFOs.
pub(super) struct Ends {
    reader: Receiver,
    writer: Sender,
    /// Lets the client open its own FIFO to write. While it is there the server's death goes unnoticed.
    keeper: OwnedFd,
}

/// Saw a live server at a rendezvous, and removes the rendezvous when it is dropped and the server was
/// killed: then only the clients are left to do so.
struct Witness(Name);

/// Connects to the server that reads the FIFO at `path`.
pub async fn connect(path: &Path) -> Result<Stream> {
    let rendezvous = Rendezvous::open(path)?;
    let time = Limits::DEFAULT.handshake_timeout;
    let Ends { reader, writer, .. } = tokio::time::timeout(time, handshake(&rendezvous)).await.map_err(|_| {
        let reason = format!(
            "the server did not answer within {time:?}; it has too much to do, or no access to this user's pipes"
        );
        rendezvous.unreachable(reason)
    })??;
    let Rendezvous { witness, peer, .. } = rendezvous;
    Ok(Stream {
        reader: ReadHalf::new(Reader::new(witness, reader)),
        writer: WriteHalf::new(Writer::new((), writer)),
        peer,
    })
}

async fn handshake(rendezvous: &Rendezvous) -> Result<Ends> {
    let refused = |e: io::Error| Error::os(format!("make pipes beside {}", rendezvous.address), e);
    let folder = Folder::make(&rendezvous.place).map_err(refused)?;
    let mut ends = folder.open().map_err(refused)?;
    if rendezvous.owner != rustix::process::geteuid().as_raw()
        && let Err(error) = folder.grant(&ends, rendezvous.owner)
    {
        tracing::debug!(%error, "cannot give the server of another user access to this user's pipes");
    }
    rendezvous.announce(&folder.id).await?;
    rendezvous.hello(&mut ends.reader).await?;
    Ok(ends)
}

impl Rendezvous {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let address = Address::Pipe(path.to_owned());
        let failed = |error: io::Error| match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => unreachable(&address, "there is no such pipe; start the server, or check the path"),
            Some(Errno::NXIO) => unreachable(&address, "no server reads this pipe; start the server"),
            Some(Errno::ACCESS) => {
                unreachable(&address, "this user may not write to the pipe; see the server's option for its mode")
            }
            None if error.kind() == io::ErrorKind::InvalidInput => Error::Misuse(format!("{address}: {error}")),
            _ => Error::os(format!("open {address}"), error),
        };
        let path = path.canonicalize().map_err(failed)?;
        let fifo = fifo::open(&path, WRITE).map_err(failed)?;
        let witness = Witness(Name::of(&path).map_err(failed)?);
        let place = Place::of(&path).map_err(failed)?;
        let status = rustix::fs::fstat(&fifo).map_err(|e| failed(e.into()))?;
        // Who reads the FIFO is only known when nobody but its owner may.
        let credentials =
            (status.st_mode & 0o044 == 0).then_some(Credentials { pid: None, uid: status.st_uid, gid: status.st_gid });
        let peer = Peer { credentials, ..Peer::new("pipe") };
        let sender = Sender::from_owned_fd_unchecked(fifo).map_err(failed)?;
        Ok(Rendezvous { place, sender, peer, owner: status.st_uid, witness, address })
    }

    pub(super) async fn announce(&self, id: &Id) -> Result<()> {
        let announcement = id.announcement();
        loop {
            // All or nothing, since it is shorter than PIPE_BUF.
            match self.sender.try_write(announcement.as_bytes()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.sender.writable().await.map_err(|e| Error::os("wait for the server", e))?;
                }
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(self.server_gone()),
                Err(error) => return Err(Error::os("announce this client to the server", error)),
            }
        }
    }

    async fn hello(&self, reader: &mut Receiver) -> Result<()> {
        let mut hello = [0; HELLO.len()];
        let answered = tokio::select! {
            biased;
            read = reader.read_exact(&mut hello) => read.is_ok(),
            _ = self.sender.ready(Interest::ERROR) => false,
        };
        // A server that answers and stops listening at once is seen to do both in either order.
        if !answered && rustix::io::read(&*reader, &mut hello) != Ok(hello.len()) {
            return Err(self.server_gone());
        }
        if hello != *HELLO {
            return Err(Error::Protocol { what: "the server of this pipe does not answer as Shipmate does".into() });
        }
        Ok(())
    }

    fn server_gone(&self) -> Error {
        self.unreachable("the server ended before it answered; start it again")
    }

    fn unreachable(&self, reason: impl Into<String>) -> Error {
        unreachable(&self.address, reason)
    }
}

impl<'a> Folder<'a> {
    /// A folder with two FIFOs in it, safe from the server's sweeping.
    pub(super) fn make(place: &'a Place) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            match Folder::claim(place).and_then(|folder| folder.make_fifos().map(|()| folder)) {
                Ok(folder) => return Ok(folder),
                // Taken for a dead client's before it was locked.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "something removes this client's folders as soon as they are made"))
    }

    pub(super) fn claim(place: &'a Place) -> io::Result<Self> {
        let id = Id::new()?;
        let name = place.client_folder(&id);
        rustix::fs::mkdirat(&place.folder, &name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&place.folder, &name, flags, Mode::empty()).inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&place.folder, &name, AtFlags::REMOVEDIR);
        })?;
        let folder = Folder { id, place, folder };
        rustix::fs::flock(&folder.folder, FlockOperation::NonBlockingLockExclusive)?;
        Ok(folder)
    }

    pub(super) fn make_fifos(&self) -> io::Result<()> {
        for name in [TO_SERVER, TO_CLIENT] {
            rustix::fs::mkfifoat(&self.folder, name, Mode::RUSR | Mode::WUSR)?;
        }
        Ok(())
    }

    pub(super) fn open(&self) -> io::Result<Ends> {
        let open = |name, flags| rustix::fs::openat(&self.folder, name, flags, Mode::empty());
        let reader = Receiver::from_owned_fd_unchecked(open(TO_CLIENT, READ)?)?;
        let keeper = open(TO_SERVER, READ)?;
        let writer = Sender::from_owned_fd_unchecked(open(TO_SERVER, WRITE)?)?;
        Ok(Ends { reader, writer, keeper })
    }

    /// Lets another user, the server's, use the folder and the FIFOs as their owner does.
    pub(super) fn grant(&self, ends: &Ends, user: u32) -> io::Result<()> {
        grant(&self.folder, user, 7)?;
        grant(&ends.keeper, user, 6)?;
        grant(&ends.reader, user, 6)
    }
}

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        // All of these fail when the server was here before.
        let _ = rustix::fs::unlinkat(&self.folder, TO_SERVER, AtFlags::empty());
        let _ = rustix::fs::unlinkat(&self.folder, TO_CLIENT, AtFlags::empty());
        let _ = rustix::fs::unlinkat(&self.place.folder, self.place.client_folder(&self.id), AtFlags::REMOVEDIR);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let name = self.0.clone();
        // The system closes the files of a killed process one after the other: the end of a connection may
        // come a moment before that of the rendezvous.
        if !remove_if_unread(&name)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                tokio::time::sleep(SECOND_LOOK).await;
                remove_if_unread(&name);
            });
        }
    }
}

/// Removes a rendezvous that no server reads. False when one does.
fn remove_if_unread(name: &Name) -> bool {
    let unread = || fifo::open(name.path(), WRITE).is_err_and(|e| Errno::from_io_error(&e) == Some(Errno::NXIO));
    if !unread() {
        return false;
    }
    // Under the lock no new server can be about to open it.
    if let Ok(_lock) = try_lock_folder_of(name.path())
        && unread()
    {
        name.remove();
    }
    true
}

/// Gives one user `permissions` (4 to read, 2 to write, 1 to enter), the owner the same, and nobody else
/// any. The layout is that of Linux's `posix_acl_xattr.h`.
fn grant(file: impl AsFd, user: u32, permissions: u16) -> io::Result<()> {
    const VERSION: u32 = 2;
    const NOBODY: u32 = u32::MAX;
    let [owner, named_user, group, mask, other] = [0x01, 0x02, 0x04, 0x10, 0x20_u16];
    let mut list = VERSION.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (owner, permissions, NOBODY),
        (named_user, permissions, user),
        (group, 0, NOBODY),
        (mask, permissions, NOBODY),
        (other, 0, NOBODY),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    Ok(rustix::fs::fsetxattr(file, "system.posix_acl_access", &list, XattrFlags::empty())?)
}

fn unreachable(address: &Address, reason: impl Into<String>) -> Error {
    Error::Unreachable { address: address.clone(), reason: reason.into() }
}
