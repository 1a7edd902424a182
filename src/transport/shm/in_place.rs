//! Cap'n Proto messages that are built where they are sent from: in space of a ring.
//!
//! Like [`arena`](super::arena) it is here because memory for messages is an `unsafe` trait.

use std::marker::PhantomData;
use std::ptr::NonNull;

use capnp::any_pointer;
use capnp::message::{Allocator, Builder, HeapAllocator};
use capnp::private::arena::{BuilderArena, ReaderArena};
use capnp::private::layout::{PointerBuilder, PointerReader};
use capnp::traits::{FromPointerBuilder, Owned};

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
    let mut message = Space::new(segment);
    let Some(root) = message.root() else {
        let mut message = Builder::new(HeapAllocator::new());
        build(message.init_root());
        return Err(message);
    };
    build(T::Builder::init_pointer(root, 0));
    if !message.others.is_empty() {
        return Err(message.moved::<T>());
    }
    let words = message.first.used;
    table.copy_from_slice(&(u64::from(words) << 32).to_le_bytes());
    Ok(TABLE_BYTES + words as usize * WORD_BYTES)
}

/// A message that is built: its first segment is the space, and all others are on the heap.
///
/// It is an arena, and not an allocator for Cap'n Proto's own, because that takes memory to keep a list of segments in,
/// and because an arena is told of each word that is taken, so that it can clear just these.
struct Space<'a> {
    first: Segment,
    others: Vec<Segment>,
    heap: HeapAllocator,
    space: PhantomData<&'a mut [u8]>,
}

/// Memory in words, of which the first are used.
struct Segment {
    address: NonNull<u8>,
    words: u32,
    used: u32,
}

impl<'a> Space<'a> {
    fn new(space: &'a mut [u8]) -> Self {
        let words = u32::try_from(space.len() / WORD_BYTES).unwrap_or(u32::MAX);
        let first = Segment { address: NonNull::from(space).cast(), words, used: 0 };
        assert!(first.address.addr().get().is_multiple_of(WORD_BYTES), "words are needed");
        Space { first, others: Vec::new(), heap: HeapAllocator::new(), space: PhantomData }
    }

    /// The pointer to the root, with which a message begins. Nothing, in a space that has not one word.
    fn root(&mut self) -> Option<PointerBuilder<'_>> {
        self.allocate(0, 1)?;
        let address = self.first.address.as_ptr();
        Some(PointerBuilder::get_root(self, 0, address))
    }

    /// The message, in one segment of the heap.
    fn moved<T: Owned>(&self) -> Builder<HeapAllocator> {
        let words = u32::try_from(self.size_in_words()).unwrap_or(u32::MAX);
        let mut moved = Builder::new(HeapAllocator::new().first_segment_words(words));
        let root = PointerReader::get_root_from_arena(self).map(any_pointer::Reader::new);
        let root = root.and_then(|root| moved.set_root::<T>(root.get_as::<T::Reader<'_>>()?));
        root.expect("it was built here just now");
        moved
    }

    fn segment(&self, id: u32) -> &Segment {
        match id.checked_sub(1) {
            Some(other) => &self.others[other as usize],
            None => &self.first,
        }
    }
}

impl Segment {
    fn take(&mut self, words: u32) -> Option<u32> {
        let start = self.used;
        self.used = start.checked_add(words).filter(|used| *used <= self.words)?;
        Some(start)
    }
}

// SAFETY: the segments are those of `BuilderArena`. As in Cap'n Proto's own arena for building, nothing is checked, for
// all pointers in a message that is built were made by its builder.
unsafe impl ReaderArena for Space<'_> {
    fn get_segment(&self, id: u32) -> capnp::Result<(*const u8, u32)> {
        let segment = self.segment(id);
        Ok((segment.address.as_ptr(), segment.used))
    }

    unsafe fn check_offset(&self, _: u32, start: *const u8, words: i32) -> capnp::Result<*const u8> {
        // SAFETY: a builder's pointer leads to an object in the segment.
        Ok(unsafe { start.offset(words as isize * WORD_BYTES as isize) })
    }

    fn contains_interval(&self, _: u32, _: *const u8, _: usize) -> capnp::Result<()> {
        Ok(())
    }

    fn amplified_read(&self, _: u64) -> capnp::Result<()> {
        Ok(())
    }

    fn nesting_limit(&self) -> i32 {
        i32::MAX
    }

    fn size_in_words(&self) -> usize {
        self.others.iter().chain([&self.first]).map(|segment| segment.used as usize).sum()
    }
}

// SAFETY: segments are words that this arena alone has, for as long as it lives: the space, which it borrows, and memory
// of `HeapAllocator`, given back on drop. What is allocated is within its segment, given out once, and zero: the heap's
// is so from the start, and the space is cleared here.
unsafe impl BuilderArena for Space<'_> {
    fn allocate(&mut self, id: u32, words: u32) -> Option<u32> {
        if let Some(other) = id.checked_sub(1) {
            return self.others[other as usize].take(words);
        }
        let start = self.first.take(words)?;
        // SAFETY: `take` found these words within the space, and nothing refers to them yet.
        unsafe {
            let address = self.first.address.add(start as usize * WORD_BYTES);
            address.write_bytes(0, words as usize * WORD_BYTES);
        }
        Some(start)
    }

    fn allocate_anywhere(&mut self, words: u32) -> (u32, u32) {
        let there = 0..=self.others.len() as u32;
        if let Some(found) = there.clone().find_map(|id| Some((id, self.allocate(id, words)?))) {
            return found;
        }
        let (address, room) = self.heap.allocate_segment(words);
        self.others.push(Segment { address, words: room, used: words });
        (there.end() + 1, 0)
    }

    fn get_segment_mut(&mut self, id: u32) -> (*mut u8, u32) {
        let segment = self.segment(id);
        (segment.address.as_ptr(), segment.words)
    }

    fn as_reader(&self) -> &dyn ReaderArena {
        self
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        for segment in self.others.drain(..) {
            // SAFETY: the allocator gave it, of just this size, and nothing refers to it any more.
            unsafe { self.heap.deallocate_segment(segment.address, segment.words, segment.used) }
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
