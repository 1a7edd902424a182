//! [`Receiver`]: the reading side.

use std::future::poll_fn;
use std::marker::PhantomData;

use capnp::message::TypedReader;
use capnp::traits::Owned;
use tokio_util::task::AbortOnDropHandle;

use crate::frame::{Frame, FrameReader};
use crate::transport::{Accepted, ReadHalf, Stream, WriteHalf};
use crate::{Error, Limits, Result};

/// Receives messages of the type `T`, such as `record::Owned`, from one sender.
pub struct Receiver<T> {
    source: Source,
    limits: Limits,
    receives: PhantomData<fn() -> T>,
}

/// Where messages come from.
#[allow(clippy::large_enum_variant, reason = "it is nearly always the large one")]
enum Source {
    /// A sender that was accepted. Its stream is attached by a task: that may wait for the sender's first bytes, and a
    /// sender that shakes hands must not wait until it is read from.
    Attaching(AbortOnDropHandle<Result<Stream>>),
    Attached {
        reader: FrameReader,
        /// Nothing goes to the sender, but closing this half would look like our end.
        _writer: Option<WriteHalf>,
    },
    Failed(Error),
}

impl<T: Owned> Receiver<T> {
    /// Receives from a stream that is connected already.
    pub fn over(stream: Stream, limits: &Limits) -> Self {
        Self::new(stream.reader, Some(stream.writer), limits)
    }

    pub(super) fn new(reader: ReadHalf, writer: Option<WriteHalf>, limits: &Limits) -> Self {
        Self::of(Source::attached(reader, writer, limits), limits)
    }

    pub(super) fn accepted(accepted: Accepted, limits: &Limits) -> Self {
        Self::of(Source::Attaching(AbortOnDropHandle::new(tokio::spawn(accepted.attach()))), limits)
    }

    fn of(source: Source, limits: &Limits) -> Self {
        Receiver { source, limits: limits.clone(), receives: PhantomData }
    }

    /// The next message, or `None` when the sender has ended the stream. Dropping the future loses
    /// nothing. While messages are not received, the sender waits.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the stream ends inside a message, and
    /// [`Error::Limit`] for a message that is too large; both come after every
    /// message before it was received, and repeat.
    pub async fn recv(&mut self) -> Result<Option<TypedReader<Frame, T>>> {
        let reader = match &mut self.source {
            Source::Attached { reader, .. } => reader,
            _ => self.attached().await?,
        };
        let frame = poll_fn(|cx| reader.poll_next(cx)).await?;
        Ok(frame.map(|frame| frame.into_reader(&self.limits).into_typed()))
    }

    /// The sender's messages, once its stream is attached.
    async fn attached(&mut self) -> Result<&mut FrameReader> {
        if let Source::Attaching(attaching) = &mut self.source {
            self.source = match attaching.await {
                Ok(Ok(stream)) => Source::attached(stream.reader, Some(stream.writer), &self.limits),
                Ok(Err(error)) => Source::Failed(error),
                Err(panicked) => Source::Failed(Error::stream("attach a sender", panicked.into())),
            };
        }
        match &mut self.source {
            Source::Attached { reader, .. } => Ok(reader),
            Source::Failed(error) => Err(error.clone()),
            Source::Attaching(_) => unreachable!("it was waited for"),
        }
    }
}

impl Source {
    fn attached(reader: ReadHalf, writer: Option<WriteHalf>, limits: &Limits) -> Self {
        Source::Attached { reader: FrameReader::new(reader, limits), _writer: writer }
    }
}
