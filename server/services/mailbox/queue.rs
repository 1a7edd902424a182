//! One mailbox: a bounded queue whose two ends wait, shared by threads.
//!
//! A record that is handed out is on a [`Lease`]: it leaves the mailbox when the lease is settled, and
//! goes back to its place when the lease is dropped, whatever dropped it. Until then it counts against
//! the capacity, so there is always room for its return.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use capnp::message::{Builder, HeapAllocator};
use shipmate::schema::record_capnp::record;
use tokio::sync::oneshot;

use super::MailboxLimits;

/// What a record takes beside its words, for the bound on bytes.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// A record in memory of its own, which any thread may read.
pub(super) struct StoredRecord {
    message: Builder<HeapAllocator>,
    bytes: usize,
}

/// A mailbox.
pub(super) struct Queue {
    name: String,
    capacity_records: usize,
    limits: MailboxLimits,
    state: Mutex<State>,
}

/// A record that was handed out and may come back.
pub(super) struct Lease<'a> {
    queue: &'a Queue,
    /// Always there, but for the moment between settling and dropping.
    record: Option<Numbered>,
}

/// Leases that, dropped, all go back at once: no later record of theirs is handed on before an earlier one.
pub(super) struct Leases<'a> {
    queue: &'a Queue,
    records: BTreeMap<u64, Numbered>,
}

/// Figures of a mailbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) capacity: usize,
    pub(super) length: usize,
    pub(super) posted: u64,
    pub(super) taken: u64,
}

/// Invariants, whenever the lock is free: `records` is sorted by number, `takers` and `posters` by ticket;
/// while takers wait there is no record; while posters wait there is no room for the first of them.
#[derive(Default)]
struct State {
    records: VecDeque<Numbered>,
    takers: VecDeque<Taker>,
    posters: VecDeque<Poster>,
    /// Records in `records` or on a lease, and their bytes.
    held_records: usize,
    held_bytes: usize,
    waiting_bytes: usize,
    posted: u64,
    taken: u64,
    subscriptions: usize,
    tickets: u64,
}

/// A record and its place in the order of posting.
struct Numbered {
    number: u64,
    record: StoredRecord,
}

struct Taker {
    ticket: u64,
    hand: oneshot::Sender<Numbered>,
}

struct Poster {
    ticket: u64,
    record: StoredRecord,
    admitted: oneshot::Sender<()>,
}

impl StoredRecord {
    /// Copies a record that a peer sent, after measuring it: pointers that overlap make a message larger
    /// than its bytes on the wire, and a capability, which the schema does not have but a peer may put
    /// there all the same, cannot be kept.
    pub(super) fn copy(record: record::Reader<'_>, bytes_max: usize) -> Result<Self, capnp::Error> {
        let size = record.total_size()?;
        if size.cap_count > 0 {
            return Err(capnp::Error::failed("a record cannot hold a capability: send data only".into()));
        }
        let bytes = (size.word_count as usize).saturating_mul(8).saturating_add(RECORD_OVERHEAD_BYTES);
        if bytes > bytes_max {
            return Err(capnp::Error::failed(format!(
                "the record takes {bytes} bytes, and a mailbox holds at most {bytes_max} (box_bytes_max): \
                 send it in parts"
            )));
        }
        let words = u32::try_from(size.word_count + 1).unwrap_or(u32::MAX);
        let mut message = Builder::new(HeapAllocator::new().first_segment_words(words));
        message.set_root(record)?;
        Ok(StoredRecord { message, bytes })
    }

    pub(super) fn reader(&self) -> Result<record::Reader<'_>, capnp::Error> {
        self.message.get_root_as_reader()
    }
}

impl Queue {
    pub(super) fn new(name: &str, capacity_records: usize, limits: MailboxLimits) -> Self {
        Queue { name: name.to_owned(), capacity_records, limits, state: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The most memory that a record may take.
    pub(super) fn record_bytes_max(&self) -> usize {
        self.limits.box_bytes_max
    }

    /// How many calls to a subscriber may be unanswered, given what it asked for.
    pub(super) fn window(&self, asked: u16) -> usize {
        let asked = if asked == 0 { self.limits.window_calls_default } else { asked };
        asked.min(self.limits.window_calls_max).into()
    }

    /// Whether no record is in it, nor on a lease.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().held_records == 0
    }

    pub(super) fn figures(&self) -> Figures {
        let state = self.lock();
        Figures {
            capacity: self.capacity_records,
            length: state.held_records,
            posted: state.posted,
            taken: state.taken,
        }
    }

    /// Adds a record at the end, once there is room. Posts are admitted in the order in which they were
    /// made. A future that is dropped before its record was admitted leaves nothing behind.
    pub(super) async fn post(&self, record: StoredRecord) -> Result<(), capnp::Error> {
        let waiting = {
            let mut state = self.lock();
            if state.posters.is_empty() && self.has_room(&state, &record) {
                state.admit(record);
                state.hand_out();
                return Ok(());
            }
            if state.posters.len() >= self.limits.waiters_max
                || state.waiting_bytes + record.bytes > self.limits.box_bytes_max
            {
                return Err(crowded("posts"));
            }
            let (admitted, waiting) = oneshot::channel();
            let ticket = state.ticket();
            state.waiting_bytes += record.bytes;
            state.posters.push_back(Poster { ticket, record, admitted });
            WaitingPost { queue: self, ticket, admitted: waiting }
        };
        waiting.finish().await
    }

    /// Leases the first record, once there is one. Takers are served in the order in which they came.
    pub(super) async fn take(&self) -> Result<Lease<'_>, capnp::Error> {
        let waiting = self.stand_in_line(self.limits.waiters_max)?;
        waiting.finish().await
    }

    /// The same for a subscription, of which there are few and which always finds a place in the line.
    pub(super) async fn take_for_subscription(&self) -> Result<Lease<'_>, capnp::Error> {
        let waiting = self.stand_in_line(usize::MAX)?;
        waiting.finish().await
    }

    /// Leases the first record if there is one.
    pub(super) fn try_take(&self) -> Option<Lease<'_>> {
        let record = self.lock().records.pop_front()?;
        Some(Lease { queue: self, record: Some(record) })
    }

    /// Counts a subscription; [`Queue::end_subscription`] must follow.
    pub(super) fn begin_subscription(&self) -> Result<(), capnp::Error> {
        let mut state = self.lock();
        if state.subscriptions >= self.limits.subscriptions_max {
            return Err(crowded("subscriptions"));
        }
        state.subscriptions += 1;
        Ok(())
    }

    pub(super) fn end_subscription(&self) {
        self.lock().subscriptions -= 1;
    }

    fn stand_in_line(&self, takers_max: usize) -> Result<WaitingTake<'_>, capnp::Error> {
        let mut state = self.lock();
        if state.records.is_empty() && state.takers.len() >= takers_max {
            return Err(crowded("takes"));
        }
        let (hand, given) = oneshot::channel();
        let ticket = state.ticket();
        state.takers.push_back(Taker { ticket, hand });
        state.hand_out();
        Ok(WaitingTake { queue: self, ticket, given })
    }

    fn has_room(&self, state: &State, record: &StoredRecord) -> bool {
        state.held_records < self.capacity_records && state.held_bytes + record.bytes <= self.limits.box_bytes_max
    }

    /// Lets in the posters for whom there is room, and hands what they brought to takers.
    fn admit_posters(&self, state: &mut State) {
        while state.posters.front().is_some_and(|first| self.has_room(state, &first.record)) {
            let Some(Poster { record, admitted, .. }) = state.posters.pop_front() else { break };
            state.waiting_bytes -= record.bytes;
            state.admit(record);
            let _ = admitted.send(());
        }
        state.hand_out();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn admit(&mut self, record: StoredRecord) {
        self.held_records += 1;
        self.held_bytes += record.bytes;
        self.records.push_back(Numbered { number: self.posted, record });
        self.posted += 1;
    }

    fn put_back(&mut self, record: Numbered) {
        let place = self.records.partition_point(|other| other.number < record.number);
        self.records.insert(place, record);
    }

    /// Hands records to takers while there are both.
    fn hand_out(&mut self) {
        while !self.takers.is_empty() {
            let Some(record) = self.records.pop_front() else { return };
            let Some(taker) = self.takers.pop_front() else { return };
            if let Err(record) = taker.hand.send(record) {
                self.records.push_front(record);
            }
        }
    }
}

impl Lease<'_> {
    /// The record's place in the order of posting.
    pub(super) fn number(&self) -> u64 {
        self.record.as_ref().map_or(u64::MAX, |record| record.number)
    }

    pub(super) fn reader(&self) -> Result<record::Reader<'_>, capnp::Error> {
        match &self.record {
            Some(record) => record.record.reader(),
            None => Err(capnp::Error::failed("the record was settled".into())),
        }
    }

    /// The record has been dealt with: it leaves the mailbox.
    pub(super) fn settle(mut self) {
        if let Some(record) = self.record.take() {
            let mut state = self.queue.lock();
            state.held_records -= 1;
            state.held_bytes -= record.record.bytes;
            state.taken += 1;
            self.queue.admit_posters(&mut state);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            let mut state = self.queue.lock();
            state.put_back(record);
            state.hand_out();
        }
    }
}

impl<'a> Leases<'a> {
    pub(super) fn new(queue: &'a Queue) -> Self {
        Leases { queue, records: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn add(&mut self, mut lease: Lease<'a>) {
        if let Some(record) = lease.record.take() {
            self.records.insert(record.number, record);
        }
    }

    /// The record of that number has been dealt with.
    pub(super) fn settle(&mut self, number: u64) {
        if let Some(record) = self.records.remove(&number) {
            Lease { queue: self.queue, record: Some(record) }.settle();
        }
    }
}

impl Drop for Leases<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        for record in std::mem::take(&mut self.records).into_values() {
            state.put_back(record);
        }
        state.hand_out();
    }
}

/// A post that waits for room; dropped, it steps out of the line.
struct WaitingPost<'a> {
    queue: &'a Queue,
    ticket: u64,
    admitted: oneshot::Receiver<()>,
}

impl WaitingPost<'_> {
    async fn finish(mut self) -> Result<(), capnp::Error> {
        (&mut self.admitted).await.map_err(|_| closed())
    }
}

impl Drop for WaitingPost<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        if let Ok(place) = state.posters.binary_search_by_key(&self.ticket, |poster| poster.ticket) {
            if let Some(poster) = state.posters.remove(place) {
                state.waiting_bytes -= poster.record.bytes;
            }
            // The next in line may be smaller and fit.
            self.queue.admit_posters(&mut state);
        }
    }
}

/// A take that waits for a record; dropped, it steps out of the line and gives back what it was handed.
struct WaitingTake<'a> {
    queue: &'a Queue,
    ticket: u64,
    given: oneshot::Receiver<Numbered>,
}

impl<'a> WaitingTake<'a> {
    async fn finish(mut self) -> Result<Lease<'a>, capnp::Error> {
        let record = (&mut self.given).await.map_err(|_| closed())?;
        Ok(Lease { queue: self.queue, record: Some(record) })
    }
}

impl Drop for WaitingTake<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        if let Ok(place) = state.takers.binary_search_by_key(&self.ticket, |taker| taker.ticket) {
            state.takers.remove(place);
        } else if let Ok(record) = self.given.try_recv() {
            state.put_back(record);
            state.hand_out();
        }
    }
}

fn crowded(what: &str) -> capnp::Error {
    capnp::Error::overloaded(format!("too many {what} wait at this mailbox: try again later"))
}

/// Cannot happen while the queue is borrowed, which it is as long as somebody waits.
fn closed() -> capnp::Error {
    capnp::Error::failed("the mailbox was closed".into())
}

#[cfg(test)]
mod tests;
