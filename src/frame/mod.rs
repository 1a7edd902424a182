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
pub struct Frame {
    memory: Aligned,
    /// `None` for the usual frame, of one segment, which is all of `memory`.
    several: Option<Box<Several>>,
}

/// The segments of a frame that has several of them, or any that lies elsewhere.
struct Several {
    /// Where each ends, in bytes.
    ends: Vec<usize>,
    /// Those that lie elsewhere, by their ids; they are empty by `ends`.
    elsewhere: Vec<(usize, InPlace)>,
}

impl Several {
    /// `None` without any ends: the frame is the usual one.
    fn boxed(ends: Vec<usize>, elsewhere: Vec<(usize, InPlace)>) -> Option<Box<Several>> {
        (!ends.is_empty()).then(|| Box::new(Several { ends, elsewhere }))
    }

    /// The segment with this id, which lies in `memory` unless it is elsewhere.
    fn segment<'a>(&'a self, id: usize, memory: &'a [u8]) -> Option<&'a [u8]> {
        let end = *self.ends.get(id)?;
        if let Some((_, bytes)) = self.elsewhere.iter().find(|(elsewhere, _)| *elsewhere == id) {
            return Some((**bytes).as_ref());
        }
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        Some(&memory[start..end])
    }
}

impl Frame {
    /// What it holds of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Frame>() + self.memory.len() + self.bytes_elsewhere()
    }

    /// How many of its segments are read where the peer has put them.
    pub fn segments_in_place(&self) -> usize {
        self.elsewhere().len()
    }

    fn elsewhere(&self) -> &[(usize, InPlace)] {
        self.several.as_ref().map_or(&[], |several| &several.elsewhere)
    }

    fn bytes_elsewhere(&self) -> usize {
        self.elsewhere().iter().map(|(_, bytes)| (**bytes).as_ref().len()).sum()
    }

    /// Makes a Cap'n Proto reader of it, with bounds on how much may be traversed and how deep: a hostile
    /// message can point at the same place many times, and so be far larger to walk than to send.
    #[inline]
    pub fn into_reader(self, limits: &Limits) -> capnp::message::Reader<Frame> {
        let words = (self.memory.len() + self.bytes_elsewhere()) / WORD_BYTES;
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
        match &self.several {
            Some(several) => several.segment(id as usize, &self.memory),
            None if id == 0 => Some(&self.memory),
            None => None,
        }
    }

    fn len(&self) -> usize {
        self.several.as_ref().map_or(1, |several| several.ends.len())
    }
}
