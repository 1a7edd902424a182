//! Memory for a Cap'n Proto message: large segments in blobs of the connection, all else on the heap.
//!
//! It is here, where nothing else knows Cap'n Proto, because an allocator is an `unsafe` trait.

use std::ptr::NonNull;

use capnp::message::{AllocationStrategy, Allocator, HeapAllocator};

use super::pool::{Pool, SHARED_BYTES_MIN};

/// Allocates as [`HeapAllocator`] does, and large segments from the connection's pool while it has room.
pub(crate) struct Arena {
    heap: HeapAllocator,
    pool: Pool,
    /// Addresses of the segments that are the pool's.
    shared: Vec<usize>,
    next_words: u32,
}

const WORD_BYTES: usize = 8;
/// The pool's segments do not grow beyond this with the size of the message, only with what is asked for.
const GROWTH_WORDS_MAX: u32 = 128 << 10;

impl Arena {
    pub(super) fn new(pool: Pool, first_segment_words: u32) -> Self {
        // What to ask for is decided here.
        let heap = HeapAllocator::new().first_segment_words(0).allocation_strategy(AllocationStrategy::FixedSize);
        Arena { heap, pool, shared: Vec::new(), next_words: first_segment_words }
    }
}

// SAFETY: segments come from `HeapAllocator`, which keeps the contract, or from the pool, whose memory is
// zero, aligned to pages, nobody else's, and valid until it is let go of, for the arena holds the pool.
unsafe impl Allocator for Arena {
    fn allocate_segment(&mut self, minimum_words: u32) -> (NonNull<u8>, u32) {
        let words = minimum_words.max(self.next_words);
        self.next_words = self.next_words.saturating_add(words).min(GROWTH_WORDS_MAX);
        let bytes = words as usize * WORD_BYTES;
        if bytes >= SHARED_BYTES_MIN
            && let Some((address, bytes)) = self.pool.allocate(bytes)
        {
            self.shared.push(address.addr().get());
            return (address, (bytes / WORD_BYTES) as u32);
        }
        self.heap.allocate_segment(words)
    }

    unsafe fn deallocate_segment(&mut self, address: NonNull<u8>, words: u32, used_words: u32) {
        match self.shared.iter().position(|shared| *shared == address.addr().get()) {
            Some(index) => {
                self.shared.swap_remove(index);
                self.pool.let_go(address, used_words as usize * WORD_BYTES);
            }
            // SAFETY: it is not the pool's, so the heap's it is, and the caller keeps the contract.
            None => unsafe { self.heap.deallocate_segment(address, words, used_words) },
        }
    }
}
