//! Cap'n Proto messages that are built where they are sent from: in space of a ring.
//!
//! Like [`arena`](super::arena) it is here because an allocator is an `unsafe` trait.

use std::ptr::NonNull;

use capnp::message::{Allocator, Builder, HeapAllocator};
use capnp::traits::Owned;

/// What a message takes beside its segment: a table that says that there is one.
pub(crate) const TABLE_BYTES: usize = WORD_BYTES;
pub(super) const WORD_BYTES: usize = 8;

/// Builds a frame in the space, which need not be zero, and gives its length in bytes. A message that
/// outgrows the space is given back, on the heap.
pub(crate) fn build<T: Owned>(
    space: &mut [u8],
    build: impl FnOnce(T::Builder<'_>),
) -> Result<usize, Builder<HeapAllocator>> {
    let (table, segment) = space.split_at_mut(TABLE_BYTES);
    let mut message = Builder::new(Space::new(segment));
    build(message.init_root());
    let bytes = match &*message.get_segments_for_output() {
        [only] if only.as_ptr().addr() == segment_address(table) => only.len(),
        _ => return Err(moved::<T>(&message)),
    };
    drop(message);
    table[..4].fill(0);
    table[4..].copy_from_slice(&((bytes / WORD_BYTES) as u32).to_le_bytes());
    Ok(TABLE_BYTES + bytes)
}

/// Behind the table.
fn segment_address(table: &[u8]) -> usize {
    table.as_ptr_range().end.addr()
}

/// The message, in one segment of the heap.
fn moved<T: Owned>(message: &Builder<Space<'_>>) -> Builder<HeapAllocator> {
    let words = u32::try_from(message.size_in_words()).unwrap_or(u32::MAX);
    let mut moved = Builder::new(HeapAllocator::new().first_segment_words(words));
    let root = message.get_root_as_reader::<T::Reader<'_>>().and_then(|root| moved.set_root::<T>(root));
    root.expect("it was built here just now");
    moved
}

/// Allocates one segment in the space, and all others on the heap.
struct Space<'a> {
    /// Until it is used.
    space: Option<&'a mut [u8]>,
    address: usize,
    heap: HeapAllocator,
}

impl<'a> Space<'a> {
    fn new(space: &'a mut [u8]) -> Self {
        let address = space.as_ptr().addr();
        assert!(address.is_multiple_of(WORD_BYTES) && space.len().is_multiple_of(WORD_BYTES), "words are needed");
        Space { space: Some(space), address, heap: HeapAllocator::new() }
    }
}

// SAFETY: segments come from `HeapAllocator`, which keeps the contract, or are the space: aligned to words,
// zeroed here, borrowed for as long as the allocator lives, and given out once.
unsafe impl Allocator for Space<'_> {
    fn allocate_segment(&mut self, minimum_words: u32) -> (NonNull<u8>, u32) {
        let words = minimum_words as usize;
        match self.space.take() {
            Some(space) if words.max(1) <= space.len() / WORD_BYTES => {
                // All of it, as the builder says nothing before it writes a word: so who offers space
                // offers about as much as will be used.
                space.fill(0);
                let words = (space.len() / WORD_BYTES) as u32;
                (NonNull::from(space).cast(), words)
            }
            _ => self.heap.allocate_segment(minimum_words),
        }
    }

    unsafe fn deallocate_segment(&mut self, address: NonNull<u8>, words: u32, used_words: u32) {
        if address.addr().get() != self.address {
            // SAFETY: it is not the space, so the heap's it is, and the caller keeps the contract.
            unsafe { self.heap.deallocate_segment(address, words, used_words) }
        }
    }
}

#[cfg(test)]
mod tests {
    use capnp::message::ReaderOptions;
    use proptest::prelude::*;

    use super::*;
    use crate::schema::record_capnp::record;

    fn fill(mut record: record::Builder<'_>, value: i64, tags: usize, name: &str) {
        record.set_value(value);
        let mut list = record.reborrow().init_tags(tags as u32);
        (0..tags).for_each(|index| list.set(index as u32, name));
        record.set_name(name);
    }

    proptest! {
        /// Whatever was in the space before, and whether the message fits or not.
        #[test]
        fn what_is_built_is_what_was_meant(words in 1usize..80, junk: u8, tags in 0usize..6, name in "[a-z]{0,40}") {
            let mut space = vec![u64::from_ne_bytes([junk; 8]); words];
            // SAFETY: any words are bytes.
            let space = unsafe { space.align_to_mut::<u8>().1 };
            let mut plain = Builder::new_default();
            fill(plain.init_root(), 7, tags, &name);
            let needed = plain.size_in_words() + 1;
            let frame = match build::<record::Owned>(space, |record| fill(record, 7, tags, &name)) {
                Ok(bytes) => {
                    prop_assert!(needed <= words);
                    space[..bytes].to_vec()
                }
                Err(message) => {
                    prop_assert!(needed > words);
                    prop_assert_eq!(message.get_segments_for_output().len(), 1);
                    capnp::serialize::write_message_to_words(&message)
                }
            };
            let read = capnp::serialize::read_message(&frame[..], ReaderOptions::new()).unwrap();
            let (read, plain) = (read.get_root::<record::Reader<'_>>().unwrap(), plain.get_root_as_reader::<record::Reader<'_>>().unwrap());
            prop_assert_eq!(format!("{read:?}"), format!("{plain:?}"));
        }
    }
}
