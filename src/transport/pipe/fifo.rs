//! FIFOs in the file system, and the halves of a stream over them.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::transport::names::OwnedName;

/// Opened this way a FIFO neither waits for the other side nor leaks into programs that are started.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
/// See [`READ`]. Fails with `ENXIO` when nobody reads.
pub(super) const WRITE: OFlags = OFlags::WRONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The half that is read. What `G` holds is dropped before the FIFO is closed.
pub(super) struct Reader<G> {
    _guard: G,
    receiver: Receiver,
}

/// The half that is written. What `G` holds is dropped before the FIFO is closed.
pub(super) struct Writer<G> {
    /// None after a shutdown: the end of a pipe is seen when the last writer closes it.
    open: Option<(G, Sender)>,
}

/// Makes a FIFO with exactly these permissions, whatever the umask.
pub(super) fn make(path: &Path, mode: u32) -> io::Result<OwnedName> {
    rustix::fs::mkfifoat(CWD, path, Mode::from_raw_mode(mode))?;
    let name = OwnedName::of(path)?;
    // By descriptor, so that it cannot be another file's permissions by now; O_PATH, so that nobody sees a
    // reader or writer come and go.
    let fifo = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::fstat(&fifo)?.st_mode & 0o7777 != mode {
        std::fs::set_permissions(format!("/proc/self/fd/{}", fifo.as_raw_fd()), PermissionsExt::from_mode(mode))?;
    }
    Ok(name)
}

/// Opens a FIFO with [`READ`] or [`WRITE`]; anything else fails with `InvalidInput`.
pub(super) fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    // Looked at before it is opened, since opening a device may do something and opening a socket fails as
    // a FIFO does that nobody reads; and afterwards, since it may have been exchanged.
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a named pipe (FIFO)");
    let is_fifo = |status: Stat| FileType::from_raw_mode(status.st_mode) == FileType::Fifo;
    if !is_fifo(rustix::fs::stat(path)?) {
        return Err(refused());
    }
    let fifo = rustix::fs::open(path, flags, Mode::empty())?;
    if is_fifo(rustix::fs::fstat(&fifo)?) { Ok(fifo) } else { Err(refused()) }
}

impl<G> Reader<G> {
    pub(super) fn new(guard: G, receiver: Receiver) -> Self {
        Reader { _guard: guard, receiver }
    }
}

impl<G> Writer<G> {
    pub(super) fn new(guard: G, sender: Sender) -> Self {
        Writer { open: Some((guard, sender)) }
    }

    fn sender(&mut self) -> io::Result<Pin<&mut Sender>> {
        match &mut self.open {
            Some((_, sender)) => Ok(Pin::new(sender)),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl<G: Unpin> AsyncRead for Reader<G> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.receiver).poll_read(cx, buffer)
    }
}

impl<G: Unpin> AsyncWrite for Writer<G> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sender()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.sender()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open = None;
        Poll::Ready(Ok(()))
    }
}
