//! Records from one producer to one consumer, through a ring that the producer alone writes.
//!
//! A ring of records, and not of bytes, because a message must be able to lie in one piece: it is then
//! built in the ring and read in the ring, with no copy at all. Frames that are copied lose nothing by it
//! (one copy in, one copy out, many records for one publication), and a message larger than the ring goes
//! in several records, of which all but the last say that more follows.
//!
//! A record is a header word and its bytes, padded to 8. One that does not fit before the end of the ring
//! starts at the beginning again, behind a record of padding; it takes at most half of the ring, so that
//! it always fits into an empty one. `written` and `read` count bytes since the start and only grow, so
//! full and empty cannot be confused and a peer's index is checked by one comparison.
//!
//! Nothing here sleeps, wakes or makes a system call: [`Producer::publish`] and [`Consumer::release`] say
//! whether the peer has to be rung, and [`mod@super::doorbell`] does it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use capnp::Word;

use super::doorbell::{Condition, PeerWish, wish};
use super::region::Region;
use super::sync::{Memory, layout};
use super::{TABLE_BYTES, WORD_BYTES};
use crate::{Error, Result};

/// The two ends of a connection on this side, over fresh memories: `mine`, which this side writes, and
/// `peer`, which it only reads.
pub fn link<M: Memory>(mine: M, peer: M) -> (Producer<M>, Consumer<M>) {
    let (mine, peer) = (Arc::new(mine), Arc::new(peer));
    let producer = Producer {
        ring: Ring::of(&*mine),
        mine: mine.clone(),
        peer: peer.clone(),
        written: 0,
        published: 0,
        read: 0,
        peer_wish: PeerWish::at(layout::DATA_WISH),
    };
    let consumer = Consumer {
        ring: Ring::of(&*peer),
        mine,
        peer,
        position: 0,
        released: 0,
        written: 0,
        held: VecDeque::new(),
        peer_wish: PeerWish::at(layout::SPACE_WISH),
    };
    (producer, consumer)
}

/// The end that writes.
pub struct Producer<M: Memory = Region> {
    ring: Ring,
    mine: Arc<M>,
    peer: Arc<M>,
    /// The end of the last committed record.
    written: u64,
    /// What the peer knows of `written`.
    published: u64,
    /// The peer's last index that was found valid.
    read: u64,
    peer_wish: PeerWish,
}

/// The end that reads.
pub struct Consumer<M: Memory = Region> {
    ring: Ring,
    mine: Arc<M>,
    peer: Arc<M>,
    /// The end of the last record that was received.
    position: u64,
    /// What the peer knows of it: all before this is the peer's again.
    released: u64,
    /// The peer's last index that was found valid.
    written: u64,
    /// Records that are read in place, oldest first.
    held: VecDeque<Holding>,
    peer_wish: PeerWish,
}

/// What a record says beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// What the record is, in the words of whoever uses the ring.
    pub tag: u16,
    /// The message goes on in the next record.
    pub more: bool,
}

/// Space for a record, of which the peer sees nothing before it is committed and published. Dropping it
/// gives the space back.
#[must_use = "a loan that is not committed sends nothing"]
pub struct Loan<'a, M: Memory = Region> {
    producer: &'a mut Producer<M>,
    start: u64,
    bytes: usize,
}

/// A record that was received. Its space goes back to the peer with the next [`Consumer::release`],
/// unless it is [held](Record::hold).
pub struct Record<'a, M: Memory = Region> {
    consumer: &'a mut Consumer<M>,
    extent: Extent,
}

/// A record whose space stays with this side until it is [given back](Consumer::give_back), in any order.
/// Space returns to the peer in order, though: one that is kept for long, or dropped, ends in a full ring.
pub struct Held<M: Memory = Region> {
    memory: Arc<M>,
    extent: Extent,
}

#[derive(Clone, Copy)]
struct Extent {
    start: u64,
    offset: usize,
    bytes: usize,
    label: Label,
}

struct Holding {
    start: u64,
    given_back: bool,
}

impl<M: Memory> Producer<M> {
    /// The most bytes that a record can have.
    pub fn record_bytes_max(&self) -> usize {
        self.ring.bytes as usize / 2 - HEADER_BYTES
    }

    /// Space for a record of up to `bytes` bytes, or `None` while the ring is too full. What is in the
    /// space are the bytes of older records.
    pub fn reserve(&mut self, bytes: usize) -> Result<Option<Loan<'_, M>>> {
        let start = self.find_room(bytes)?;
        Ok(start.map(|start| Loan { producer: self, start, bytes }))
    }

    /// Copies what fits of a message, from its byte `sent` on, and says whether that was all of it. The
    /// message is the slices, one after another, in as many records as it takes. After `false`, publish
    /// and wait for [`room`](Self::room) for [`next_part`](Self::next_part).
    pub fn write(&mut self, message: &[&[u8]], sent: &mut usize, tag: u16) -> Result<bool> {
        let total: usize = message.iter().map(|slice| slice.len()).sum();
        loop {
            let part = self.next_part(total - *sent);
            let Some(mut loan) = self.reserve(part)? else { return Ok(false) };
            loan.gather(message, *sent);
            *sent += part;
            let more = *sent < total;
            loan.commit(part, Label { tag, more });
            if !more {
                return Ok(true);
            }
        }
    }

    /// How many of the `rest` bytes of a message go into its next record. A long message goes in quarters
    /// of the ring, so that the peer copies one out while the next is copied in.
    pub fn next_part(&self, rest: usize) -> usize {
        match rest <= self.record_bytes_max() {
            true => rest,
            false => self.ring.bytes as usize / 4 - HEADER_BYTES,
        }
    }

    /// Shows the peer all that was committed. `true`: the peer sleeps, ring.
    #[must_use = "a peer that sleeps must be rung"]
    pub fn publish(&mut self) -> bool {
        if self.published == self.written {
            return false;
        }
        M::fence(Ordering::Release);
        self.mine.store(layout::WRITTEN, self.written);
        self.published = self.written;
        self.peer_wish.is_due(&*self.peer, self.written)
    }

    /// The condition that there is room for a record of `bytes` bytes. Publish first: the peer makes no
    /// room while it does not see what fills the ring.
    pub fn room(&mut self, bytes: usize) -> Room<'_, M> {
        debug_assert_eq!(self.published, self.written, "waiting for room with records that are not published");
        Room { producer: self, bytes }
    }

    /// How many bytes of records, headers and padding the peer has not read yet, as far as is known.
    pub fn pending_bytes(&self) -> usize {
        (self.written - self.read) as usize
    }

    /// The end of the last committed record, counted from the start of the connection.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether the peer is done with all records up to a position.
    pub(super) fn is_taken(&mut self, position: u64) -> Result<bool> {
        if self.read < position {
            self.refresh()?;
        }
        Ok(self.read >= position)
    }

    /// The condition of that. Publish first.
    pub(super) fn taken(&mut self, position: u64) -> Taken<'_, M> {
        Taken { producer: self, position }
    }

    /// The peer's memory.
    pub(super) fn peer(&self) -> &M {
        &self.peer
    }

    /// Where a record of `bytes` bytes starts, if there is room for it.
    fn find_room(&mut self, bytes: usize) -> Result<Option<u64>> {
        if bytes > self.record_bytes_max() {
            let max = self.record_bytes_max();
            return Err(Error::Misuse(format!("a record of {bytes} bytes, where {max} is the most: send it in parts")));
        }
        let (start, end) = self.place(bytes);
        if end - self.read > self.ring.bytes {
            self.refresh()?;
        }
        Ok((end - self.read <= self.ring.bytes).then_some(start))
    }

    /// Where a record of `bytes` bytes would start and end.
    fn place(&self, bytes: usize) -> (u64, u64) {
        let size = record_size(bytes);
        let tail = self.ring.tail(self.written);
        let start = if size > tail { self.written + tail } else { self.written };
        (start, start + size)
    }

    fn refresh(&mut self) -> Result<()> {
        let read = self.peer.load(layout::READ);
        // The peer is done with the space up to there before it is written again.
        M::fence(Ordering::Acquire);
        if read < self.read || read > self.published || !read.is_multiple_of(ALIGN) {
            return Err(broken(format!("it has read to {read}, between {} and {}", self.read, self.published)));
        }
        self.read = read;
        Ok(())
    }
}

/// The condition that a [`Producer`] has room.
pub struct Room<'a, M: Memory = Region> {
    producer: &'a mut Producer<M>,
    bytes: usize,
}

impl<M: Memory> Condition for Room<'_, M> {
    fn holds(&mut self) -> Result<bool> {
        Ok(self.producer.find_room(self.bytes)?.is_some())
    }

    fn wish(&mut self) {
        let (_, end) = self.producer.place(self.bytes);
        let enough = end.saturating_sub(self.producer.ring.bytes);
        wish(&*self.producer.mine, layout::SPACE_WISH, enough);
    }
}

/// The condition that the peer is done with records.
pub(super) struct Taken<'a, M: Memory = Region> {
    producer: &'a mut Producer<M>,
    position: u64,
}

impl<M: Memory> Condition for Taken<'_, M> {
    fn holds(&mut self) -> Result<bool> {
        self.producer.is_taken(self.position)
    }

    fn wish(&mut self) {
        wish(&*self.producer.mine, layout::SPACE_WISH, self.position);
    }
}

impl<M: Memory> Loan<'_, M> {
    /// How many bytes were asked for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies bytes in, `at` bytes from the start of the record.
    pub fn write(&mut self, at: usize, from: &[u8]) {
        assert!(at <= self.bytes && from.len() <= self.bytes - at, "a write past the end of the loan");
        self.producer.mine.write(self.offset() + at, from);
    }

    /// Makes a record of the first `bytes` bytes. The peer sees it after the next [`Producer::publish`].
    pub fn commit(self, bytes: usize, label: Label) {
        assert!(bytes <= self.bytes, "more is committed than was reserved");
        let kind = if label.more { Kind::Part } else { Kind::Whole };
        let producer = self.producer;
        let store = |at, header: Header| producer.mine.store(producer.ring.offset(at), header.word());
        if self.start > producer.written {
            let bytes = (self.start - producer.written) as usize - HEADER_BYTES;
            store(producer.written, Header { kind: Kind::Padding, bytes, tag: 0 });
        }
        store(self.start, Header { kind, bytes, tag: label.tag });
        producer.written = self.start + record_size(bytes);
    }

    /// Fills the loan with what comes after the first `skip` bytes of the slices.
    fn gather(&mut self, slices: &[&[u8]], mut skip: usize) {
        let mut filled = 0;
        for slice in slices {
            let rest = &slice[skip.min(slice.len())..];
            skip -= slice.len() - rest.len();
            let part = &rest[..rest.len().min(self.bytes - filled)];
            self.write(filled, part);
            filled += part.len();
        }
    }

    fn offset(&self) -> usize {
        self.producer.ring.offset(self.start) + HEADER_BYTES
    }
}

impl<M: Memory> Consumer<M> {
    /// The next record, or `None` while there is none.
    pub fn receive(&mut self) -> Result<Option<Record<'_, M>>> {
        self.receive_if(|_, _| true)
    }

    /// The next record, if what it is and how many bytes it has is wanted now.
    pub(super) fn receive_if(&mut self, wanted: impl FnOnce(Label, usize) -> bool) -> Result<Option<Record<'_, M>>> {
        let Some(extent) = self.find()?.filter(|extent| wanted(extent.label, extent.bytes)) else { return Ok(None) };
        self.position += record_size(extent.bytes);
        Ok(Some(Record { consumer: self, extent }))
    }

    /// Copies out the next record if it has this label, and is one frame of up to `bytes_max` bytes that has one segment:
    /// the words of that. Nothing happens otherwise.
    ///
    /// It is the way of nearly all small messages, which would be copied twice on the way of all others.
    pub fn receive_frame(&mut self, label: Label, bytes_max: usize) -> Result<Option<Vec<Word>>> {
        let Some(extent) = self.find()? else { return Ok(None) };
        if extent.label != label || !(TABLE_BYTES..=bytes_max).contains(&extent.bytes) {
            return Ok(None);
        }
        let count = extent.bytes / WORD_BYTES - 1;
        // Whatever the peer makes of it now.
        let table = u64::from_le(self.peer.load(extent.offset));
        if table != (count as u64) << 32 || !extent.bytes.is_multiple_of(WORD_BYTES) {
            return Ok(None);
        }
        let words = self.peer.read_words(extent.offset + TABLE_BYTES, count);
        self.position += record_size(extent.bytes);
        Ok(Some(words))
    }

    /// Receives what `take` receives, or, if that gives nothing, nothing. It holds no record.
    pub(super) fn all_or_nothing<R>(&mut self, take: impl FnOnce(&mut Self) -> Result<Option<R>>) -> Result<Option<R>> {
        let position = self.position;
        let taken = take(self);
        if !matches!(taken, Ok(Some(_))) {
            self.position = position;
        }
        taken
    }

    /// The next record, behind any padding.
    fn find(&mut self) -> Result<Option<Extent>> {
        while self.has_data()? {
            let start = self.position;
            let header = Header::parse(self.peer.load(self.ring.offset(start)))?;
            let size = record_size(header.bytes);
            let tail = self.ring.tail(start);
            if size > self.written - start || size > tail {
                return Err(broken(format!("a record of {} bytes reaches past what was written", header.bytes)));
            }
            let more = match header.kind {
                Kind::Padding if size == tail => {
                    self.position += size;
                    continue;
                }
                Kind::Padding => return Err(broken("padding ends before the ring does")),
                Kind::Whole => false,
                Kind::Part => true,
            };
            let label = Label { tag: header.tag, more };
            let offset = self.ring.offset(start) + HEADER_BYTES;
            return Ok(Some(Extent { start, offset, bytes: header.bytes, label }));
        }
        Ok(None)
    }

    /// Takes back a record that was held.
    pub fn give_back(&mut self, held: Held<M>) {
        assert!(Arc::ptr_eq(&held.memory, &self.peer), "a record is given back to the ring that it came from");
        if let Ok(index) = self.held.binary_search_by_key(&held.extent.start, |holding| holding.start) {
            self.held[index].given_back = true;
        }
    }

    /// Gives the peer the space of all that was received and is not held any more. `true`: the peer waits
    /// for space, ring. It is due when [`receive`](Self::receive) has given `None`, and before that once
    /// [`unreleased_bytes`](Self::unreleased_bytes) is a good part of the ring.
    #[must_use = "a peer that sleeps must be rung"]
    pub fn release(&mut self) -> bool {
        while self.held.front().is_some_and(|holding| holding.given_back) {
            self.held.pop_front();
        }
        let free = self.held.front().map_or(self.position, |holding| holding.start);
        if free == self.released {
            return false;
        }
        M::fence(Ordering::Release);
        self.mine.store(layout::READ, free);
        self.released = free;
        self.peer_wish.is_due(&*self.peer, free)
    }

    /// This side's memory.
    pub(super) fn mine(&self) -> Arc<M> {
        self.mine.clone()
    }

    /// How many bytes of the ring were received and not released.
    pub fn unreleased_bytes(&self) -> usize {
        (self.position - self.released) as usize
    }

    /// The size of the peer's ring.
    pub fn ring_bytes(&self) -> usize {
        self.ring.bytes as usize
    }

    /// Whether there is something to receive.
    #[inline]
    pub(super) fn has_data(&mut self) -> Result<bool> {
        if self.position == self.written {
            self.refresh()?;
        }
        Ok(self.position != self.written)
    }

    #[inline]
    fn refresh(&mut self) -> Result<()> {
        let written = self.peer.load(layout::WRITTEN);
        // The records up to there are read after the index that covers them.
        M::fence(Ordering::Acquire);
        if written < self.written || written - self.released > self.ring.bytes || !written.is_multiple_of(ALIGN) {
            let (least, most) = (self.written, self.released + self.ring.bytes);
            return Err(broken(format!("it has written to {written}, between {least} and {most}")));
        }
        self.written = written;
        Ok(())
    }
}

/// The condition that there is something to receive.
impl<M: Memory> Condition for Consumer<M> {
    fn holds(&mut self) -> Result<bool> {
        self.has_data()
    }

    fn wish(&mut self) {
        wish(&*self.mine, layout::DATA_WISH, self.position + 1);
    }
}

impl<M: Memory> Record<'_, M> {
    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.extent.bytes
    }

    /// What it says beside its bytes.
    pub fn label(&self) -> Label {
        self.extent.label
    }

    /// Copies it out. Panics unless `to` is as long as the record.
    pub fn copy_to(&self, to: &mut [u8]) {
        self.extent.copy(&*self.consumer.peer, to);
    }

    /// The words that it is, if it is so many.
    pub(super) fn words<const N: usize>(&self) -> Option<[u64; N]> {
        let Extent { offset, bytes, .. } = self.extent;
        (bytes == N * WORD_BYTES).then(|| std::array::from_fn(|at| self.consumer.peer.load(offset + at * WORD_BYTES)))
    }

    /// Keeps its space, to read it in place.
    pub fn hold(self) -> Held<M> {
        self.consumer.held.push_back(Holding { start: self.extent.start, given_back: false });
        Held { memory: self.consumer.peer.clone(), extent: self.extent }
    }
}

impl<M: Memory> Held<M> {
    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.extent.bytes
    }

    /// What it says beside its bytes.
    pub fn label(&self) -> Label {
        self.extent.label
    }

    /// Copies it out. Panics unless `to` is as long as the record.
    pub fn copy_to(&self, to: &mut [u8]) {
        self.extent.copy(&*self.memory, to);
    }

    /// Copies out what is `at` bytes from its start. Panics unless there are that many.
    pub fn copy_part(&self, at: usize, to: &mut [u8]) {
        assert!(at <= self.bytes() && to.len() <= self.bytes() - at, "a read past the end of the record");
        self.memory.read(self.extent.offset + at, to);
    }
}

impl Loan<'_, Region> {
    /// The bytes, to build a message in place. They start at a multiple of 8 and are not zero.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let (offset, bytes) = (self.offset(), self.bytes);
        // SAFETY: `reserve` found these bytes free: no record covers them, so the consumer reads none of
        // them. `link` took the region, so this producer is the only one to write it, and it is borrowed.
        unsafe { self.producer.mine.slice_mut(offset, bytes) }
    }
}

impl Held<Region> {
    /// The bytes, to read a message in place. They start at a multiple of 8.
    ///
    /// # Safety
    ///
    /// The peer must not write to them before they are given back. An honest one does not; nothing stops
    /// another. Bytes of a peer that is not trusted are copied out first.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the peer keeps its hands off, says the caller; this process only reads the region.
        unsafe { self.memory.slice(self.extent.offset, self.extent.bytes) }
    }
}

pub(super) const HEADER_BYTES: usize = 8;
const ALIGN: u64 = 8;

/// Header and bytes of a record, padded.
fn record_size(bytes: usize) -> u64 {
    (HEADER_BYTES + bytes).next_multiple_of(ALIGN as usize) as u64
}

#[cold]
pub(super) fn broken(what: impl Into<String>) -> Error {
    Error::Protocol { what: format!("shared memory: {}", what.into()) }
}

/// The geometry of a ring.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    /// A power of two.
    pub(super) bytes: u64,
}

impl Ring {
    pub(super) fn of(memory: &impl Memory) -> Self {
        let bytes = memory.bytes() - layout::RING;
        assert!(bytes.is_power_of_two() && bytes <= layout::RING_BYTES_MAX, "a ring of {bytes} bytes");
        Ring { bytes: bytes as u64 }
    }

    /// Where a position is in the memory.
    pub(super) fn offset(self, position: u64) -> usize {
        layout::RING + (position & (self.bytes - 1)) as usize
    }

    /// How many bytes there are from a position to the end of the ring.
    pub(super) fn tail(self, position: u64) -> u64 {
        self.bytes - (position & (self.bytes - 1))
    }
}

/// The first word of a record: its length in the low 32 bits, then 16 bits for the kind and 16 for the tag.
struct Header {
    kind: Kind,
    bytes: usize,
    tag: u16,
}

/// None is 0: what was never written is no record.
#[derive(Clone, Copy)]
enum Kind {
    Whole = 1,
    Part = 2,
    Padding = 3,
}

impl Header {
    fn word(self) -> u64 {
        self.bytes as u64 | (self.kind as u64) << 32 | u64::from(self.tag) << 48
    }

    #[inline]
    fn parse(word: u64) -> Result<Self> {
        let kind = match (word >> 32) as u16 {
            1 => Kind::Whole,
            2 => Kind::Part,
            3 => Kind::Padding,
            kind => return Err(broken(format!("a record of the unknown kind {kind}"))),
        };
        Ok(Header { kind, bytes: word as u32 as usize, tag: (word >> 48) as u16 })
    }
}

impl Extent {
    fn copy(&self, memory: &impl Memory, to: &mut [u8]) {
        assert_eq!(to.len(), self.bytes, "the room for a copy is as long as the record");
        memory.read(self.offset, to);
    }
}
