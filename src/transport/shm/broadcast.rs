//! Messages from one publisher to many subscribers, through one ring that the publisher alone writes.
//!
//! Each message is written once, however many read it. A subscriber has a region of its own for what it
//! says: how far it has read and what it waits for. One that *blocks* keeps what it has not read, as the
//! one reader of a [`ring`](super::ring) does; one that *loses the oldest* keeps nothing, and finds out by
//! `oldest`, a word of the publisher's, that a message was overwritten while or before it was copied. Every
//! message is one record and has a number, so what is lost is counted and not guessed.
//!
//! `oldest` is moved before anything that it passes is overwritten, and by an eighth of the ring: whoever
//! was overtaken and goes on there has that much of a lead, and the word changes rarely.
//!
//! Nothing here sleeps, wakes or makes a system call. Subscribers have a line `L`, by which they are rung
//! and waited for.

use std::sync::atomic::Ordering;

use super::doorbell::{Condition, PeerWish, wish};
use super::region::Region;
use super::ring::{Ring, broken};
use super::sync::{Memory, layout};
use crate::transport::Policy;
use crate::{Error, Result};

/// The end that writes, over a fresh memory.
pub struct Publication<L, M: Memory = Region> {
    ring: Ring,
    mine: M,
    /// The end of the last record. All up to there is published.
    written: u64,
    /// The start of the oldest record that is whole.
    oldest: u64,
    /// How many messages were published.
    count: u64,
    readers: Vec<Reader<L, M>>,
}

/// A subscriber, as the publisher sees it.
struct Reader<L, M> {
    line: L,
    memory: M,
    policy: Policy,
    /// How far it has read, as far as is known.
    read: u64,
    wish: PeerWish,
}

/// Where a subscriber begins: behind the last message that was published before it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Of the next record.
    pub position: u64,
    /// The number of the next message.
    pub number: u64,
}

/// A blocking subscriber that has not read enough, and the condition that it has.
pub struct Holder<'a, L, M: Memory = Region> {
    /// Which one; see [`Publication::remove`].
    pub index: usize,
    /// How to wait for it.
    pub line: &'a mut L,
    /// What to wait for.
    pub hold: Hold<'a, M>,
}

/// The condition that a subscriber has read up to some position.
pub struct Hold<'a, M: Memory = Region> {
    mine: &'a M,
    memory: &'a M,
    read: &'a mut u64,
    written: u64,
    needed: u64,
}

/// Space for a message, which nobody sees before it is published. Dropping it gives it back.
#[must_use = "a loan that is not published sends nothing"]
pub struct Space<'a, L, M: Memory = Region> {
    publication: &'a mut Publication<L, M>,
    start: u64,
    bytes: usize,
}

/// The end that reads.
pub struct Subscription<M: Memory = Region> {
    ring: Ring,
    mine: M,
    publisher: M,
    policy: Policy,
    /// The end of the last record that was taken, or skipped.
    position: u64,
    /// What the publisher knows of it.
    released: u64,
    /// The publisher's last index that was found valid.
    written: u64,
    /// The number of the next message, if none is lost.
    number: u64,
    lost: u64,
    ended: bool,
    publisher_wish: PeerWish,
}

/// What a subscription finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing yet.
    Nothing,
    /// A message, to be [taken](Subscription::take).
    Message(Found),
    /// What was there was overwritten; look again.
    Overtaken,
    /// The publisher has ended.
    End,
}

/// A message that was found, and may be overwritten before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// How long it is.
    pub bytes: usize,
    start: u64,
    number: u64,
}

impl<L, M: Memory> Publication<L, M> {
    /// Publishes in this memory, which nothing was written to.
    pub fn new(mine: M) -> Self {
        Publication { ring: Ring::of(&mine), mine, written: 0, oldest: 0, count: 0, readers: Vec::new() }
    }

    /// The longest message, in bytes: a few always fit, so that one is read while the next is written.
    pub fn message_bytes_max(&self) -> usize {
        message_bytes_max(self.ring)
    }

    /// Takes in a subscriber, by the memory that it writes.
    pub fn join(&mut self, memory: M, policy: Policy, line: L) -> Start {
        let wish = PeerWish::at(layout::DATA_WISH);
        self.readers.push(Reader { line, memory, policy, read: self.written, wish });
        self.start()
    }

    /// Where one that joins now begins.
    pub fn start(&self) -> Start {
        Start { position: self.written, number: self.count }
    }

    /// How many subscribers there are.
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Removes those that are gone.
    pub fn retain(&mut self, mut stays: impl FnMut(&L) -> bool) {
        self.readers.retain(|reader| stays(&reader.line));
    }

    /// Removes one. It holds nothing back any more.
    pub fn remove(&mut self, index: usize) {
        self.readers.swap_remove(index);
    }

    /// Somebody who has to read more before there is room for a message of `bytes` bytes.
    pub fn holder(&mut self, bytes: usize) -> Option<Holder<'_, L, M>> {
        let needed = self.needed(bytes);
        let blocks = |reader: &Reader<L, M>| reader.policy == Policy::Block && reader.read < needed;
        let index = self.readers.iter().position(blocks)?;
        let Reader { line, memory, read, .. } = &mut self.readers[index];
        let hold = Hold { mine: &self.mine, memory, read, written: self.written, needed };
        Some(Holder { index, line, hold })
    }

    /// Space for a message of up to `bytes` bytes, for which nobody [holds](Self::holder) the room.
    pub fn reserve(&mut self, bytes: usize) -> Space<'_, L, M> {
        assert!(bytes <= self.message_bytes_max(), "a message that is too long");
        let needed = self.needed(bytes);
        if self.oldest < needed {
            self.give_up(needed);
        }
        let (start, _) = self.place(bytes);
        Space { publication: self, start, bytes }
    }

    /// Publishes the end: the last record. `ring` as in [`Space::publish`].
    pub fn end(&mut self, ring: impl FnMut(&mut L) -> bool) {
        let space = self.reserve(0);
        space.write_record(0, Kind::End, ring);
    }

    /// How far everyone who blocks has to have read, and what is older has to be given up.
    fn needed(&self, bytes: usize) -> u64 {
        self.place(bytes).1.saturating_sub(self.ring.bytes)
    }

    /// Moves `oldest` to `needed` at least.
    fn give_up(&mut self, needed: u64) {
        let blocking = self.readers.iter().filter(|reader| reader.policy == Policy::Block);
        let kept = blocking.map(|reader| reader.read).min().unwrap_or(self.written);
        debug_assert!(kept >= needed, "a subscriber that blocks has not read this yet");
        let target = (needed + self.ring.bytes / LEAD).min(kept).max(needed);
        while self.oldest < target {
            let word = self.mine.load(self.ring.offset(self.oldest));
            self.oldest += record_size(word as u32 as usize);
        }
        // After `written`: whoever sees this index sees that one, by the fence in `write_record`.
        self.mine.store(layout::OLDEST, self.oldest);
        // Whoever sees what is written over those records sees this index.
        M::fence(Ordering::Release);
    }

    /// Where a record would start and end.
    fn place(&self, bytes: usize) -> (u64, u64) {
        let (size, tail) = (record_size(bytes), self.ring.tail(self.written));
        let start = if size > tail { self.written + tail } else { self.written };
        (start, start + size)
    }
}

impl<M: Memory> Condition for Hold<'_, M> {
    fn holds(&mut self) -> Result<bool> {
        if *self.read < self.needed {
            let read = self.memory.load(layout::READ);
            // It is done with the space up to there before it is written again.
            M::fence(Ordering::Acquire);
            if read > self.written || !read.is_multiple_of(ALIGN) {
                return Err(broken(format!("it has read to {read}, of {} that are written", self.written)));
            }
            // Before it has read anything, the word is zero.
            *self.read = read.max(*self.read);
        }
        Ok(*self.read >= self.needed)
    }

    fn wish(&mut self) {
        wish(self.mine, layout::SPACE_WISH, self.needed);
    }
}

impl<L, M: Memory> Space<'_, L, M> {
    /// Copies bytes in, `at` bytes from the start of the message.
    pub fn write(&mut self, at: usize, from: &[u8]) {
        assert!(at <= self.bytes && from.len() <= self.bytes - at, "a write past the end of the space");
        self.publication.mine.write(self.offset() + at, from);
    }

    /// Publishes the first `bytes` bytes as a message. `ring` is called for each subscriber that sleeps;
    /// one that it says is gone is removed.
    pub fn publish(self, bytes: usize, ring: impl FnMut(&mut L) -> bool) {
        self.write_record(bytes, Kind::Message, ring);
    }

    fn write_record(self, bytes: usize, kind: Kind, mut ring: impl FnMut(&mut L) -> bool) {
        assert!(bytes <= self.bytes, "more is published than was reserved");
        let Publication { ring: geometry, mine, written, count, readers, .. } = self.publication;
        if self.start > *written {
            let padding = (self.start - *written) as usize - HEADER_BYTES;
            mine.store(geometry.offset(*written), header(padding, Kind::Padding));
        }
        let offset = geometry.offset(self.start);
        mine.store(offset, header(bytes, kind));
        mine.store(offset + 8, *count);
        *count += u64::from(kind == Kind::Message);
        *written = self.start + record_size(bytes);
        M::fence(Ordering::Release);
        mine.store(layout::WRITTEN, *written);
        // One fence for all; its partners are in their `wish`.
        M::fence(Ordering::SeqCst);
        readers
            .retain_mut(|reader| !reader.wish.is_due_after_fence(&reader.memory, *written) || ring(&mut reader.line));
    }

    fn offset(&self) -> usize {
        self.publication.ring.offset(self.start) + HEADER_BYTES
    }
}

impl<L> Space<'_, L, Region> {
    /// The bytes, to build a message in place. They start at a multiple of 8 and are not zero.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let (offset, bytes) = (self.offset(), self.bytes);
        // SAFETY: the region is the publisher's own and it is borrowed, so nothing else in this process
        // touches the bytes. A subscriber may still copy what was there: in its process, and it throws
        // the copy away, for `oldest` was moved first.
        unsafe { self.publication.mine.slice_mut(offset, bytes) }
    }
}

impl<M: Memory> Subscription<M> {
    /// Reads what is published in `publisher`, and says so in `mine`, which is fresh.
    pub fn new(mine: M, publisher: M, policy: Policy, start: Start) -> Result<Self> {
        if !start.position.is_multiple_of(ALIGN) {
            return Err(broken(format!("it starts at {}", start.position)));
        }
        Ok(Subscription {
            ring: Ring::of(&publisher),
            mine,
            publisher,
            policy,
            position: start.position,
            released: start.position,
            written: start.position,
            number: start.number,
            lost: 0,
            ended: false,
            publisher_wish: PeerWish::at(layout::SPACE_WISH),
        })
    }

    /// How many messages were lost before the last that was taken, or before the end.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Looks for the next message.
    pub fn find(&mut self) -> Result<Next> {
        while !self.ended {
            if !self.has_data()? {
                return Ok(Next::Nothing);
            }
            let offset = self.ring.offset(self.position);
            let (word, number) = (self.publisher.load(offset), self.publisher.load(offset + 8));
            // Before they are believed.
            if self.was_overtaken()? {
                return Ok(Next::Overtaken);
            }
            let (bytes, kind) = parse(word)?;
            let size = record_size(bytes);
            if size > self.written - self.position || size > self.ring.tail(self.position) {
                return Err(broken(format!("a record of {bytes} bytes reaches past what was written")));
            }
            match kind {
                Kind::Padding if size == self.ring.tail(self.position) => self.position += size,
                Kind::Padding => return Err(broken("padding ends before the ring does")),
                Kind::Message if bytes > message_bytes_max(self.ring) => {
                    return Err(broken(format!("a message of {bytes} bytes is too long for the ring")));
                }
                Kind::Message => {
                    self.check(number)?;
                    return Ok(Next::Message(Found { bytes, start: self.position, number }));
                }
                Kind::End => {
                    self.check(number)?;
                    self.count(number);
                    self.ended = true;
                }
            }
        }
        Ok(Next::End)
    }

    /// Copies the message that was found. `false`: it was overwritten meanwhile, and what was copied is
    /// nothing; look for the [next](Self::find). Panics unless `to` is as long as the message.
    pub fn take(&mut self, found: Found, to: &mut [u8]) -> Result<bool> {
        assert!(found.start == self.position && found.bytes == to.len(), "what was found is taken, and at once");
        self.publisher.read(self.ring.offset(found.start) + HEADER_BYTES, to);
        if self.was_overtaken()? {
            return Ok(false);
        }
        self.position += record_size(found.bytes);
        self.count(found.number);
        self.number += 1;
        Ok(true)
    }

    /// Gives up what was taken, if this side keeps anything. `true`: the publisher waits for it, ring. It
    /// is due when there is [`Next::Nothing`], and before that once [`unreleased_bytes`](Self::unreleased_bytes)
    /// is a good part of the ring.
    #[must_use = "a publisher that sleeps must be rung"]
    pub fn release(&mut self) -> bool {
        if self.policy == Policy::LoseOldest || self.position == self.released {
            return false;
        }
        M::fence(Ordering::Release);
        self.mine.store(layout::READ, self.position);
        self.released = self.position;
        self.publisher_wish.is_due(&self.publisher, self.position)
    }

    /// How many bytes were taken and not released.
    pub fn unreleased_bytes(&self) -> usize {
        (self.position - self.released) as usize
    }

    /// The size of the publisher's ring.
    pub fn ring_bytes(&self) -> usize {
        self.ring.bytes as usize
    }

    fn has_data(&mut self) -> Result<bool> {
        if self.position == self.written {
            self.refresh()?;
        }
        Ok(self.position != self.written)
    }

    fn refresh(&mut self) -> Result<()> {
        let written = self.publisher.load(layout::WRITTEN);
        // The records up to there are read after the index that covers them.
        M::fence(Ordering::Acquire);
        let least = self.position.max(self.written);
        let overflows = self.policy == Policy::Block && written.saturating_sub(self.released) > self.ring.bytes;
        if written < least || overflows || !written.is_multiple_of(ALIGN) {
            return Err(broken(format!("it has written to {written}, and before to {least}")));
        }
        self.written = written;
        Ok(())
    }

    /// Whether what was just read may have been overwritten meanwhile. If so, goes on at what is whole.
    fn was_overtaken(&mut self) -> Result<bool> {
        if self.policy == Policy::Block {
            return Ok(false);
        }
        // What was read was read before; the partner is in `give_up`.
        M::fence(Ordering::Acquire);
        let oldest = self.publisher.load(layout::OLDEST);
        if oldest <= self.position {
            return Ok(false);
        }
        // What is seen of `written` is not before this `oldest`.
        M::fence(Ordering::Acquire);
        if !oldest.is_multiple_of(ALIGN) {
            return Err(broken(format!("its oldest record is at {oldest}")));
        }
        self.position = oldest;
        self.refresh()?;
        Ok(true)
    }

    /// Whether a message or the end may have this number.
    fn check(&self, number: u64) -> Result<()> {
        let fits = match self.policy {
            Policy::Block => number == self.number,
            Policy::LoseOldest => number >= self.number,
        };
        match fits && number < u64::MAX {
            true => Ok(()),
            false => Err(broken(format!("message {number} comes where {} is next", self.number))),
        }
    }

    /// Counts the messages that are missing before this number.
    fn count(&mut self, number: u64) {
        self.lost += number - self.number;
        self.number = number;
    }
}

/// The condition that there is something to read.
impl<M: Memory> Condition for Subscription<M> {
    fn holds(&mut self) -> Result<bool> {
        Ok(self.ended || self.has_data()?)
    }

    fn wish(&mut self) {
        wish(&self.mine, layout::DATA_WISH, self.position + 1);
    }
}

/// Kind and length, and the number of the message.
const HEADER_BYTES: usize = 16;
/// So that a header never wraps.
const ALIGN: u64 = 16;
/// The part of the ring by which `oldest` moves.
const LEAD: u64 = 8;

/// None is 0: what was never written is no record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message = 1,
    Padding = 3,
    End = 4,
}

fn message_bytes_max(ring: Ring) -> usize {
    ring.bytes as usize / 4 - HEADER_BYTES
}

/// Header and bytes of a record, padded.
fn record_size(bytes: usize) -> u64 {
    (HEADER_BYTES + bytes).next_multiple_of(ALIGN as usize) as u64
}

fn header(bytes: usize, kind: Kind) -> u64 {
    bytes as u64 | (kind as u64) << 32
}

fn parse(word: u64) -> Result<(usize, Kind), Error> {
    let kind = match word >> 32 {
        1 => Kind::Message,
        3 => Kind::Padding,
        4 => Kind::End,
        kind => return Err(broken(format!("a record of the unknown kind {kind}"))),
    };
    Ok((word as u32 as usize, kind))
}
