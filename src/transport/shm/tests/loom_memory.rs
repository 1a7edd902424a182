//! What the models stand on: memory and bells of loom's.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU64;
use loom::sync::{Condvar, Mutex};

use super::{Condition, Memory, layout};

/// The words that are not the ring's.
const CONTROL: [usize; 6] =
    [layout::WRITTEN, layout::READ, layout::DATA_WISH, layout::SPACE_WISH, layout::OLDEST, layout::RETURNED];

/// A memory that loom's threads share; they take turns on one of the system's.
#[derive(Clone)]
pub(super) struct Words(Rc<(Vec<AtomicU64>, Ring)>);

/// The words of a ring.
pub(super) enum Ring {
    /// That are read while they are written.
    Atomics(Vec<AtomicU64>),
    /// That fail the test then.
    Cells(Vec<UnsafeCell<u64>>),
}

impl Words {
    pub(super) fn new(ring: Ring) -> Self {
        Words(Rc::new((CONTROL.iter().map(|_| AtomicU64::new(0)).collect(), ring)))
    }

    /// Passes a word to the one closure or the other.
    fn with<R>(&self, offset: usize, atomic: impl Fn(&AtomicU64) -> R, cell: impl Fn(&UnsafeCell<u64>) -> R) -> R {
        let Words(memory) = self;
        match (CONTROL.iter().position(|word| *word == offset), &memory.1) {
            (Some(index), _) => atomic(&memory.0[index]),
            (None, Ring::Atomics(words)) => atomic(&words[(offset - layout::RING) / 8]),
            (None, Ring::Cells(words)) => cell(&words[(offset - layout::RING) / 8]),
        }
    }
}

impl Ring {
    pub(super) fn atomics(words: usize) -> Self {
        Ring::Atomics((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn cells(words: usize) -> Self {
        Ring::Cells((0..words).map(|_| UnsafeCell::new(0)).collect())
    }
}

impl Memory for Words {
    fn bytes(&self) -> usize {
        match &self.0.1 {
            Ring::Atomics(words) => layout::RING + words.len() * 8,
            Ring::Cells(words) => layout::RING + words.len() * 8,
        }
    }

    fn load(&self, offset: usize) -> u64 {
        // SAFETY: loom fails the test if a write can meet this read.
        self.with(offset, |word| word.load(Ordering::Relaxed), |cell| cell.with(|word| unsafe { *word }))
    }

    fn store(&self, offset: usize, value: u64) {
        let atomic = |word: &AtomicU64| word.store(value, Ordering::Relaxed);
        // SAFETY: loom fails the test if another access can meet this write.
        self.with(offset, atomic, |cell| cell.with_mut(|word| unsafe { *word = value }));
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        for (index, to) in to.chunks_mut(8).enumerate() {
            to.copy_from_slice(&self.load(offset + index * 8).to_ne_bytes()[..to.len()]);
        }
    }

    fn write(&self, offset: usize, from: &[u8]) {
        for (index, from) in from.chunks(8).enumerate() {
            self.store(offset + index * 8, u64::from_ne_bytes(from.try_into().expect("models write whole words")));
        }
    }

    fn fence(order: Ordering) {
        loom::sync::atomic::fence(order);
    }
}

/// A doorbell that remembers that it was rung, as the socket does.
#[derive(Clone)]
pub(super) struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    pub(super) fn new() -> Self {
        Bell(Arc::new((Mutex::new(false), Condvar::new())))
    }

    pub(super) fn ring(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
    }

    /// What [`Waiter::poll`](super::Waiter::poll) does, without the spinning.
    pub(super) fn wait(&self, condition: &mut impl Condition) {
        while !condition.holds().unwrap() {
            condition.wish();
            if condition.holds().unwrap() {
                return;
            }
            let mut rung = self.0.0.lock().unwrap();
            while !*rung {
                rung = self.0.1.wait(rung).unwrap();
            }
            *rung = false;
        }
    }
}
