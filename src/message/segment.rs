//! [`Segment`]: messages that another Cap'n Proto library builds.

use capnp::{OutputSegments, Word};

use crate::frame::WORD_BYTES;
use crate::transport::half::Lease;

/// A segment of a message that is put together as bytes, such as by the Cap'n Proto library of another
/// language. It has as many words as were [asked for](super::Sender::segment).
pub struct Segment {
    memory: Memory,
    bytes: usize,
}

enum Memory {
    Heap(Vec<Word>),
    /// The connection's: what is large is seen by the receiver.
    Shared(Lease),
}

impl Segment {
    pub(super) fn new(lease: Option<Lease>, words: usize) -> Self {
        let memory = lease.map_or_else(|| Memory::Heap(Word::allocate_zeroed_vec(words)), Memory::Shared);
        Segment { memory, bytes: words * WORD_BYTES }
    }

    /// Makes it end earlier, at a multiple of 8 bytes.
    pub fn truncate(&mut self, bytes: usize) {
        self.bytes = bytes.next_multiple_of(WORD_BYTES).min(self.bytes);
    }
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(words) => &Word::words_to_bytes(words)[..self.bytes],
            Memory::Shared(lease) => &lease.as_ref()[..self.bytes],
        }
    }
}

impl AsMut<[u8]> for Segment {
    fn as_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Heap(words) => &mut Word::words_to_bytes_mut(words)[..self.bytes],
            Memory::Shared(lease) => &mut lease.as_mut()[..self.bytes],
        }
    }
}

/// What a writer takes.
pub(super) fn output(segments: &[Segment]) -> OutputSegments<'_> {
    match segments {
        [only] => OutputSegments::SingleSegment([only.as_ref()]),
        many => OutputSegments::MultiSegment(many.iter().map(Segment::as_ref).collect()),
    }
}
