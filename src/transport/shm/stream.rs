//! The bytes of a connection, as records in the two rings.
//!
//! This is the *copy* tier: bytes are copied into the ring by the sender and out of it by the receiver,
//! which looks at its copy only. A peer that changes what it has sent changes nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Consumer, Held, Label, Producer, Waiter};
use crate::Error;

/// Tags of records: bytes of the stream, and its end.
const BYTES: u16 = 0;
const END: u16 = 1;

/// The half that is read.
pub(super) struct Reader {
    consumer: Consumer,
    waiter: Waiter,
    /// A record of which the first bytes are read.
    rest: Option<(Held, usize)>,
    ended: bool,
}

/// The half that is written.
pub(super) struct Writer {
    producer: Producer,
    waiter: Waiter,
}

impl Reader {
    pub(super) fn new(consumer: Consumer, waiter: Waiter) -> Self {
        Reader { consumer, waiter, rest: None, ended: false }
    }

    /// Copies out what is there and fits.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) -> crate::Result<()> {
        while buffer.remaining() > 0 && !self.ended {
            let (record, taken) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.consumer.receive()? {
                    Some(record) if record.label().tag == END => {
                        self.ended = true;
                        break;
                    }
                    Some(record) => (record.hold(), 0),
                    None => break,
                },
            };
            let count = buffer.remaining().min(record.bytes() - taken);
            record.copy_part(taken, buffer.initialize_unfilled_to(count));
            buffer.advance(count);
            match taken + count {
                all if all == record.bytes() => self.consumer.give_back(record),
                some => self.rest = Some((record, some)),
            }
        }
        if self.consumer.release() {
            // A peer that is gone waits for no room; what it wrote is still to be read.
            let _ = self.waiter.ring();
        }
        Ok(())
    }
}

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            // Even when there is data: the waiter learns from what it finds whether to spin.
            if this.rest.is_none() && !this.ended {
                match ready!(this.waiter.poll(cx, &mut this.consumer)) {
                    Ok(()) => {}
                    Err(Error::Disconnected { .. }) => this.ended = true,
                    Err(error) => return Poll::Ready(Err(io::Error::other(error))),
                }
            }
            this.take(buffer).map_err(io::Error::other)?;
            if buffer.filled().len() > before || this.ended || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Writer {
    pub(super) fn new(producer: Producer, waiter: Waiter) -> Self {
        Writer { producer, waiter }
    }

    /// Shows the peer what was written.
    fn publish(&mut self) -> io::Result<()> {
        if self.producer.publish() {
            self.waiter.ring().map_err(to_io)?;
        }
        Ok(())
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut parts: [&[u8]; SLICES_MAX] = [&[]; SLICES_MAX];
        let mut total = 0;
        for (part, slice) in parts.iter_mut().zip(slices) {
            *part = slice;
            total += slice.len();
        }
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        if this.waiter.has_ended() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let parts = &parts[..slices.len().min(SLICES_MAX)];
        loop {
            let mut sent = 0;
            this.producer.write(parts, &mut sent, BYTES).map_err(to_io)?;
            if sent > 0 {
                this.publish()?;
                return Poll::Ready(Ok(sent));
            }
            let next = this.producer.next_part(total);
            ready!(this.waiter.poll(cx, &mut this.producer.room(next))).map_err(to_io)?;
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The end is a record: shutting the socket down would take the peer's bell away.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.waiter.has_ended() {
            if let Some(loan) = this.producer.reserve(0).map_err(to_io)? {
                loan.commit(0, Label { tag: END, more: false });
                return Poll::Ready(this.publish());
            }
            ready!(this.waiter.poll(cx, &mut this.producer.room(0))).map_err(to_io)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// The most slices of one write; the rest waits for the next.
const SLICES_MAX: usize = 64;

fn to_io(error: Error) -> io::Error {
    match error {
        Error::Disconnected { reason } => io::Error::new(io::ErrorKind::BrokenPipe, reason),
        other => io::Error::other(other),
    }
}
