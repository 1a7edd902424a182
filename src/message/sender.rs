//! [`Sender`]: the writing side.

use std::future::poll_fn;
use std::marker::PhantomData;

use capnp::OutputSegments;
use capnp::message::{Builder, HeapAllocator};
use capnp::traits::{FromPointerBuilder, Owned};
use tokio::io::AsyncReadExt;

use super::Sizes;
use super::segment::{self, Segment};
use crate::frame::{FrameWriter, Segments, WORD_BYTES};
use crate::transport::half::Arena;
use crate::transport::shm::{self, SHARED_BYTES_MIN, TABLE_BYTES};
use crate::transport::{self, Connecting, ReadHalf, Stream, pipe};
use crate::{Address, Error, Limits, Result};

/// Sends messages of the type `T`, such as `record::Owned`, to one receiver.
pub struct Sender<T> {
    writer: FrameWriter<Outgoing>,
    frame_bytes_max: usize,
    sizes: Sizes,
    /// Nothing comes from the receiver but its end.
    reader: ReadHalf,
    sends: PhantomData<fn(T)>,
}

/// The permission bits of a FIFO that has to be made.
const FIFO_MODE: u32 = 0o600;

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
        Self::connect_with(address, &Connecting::default(), &Limits::DEFAULT).await
    }

    /// Connects, with options and limits.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub async fn connect_with<A>(address: A, options: &Connecting, limits: &Limits) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let stream = match &address {
            Address::Pipe(path) => pipe::open_writer(path, FIFO_MODE).await?,
            _ => transport::connect_within(&address, options, limits).await?,
        };
        Ok(Self::over(stream, limits))
    }

    /// Sends over a stream that is connected already.
    pub fn over(stream: Stream, limits: &Limits) -> Self {
        Sender {
            writer: FrameWriter::new(stream.writer),
            frame_bytes_max: limits.frame_bytes_max,
            sizes: Sizes::new(),
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
        self.put(build, true)?;
        self.flush_rest().await
    }

    /// Builds a message and puts it into the queue, which is written when it is long, by
    /// [`flush`](Self::flush) or by the next [`send`](Self::send): for many small messages.
    ///
    /// A small one is built where it is sent from, if there is room for that now.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn feed(&mut self, build: impl FnOnce(T::Builder<'_>)) -> Result<()> {
        self.put(build, false)?;
        self.flush_long_queue().await
    }

    /// Builds a message and puts it into the queue, or, `at_once`, sends it if nothing has to be waited for.
    fn put(&mut self, build: impl FnOnce(T::Builder<'_>), at_once: bool) -> Result<()> {
        let bytes = self.sizes.next_bytes();
        let mut build = Some(build);
        let mut build = |root: T::Builder<'_>| build.take().expect("it is built once")(root);
        match self.build_in_place(bytes, at_once, &mut build)? {
            Some(Ok(bytes)) => {
                self.sizes.note(bytes);
                Ok(())
            }
            Some(Err(outgrown)) => self.queue(Outgoing::Built(Draft::Heap(outgrown))),
            None => {
                let mut message = self.draft(bytes);
                build(message.init_root());
                self.queue(Outgoing::Built(message))
            }
        }
    }

    /// The same for a message that is built already; its root must be a `T`.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn feed_message(&mut self, message: Builder<HeapAllocator>) -> Result<()> {
        self.queue(Outgoing::Built(Draft::Heap(message)))?;
        self.flush_long_queue().await
    }

    /// Memory of about `words` words to build a message in, for as long as it takes, and to
    /// [send](Loan::send) then. Over shared memory, one of 32 KiB or more is handed over where it is. It may
    /// grow beyond that size.
    pub fn loan(&mut self, words: u32) -> Loan<'_, T> {
        let message = self.draft(words as usize * 8);
        Loan { sender: self, message }
    }

    /// Memory for a segment of at least so many bytes, all of them zero, to be filled and
    /// [sent](Self::send_segments) by this sender. Over shared memory, one of 32 KiB or more is handed over
    /// where it is, while there is room for that.
    pub fn segment(&mut self, bytes: usize) -> Segment {
        self.new_segment(bytes, true)
    }

    /// The same, with these bytes in it, a multiple of 8.
    pub fn segment_of(&mut self, bytes: &[u8]) -> Segment {
        let mut segment = self.new_segment(bytes.len(), false);
        segment.truncate(bytes.len());
        segment.as_mut().copy_from_slice(bytes);
        segment
    }

    /// Unless it is to be `zeroed`, it is to be filled as a whole: what is in it at first may have been sent before.
    pub(super) fn new_segment(&mut self, bytes: usize, zeroed: bool) -> Segment {
        let words = bytes.div_ceil(WORD_BYTES).max(1);
        let bytes = words * WORD_BYTES;
        Segment::new(if bytes >= SHARED_BYTES_MIN { self.writer.lease(bytes, zeroed) } else { None }, words)
    }

    /// Sends a message of these segments, the first of which starts with the pointer to its root: a `T`.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_segments(&mut self, mut segments: Vec<Segment>) -> Result<()> {
        match (segments.pop(), segments.is_empty()) {
            (None, _) => return Err(Error::Misuse("a message has at least one segment".into())),
            (Some(only), true) => self.put_segment(only)?,
            (Some(last), false) => {
                segments.push(last);
                self.queue(Outgoing::Segments(segments))?;
            }
        }
        self.flush_rest().await
    }

    /// Sends a message of one segment if nothing has to be waited for, or puts it into the queue.
    pub(super) fn put_segment(&mut self, segment: Segment) -> Result<()> {
        let bytes = segment.bytes();
        if bytes > self.frame_bytes_max {
            return Err(too_large(self.frame_bytes_max, bytes));
        }
        let left = segment.send(&mut self.writer).map_err(|e| Error::stream("send to the receiver", e))?;
        match left {
            Some(segment) => self.queue(Outgoing::Segments(vec![segment])),
            None => {
                self.sizes.note(bytes);
                Ok(())
            }
        }
    }

    /// Builds a small message in memory that it is sent from, if there is room. It may outgrow that.
    fn build_in_place(
        &mut self,
        bytes: usize,
        at_once: bool,
        build: &mut impl FnMut(T::Builder<'_>),
    ) -> Result<Option<Result<usize, Builder<HeapAllocator>>>> {
        let space = bytes + TABLE_BYTES;
        if space > SHARED_BYTES_MIN.min(self.frame_bytes_max) {
            return Ok(None);
        }
        let mut built = 0;
        let written = self.writer.write_in_place(space, at_once, |space| {
            built = shm::build::<T>(space, build)?;
            Ok(built)
        });
        let written = written.map_err(|e| Error::stream("send to the receiver", e))?;
        Ok(written.map(|written| written.map(|()| built - TABLE_BYTES)))
    }

    pub(super) fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    async fn send_outgoing(&mut self, message: Outgoing) -> Result<()> {
        self.queue(message)?;
        self.flush().await
    }

    fn draft(&self, bytes: usize) -> Draft {
        let words = |most: usize| (bytes.min(most) / 8) as u32;
        let arena = if bytes >= SHARED_BYTES_MIN { self.writer.arena(words(SHARED_SEGMENT_BYTES_MAX)) } else { None };
        match arena {
            Some(arena) => Draft::Shared(Builder::new(arena)),
            None => {
                let most = if bytes > HEAP_SEGMENT_BYTES_MAX { LARGE_SEGMENT_BYTES } else { bytes };
                Draft::Heap(Builder::new(HeapAllocator::new().first_segment_words(words(most))))
            }
        }
    }

    fn queue(&mut self, message: Outgoing) -> Result<()> {
        let bytes = message.segments().iter().map(|segment| segment.len()).sum();
        if bytes > self.frame_bytes_max {
            return Err(too_large(self.frame_bytes_max, bytes));
        }
        self.writer.push(message);
        self.sizes.note(bytes);
        Ok(())
    }

    /// Writes the queue when it is long, or holds what did not go where it is sent from: there is no room for that now,
    /// and what comes next would have to wait behind it.
    async fn flush_long_queue(&mut self) -> Result<()> {
        match self.writer.unflushed_bytes() >= QUEUE_BYTES || self.writer.is_held_up() {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    /// Writes what the receiver does not see yet, if there is anything.
    pub(super) async fn flush_rest(&mut self) -> Result<()> {
        match self.writer.unflushed_bytes() {
            0 => Ok(()),
            _ => self.flush().await,
        }
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

/// A message that is being built, in memory of its sender. Dropping it sends nothing.
#[must_use = "a loan that is not sent sends nothing"]
pub struct Loan<'a, T> {
    sender: &'a mut Sender<T>,
    message: Draft,
}

impl<T: Owned> Loan<'_, T> {
    /// Makes a new root, with default values.
    pub fn init_root(&mut self) -> T::Builder<'_> {
        self.message.init_root()
    }

    /// The root that was made.
    ///
    /// # Errors
    /// [`Error::Protocol`] when there is none and `T` cannot be made of nothing.
    pub fn get_root(&mut self) -> Result<T::Builder<'_>> {
        Ok(self.message.get_root()?)
    }

    /// Sends it, as [`Sender::send`] does.
    ///
    /// # Errors
    /// Those of [`Sender::send`].
    pub async fn send(self) -> Result<()> {
        self.sender.send_outgoing(Outgoing::Built(self.message)).await
    }
}

/// A message that waits to be written.
enum Outgoing {
    Built(Draft),
    Segments(Vec<Segment>),
}

impl Segments for Outgoing {
    fn segments(&self) -> OutputSegments<'_> {
        match self {
            Outgoing::Built(Draft::Heap(message)) => message.get_segments_for_output(),
            Outgoing::Built(Draft::Shared(message)) => message.get_segments_for_output(),
            Outgoing::Segments(segments) => segment::output(segments),
        }
    }
}

/// A message that is built.
enum Draft {
    Heap(Builder<HeapAllocator>),
    /// Its large parts are in memory that is shared with the receiver.
    Shared(Builder<Arena>),
}

pub(super) fn too_large(allowed: usize, seen: usize) -> Error {
    Error::Limit {
        limit: "frame_bytes_max",
        allowed: allowed as u64,
        seen: seen as u64,
        what: "the message to send",
        advice: "split it, or raise the limit on both sides",
    }
}

impl Draft {
    fn init_root<'a, B: FromPointerBuilder<'a>>(&'a mut self) -> B {
        match self {
            Draft::Heap(message) => message.init_root(),
            Draft::Shared(message) => message.init_root(),
        }
    }

    fn get_root<'a, B: FromPointerBuilder<'a>>(&'a mut self) -> capnp::Result<B> {
        match self {
            Draft::Heap(message) => message.get_root(),
            Draft::Shared(message) => message.get_root(),
        }
    }
}

/// A queue this long is written by [`Sender::feed`].
const QUEUE_BYTES: usize = 64 << 10;
/// First segments are no larger than this, whatever the last messages took.
const HEAP_SEGMENT_BYTES_MAX: usize = 512 << 10;
/// Of a larger one on the heap, most is one value, as a rule: that gets a segment of its own, which has its size, and
/// a first one that is as large would be cleared for the little that is beside it.
const LARGE_SEGMENT_BYTES: usize = 16 << 10;
const SHARED_SEGMENT_BYTES_MAX: usize = 8 << 20;
