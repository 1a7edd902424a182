//! The books of both sides about blobs: which there are, who has them, and what may happen to them next.
//!
//! A blob is memory of the sender that the receiver maps once and reads many times. For its owner a blob
//! is *held* while a message is built in it or waits to be written, and *lent* from the record that names
//! it until the receiver has given it back; it is free when it is neither, and can be used again. Lending
//! counts: the n-th time that a blob of some id is lent is over once the receiver's word for that id
//! ([`layout::RETURNED`]) is n. So blobs come back in any order and from any thread, with no record, no
//! room to wait for and nobody to wake; and an owner that finds any word but n or n - 1 knows that the peer
//! broke the protocol.
//!
//! Nothing here maps memory or makes a system call. The mappings are a type parameter.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::region::{HUGE_PAGE_BYTES, PAGE_BYTES};
use super::ring::broken;
use super::sync::{Memory, layout};
use crate::{Error, Result};

/// The smallest blob. What is smaller costs less to copy than to look after.
pub const BLOB_BYTES_MIN: usize = (64 << 10) + PAGE_BYTES;
/// Up to this, a blob's size is a power of two and a page; beyond it, a multiple of this and a page. The
/// page is for what is around a payload of a round size.
const BLOB_BYTES_STEP: usize = 1 << 20;

/// The owner's book, with what it has of each blob.
pub struct Lender<B> {
    bytes_max: usize,
    bytes: usize,
    blobs: Vec<Option<Own<B>>>,
    /// How often a blob of each id was lent.
    lent: Vec<u64>,
}

struct Own<B> {
    blob: B,
    bytes: usize,
    /// From the start up to here there may be bytes that are not zero.
    used: usize,
    /// Goes once, for it is sealed then.
    once: bool,
    held: bool,
    lent: bool,
    attached: bool,
    /// Free since the last look for such.
    idle: bool,
}

impl<B> Lender<B> {
    /// No blobs yet, and never more than `bytes_max` bytes of them.
    pub fn new(bytes_max: usize) -> Self {
        Lender { bytes_max, bytes: 0, blobs: Vec::new(), lent: Vec::new() }
    }

    /// Holds the smallest free blob for `bytes` bytes that goes more than once, if there is one of about that size.
    /// Gives its id.
    pub fn take(&mut self, bytes: usize) -> Option<usize> {
        let most = size_of_blob(bytes)?.saturating_mul(4);
        let fits = |own: &Own<B>| own.is_free() && !own.once && (bytes..=most).contains(&own.bytes);
        let free = self.iter().filter(|(_, own)| fits(own));
        let (id, _) = free.min_by_key(|(_, own)| own.bytes)?;
        let own = self.own(id);
        (own.held, own.idle) = (true, false);
        Some(id)
    }

    /// How many bytes from the start of a blob may not be zero: the caller makes them so.
    pub fn clear(&mut self, id: usize) -> usize {
        std::mem::take(&mut self.own(id).used)
    }

    /// Whether there is room for a new blob that has `bytes` bytes; nothing, if not even all the free ones
    /// would make it. `once`: it goes only once.
    pub fn room(&self, bytes: usize, once: bool) -> Option<Room> {
        let size =
            if once { size_of_sealed(bytes) } else { size_of_blob(bytes) }.filter(|size| *size <= self.bytes_max)?;
        let free: Vec<_> = self.iter().filter(|(_, own)| own.is_free()).map(|(_, own)| own.bytes).collect();
        let others = self.bytes_max - size;
        match self.free_id() {
            Some(_) if self.bytes <= others => Some(Room::For(size)),
            _ if !free.is_empty() && self.bytes - free.iter().sum::<usize>() <= others => Some(Room::Full),
            _ => None,
        }
    }

    /// Enters a new blob, which is held. To be called when there is [room](Self::room).
    pub fn enter(&mut self, blob: B, bytes: usize, once: bool) -> usize {
        let id = self.free_id().expect("room was found");
        if id == self.blobs.len() {
            self.blobs.push(None);
            self.lent.resize(self.blobs.len(), 0);
        }
        let own = Own { blob, bytes, used: 0, once, held: true, lent: false, attached: false, idle: false };
        self.bytes += bytes;
        self.blobs[id] = Some(own);
        id
    }

    /// The message that was built in a blob is gone; it had written up to `used`.
    pub fn let_go(&mut self, id: usize, used: usize) {
        let own = self.own(id);
        // More than that, if it was not cleared before.
        (own.held, own.used) = (false, own.used.max(used));
        if own.once && !own.lent {
            // Sealed already, or never sent: of no further use. A sealed one is lent in the same breath.
            self.forget(id);
        }
    }

    /// Whether the peer has it mapped.
    pub fn is_attached(&self, id: usize) -> bool {
        self.blobs[id].as_ref().is_some_and(|own| own.attached)
    }

    /// Notes that the peer is told to map it.
    pub fn attach(&mut self, id: usize) {
        self.own(id).attached = true;
    }

    /// Whether it may be lent: it is held, and the peer has it not already.
    pub fn may_lend(&self, id: usize) -> bool {
        self.blobs[id].as_ref().is_some_and(|own| own.held && !own.lent)
    }

    /// Notes that the peer is told to read it.
    pub fn lend(&mut self, id: usize) {
        debug_assert!(self.may_lend(id));
        self.own(id).lent = true;
        self.lent[id] += 1;
    }

    /// Looks for blobs that came back. `returned` reads the peer's word for an id.
    pub fn look(&mut self, returned: impl Fn(usize) -> u64) -> Result<()> {
        for id in 0..self.blobs.len() {
            let Some(own) = self.blobs[id].as_mut().filter(|own| own.lent) else { continue };
            let (word, lent) = (returned(id), self.lent[id]);
            if word == lent {
                own.lent = false;
                if own.once && !own.held {
                    self.forget(id);
                }
            } else if word != lent - 1 {
                return Err(broken(format!("it has returned blob {id} {word} times, which was lent {lent} times")));
            }
        }
        Ok(())
    }

    /// Free blobs, the longest unused first; `idle`: only those that were free at the last such look.
    pub fn free(&mut self, idle: bool) -> Vec<usize> {
        let mut free: Vec<_> = self.iter().filter(|(_, own)| own.is_free() && (own.idle || !idle)).collect();
        free.sort_by_key(|(_, own)| (!own.idle, own.bytes));
        let free = free.into_iter().map(|(id, _)| id).collect();
        if idle {
            self.blobs.iter_mut().flatten().filter(|own| own.is_free()).for_each(|own| own.idle = true);
        }
        free
    }

    /// Strikes out a blob, and gives what there was of it.
    pub fn forget(&mut self, id: usize) -> Option<B> {
        let own = self.blobs[id].take()?;
        self.bytes -= own.bytes;
        Some(own.blob)
    }

    /// What there is of a blob.
    pub fn blob(&mut self, id: usize) -> &mut B {
        &mut self.own(id).blob
    }

    /// The size of a blob.
    pub fn size(&self, id: usize) -> usize {
        self.blobs[id].as_ref().map_or(0, |own| own.bytes)
    }

    /// Whether it is to be sealed when it is sent.
    pub fn is_once(&self, id: usize) -> bool {
        self.blobs[id].as_ref().is_some_and(|own| own.once)
    }

    /// All blobs, by their ids.
    pub fn blobs(&self) -> impl Iterator<Item = (usize, &B)> {
        self.iter().map(|(id, own)| (id, &own.blob))
    }

    /// The bytes of all blobs.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &Own<B>)> {
        self.blobs.iter().enumerate().filter_map(|(id, own)| Some((id, own.as_ref()?)))
    }

    fn own(&mut self, id: usize) -> &mut Own<B> {
        self.blobs[id].as_mut().expect("the id of a blob that there is")
    }

    fn free_id(&self) -> Option<usize> {
        let free = self.blobs.iter().position(Option::is_none).unwrap_or(self.blobs.len());
        (free < layout::BLOBS_MAX).then_some(free)
    }
}

impl<B> Own<B> {
    fn is_free(&self) -> bool {
        !self.held && !self.lent
    }
}

/// Whether there is room for a new blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// For one of this size.
    For(usize),
    /// Only when free ones have gone.
    Full,
}

/// The size of a blob that has `bytes` bytes.
fn size_of_blob(bytes: usize) -> Option<usize> {
    let round = match bytes.saturating_sub(PAGE_BYTES) {
        rest @ ..=BLOB_BYTES_STEP => rest.next_power_of_two().max(BLOB_BYTES_MIN - PAGE_BYTES),
        rest => rest.checked_next_multiple_of(BLOB_BYTES_STEP)?,
    };
    round.checked_add(PAGE_BYTES)
}

/// The same for one that goes once. Where more than a quarter of a huge page is used, a whole one costs less than
/// the small ones that would do: see [`Region::make_blob_to_seal`](super::Region).
fn size_of_sealed(bytes: usize) -> Option<usize> {
    match bytes > HUGE_PAGE_BYTES / 4 {
        true => bytes.checked_next_multiple_of(HUGE_PAGE_BYTES),
        false => size_of_blob(bytes),
    }
}

/// The receiver's book, with what it has of each blob.
pub struct Borrower<B, M: Memory> {
    bytes_max: usize,
    bytes: usize,
    blobs: Vec<Option<Borrowable<B>>>,
    lent: Vec<u64>,
    /// This side's region, where it says what it has given back.
    mine: Arc<M>,
}

struct Borrowable<B> {
    /// Of a blob that goes once, until it was borrowed.
    blob: Option<B>,
    bytes: usize,
    /// Gone once it is given back.
    once: bool,
}

impl<B: Clone, M: Memory> Borrower<B, M> {
    /// Nothing attached yet, and never more than `bytes_max` bytes.
    pub fn new(bytes_max: usize, mine: Arc<M>) -> Self {
        Borrower { bytes_max, bytes: 0, blobs: Vec::new(), lent: Vec::new(), mine }
    }

    /// Attaches a blob that the peer announces, mapped by `map` once all that it said is found right.
    pub fn attach(&mut self, id: u64, bytes: u64, once: bool, map: impl FnOnce(usize) -> Result<B>) -> Result<()> {
        self.strike_out_returned();
        let slot = usize::try_from(id).ok().filter(|id| *id < layout::BLOBS_MAX);
        let Some(slot) = slot else { return Err(broken(format!("the blob id {id}"))) };
        if self.blobs.get(slot).is_some_and(Option::is_some) {
            return Err(broken(format!("it attaches blob {id} twice")));
        }
        let size = usize::try_from(bytes).ok().filter(|size| *size > 0 && size.is_multiple_of(PAGE_BYTES));
        let Some(size) = size else { return Err(broken(format!("a blob of {bytes} bytes"))) };
        let all = self.bytes.saturating_add(size);
        if all > self.bytes_max {
            return Err(Error::Limit {
                limit: "shared_bytes_max",
                allowed: self.bytes_max as u64,
                seen: all as u64,
                what: "the blobs of the peer",
                advice: "a peer is told this limit in the handshake and must keep to it",
            });
        }
        let blob = map(size)?;
        if slot >= self.blobs.len() {
            self.blobs.resize_with(slot + 1, || None);
            self.lent.resize(slot + 1, 0);
        }
        self.bytes = all;
        self.blobs[slot] = Some(Borrowable { blob: Some(blob), bytes: size, once });
        Ok(())
    }

    /// Borrows `bytes` bytes of a blob, `offset` bytes from its start, until what this gives is dropped.
    pub fn borrow(&mut self, id: u64, offset: u64, bytes: u64) -> Result<Borrowed<B, M>> {
        let id = self.find(id)?;
        let lent = self.is_lent(id);
        let Some(entry) = &mut self.blobs[id] else { unreachable!("found above") };
        let inside = offset.checked_add(bytes).is_some_and(|end| bytes > 0 && end <= entry.bytes as u64);
        if !inside {
            return Err(broken(format!("{bytes} bytes from byte {offset} of blob {id}, which has {}", entry.bytes)));
        }
        let blob = if entry.once { entry.blob.take() } else { entry.blob.clone() };
        let Some(blob) = blob.filter(|_| !lent) else {
            return Err(broken(format!("it lends blob {id}, which was not given back")));
        };
        self.lent[id] += 1;
        let slip = Slip { mine: self.mine.clone(), id, count: self.lent[id] };
        Ok(Borrowed { blob, offset: offset as usize, bytes: bytes as usize, _slip: slip })
    }

    /// Detaches a blob.
    pub fn detach(&mut self, id: u64) -> Result<()> {
        let id = self.find(id)?;
        if self.is_lent(id) {
            return Err(broken(format!("it detaches blob {id}, which was not given back")));
        }
        self.strike_out(id);
        Ok(())
    }

    /// The bytes of all blobs that are attached.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn find(&self, id: u64) -> Result<usize> {
        let there = |id: &usize| self.blobs.get(*id).is_some_and(Option::is_some);
        usize::try_from(id).ok().filter(there).ok_or_else(|| broken(format!("blob {id}, which is not attached")))
    }

    /// The word is this side's: nobody else can have written it.
    fn is_lent(&self, id: usize) -> bool {
        self.mine.load(returned_at(id)) != self.lent[id]
    }

    fn strike_out_returned(&mut self) {
        for id in 0..self.blobs.len() {
            let once = self.blobs[id].as_ref().is_some_and(|blob| blob.once);
            if once && !self.is_lent(id) {
                self.strike_out(id);
            }
        }
    }

    fn strike_out(&mut self, id: usize) {
        if let Some(blob) = self.blobs[id].take() {
            self.bytes -= blob.bytes;
        }
    }
}

/// Bytes of a blob of the peer, which is given back when this is dropped, on any thread.
pub struct Borrowed<B, M: Memory> {
    // Before the slip: what is given back is not mapped any more, unless it stays attached.
    blob: B,
    offset: usize,
    bytes: usize,
    _slip: Slip<M>,
}

struct Slip<M: Memory> {
    mine: Arc<M>,
    id: usize,
    count: u64,
}

impl<B, M: Memory> Borrowed<B, M> {
    /// Whose bytes they are.
    pub fn blob(&self) -> &B {
        &self.blob
    }

    /// Where they start in the blob.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<M: Memory> Drop for Slip<M> {
    fn drop(&mut self) {
        // The blob was read before it is given back.
        M::fence(Ordering::Release);
        self.mine.store(returned_at(self.id), self.count);
    }
}

/// How often the peer, whose region this is, has returned a blob of this id.
pub fn returned<M: Memory>(peer: &M, id: usize) -> u64 {
    let word = peer.load(returned_at(id));
    // The peer is done with the blob before it is written again.
    M::fence(Ordering::Acquire);
    word
}

fn returned_at(id: usize) -> usize {
    layout::RETURNED + 8 * id
}
