//! The blobs of one side: made when they are needed, used again, and given back when they are not.
//!
//! Whoever builds a message takes memory from here ([`Pool::allocate`]), and whoever writes it finds out
//! that a slice lies in a blob by its address ([`State::refer`]): what is between the two need not know.
//! Where there is no blob to be had, the message is built on the heap and goes through the ring.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::doorbell::{Bell, DESCRIPTORS_WAITING_MAX};
use super::lending::{Lender, Room, returned};
use super::ring::{HEADER_BYTES, Label, Producer};
use super::stream::{tag, to_io};
use super::sync::Memory;
use super::{Arena, Lease, Region, TABLE_BYTES, WORD_BYTES};
use crate::transport::Tier;
use crate::{Error, Result};

/// What is smaller is copied: through the ring that costs less than to hand over a blob.
pub(crate) const SHARED_BYTES_MIN: usize = 32 << 10;

/// What the peer has not taken up yet is no more than this, before the last message: a writer waits then, as
/// it does for a full ring. Without it, a peer that does not read would have the whole pool wait for it.
pub(super) const UNREAD_BYTES_MAX: usize = 4 << 20;

/// What a record says of where bytes are in a blob.
const PLACE_BYTES: usize = 3 * WORD_BYTES;

/// A blob that was free for as long as this is given back.
const IDLE: Duration = Duration::from_secs(2);

/// Where memory comes from that the peer reads in place or copies once. Clones are the same pool.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Mutex<State>>);

/// What writes records, and the blobs that they speak of.
pub(super) struct State {
    pub(super) producer: Producer,
    bell: Bell,
    lender: Lender<Blob>,
    tier: Tier,
    budget: Arc<Budget>,
    /// Where the records end of which the peer may not have used the descriptors yet.
    passing: VecDeque<u64>,
    /// Where those end that lend what it may not have taken up yet, with how many bytes that is.
    unread: VecDeque<(u64, usize)>,
    unread_bytes: usize,
    /// What the peer did wrong, until a write reports it.
    failure: Option<Error>,
    trimming: Option<AbortHandle>,
}

/// A blob of this side's.
struct Blob {
    region: Region,
    /// Until the peer has it.
    file: Option<OwnedFd>,
    sealed: bool,
    _charge: Charge,
}

/// What became of a slice that was to go by reference.
pub(super) enum Referred {
    /// The peer is told where it is.
    Lent,
    /// It has to be copied.
    No,
    /// Something has to be waited for first.
    Not(Yet),
}

/// What a writer waits for.
#[derive(Clone, Copy)]
pub(super) enum Yet {
    /// Room in the ring for a record of so many bytes.
    Room(usize),
    /// That the peer has taken up all records to here.
    Taken(u64),
}

impl Pool {
    /// A pool of up to `bytes_max` bytes, within the budget.
    pub(super) fn new(producer: Producer, bell: Bell, tier: Tier, bytes_max: usize, budget: Arc<Budget>) -> Self {
        let state = State {
            producer,
            bell,
            lender: Lender::new(bytes_max),
            tier,
            budget,
            passing: VecDeque::new(),
            unread: VecDeque::new(),
            unread_bytes: 0,
            failure: None,
            trimming: None,
        };
        Pool(Arc::new(Mutex::new(state)))
    }

    /// Memory for one message.
    pub(crate) fn arena(&self, first_segment_words: u32) -> Arena {
        Arena::new(self.clone(), first_segment_words)
    }

    /// At least `bytes` zero bytes (how many is in what it gives), aligned to pages, which this caller alone
    /// may use until it [lets go](Self::let_go) of them. Nothing: use the heap.
    pub(super) fn allocate(&self, bytes: usize) -> Option<(NonNull<u8>, usize)> {
        let mut state = self.lock();
        let id = self.hold(&mut state, bytes)?;
        state.clear(id);
        let region = &state.lender.blob(id).region;
        Some((region.address(), region.bytes()))
    }

    /// The same, with the bytes of earlier messages in it unless it is to be `zeroed`, and the blob's id, by which to
    /// [let go of it](Self::let_go_of).
    pub(super) fn allocate_blob(&self, bytes: usize, zeroed: bool) -> Option<(usize, NonNull<u8>)> {
        let mut state = self.lock();
        let id = self.hold(&mut state, bytes)?;
        if zeroed {
            state.clear(id);
        }
        Some((id, state.lender.blob(id).region.address()))
    }

    /// Memory for bytes, which are all written before they are sent unless it is to be `zeroed`.
    pub(crate) fn lease(&self, bytes: usize, zeroed: bool) -> Option<Lease> {
        Lease::of(self.clone(), bytes, zeroed)
    }

    fn hold(&self, state: &mut State, bytes: usize) -> Option<usize> {
        let id = state.hold(bytes)?;
        if state.trimming.as_ref().is_none_or(AbortHandle::is_finished)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            state.trimming = Some(runtime.spawn(trim(Arc::downgrade(&self.0))).abort_handle());
        }
        Some(id)
    }

    /// Gives back what was allocated at an address; up to `used` bytes of it were written.
    pub(super) fn let_go(&self, address: NonNull<u8>, used: usize) {
        let mut state = self.lock();
        if let Some((id, _)) = state.find(address.as_ptr(), 1) {
            state.lender.let_go(id, used);
        }
    }

    /// The same for a blob that was allocated as such.
    pub(super) fn let_go_of(&self, id: usize, used: usize) {
        self.lock().lender.let_go(id, used);
    }

    /// Sends the first `bytes` bytes of a blob that was allocated as such, whole words, as a frame of one segment, if
    /// the peer has it mapped and nothing has to be waited for. It is let go of then; up to `used` bytes were written.
    pub(super) fn send_blob(&self, id: usize, bytes: usize, used: usize) -> Result<bool> {
        let mut state = self.lock();
        state.check()?;
        if state.bell.has_ended() || !state.write_frame(id, bytes)? {
            return Ok(false);
        }
        state.publish()?;
        state.lender.let_go(id, used);
        Ok(true)
    }

    /// Whether the two are the same.
    pub(super) fn is(&self, other: &Pool) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Lets `fill` write the next bytes of the stream, up to `most`, into the ring, if there is room now. The
    /// peer sees them at once, or when something is [published](Self::publish).
    pub(crate) fn write_in_place<E>(
        &self,
        most: usize,
        at_once: bool,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Option<Result<usize, E>>> {
        let mut state = self.lock();
        state.check()?;
        if state.bell.has_ended() || most > state.producer.record_bytes_max() {
            return Ok(None);
        }
        let Some(mut loan) = state.producer.reserve(most)? else { return Ok(None) };
        let filled = fill(loan.as_mut_slice());
        if let Ok(bytes) = filled {
            loan.commit(bytes, Label { tag: tag::BYTES, more: false });
            if at_once {
                state.publish()?;
            }
        }
        Ok(Some(filled))
    }

    /// Shows the peer what was written.
    pub(crate) fn publish(&self) -> io::Result<()> {
        self.lock().publish().map_err(to_io)
    }

    /// The bytes of all its blobs.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lock().lender.bytes()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    /// Takes a blob that has `bytes` bytes, or makes one.
    fn hold(&mut self, bytes: usize) -> Option<usize> {
        self.look()?;
        let once = self.tier == Tier::Sealed && bytes >= Tier::SEALED_BYTES_MIN;
        if !once && let Some(id) = self.lender.take(bytes) {
            return Some(id);
        }
        let size = loop {
            match self.lender.room(bytes, once)? {
                Room::For(size) => break size,
                Room::Full => {
                    let id = *self.lender.free(false).first()?;
                    self.retire(id).ok().filter(|gone| *gone)?;
                }
            }
        };
        let charge = Budget::charge(&self.budget, size)?;
        // Where the system has no memory for it, the heap may have.
        let made = if once { Region::make_blob_to_seal(size) } else { Region::make_blob(size) };
        let (region, file) = made.ok()?;
        if !once {
            Region::close_to_writers(&file).ok()?;
        }
        let blob = Blob { region, file: Some(file), sealed: false, _charge: charge };
        Some(self.lender.enter(blob, size, once))
    }

    /// Tells the peer where in a blob these bytes are, if they are in one.
    pub(super) fn refer(&mut self, bytes: &[u8]) -> Result<Referred> {
        let Some((id, offset)) = self.find(bytes.as_ptr(), bytes.len()) else { return Ok(Referred::No) };
        if !self.lender.may_lend(id) {
            return Ok(Referred::No);
        }
        if let Some(position) = self.too_far_ahead()? {
            return Ok(Referred::Not(Yet::Taken(position)));
        }
        let size = self.lender.blob(id).region.bytes() as u64;
        let (id_word, offset, count) = (id as u64, offset as u64, bytes.len() as u64);
        let lent = if self.lender.is_once(id) {
            self.pass(id, tag::SEALED, &[id_word, size, offset, count])?
        } else {
            if !self.lender.is_attached(id) {
                match self.pass(id, tag::ATTACH, &[id_word, size])? {
                    Referred::Lent => {}
                    other => return Ok(other),
                }
            }
            self.record(tag::BLOB, &[id_word, offset, count])?
        };
        if matches!(lent, Referred::Lent) {
            self.note_lent(id, bytes.len());
        }
        Ok(lent)
    }

    /// Writes a frame of one segment, which is the first `bytes` bytes of a blob that is held: its table, and where the
    /// rest is. Nothing happens when there is no room for both now, or more to say to the peer first.
    fn write_frame(&mut self, id: usize, bytes: usize) -> Result<bool> {
        if !self.lender.is_attached(id) || !self.lender.may_lend(id) || self.too_far_ahead()?.is_some() {
            return Ok(false);
        }
        // Room for both in one piece.
        let Some(mut table) = self.producer.reserve(TABLE_BYTES + HEADER_BYTES + PLACE_BYTES)? else {
            return Ok(false);
        };
        table.write(0, &(((bytes / WORD_BYTES) as u64) << 32).to_le_bytes());
        table.commit(TABLE_BYTES, Label { tag: tag::BYTES, more: false });
        let recorded = self.record(tag::BLOB, &[id as u64, 0, bytes as u64])?;
        debug_assert!(matches!(recorded, Referred::Lent), "there was room");
        self.note_lent(id, bytes);
        Ok(true)
    }

    /// Notes that the last record lends so many bytes of a blob.
    fn note_lent(&mut self, id: usize, bytes: usize) {
        self.lender.lend(id);
        self.unread.push_back((self.producer.written(), bytes));
        self.unread_bytes += bytes;
    }

    /// Where the first record ends that the peer has to take up before more is lent, if it has.
    fn too_far_ahead(&mut self) -> Result<Option<u64>> {
        // What the peer says of it is not looked at before: it is in the peer's cache.
        if self.unread_bytes < UNREAD_BYTES_MAX {
            return Ok(None);
        }
        while let Some(&(end, bytes)) = self.unread.front()
            && self.producer.is_taken(end)?
        {
            self.unread.pop_front();
            self.unread_bytes -= bytes;
        }
        Ok(self.unread.front().filter(|_| self.unread_bytes >= UNREAD_BYTES_MAX).map(|(end, _)| *end))
    }

    /// Makes the bytes of a blob zero that may not be.
    fn clear(&mut self, id: usize) {
        let used = self.lender.clear(id);
        let region = &mut self.lender.blob(id).region;
        // SAFETY: the region is this side's. Nobody holds the blob but the caller, who has given it to nobody yet, and
        // the peer has given it back, or breaks its word.
        unsafe { region.slice_mut(0, used) }.fill(0);
    }

    /// Whether these bytes lie in a blob.
    pub(super) fn is_shared(&self, bytes: &[u8]) -> bool {
        self.find(bytes.as_ptr(), bytes.len()).is_some()
    }

    /// What the peer did wrong, noticed where it could not be reported.
    pub(super) fn check(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Shows the peer what was written.
    pub(super) fn publish(&mut self) -> Result<()> {
        self.bell.spoke();
        if self.producer.publish() { self.bell.ring() } else { Ok(()) }
    }

    /// Passes the peer the descriptor of a blob, with the record that says so.
    fn pass(&mut self, id: usize, tag: u16, words: &[u64]) -> Result<Referred> {
        if !self.may_pass()? {
            return Ok(Referred::No);
        }
        // The descriptor must not be there without its record.
        if self.producer.reserve(size_of_val(words))?.is_none() {
            return Ok(Referred::Not(Yet::Room(size_of_val(words))));
        }
        let once = self.lender.is_once(id);
        let blob = self.lender.blob(id);
        let Some(file) = &blob.file else { return Ok(Referred::No) };
        if once && !blob.sealed {
            // A page that somebody in the kernel holds on to keeps it from being sealed.
            if blob.region.seal(file).is_err() {
                return Ok(Referred::No);
            }
            blob.sealed = true;
        }
        if !self.bell.pass(file.as_fd())? {
            return Ok(Referred::No);
        }
        blob.file = None;
        self.lender.attach(id);
        let recorded = self.record(tag, words)?;
        debug_assert!(matches!(recorded, Referred::Lent), "there was room");
        self.passing.push_back(self.producer.written());
        Ok(recorded)
    }

    /// Whether the peer has used so many of the descriptors that it may be passed another.
    fn may_pass(&mut self) -> Result<bool> {
        while let Some(&end) = self.passing.front()
            && self.producer.is_taken(end)?
        {
            self.passing.pop_front();
        }
        Ok(self.passing.len() < DESCRIPTORS_WAITING_MAX)
    }

    /// Writes a record of words.
    fn record(&mut self, tag: u16, words: &[u64]) -> Result<Referred> {
        let bytes = size_of_val(words);
        let Some(mut loan) = self.producer.reserve(bytes)? else { return Ok(Referred::Not(Yet::Room(bytes))) };
        for (index, word) in words.iter().enumerate() {
            loan.write(index * 8, &word.to_ne_bytes());
        }
        loan.commit(bytes, Label { tag, more: false });
        Ok(Referred::Lent)
    }

    /// Looks for blobs that came back; nothing, when the peer broke the protocol.
    fn look(&mut self) -> Option<()> {
        if self.failure.is_none() {
            let peer = self.producer.peer();
            self.failure = self.lender.look(|id| returned(peer, id)).err();
        }
        self.failure.is_none().then_some(())
    }

    /// Gives up a free blob, unless there is no room to tell the peer.
    fn retire(&mut self, id: usize) -> Result<bool> {
        if self.lender.is_attached(id) && !matches!(self.record(tag::DETACH, &[id as u64])?, Referred::Lent) {
            return Ok(false);
        }
        self.lender.forget(id);
        Ok(true)
    }

    /// Gives up what was not used for long. Says whether anything is left.
    fn trim(&mut self) -> Result<bool> {
        if self.look().is_some() {
            for id in self.lender.free(true) {
                self.retire(id)?;
            }
        }
        Ok(self.lender.bytes() > 0)
    }

    /// The blob that these bytes lie in, and where.
    fn find(&self, address: *const u8, bytes: usize) -> Option<(usize, usize)> {
        self.lender.blobs().find_map(|(id, blob)| {
            let offset = address.addr().checked_sub(blob.region.address().addr().get())?;
            (offset < blob.region.bytes() && bytes <= blob.region.bytes() - offset).then_some((id, offset))
        })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(trimming) = &self.trimming {
            trimming.abort();
        }
    }
}

/// Trims a pool from time to time, for as long as there is something in it.
async fn trim(state: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = lock(&state);
        let left = state.trim().unwrap_or(false);
        // A peer that is gone is noticed by who reads or writes.
        let _ = state.publish();
        if !left {
            state.trimming = None;
            return;
        }
    }
}

/// What the connections of one user may have of blobs that this process makes.
pub(super) struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
}

struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Budget { bytes_max, bytes: AtomicUsize::new(0) })
    }

    fn charge(budget: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let more = |used: usize| used.checked_add(bytes).filter(|all| *all <= budget.bytes_max);
        budget.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Charge { budget: budget.clone(), bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
