//! A peer that writes what it likes into its region, as a script of bytes: for proptest and for the fuzzer
//! (`fuzz/fuzz_targets/shm_hostile_peer.rs`), which share this file. The parent module gives the names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::lending::{BLOB_BYTES_MIN, Borrower, Lender, returned};
use super::{Condition, Error, Label, Memory, layout, link};

/// Small, so that few bytes of a script get around it.
pub(super) const RING_BYTES: usize = 256;

/// A region of plain atomics, which both sides of a test see.
#[derive(Clone)]
pub(super) struct Words(Arc<[AtomicU64]>);

impl Words {
    pub(super) fn new(ring_bytes: usize) -> Self {
        Words((0..(layout::RING + ring_bytes) / 8).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Memory for Words {
    fn bytes(&self) -> usize {
        self.0.len() * 8
    }

    fn load(&self, offset: usize) -> u64 {
        self.0[offset / 8].load(Ordering::Relaxed)
    }

    fn store(&self, offset: usize, value: u64) {
        self.0[offset / 8].store(value, Ordering::Relaxed);
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        for (index, to) in to.chunks_mut(8).enumerate() {
            to.copy_from_slice(&self.load(offset + index * 8).to_ne_bytes()[..to.len()]);
        }
    }

    fn write(&self, offset: usize, from: &[u8]) {
        for (index, byte) in from.iter().enumerate() {
            let at = offset + index;
            let mut word = self.load(at / 8 * 8).to_ne_bytes();
            word[at % 8] = *byte;
            self.store(at / 8 * 8, u64::from_ne_bytes(word));
        }
    }

    fn fence(order: Ordering) {
        fence(order);
    }
}

/// Runs a script. Whatever is in it, this side neither panics nor steps out of the ring, and the only
/// error is that the peer broke the protocol.
pub(super) fn run(script: &[u8]) {
    let theirs = Words::new(RING_BYTES);
    let (mut producer, mut consumer) = link(Words::new(RING_BYTES), theirs.clone());
    let mut held = Vec::new();
    let mut script = script.iter().copied();
    while let (Some(action), Some(operand)) = (script.next(), script.next()) {
        match action % 8 {
            0 => {
                let (offset, value) = scribble(action >> 3, operand, &theirs, &mut script);
                theirs.store(offset, value);
            }
            1 => send(action >> 3, operand, &theirs),
            2 => {
                let put_back = consumer.all_or_nothing(|consumer| {
                    let words = consumer.receive()?.and_then(|record| record.words::<1>());
                    assert!(words.is_none() || consumer.unreleased_bytes() >= 16);
                    consumer.receive().map(|_| None::<()>)
                });
                let taken = put_back.and_then(|_| consumer.receive_frame(Label::default(), usize::from(operand)));
                match taken {
                    Ok(words) => assert!(words.is_none_or(|words| words.len() < usize::from(operand) / 8)),
                    Err(error) => assert!(matches!(error, Error::Protocol { .. }), "{error}"),
                }
            }
            3 => match consumer.receive() {
                Ok(Some(record)) => {
                    let mut copy = vec![0; record.bytes()];
                    record.copy_to(&mut copy);
                    assert!(copy.len() <= RING_BYTES - 8, "a record that is larger than the ring");
                    if operand % 2 == 0 {
                        held.push(record.hold());
                    }
                }
                Ok(None) => {}
                Err(error) => assert!(matches!(error, Error::Protocol { .. }), "{error}"),
            },
            4 => {
                if !held.is_empty() {
                    consumer.give_back(held.swap_remove(usize::from(operand) % held.len()));
                }
            }
            5 => {
                let _ = consumer.release();
                consumer.wish();
            }
            6 => {
                let bytes = usize::from(operand) % (producer.record_bytes_max() + 1);
                match producer.reserve(bytes) {
                    Ok(Some(mut loan)) => {
                        loan.write(0, &vec![operand; bytes]);
                        loan.commit(bytes, Label::default());
                    }
                    Ok(None) => {}
                    Err(error) => assert!(matches!(error, Error::Protocol { .. }), "{error}"),
                }
            }
            _ => {
                let _ = producer.publish();
                producer.room(usize::from(operand) % (RING_BYTES / 2 - 8)).wish();
            }
        }
        assert!(producer.pending_bytes() <= RING_BYTES && consumer.unreleased_bytes() <= RING_BYTES);
    }
}

/// The same for what a peer says about blobs: as their owner, and as who returns them.
pub(super) fn run_books(script: &[u8]) {
    const BYTES_MAX: usize = 8 * BLOB_BYTES_MIN;
    let theirs = Words::new(RING_BYTES);
    let mut borrower: Borrower<(), Words> = Borrower::new(BYTES_MAX, Arc::new(Words::new(RING_BYTES)));
    let mut lender: Lender<()> = Lender::new(BYTES_MAX);
    let (mut held, mut built) = (Vec::new(), Vec::new());
    let mut script = script.iter().copied();
    while let (Some(action), Some(operand)) = (script.next(), script.next()) {
        // Mostly nearly right here, too.
        let id = if action >= 250 { u64::MAX - u64::from(operand) } else { u64::from(operand % 6) };
        let mut next = || u64::from(script.next().unwrap_or(0));
        let done = match action % 6 {
            0 => borrower.attach(id, next() % 20 * 4096 + next() / 250, action % 4 == 0, |_| Ok(())),
            1 => borrower.borrow(id, next() * 1024, (next() * 1024) << (action % 40)).map(|lent| held.push(lent)),
            2 => borrower.detach(id),
            3 => {
                if !held.is_empty() {
                    held.swap_remove(usize::from(operand) % held.len());
                }
                Ok(())
            }
            4 => {
                if lender.room(usize::from(operand), false).is_some_and(|room| room != super::lending::Room::Full) {
                    let id = lender.enter((), BLOB_BYTES_MIN, action % 4 == 0);
                    lender.attach(id);
                    lender.lend(id);
                    built.push(id);
                }
                while built.len() > 2 {
                    lender.let_go(built.remove(0), usize::from(operand));
                }
                Ok(())
            }
            _ => {
                theirs.store(layout::RETURNED + 8 * (id as usize % layout::BLOBS_MAX), next());
                lender.look(|id| returned(&theirs, id))
            }
        };
        if let Err(error) = done {
            assert!(
                matches!(error, Error::Protocol { .. } | Error::Limit { limit: "shared_bytes_max", .. }),
                "{error}"
            );
        }
        assert!(held.iter().all(|lent| lent.bytes() > 0 && lent.offset() + lent.bytes() <= BYTES_MAX));
        assert!(borrower.bytes() <= BYTES_MAX && lender.bytes() <= BYTES_MAX);
    }
}

/// Sends a record as an honest peer does, but wherever the last one ended, and of any size and kind.
fn send(kind: u8, bytes: u8, theirs: &Words) {
    let written = theirs.load(layout::WRITTEN);
    let offset = layout::RING + (written as usize & (RING_BYTES - 8));
    theirs.store(offset, u64::from(bytes) | u64::from(kind % 4) << 32);
    if kind & 4 != 0 {
        // A frame, if its bytes are words.
        let table = (u64::from(bytes) / 8).saturating_sub(1) << 32;
        theirs.store(layout::RING + ((written as usize + 8) & (RING_BYTES - 8)), table.to_le());
    }
    theirs.store(layout::WRITTEN, written.wrapping_add(8 + u64::from(bytes).next_multiple_of(8)));
}

/// A word of the peer's region and what to put there: mostly nearly right, for what is far off is refused
/// at once.
fn scribble(kind: u8, operand: u8, theirs: &Words, script: &mut impl Iterator<Item = u8>) -> (usize, u64) {
    let control = [layout::WRITTEN, layout::READ, layout::DATA_WISH, layout::SPACE_WISH];
    let offset = match usize::from(operand) {
        operand @ ..128 => control[operand % 4],
        operand => layout::RING + operand % (RING_BYTES / 8) * 8,
    };
    let mut next = || u64::from(script.next().unwrap_or(0));
    let value = match kind % 4 {
        0 => theirs.load(offset).wrapping_add(next() * 8),
        1 => next() | (next() % 5) << 32 | next() << 48,
        2 => next(),
        _ => u64::from_le_bytes(std::array::from_fn(|_| next() as u8)),
    };
    (offset, value)
}
