//! The bytes of a connection, as records in the two rings and bytes of blobs.
//!
//! In the *copy* tier bytes are copied out of the ring, or the blob, by the receiver, which looks at its
//! copy only. A peer that changes what it has sent changes nothing. In the others, what lies in a blob can
//! be had in place: from a peer that is trusted, or when nobody can change it any more.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use capnp::Word;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::lending::{Borrowed, Borrower};
use super::pool::{Pool, Referred, SHARED_BYTES_MIN, State, UNREAD_BYTES_MAX, Yet};
use super::ring::{Record, broken};
use super::sync::Memory;
use super::{Consumer, Held, Label, Region, TABLE_BYTES, WORD_BYTES, Waiter};
use crate::Error;
use crate::transport::Tier;
use crate::transport::half::InPlace;

/// Tags of records.
pub(super) mod tag {
    /// Bytes of the stream.
    pub(in crate::transport::shm) const BYTES: u16 = 0;
    /// The end of the stream.
    pub(in crate::transport::shm) const END: u16 = 1;
    /// Id and size of a blob, whose descriptor came with a bell.
    pub(in crate::transport::shm) const ATTACH: u16 = 2;
    /// Id of a blob, and where in it the next bytes of the stream are: offset and count.
    pub(in crate::transport::shm) const BLOB: u16 = 3;
    /// Id of a blob that is not used any more.
    pub(in crate::transport::shm) const DETACH: u16 = 4;
    /// Id and size, offset and count: of a blob that is sealed, used once, and detached when it is given back.
    pub(in crate::transport::shm) const SEALED: u16 = 5;
}

/// The half that is read.
pub(in crate::transport) struct Reader {
    consumer: Consumer,
    waiter: Waiter,
    borrower: Borrower<Arc<Mapped>, Region>,
    tier: Tier,
    /// A piece of the stream of which the first bytes are read.
    rest: Option<(Piece, usize)>,
    /// How much the peer has lent of which it was not told yet that it was taken up, in bytes.
    lent_bytes: usize,
    ended: bool,
}

/// The half that is written.
pub(super) struct Writer {
    pool: Pool,
    waiter: Waiter,
}

/// Bytes of the stream, where they are.
enum Piece {
    Ring(Held),
    Blob(Lent),
}

type Lent = Borrowed<Arc<Mapped>, Region>;

/// A blob of the peer's, mapped.
struct Mapped {
    region: Region,
    sealed: bool,
}

impl Reader {
    /// `bytes_max`: what the peer may attach of blobs.
    pub(super) fn new(consumer: Consumer, waiter: Waiter, tier: Tier, bytes_max: usize) -> Self {
        let borrower = Borrower::new(bytes_max, consumer.mine());
        Reader { consumer, waiter, borrower, tier, rest: None, lent_bytes: 0, ended: false }
    }

    /// Copies out what is there and fits.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) -> crate::Result<()> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0 && !self.ended {
            let (piece, taken) = match self.rest.take() {
                Some(rest) => rest,
                None if self.take_record(buffer)? => continue,
                None => match self.next()? {
                    Some(piece) => (piece, 0),
                    None => break,
                },
            };
            if taken == 0 && buffer.filled().len() > before && self.may_stay(&piece) {
                // Somebody may want it where it is.
                self.rest = Some((piece, taken));
                break;
            }
            let count = buffer.remaining().min(piece.bytes() - taken);
            piece.copy_part(taken, buffer.initialize_unfilled_to(count));
            buffer.advance(count);
            self.put_back(piece, taken + count);
        }
        self.release();
        Ok(())
    }

    /// Copies out the next record if that are bytes of the stream that fit: nothing needs to be known of it afterwards.
    fn take_record(&mut self, buffer: &mut ReadBuf<'_>) -> crate::Result<bool> {
        let most = buffer.remaining();
        let fits = |label: Label, bytes| label.tag == tag::BYTES && bytes <= most;
        let Some(record) = self.consumer.receive_if(fits)? else { return Ok(false) };
        record.copy_to(buffer.initialize_unfilled_to(record.bytes()));
        buffer.advance(record.bytes());
        Ok(true)
    }

    /// Keeps a piece of which something is left, and gives back any other.
    fn put_back(&mut self, piece: Piece, taken: usize) {
        if taken < piece.bytes() {
            self.rest = Some((piece, taken));
        } else if let Piece::Ring(record) = piece {
            self.consumer.give_back(record);
        }
    }

    fn release(&mut self) {
        self.lent_bytes = 0;
        if self.consumer.release() {
            // A peer that is gone waits for no room; what it wrote is still to be read.
            let _ = self.waiter.ring();
        }
    }

    /// The next piece of the stream, if it is there. What records say about blobs is done on the way.
    fn next(&mut self) -> crate::Result<Option<Piece>> {
        while let Some(record) = self.consumer.receive()? {
            match record.label().tag {
                tag::BYTES => return Ok(Some(Piece::Ring(record.hold()))),
                tag::END => {
                    self.ended = true;
                    break;
                }
                tag::ATTACH => {
                    let [id, bytes] = words(record)?;
                    self.attach(id, bytes, false)?;
                }
                tag::BLOB => {
                    let [id, offset, bytes] = words(record)?;
                    return Ok(Some(Piece::Blob(self.borrower.borrow(id, offset, bytes)?)));
                }
                tag::DETACH => {
                    let [id] = words(record)?;
                    self.borrower.detach(id)?;
                }
                tag::SEALED => {
                    let [id, size, offset, bytes] = words(record)?;
                    self.attach(id, size, true)?;
                    return Ok(Some(Piece::Blob(self.borrower.borrow(id, offset, bytes)?)));
                }
                unknown => return Err(broken(format!("a record with the unknown tag {unknown}"))),
            }
        }
        Ok(None)
    }

    fn attach(&mut self, id: u64, bytes: u64, sealed: bool) -> crate::Result<()> {
        let waiter = &self.waiter;
        self.borrower.attach(id, bytes, sealed, |bytes| {
            let file: OwnedFd = waiter.descriptor()?.ok_or_else(|| broken("a blob without its descriptor"))?;
            Ok(Arc::new(Mapped { region: Region::receive_blob(file, bytes, sealed)?, sealed }))
        })
    }

    /// Takes the next record if it is a small frame as a whole.
    fn take_frame(&mut self, bytes_max: usize) -> crate::Result<Option<Vec<Word>>> {
        let taken = self.consumer.receive_frame(BYTES, bytes_max)?;
        if taken.is_some() {
            self.waiter.found();
            self.release_in_time();
        }
        Ok(taken)
    }

    /// The peer hears of what was taken when this side waits: that is not before the message is handled, but sooner than
    /// it needs the space.
    fn release_in_time(&mut self) {
        if self.consumer.unreleased_bytes() >= self.consumer.ring_bytes() / UNRELEASED_PART
            || self.lent_bytes >= UNRELEASED_LENT_BYTES
        {
            self.release();
        }
    }

    /// Takes the next two records if they are a frame of one segment: the table, and where in a blob the segment is that
    /// may be read there.
    fn take_lent(&mut self, bytes_max: usize) -> crate::Result<Option<Lent>> {
        let trusted = self.tier == Tier::Trusted;
        let place = self.consumer.all_or_nothing(|consumer| {
            let Some(table) = consumer.receive_if(|label, bytes| label == BYTES && bytes == TABLE_BYTES)? else {
                return Ok(None);
            };
            let [table] = words(table)?;
            let (table, most) = (u64::from_le(table), bytes_max.saturating_sub(TABLE_BYTES));
            let segment_bytes = (table >> 32) as usize * WORD_BYTES;
            if table as u32 != 0 || !(SHARED_BYTES_MIN..=most).contains(&segment_bytes) {
                return Ok(None);
            }
            let stays = |label: Label, _| label.tag == tag::SEALED || label.tag == tag::BLOB && trusted;
            let Some(place) = consumer.receive_if(stays)? else { return Ok(None) };
            let (id, size, offset, bytes) = if place.label().tag == tag::SEALED {
                let [id, size, offset, bytes] = words(place)?;
                (id, Some(size), offset, bytes)
            } else {
                let [id, offset, bytes] = words(place)?;
                (id, None, offset, bytes)
            };
            let fits = bytes == segment_bytes as u64 && offset.is_multiple_of(WORD_BYTES as u64);
            Ok(fits.then_some((id, size, offset, bytes)))
        })?;
        let Some((id, sealed_size, offset, bytes)) = place else { return Ok(None) };
        if let Some(size) = sealed_size {
            self.attach(id, size, true)?;
        }
        let lent = self.borrower.borrow(id, offset, bytes)?;
        self.lent_bytes += lent.bytes();
        Ok(Some(lent))
    }

    /// Waits until there is something to take, or the end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Even when there is data: the waiter learns from what it finds whether to spin.
        if self.rest.is_none() && !self.ended {
            match ready!(self.waiter.poll(cx, &mut self.consumer)) {
                Ok(()) => {}
                Err(Error::Disconnected { .. }) => self.ended = true,
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether this may be read where it is, as the tier says.
    fn may_stay(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Ring(_) => false,
            Piece::Blob(lent) => lent.blob().sealed || self.tier == Tier::Trusted,
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            ready!(this.poll_data(cx))?;
            this.take(buffer).map_err(io::Error::other)?;
            if buffer.filled().len() > before || this.ended || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Reader {
    /// See [`ReadHalf::stays_awake`](crate::transport::ReadHalf::stays_awake).
    pub(in crate::transport) fn stays_awake(&self) -> bool {
        self.waiter.stays_awake()
    }

    /// Whether [`poll_in_place`](Self::poll_in_place) ever gives something.
    pub(in crate::transport) fn is_in_place(&self) -> bool {
        self.tier != Tier::Copy
    }

    /// See [`ReadHalf::poll_frame`](crate::transport::ReadHalf::poll_frame).
    pub(in crate::transport) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Vec<Word>>>> {
        while self.rest.is_none() && !self.ended {
            let taken = self.take_frame(bytes_max).map_err(io::Error::other)?;
            if taken.is_some() || self.consumer.has_data().map_err(io::Error::other)? {
                return Poll::Ready(Ok(taken));
            }
            self.release();
            ready!(self.poll_data(cx))?;
        }
        Poll::Ready(Ok(None))
    }

    /// See [`ReadHalf::take_lent_frame`](crate::transport::ReadHalf::take_lent_frame).
    pub(in crate::transport) fn take_lent_frame(&mut self, bytes_max: usize) -> io::Result<Option<InPlace>> {
        if !self.is_in_place() || self.rest.is_some() || self.ended {
            return Ok(None);
        }
        let Some(lent) = self.take_lent(bytes_max).map_err(io::Error::other)? else { return Ok(None) };
        self.waiter.found();
        self.release_in_time();
        Ok(Some(Box::new(Readable(lent))))
    }

    /// See [`ReadHalf::poll_in_place`](crate::transport::ReadHalf::poll_in_place).
    pub(in crate::transport) fn poll_in_place(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
    ) -> Poll<io::Result<Option<InPlace>>> {
        while self.rest.is_none() && !self.ended {
            ready!(self.poll_data(cx))?;
            self.rest = self.next().map_err(io::Error::other)?.map(|piece| (piece, 0));
            self.release();
        }
        match self.rest.take() {
            Some((piece @ Piece::Blob(_), 0)) if piece.bytes() == bytes && self.may_stay(&piece) => {
                let Piece::Blob(lent) = piece else { unreachable!("matched above") };
                if lent.offset().is_multiple_of(8) {
                    return Poll::Ready(Ok(Some(Box::new(Readable(lent)))));
                }
                self.rest = Some((Piece::Blob(lent), 0));
            }
            rest => self.rest = rest,
        }
        Poll::Ready(Ok(None))
    }
}

impl Piece {
    fn bytes(&self) -> usize {
        match self {
            Piece::Ring(record) => record.bytes(),
            Piece::Blob(lent) => lent.bytes(),
        }
    }

    fn copy_part(&self, at: usize, to: &mut [u8]) {
        match self {
            Piece::Ring(record) => record.copy_part(at, to),
            Piece::Blob(lent) => {
                assert!(at <= lent.bytes() && to.len() <= lent.bytes() - at, "a read past the end of what is lent");
                lent.blob().region.read(lent.offset() + at, to);
            }
        }
    }
}

/// Bytes of a blob that may be read in place: made only of those for which [`Reader::may_stay`] says so.
struct Readable(Lent);

impl AsRef<[u8]> for Readable {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the blob is sealed against writing, or its owner is trusted not to write before it is
        // given back, which both sides asked for. This process has no writable mapping of it.
        unsafe { self.0.blob().region.slice(self.0.offset(), self.0.bytes()) }
    }
}

/// What a record about blobs says.
fn words<const N: usize>(record: Record<'_>) -> crate::Result<[u64; N]> {
    record.words().ok_or_else(|| {
        let (tag, bytes) = (record.label().tag, record.bytes());
        broken(format!("a record with the tag {tag} and {bytes} bytes"))
    })
}

impl Writer {
    pub(super) fn new(pool: Pool, waiter: Waiter) -> Self {
        Writer { pool, waiter }
    }
}

impl State {
    /// Writes what there is room for, and adds to `sent` how much of the slices that is. Gives what to wait
    /// for before the rest.
    fn write(&mut self, mut slices: &[&[u8]], sent: &mut usize) -> crate::Result<Option<Yet>> {
        while let Some((first, rest)) = slices.split_first() {
            if first.len() >= SHARED_BYTES_MIN {
                match self.refer(first)? {
                    Referred::Lent => {
                        *sent += first.len();
                        slices = rest;
                        continue;
                    }
                    Referred::Not(yet) => return Ok(Some(yet)),
                    Referred::No => {}
                }
            }
            let copied = |slice: &&&[u8]| slice.len() < SHARED_BYTES_MIN || !self.is_shared(slice);
            let (copies, others) = slices.split_at(1 + rest.iter().take_while(copied).count());
            let total: usize = copies.iter().map(|slice| slice.len()).sum();
            let mut copied = 0;
            if total > 0 && !self.producer.write(copies, &mut copied, tag::BYTES)? {
                *sent += copied;
                return Ok(Some(Yet::Room(self.producer.next_part(total - copied))));
            }
            *sent += copied;
            slices = others;
        }
        Ok(None)
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
        let mut state = this.pool.lock();
        state.check().map_err(to_io)?;
        loop {
            let mut sent = 0;
            let next = state.write(parts, &mut sent).map_err(to_io)?;
            // Even if nothing of the stream was: a blob may have been attached.
            state.publish().map_err(to_io)?;
            match next {
                Some(Yet::Room(bytes)) if sent == 0 => {
                    ready!(this.waiter.poll(cx, &mut state.producer.room(bytes))).map_err(to_io)?;
                }
                Some(Yet::Taken(position)) if sent == 0 => {
                    ready!(this.waiter.poll(cx, &mut state.producer.taken(position))).map_err(to_io)?;
                }
                _ => return Poll::Ready(Ok(sent)),
            }
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
        let mut state = this.pool.lock();
        while !this.waiter.has_ended() {
            if let Some(loan) = state.producer.reserve(0).map_err(to_io)? {
                loan.commit(0, Label { tag: tag::END, more: false });
                return Poll::Ready(state.publish().map_err(to_io));
            }
            // Whoever waits for room has shown what fills the ring.
            state.publish().map_err(to_io)?;
            ready!(this.waiter.poll(cx, &mut state.producer.room(0))).map_err(to_io)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// Of a record that is bytes of the stream, and a message of its own.
const BYTES: Label = Label { tag: tag::BYTES, more: false };

/// Messages that are taken one by one keep no more than this part of the ring from the peer,
const UNRELEASED_PART: usize = 8;
/// and of what it may have lent that is not taken up, no more than half.
const UNRELEASED_LENT_BYTES: usize = UNREAD_BYTES_MAX / 2;

/// The most slices of one write; the rest waits for the next.
const SLICES_MAX: usize = 64;

pub(super) fn to_io(error: Error) -> io::Error {
    match error {
        Error::Disconnected { reason } => io::Error::new(io::ErrorKind::BrokenPipe, reason),
        other => io::Error::other(other),
    }
}
