//! [`ReadHalf`] and [`WriteHalf`]: bytes, and memory that both processes see where the transport has it.
//!
//! Whoever uses a half as bytes need not know of the rest. Beyond that,
//!
//! - a writer may have an arena for messages: what is built in its memory is handed over by reference when it is
//!   written, as the same slice of the stream;
//! - a reader may give the next bytes of the stream [in place](ReadHalf::poll_in_place).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use capnp::Word;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use super::shm::{Arena, Lease};
use super::shm::{Pool, Reader};

/// Bytes of the peer, where the peer has put them. They go back to it when this is dropped, on any thread.
pub type InPlace = Box<dyn AsRef<[u8]> + Send + Sync>;

/// The half of a stream that is read.
pub struct ReadHalf(Reads);

enum Reads {
    Bytes(Box<dyn AsyncRead + Send + Unpin>),
    Shared(Box<Reader>),
}

/// The half of a stream that is written.
pub struct WriteHalf {
    bytes: Box<dyn AsyncWrite + Send + Unpin>,
    pool: Option<Pool>,
    /// How much was written in place that the peer does not see before a flush, in bytes.
    unflushed: usize,
}

impl ReadHalf {
    /// Reads bytes from this.
    pub fn new(half: impl AsyncRead + Send + Unpin + 'static) -> Self {
        ReadHalf(Reads::Bytes(Box::new(half)))
    }

    /// Reads from shared memory.
    pub(super) fn shared(half: Reader) -> Self {
        ReadHalf(Reads::Shared(Box::new(half)))
    }

    /// Whether who is polled in vain looks again by itself, and does not sleep: so it is if he just was, too.
    pub(crate) fn stays_awake(&self) -> bool {
        matches!(&self.0, Reads::Shared(half) if half.stays_awake())
    }

    /// Whether [`poll_in_place`](Self::poll_in_place) ever gives something.
    pub fn is_in_place(&self) -> bool {
        matches!(&self.0, Reads::Shared(half) if half.is_in_place())
    }

    /// Takes the next bytes of the stream as one frame of one segment, if that is how they came and it has no more than
    /// `bytes_max` bytes: the words of the segment. It waits until there is something. `None`: nothing was taken, read.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<io::Result<Option<Vec<Word>>>> {
        match &mut self.0 {
            Reads::Bytes(_) => Poll::Ready(Ok(None)),
            Reads::Shared(half) => half.poll_frame(cx, bytes_max),
        }
    }

    /// The same, if its segment was handed over by reference: that, where it is. It does not wait.
    pub(crate) fn take_lent_frame(&mut self, bytes_max: usize) -> io::Result<Option<InPlace>> {
        match &mut self.0 {
            Reads::Bytes(_) => Ok(None),
            Reads::Shared(half) => half.take_lent_frame(bytes_max),
        }
    }

    /// Takes the next `bytes` bytes of the stream where they are, aligned to 8, if just these were handed
    /// over by reference. `None`: nothing was taken, read them.
    pub fn poll_in_place(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<Option<InPlace>>> {
        match &mut self.0 {
            Reads::Bytes(_) => Poll::Ready(Ok(None)),
            Reads::Shared(half) => half.poll_in_place(cx, bytes),
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Reads::Bytes(half) => Pin::new(half).poll_read(cx, buffer),
            Reads::Shared(half) => Pin::new(half).poll_read(cx, buffer),
        }
    }
}

impl WriteHalf {
    /// Writes bytes to this.
    pub fn new(half: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        WriteHalf { bytes: Box::new(half), pool: None, unflushed: 0 }
    }

    /// The same, and slices that lie in memory of the pool go by reference.
    pub(crate) fn with_pool(half: impl AsyncWrite + Send + Unpin + 'static, pool: Pool) -> Self {
        WriteHalf { bytes: Box::new(half), pool: Some(pool), unflushed: 0 }
    }

    /// Memory for one message whose large parts go to the peer by reference, where there is such. What was
    /// written must not change any more: drop the message once it is.
    pub(crate) fn arena(&self, first_segment_words: u32) -> Option<Arena> {
        self.pool.as_ref().map(|pool| pool.arena(first_segment_words))
    }

    /// Memory for bytes that are then sent, where the transport has such: they go to the peer by reference. Unless it
    /// is to be `zeroed`, all of it is to be written: what is in it at first are bytes that were sent before.
    pub(crate) fn lease(&self, bytes: usize, zeroed: bool) -> Option<Lease> {
        self.pool.as_ref().and_then(|pool| pool.lease(bytes, zeroed))
    }

    /// Sends the first `bytes` bytes of memory that was leased from this, whole words, as a frame of one segment, behind
    /// all that was written in place, if nothing has to be waited for. Gives it back otherwise: write it as bytes.
    pub(crate) fn send_lease(&mut self, lease: Lease, bytes: usize) -> io::Result<Option<Lease>> {
        if !self.pool.as_ref().is_some_and(|pool| lease.is_of(pool)) {
            return Ok(Some(lease));
        }
        let left = lease.send(bytes).map_err(io::Error::other)?;
        if left.is_none() {
            self.unflushed = 0;
        }
        Ok(left)
    }

    /// Whether the transport has memory of its own for what is sent.
    pub(crate) fn has_memory(&self) -> bool {
        self.pool.is_some()
    }

    /// Lets `fill` write the next bytes of the stream, up to `most`, where they are sent from. It gives how
    /// many there are, or a reason to send none. Where the transport has no such room, or not now, nothing
    /// happens: write them as bytes. What was written goes at once, or with the next write, or a flush.
    pub(crate) fn write_in_place<E>(
        &mut self,
        most: usize,
        at_once: bool,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> io::Result<Option<Result<(), E>>> {
        let Some(pool) = &self.pool else { return Ok(None) };
        let written = pool.write_in_place(most, at_once, fill).map_err(io::Error::other)?;
        Ok(written
            .map(|written| written.map(|bytes| self.unflushed = if at_once { 0 } else { self.unflushed + bytes })))
    }

    /// How much was [written in place](Self::write_in_place) since the last flush, in bytes.
    pub(crate) fn unflushed_bytes(&self) -> usize {
        self.unflushed
    }

    #[cfg(test)]
    pub(crate) fn pool(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.bytes.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.unflushed) > 0
            && let Some(pool) = &self.pool
        {
            pool.publish()?;
        }
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}
