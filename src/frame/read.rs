//! Frames from the half of a stream that is read.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{Decoder, Frame};
use crate::patience::Linger;
use crate::transport::ReadHalf;
use crate::{Error, Limits, Result};

/// One read takes up to this much, of as many frames as there are: a round payload of 64 KiB and what is
/// around it.
const SCRATCH_BYTES: usize = 68 << 10;

thread_local! {
    /// What a read lands in before it is cut into frames. It belongs to the thread and not to the
    /// connection, so that an idle connection holds no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Reads frames from a stream.
pub struct FrameReader {
    half: ReadHalf,
    decoder: Decoder,
    frame_bytes_max: usize,
    ended: bool,
    linger: Linger,
}

impl FrameReader {
    /// Reads from this half, within these limits.
    pub fn new(half: ReadHalf, limits: &Limits) -> Self {
        let decoder = Decoder::new(limits);
        let decoder = if half.is_in_place() { decoder.expecting_in_place() } else { decoder };
        FrameReader { half, decoder, frame_bytes_max: limits.frame_bytes_max, ended: false, linger: Linger::new() }
    }

    /// A frame that has been read already. What is wrong with the stream comes after its last good frame.
    pub fn next_ready(&mut self) -> Option<Result<Frame>> {
        self.decoder.next_frame()
    }

    /// Whether [`next_ready`](Self::next_ready) has something.
    pub fn is_ready(&self) -> bool {
        self.decoder.is_ready()
    }

    /// How many frames have been read already.
    pub fn ready_frames(&self) -> usize {
        self.decoder.ready_frames()
    }

    /// Reads once from the stream. Gives false at its end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let count = self.poll_read_some(cx);
        let count = ready!(self.watch(cx, count)).map_err(failed)?;
        if count == 0 {
            self.ended = true;
            self.decoder.end();
        }
        Poll::Ready(Ok(count > 0))
    }

    /// The next frame; `None` at a clean end of the stream.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Self::next), for who has a future already.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>>> {
        loop {
            if self.decoder.is_between_frames() {
                if self.ended {
                    return Poll::Ready(Ok(None));
                }
                // What comes as a frame need not be put together.
                match self.half.poll_frame(cx, self.frame_bytes_max) {
                    // Nothing was taken, so nothing was heard.
                    Poll::Ready(Ok(None)) => {}
                    found => {
                        let frame = ready!(self.watch(cx, found)).map_err(failed)?;
                        return Poll::Ready(Ok(frame.map(Frame::of)));
                    }
                }
                if let Some(segment) = self.half.take_lent_frame(self.frame_bytes_max).map_err(failed)? {
                    return Poll::Ready(Ok(Some(Frame::in_place(segment))));
                }
            } else if let Some(frame) = self.next_ready() {
                return Poll::Ready(frame.map(Some));
            }
            ready!(self.poll_read(cx))?;
        }
    }

    /// Whether it looks for what comes in shared memory, and does not sleep.
    pub(crate) fn stays_awake(&self) -> bool {
        self.half.stays_awake()
    }

    /// Passes on what was found, and looks again, if it pays, for what is not there yet.
    #[inline]
    fn watch<T>(&mut self, cx: &mut Context<'_>, found: Poll<T>) -> Poll<T> {
        if found.is_pending() && self.stays_awake() { found } else { self.linger.watch(cx, found) }
    }

    fn poll_read_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(bytes) = self.decoder.next_segment()
            && let Some(segment) = ready!(self.half.poll_in_place(cx, bytes))?
        {
            self.decoder.put_in_place(segment);
            return Poll::Ready(Ok(bytes));
        }
        let half = std::pin::Pin::new(&mut self.half);
        if let Some(mut space) = self.decoder.space() {
            let count = ready!(poll_read_buf(half, cx, &mut space))?;
            self.decoder.filled();
            return Poll::Ready(Ok(count));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(half.poll_read(cx, &mut buffer))?;
            self.decoder.push(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

fn failed(error: io::Error) -> Error {
    Error::stream("read from the peer", error)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::io::AsyncWriteExt;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;
    use crate::transport::memory;

    /// It looks for the next frame a few times, and then it is not polled any more.
    #[tokio::test]
    async fn who_waits_for_a_frame_goes_to_sleep() {
        let (mut ours, theirs) = memory::pair();
        let mut reader = FrameReader::new(theirs.reader, &Limits::DEFAULT);
        // One segment of one word.
        ours.writer.write_all(&[1u64 << 32, 0].map(u64::to_le_bytes).concat()).await.unwrap();
        assert!(reader.next().await.unwrap().is_some());

        let looks = Rc::new(Cell::new(0));
        let counted = looks.clone();
        let waits = async {
            let _waiting = spawn_local(poll_fn(move |cx| {
                counted.set(counted.get() + 1);
                reader.poll_next(cx).map(|frame| frame.is_ok())
            }));
            for _ in 0..5_000 {
                yield_now().await;
            }
        };
        LocalSet::new().run_until(waits).await;
        assert!((1..200).contains(&looks.get()), "{} looks", looks.get());
    }
}
