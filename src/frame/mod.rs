//! Frames: Cap'n Proto messages as they travel in a stream of bytes.
//!
//! A frame is Cap'n Proto's standard stream framing
//! (<https://capnproto.org/encoding.html#serialization-over-a-stream>), little-endian:
//!
//! ```text
//! u32        number of segments, minus one
//! u32 * n    length of each segment, in words of 8 bytes
//! u32        zero, if that is needed to reach a multiple of 8 bytes
//! segments   one after the other
//! ```
//!
//! [`Decoder`] is the protocol without any I/O: bytes go in, frames come out. [`FrameReader`] and
//! [`FrameWriter`] put it on the two halves of a [`Stream`](crate::transport::Stream).

mod decode;
mod memory;
mod read;
mod write;

use capnp::Word;
use capnp::message::{ReaderOptions, ReaderSegments};

pub use decode::Decoder;
pub(crate) use memory::Aligned;
pub use read::FrameReader;
pub use write::{FrameWriter, Segments};

use crate::Limits;
use crate::transport::half::InPlace;

pub(crate) const WORD_BYTES: usize = 8;

/// A message that was received: its segments lie one after the other in memory of its own, aligned to
/// words, so that it is read in place. Large ones may lie where the peer has put them, over shared memory,
/// and go back to it when the frame is dropped.
pub struct Frame(Contents);

enum Contents {
    /// The usual frame: small, and of one segment.
    Words(Vec<Word>),
    /// A large one, of one segment that lies where the peer has put it.
    InPlace(InPlace),
    Pieces(Box<Pieces>),
}

/// Any other frame.
struct Pieces {
    memory: Aligned,
    /// Where each segment ends, in bytes; nothing for a single one, which is all of `memory`.
    ends: Vec<usize>,
    /// Those that lie elsewhere, by their ids; they are empty by `ends`.
    elsewhere: Vec<(usize, InPlace)>,
}

/// Out of the way of the usual frame, which is asked for its segment all the time.
impl Contents {
    #[inline(never)]
    fn segment(&self, id: usize) -> Option<&[u8]> {
        match self {
            Contents::Words(words) => (id == 0).then(|| Word::words_to_bytes(words)),
            Contents::InPlace(bytes) => (id == 0).then(|| (**bytes).as_ref()),
            Contents::Pieces(pieces) => pieces.segment(id),
        }
    }

    #[inline(never)]
    fn bytes(&self) -> usize {
        match self {
            Contents::Words(words) => words.len() * WORD_BYTES,
            Contents::InPlace(bytes) => (**bytes).as_ref().len(),
            Contents::Pieces(pieces) => pieces.bytes(),
        }
    }
}

impl Pieces {
    /// The segment with this id, which lies in `memory` unless it is elsewhere.
    fn segment(&self, id: usize) -> Option<&[u8]> {
        if self.ends.is_empty() {
            return (id == 0).then_some(&self.memory);
        }
        let end = *self.ends.get(id)?;
        if let Some((_, bytes)) = self.elsewhere.iter().find(|(elsewhere, _)| *elsewhere == id) {
            return Some((**bytes).as_ref());
        }
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        Some(&self.memory[start..end])
    }

    fn bytes(&self) -> usize {
        self.memory.len() + self.elsewhere.iter().map(|(_, bytes)| (**bytes).as_ref().len()).sum::<usize>()
    }
}

impl Frame {
    /// What it holds of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Frame>() + self.segments_bytes()
    }

    /// How many of its segments are read where the peer has put them.
    pub fn segments_in_place(&self) -> usize {
        match &self.0 {
            Contents::Words(_) => 0,
            Contents::InPlace(_) => 1,
            Contents::Pieces(pieces) => pieces.elsewhere.len(),
        }
    }

    fn segments_bytes(&self) -> usize {
        match &self.0 {
            Contents::Words(words) => words.len() * WORD_BYTES,
            other => other.bytes(),
        }
    }

    /// Makes a Cap'n Proto reader of it, with bounds on how much may be traversed and how deep: a hostile
    /// message can point at the same place many times, and so be far larger to walk than to send.
    #[inline]
    pub fn into_reader(self, limits: &Limits) -> capnp::message::Reader<Frame> {
        let words = self.segments_bytes() / WORD_BYTES;
        let traversal_words = (words * TRAVERSALS_MAX).max(TRAVERSAL_WORDS_MIN);
        let options = ReaderOptions {
            traversal_limit_in_words: Some(traversal_words),
            nesting_limit: i32::from(limits.nesting_max),
        };
        capnp::message::Reader::new(self, options)
    }
}

/// How often a large message may be walked from end to end.
const TRAVERSALS_MAX: usize = 8;
/// What any message may be walked: Cap'n Proto's own default of 64 MiB.
const TRAVERSAL_WORDS_MIN: usize = 8 << 20;

impl ReaderSegments for Frame {
    /// The engine asks for it dozens of times for a small message.
    #[inline]
    fn get_segment(&self, id: u32) -> Option<&[u8]> {
        match &self.0 {
            Contents::Words(words) => (id == 0).then(|| Word::words_to_bytes(words)),
            other => other.segment(id as usize),
        }
    }

    fn len(&self) -> usize {
        match &self.0 {
            Contents::Words(_) | Contents::InPlace(_) => 1,
            Contents::Pieces(pieces) => pieces.ends.len().max(1),
        }
    }
}
