//! [`Segment`]: messages that another Cap'n Proto library builds.

use std::io;

use capnp::{OutputSegments, Word};

use crate::frame::{FrameWriter, Segments, WORD_BYTES};
use crate::transport::half::Lease;
use crate::transport::shm::SHARED_BYTES_MIN;

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

    /// Sends it as a message, if it is seen by the receiver and nothing has to be waited for. Gives it back otherwise.
    pub(super) fn send<M: Segments + Unpin>(self, writer: &mut FrameWriter<M>) -> io::Result<Option<Self>> {
        let Segment { memory, bytes } = self;
        match memory {
            Memory::Shared(lease) if bytes >= SHARED_BYTES_MIN => {
                let left = writer.send_lease(lease, bytes)?;
                Ok(left.map(|lease| Segment { memory: Memory::Shared(lease), bytes }))
            }
            memory => Ok(Some(Segment { memory, bytes })),
        }
    }

    /// How many bytes it has.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
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
