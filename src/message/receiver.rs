//! [`Receiver`]: the reading side.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use capnp::message::TypedReader;
use capnp::traits::Owned;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::task::AbortOnDropHandle;

use crate::frame::{Frame, FrameReader};
use crate::transport::half::{InPlace, ReadInPlace};
use crate::transport::{Accepted, ReadHalf, Stream, WriteHalf};
use crate::{Limits, Result};

/// Receives messages of the type `T`, such as `record::Owned`, from one sender.
pub struct Receiver<T> {
    reader: FrameReader,
    limits: Limits,
    /// Nothing goes to the sender, but closing this half would look like our end.
    _writer: Option<WriteHalf>,
    receives: PhantomData<fn() -> T>,
}

impl<T: Owned> Receiver<T> {
    /// Receives from a stream that is connected already.
    pub fn over(stream: Stream, limits: &Limits) -> Self {
        Self::new(stream.reader, Some(stream.writer), limits)
    }

    pub(super) fn new(reader: ReadHalf, writer: Option<WriteHalf>, limits: &Limits) -> Self {
        let reader = FrameReader::new(reader, limits);
        Receiver { reader, limits: limits.clone(), _writer: writer, receives: PhantomData }
    }

    /// The next message, or `None` when the sender has ended the stream. Dropping the future loses
    /// nothing. While messages are not received, the sender waits.
    ///
    /// # Errors
    /// [`Error::Protocol`](crate::Error::Protocol) when the stream ends inside a message, and
    /// [`Error::Limit`](crate::Error::Limit) for a message that is too large; both come after every
    /// message before it was received, and repeat.
    pub async fn recv(&mut self) -> Result<Option<TypedReader<Frame, T>>> {
        let frame = self.reader.next().await?;
        Ok(frame.map(|frame| frame.into_reader(&self.limits).into_typed()))
    }
}

/// A sender that was accepted. Its stream is attached by a task: that may wait for the sender's first bytes,
/// and a sender that shakes hands must not wait until it is read from.
pub(super) enum Sending {
    Attaching(AbortOnDropHandle<Result<Stream>>),
    Attached(Stream),
    Failed,
}

impl Sending {
    pub(super) fn of(accepted: Accepted) -> Self {
        Sending::Attaching(AbortOnDropHandle::new(tokio::spawn(accepted.attach())))
    }

    /// The sender's stream, once it is attached.
    fn poll_attached(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut ReadHalf>> {
        if let Sending::Attaching(attached) = self {
            let attached = ready!(Pin::new(attached).poll(cx));
            *self = Sending::Failed;
            *self = Sending::Attached(attached?.map_err(io::Error::other)?);
        }
        match self {
            Sending::Attached(stream) => Poll::Ready(Ok(&mut stream.reader)),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Sending {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let reader = ready!(self.get_mut().poll_attached(cx))?;
        Pin::new(reader).poll_read(cx, buffer)
    }
}

impl ReadInPlace for Sending {
    fn poll_in_place(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<Option<InPlace>>> {
        ready!(self.poll_attached(cx))?.poll_in_place(cx, bytes)
    }
}
