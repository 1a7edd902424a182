//! Memory that frames lie in.

use std::cell::Cell;
use std::ops::Deref;

use capnp::Word;

use super::WORD_BYTES;

/// Bytes, as they arrive, of which the first is where a word may begin. What is not there yet need not be zero,
/// and so costs nothing before it comes.
#[derive(Default)]
pub(crate) struct Aligned {
    /// Never longer than what was taken at first, since it would lie elsewhere then.
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    /// Room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let mut memory = Vec::<u8>::with_capacity(bytes + WORD_BYTES - 1);
        let start = memory.as_ptr().align_offset(WORD_BYTES);
        memory.resize(start, 0);
        Aligned { bytes: memory, start }
    }

    /// These bytes.
    #[cfg(test)]
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut memory = Self::with_room(bytes.len());
        memory.bytes.extend_from_slice(bytes);
        memory
    }

    /// So many bytes, all of them zero.
    pub(crate) fn zeroed(bytes: usize) -> Self {
        let mut memory = Self::with_room(bytes);
        memory.bytes.resize(memory.start + bytes, 0);
        memory
    }

    /// What more bytes are added to: no more than there is room for.
    pub(super) fn rest(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Lets go of the first bytes, a multiple of a word.
    pub(super) fn skip(&mut self, bytes: usize) {
        debug_assert!(bytes.is_multiple_of(WORD_BYTES) && bytes <= self.len());
        self.start += bytes;
    }
}

impl Deref for Aligned {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl AsMut<[u8]> for Aligned {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }
}

/// The words that these bytes are; what is left over is not among them.
pub(super) fn words(bytes: &[u8]) -> Vec<Word> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|&[a, b, c, d, e, f, g, h]| capnp::word(a, b, c, d, e, f, g, h)).collect()
}

/// Frames that were written where they are sent from, one behind the other: many small ones are one slice to write.
/// The memory is the thread's while nothing is staged.
#[derive(Default)]
pub(super) struct Stage {
    words: Vec<Word>,
    /// To here there are frames, in bytes.
    end: usize,
    /// To here they are written.
    written: usize,
}

/// More than a sender lets wait before it writes, and one large frame.
const STAGE_BYTES: usize = 96 << 10;

thread_local! {
    static SPARE: Cell<Vec<Word>> = const { Cell::new(Vec::new()) };
}

impl Stage {
    /// Lets `fill` write a frame of up to `most` bytes; it gives its length. Nothing happens without room for that.
    pub(super) fn put<E>(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Option<Result<(), E>> {
        if self.words.is_empty() {
            self.words = SPARE.take();
            if self.words.is_empty() {
                self.words = Word::allocate_zeroed_vec(STAGE_BYTES / WORD_BYTES);
            }
        }
        let space = Word::words_to_bytes_mut(&mut self.words)[self.end..].get_mut(..most)?;
        Some(fill(space).map(|bytes| self.end += bytes))
    }

    /// How much is to be written, in bytes.
    pub(super) fn len(&self) -> usize {
        self.end - self.written
    }

    /// What is to be written.
    pub(super) fn bytes(&self) -> &[u8] {
        &Word::words_to_bytes(&self.words)[self.written..self.end]
    }

    /// Takes away what was written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written == self.end {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        if !self.words.is_empty() {
            SPARE.set(std::mem::take(self).words);
        }
    }
}
