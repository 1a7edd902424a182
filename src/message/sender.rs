//! [`Sender`]: the writing side.

use std::future::poll_fn;
use std::marker::PhantomData;

use capnp::message::{Builder, HeapAllocator};
use capnp::traits::Owned;
use tokio::io::AsyncReadExt;

use crate::frame::FrameWriter;
use crate::transport::{self, ReadHalf, Stream, pipe};
use crate::{Address, Error, Limits, Result};

/// Sends messages of the type `T`, such as `record::Owned`, to one receiver.
pub struct Sender<T> {
    writer: FrameWriter<Builder<HeapAllocator>>,
    frame_bytes_max: usize,
    /// What the last message took, which the next one gets at once.
    recent_words: u32,
    /// Nothing comes from the receiver but its end.
    reader: ReadHalf,
    sends: PhantomData<fn(T)>,
}

/// The permission bits of a FIFO that has to be made.
const FIFO_MODE: u32 = 0o600;
const RECENT_WORDS_MAX: usize = 64 << 10;

impl<T: Owned> Sender<T> {
    /// Connects to a receiver. On a `pipe:` address it waits until there is one, and makes the FIFO if it
    /// is missing; on others somebody must be listening.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Unreachable`], or [`Error::Os`] when the system refuses.
    pub async fn connect<A>(address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        if let Address::Pipe(path) = &address {
            return Ok(Self::over(pipe::open_writer(path, FIFO_MODE).await?, &Limits::DEFAULT));
        }
        Ok(Self::over(transport::connect(&address).await?, &Limits::DEFAULT))
    }

    /// Sends over a stream that is connected already.
    pub fn over(stream: Stream, limits: &Limits) -> Self {
        Sender {
            writer: FrameWriter::new(stream.writer),
            frame_bytes_max: limits.frame_bytes_max,
            recent_words: 64,
            reader: stream.reader,
            sends: PhantomData,
        }
    }

    /// Builds a message and sends it. When this returns the transport has it; a slow receiver makes it
    /// wait. A future that is dropped meanwhile does not tear the message: the rest of it goes first with
    /// the next one.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when the receiver is gone, [`Error::Limit`] for a message that is too large
    /// (nothing of it is sent, and the sender goes on).
    pub async fn send(&mut self, build: impl FnOnce(T::Builder<'_>)) -> Result<()> {
        self.feed(build).await?;
        self.flush().await
    }

    /// Builds a message and puts it into the queue, which is written when it is long, by
    /// [`flush`](Self::flush) or by the next [`send`](Self::send): for many small messages.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn feed(&mut self, build: impl FnOnce(T::Builder<'_>)) -> Result<()> {
        let mut message = Builder::new(HeapAllocator::new().first_segment_words(self.recent_words));
        build(message.init_root());
        self.feed_message(message).await
    }

    /// The same for a message that is built already; its root must be a `T`.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn feed_message(&mut self, message: Builder<HeapAllocator>) -> Result<()> {
        let words = message.size_in_words();
        if words.saturating_mul(8) > self.frame_bytes_max {
            return Err(Error::Limit {
                limit: "frame_bytes_max",
                allowed: self.frame_bytes_max as u64,
                seen: words as u64 * 8,
                what: "the message to send",
                advice: "split it, or raise the limit on both sides",
            });
        }
        self.recent_words = words.clamp(8, RECENT_WORDS_MAX) as u32;
        self.writer.push(message);
        if self.writer.queued_bytes() >= QUEUE_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Waits until everything in the queue is written.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when the receiver is gone.
    pub async fn flush(&mut self) -> Result<()> {
        self.writer.flush().await.map_err(|e| Error::stream("send to the receiver", e))
    }

    /// Waits until the receiver is gone, or has closed its half of the connection, and says so: for a program
    /// that has nothing to send for a while. Dropping the future loses nothing.
    pub async fn closed(&mut self) -> Error {
        // Whatever a receiver may say, nobody asked it.
        let mut ignored = [0; 256];
        loop {
            match self.reader.read(&mut ignored).await {
                Ok(0) => return Error::disconnected("the receiver has ended, or died"),
                Ok(_) => {}
                Err(error) => return Error::stream("wait for the receiver", error),
            }
        }
    }

    /// Writes what is queued and ends the stream: the receiver gets `None` after the last message.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when the receiver is gone.
    pub async fn finish(mut self) -> Result<()> {
        self.flush().await?;
        let shut_down = poll_fn(|cx| self.writer.poll_shutdown(cx)).await;
        shut_down.map_err(|e| Error::stream("end the stream", e))
    }
}

/// A queue this long is written by [`Sender::feed`].
const QUEUE_BYTES: usize = 64 << 10;
