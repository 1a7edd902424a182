//! Frames to the half of a stream that is written.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use capnp::OutputSegments;
use capnp::message::{Allocator, Builder};
use tokio::io::AsyncWrite;

use super::WORD_BYTES;
use super::memory::Stage;
use crate::transport::WriteHalf;
use crate::transport::half::{Arena, Lease};

/// The most pieces in one vectored write (Linux takes 1,024).
const PIECES_MAX: usize = 64;
/// A write takes up no further frame beyond this.
const WRITE_BYTES: usize = 256 << 10;
/// A segment up to this is copied beside its neighbours: cheaper than a piece of its own.
const COPIED_SEGMENT_BYTES: usize = 2 << 10;

/// What a message takes beside its segments.
const MESSAGE_OVERHEAD_BYTES: usize = 512;

thread_local! {
    /// Where segment tables and small segments are put together for a write. Like the scratch memory of
    /// reads it belongs to the thread.
    static SCRATCH: RefCell<Gathered> = RefCell::new(Gathered::default());
}

/// A message that can be written.
pub trait Segments {
    /// Its segments, which stay as they are once it is queued.
    fn segments(&self) -> OutputSegments<'_>;
}

impl<A: Allocator> Segments for Builder<A> {
    fn segments(&self) -> OutputSegments<'_> {
        self.get_segments_for_output()
    }
}

impl<M: Segments> Segments for Rc<M> {
    fn segments(&self) -> OutputSegments<'_> {
        (**self).segments()
    }
}

/// Queues messages, held as `M`, and writes them: all that are queued together go out in one vectored
/// write. Before them go the frames that were written in place.
pub struct FrameWriter<M> {
    half: WriteHalf,
    /// What was written in place where the transport has no memory for that.
    stage: Stage,
    queue: VecDeque<Queued<M>>,
    /// In the queue and not yet written, in bytes.
    queued_bytes: usize,
    /// How much of the first frame is written.
    written_bytes: usize,
}

struct Queued<M> {
    message: M,
    frame_bytes: usize,
}

/// A write in the making.
#[derive(Default)]
struct Gathered {
    copied: Vec<u8>,
    pieces: Vec<Piece>,
}

enum Piece {
    /// A range of `copied`.
    Copied(Range<usize>),
    /// A segment, in place, of a message in the queue.
    Segment { message: usize, segment: u32 },
}

impl<M: Segments + Unpin> FrameWriter<M> {
    /// Writes to this half.
    pub fn new(half: WriteHalf) -> Self {
        FrameWriter { half, stage: Stage::default(), queue: VecDeque::new(), queued_bytes: 0, written_bytes: 0 }
    }

    /// Memory for a message that is to be written here, where the transport has its own.
    pub(crate) fn arena(&self, first_segment_words: u32) -> Option<Arena> {
        self.half.arena(first_segment_words)
    }

    /// Memory for bytes of a message that is to be queued here, where the transport has its own. Unless it is to be
    /// `zeroed`, all of it is to be written.
    pub(crate) fn lease(&self, bytes: usize, zeroed: bool) -> Option<Lease> {
        self.half.lease(bytes, zeroed)
    }

    /// Sends the first `bytes` bytes of memory that was leased from this, whole words, as a message of one segment, if
    /// nothing has to be waited for. Gives it back otherwise: queue it.
    pub(crate) fn send_lease(&mut self, lease: Lease, bytes: usize) -> io::Result<Option<Lease>> {
        // It would go before those that are queued.
        if self.queue.is_empty() { self.half.send_lease(lease, bytes) } else { Ok(Some(lease)) }
    }

    /// Lets `fill` write a frame of up to `most` bytes where it is sent from. It gives its length, or a reason to
    /// send nothing. Where there is no such room, or not now, nothing happens: queue the message. What was
    /// written is seen by the peer after a flush, or `at_once` where that takes no waiting.
    pub(crate) fn write_in_place<E>(
        &mut self,
        most: usize,
        at_once: bool,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> io::Result<Option<Result<(), E>>> {
        match &self.half {
            // It would go before those that are queued.
            _ if !self.queue.is_empty() => Ok(None),
            half if half.has_memory() => self.half.write_in_place(most, at_once, fill),
            _ => Ok(self.stage.put(most, fill)),
        }
    }

    /// Whether something is queued although it could be written in place, if there were room.
    pub(crate) fn is_held_up(&self) -> bool {
        !self.queue.is_empty() && self.half.has_memory()
    }

    /// How much the peer does not see before a flush, in bytes.
    pub(crate) fn unflushed_bytes(&self) -> usize {
        self.queued_bytes + self.stage.len() + self.half.unflushed_bytes()
    }

    /// Queues a message. It is written by [`poll_flush`](Self::poll_flush). Gives how many bytes it takes.
    pub fn push(&mut self, message: M) -> usize {
        let segments = message.segments();
        let table_bytes = (4 * (segments.len() + 1)).next_multiple_of(WORD_BYTES);
        let frame_bytes = table_bytes + segments.iter().map(|segment| segment.len()).sum::<usize>();
        self.queued_bytes += frame_bytes;
        self.queue.push_back(Queued { message, frame_bytes });
        frame_bytes
    }

    /// How much is queued and not yet written, in bytes.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// What the queue holds of memory, in bytes: small messages take more than what is written of them.
    pub fn held_bytes(&self) -> usize {
        self.queued_bytes + self.queue.len() * MESSAGE_OVERHEAD_BYTES
    }

    /// How many messages are queued.
    pub fn queued_messages(&self) -> usize {
        self.queue.len()
    }

    /// Drops what is queued.
    pub fn clear(&mut self) {
        self.stage.clear();
        self.queue.clear();
        self.queued_bytes = 0;
        self.written_bytes = 0;
    }

    /// Writes until the queue is empty.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.stage.len() > 0 {
            let count = ready!(Pin::new(&mut self.half).poll_write(cx, self.stage.bytes()))?;
            self.stage.advance(some(count)?);
        }
        while !self.queue.is_empty() {
            let count = ready!(SCRATCH.with_borrow_mut(|gathered| self.poll_write_once(cx, gathered)))?;
            self.advance(some(count)?);
        }
        Pin::new(&mut self.half).poll_flush(cx)
    }

    /// Writes until the queue is empty.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Tells the peer that nothing more comes. To be called with an empty queue.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(cx)
    }

    fn poll_write_once(&mut self, cx: &mut Context<'_>, gathered: &mut Gathered) -> Poll<io::Result<usize>> {
        gathered.gather(&self.queue);
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        for (slice, piece) in slices.iter_mut().zip(&gathered.pieces) {
            *slice = IoSlice::new(match piece {
                Piece::Copied(range) => &gathered.copied[range.clone()],
                Piece::Segment { message, segment } => {
                    let segments = self.queue[*message].message.segments();
                    segments.get(*segment as usize).expect("gathered from this very message")
                }
            });
        }
        let mut slices = &mut slices[..gathered.pieces.len()];
        IoSlice::advance_slices(&mut slices, self.written_bytes);
        // The kernel has less to do for one piece that says so.
        match slices {
            [piece] => Pin::new(&mut self.half).poll_write(cx, piece),
            pieces => Pin::new(&mut self.half).poll_write_vectored(cx, pieces),
        }
    }

    /// Takes from the queue what was written.
    fn advance(&mut self, count: usize) {
        self.queued_bytes -= count;
        self.written_bytes += count;
        while let Some(first) = self.queue.front()
            && self.written_bytes >= first.frame_bytes
        {
            self.written_bytes -= first.frame_bytes;
            self.queue.pop_front();
        }
    }
}

/// How much a write took, which is not nothing.
fn some(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}

impl Gathered {
    /// Lays out as many frames from the front of the queue as one write should take.
    fn gather<M: Segments>(&mut self, queue: &VecDeque<Queued<M>>) {
        self.copied.clear();
        self.pieces.clear();
        let mut bytes = 0;
        for (index, queued) in queue.iter().enumerate() {
            if bytes >= WRITE_BYTES || self.pieces.len() + 2 > PIECES_MAX {
                break;
            }
            self.gather_frame(index, &queued.message);
            bytes += queued.frame_bytes;
        }
    }

    fn gather_frame(&mut self, index: usize, message: &impl Segments) {
        let segments = message.segments();
        let copied_from = self.copied.len();
        match &segments[..] {
            // The usual one, written at once: 3 % of what a small message takes.
            [segment] => self.copied.extend_from_slice(&(((segment.len() / WORD_BYTES) as u64) << 32).to_le_bytes()),
            segments => {
                self.copied.extend_from_slice(&(segments.len() as u32 - 1).to_le_bytes());
                for segment in segments {
                    self.copied.extend_from_slice(&((segment.len() / WORD_BYTES) as u32).to_le_bytes());
                }
                if segments.len().is_multiple_of(2) {
                    self.copied.extend_from_slice(&[0; 4]);
                }
            }
        }
        self.copied_piece(copied_from);
        for (segment, bytes) in segments.iter().enumerate() {
            // A frame of many segments may run out of pieces; copying needs none.
            if bytes.len() <= COPIED_SEGMENT_BYTES || self.pieces.len() + 2 > PIECES_MAX {
                let copied_from = self.copied.len();
                self.copied.extend_from_slice(bytes);
                self.copied_piece(copied_from);
            } else {
                self.pieces.push(Piece::Segment { message: index, segment: segment as u32 });
            }
        }
    }

    /// Adds what was copied since `from`, as a part of the last piece if that was copied too.
    fn copied_piece(&mut self, from: usize) {
        let end = self.copied.len();
        match self.pieces.last_mut() {
            Some(Piece::Copied(range)) => range.end = end,
            _ => self.pieces.push(Piece::Copied(from..end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;

    use capnp::message::HeapAllocator;
    use capnp::serialize;
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;
    use crate::Limits;
    use crate::frame::FrameReader;
    use crate::transport::memory;

    fn message(payload: &[u8], first_segment_words: u32) -> Builder<HeapAllocator> {
        let mut builder = Builder::new(HeapAllocator::new().first_segment_words(first_segment_words));
        builder.set_root::<capnp::data_list::Owned>(capnp_list(payload).get_root_as_reader().unwrap()).unwrap();
        return builder;

        fn capnp_list(payload: &[u8]) -> capnp::message::TypedBuilder<capnp::data_list::Owned> {
            let mut builder = capnp::message::TypedBuilder::<capnp::data_list::Owned>::new_default();
            let mut list = builder.initn_root(2);
            list.set(0, payload);
            list.set(1, b"end");
            builder
        }
    }

    proptest! {
        /// Whatever is queued, or written in place where there is room, in however many pieces the transport takes it,
        /// arrives whole and in order.
        #[test]
        fn what_is_queued_arrives(
            payloads in prop::collection::vec((0usize..9000, 1u32..600, any::<bool>()), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (ours, theirs) = memory::pair();
                let mut writer = FrameWriter::new(ours.writer);
                let mut reader = FrameReader::new(theirs.reader, &Limits::DEFAULT);
                for (index, (length, words, in_place)) in payloads.iter().enumerate() {
                    let message = message(&vec![index as u8; *length], *words);
                    let frame = serialize::write_message_to_words(&message);
                    let fill = |space: &mut [u8]| {
                        space.copy_from_slice(&frame);
                        Ok::<_, Infallible>(frame.len())
                    };
                    let written = if *in_place { writer.write_in_place(frame.len(), false, fill).unwrap() } else { None };
                    if written.is_none() {
                        writer.push(message);
                    }
                }
                let mut flush = pin!(writer.flush().fuse());
                for (index, (length, ..)) in payloads.iter().enumerate() {
                    let frame = loop {
                        futures::select_biased! {
                            flushed = flush => flushed.unwrap(),
                            frame = reader.next().fuse() => break frame.unwrap().unwrap(),
                        }
                    };
                    let frame = frame.into_reader(&Limits::DEFAULT);
                    let list: capnp::data_list::Reader = frame.get_root().unwrap();
                    assert_eq!(list.get(0).unwrap(), vec![index as u8; *length]);
                    assert_eq!(list.get(1).unwrap(), b"end");
                }
            });
        }
    }
}
