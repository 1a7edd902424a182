//! [`Memory`]: shared memory as 64-bit words, and the only way of the ring to atomics.
//!
//! The ring and the wake protocol are written against this trait, so that the same code runs on a mapped
//! [`Region`](super::Region), on plain atomics under a fuzzer, and on loom's atomics, which try every
//! order in which two processors could see each other's writes.

use std::sync::atomic::Ordering;

use capnp::Word;

/// The memory of one side: words that one side writes and both read.
///
/// Offsets are in bytes and, of single words, multiples of 8. An access out of bounds panics; the ring makes none, whatever
/// the peer wrote.
pub trait Memory {
    /// The size, in bytes.
    fn bytes(&self) -> usize;

    /// Reads a word once, with no order of its own.
    fn load(&self, offset: usize) -> u64;

    /// Writes a word, with no order of its own.
    fn store(&self, offset: usize, value: u64);

    /// Copies bytes out, from any offset, each word read once. The peer may be writing to them.
    fn read(&self, offset: usize, to: &mut [u8]);

    /// Copies words out, each read once. The peer may be writing to them.
    fn read_words(&self, offset: usize, count: usize) -> Vec<Word> {
        (0..count).map(|index| word(self.load(offset + index * 8))).collect()
    }

    /// Copies bytes in, at any offset. Only this side writes to them, and an honest peer does not read them meanwhile.
    fn write(&self, offset: usize, from: &[u8]);

    /// Orders this thread's accesses to every memory of this kind.
    fn fence(order: Ordering);
}

/// The bytes of a word, as they are in memory.
pub(super) fn word(value: u64) -> Word {
    let [a, b, c, d, e, f, g, h] = value.to_ne_bytes();
    capnp::word(a, b, c, d, e, f, g, h)
}

/// Where things are in a region. Every word that one side changes often has 128 bytes to itself: a
/// processor fetches pairs of 64-byte lines.
pub mod layout {
    /// The word that says what this is: [`MAGIC_WORD`].
    pub const MAGIC: usize = 0;
    /// How far the owner has written into its own ring: a count of bytes that only grows.
    pub const WRITTEN: usize = 128;
    /// How far the owner has read the peer's ring: a count of bytes that only grows.
    pub const READ: usize = 256;
    /// The owner asks to be woken when the peer's `WRITTEN` is at least this.
    pub const DATA_WISH: usize = 384;
    /// The owner asks to be woken when the peer's `READ` is at least this.
    pub const SPACE_WISH: usize = 512;
    /// Of who publishes to many: the oldest record that is whole. What lies before is being overwritten.
    pub const OLDEST: usize = 640;
    /// How often the owner has given each of the peer's blobs back: a word for each of [`BLOBS_MAX`].
    pub const RETURNED: usize = 2048;
    /// The owner's ring, up to the end of the region.
    pub const RING: usize = 4096;

    /// The most blobs that one side has attached at once: their ids are below this.
    pub const BLOBS_MAX: usize = (RING - RETURNED) / 8;

    /// `SHIPSHM` and the version of this layout, in the byte order of the machine: a peer of the other
    /// byte order sees another word.
    pub const MAGIC_WORD: u64 = u64::from_le_bytes(*b"SHIPSHM\x01");

    /// The smallest ring, in bytes.
    pub const RING_BYTES_MIN: usize = 4096;
    /// The largest ring, in bytes: the length of a record has 32 bits.
    pub const RING_BYTES_MAX: usize = 1 << 30;
}
