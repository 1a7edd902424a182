//! Pointers of a message, followed by hand: where the typed readers would cost too much, or do not see what is
//! to be seen (<https://capnproto.org/encoding.html>).
//!
//! [`target`] follows every pointer; [`near_struct`] is for each call's messages, and gives up early.

/// A word of a message.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: usize,
    pub(super) word: usize,
}

/// What a pointer points to.
pub(super) enum Target {
    Struct(Struct),
    /// An index in the table of capabilities.
    Capability(u32),
}

/// A struct, all of which is there.
pub(super) struct Struct {
    /// Where its pointers are, and how many.
    pub(super) pointers: Place,
    pub(super) count: usize,
}

impl Place {
    /// Where the pointer to a message's root is.
    pub(super) const ROOT: Place = Place { segment: 0, word: 0 };

    pub(super) fn after(self, words: usize) -> Place {
        Place { word: self.word + words, ..self }
    }
}

impl Struct {
    pub(super) fn first_pointer(&self) -> Option<Place> {
        (self.count > 0).then_some(self.pointers)
    }
}

/// Follows the pointer at a place; nothing, if it is that of a list, or null, or leads out of the message.
pub(super) fn target(segments: &[&[u8]], place: Place) -> Option<Target> {
    let pointer = word(segments, place)?;
    if pointer & 3 != 2 {
        return near(segments, pointer, place);
    }
    let pad = Place { segment: (pointer >> 32) as usize, word: (pointer as u32 >> 3) as usize };
    if pointer & 4 == 0 {
        return near(segments, word(segments, pad)?, pad);
    }
    // Two words: where it is, and what it is.
    let (far, tag) = (word(segments, pad)?, word(segments, pad.after(1))?);
    direct(segments, tag, Place { segment: (far >> 32) as usize, word: (far as u32 >> 3) as usize })
}

/// The same for a pointer to a struct.
pub(super) fn struct_at(segments: &[&[u8]], place: Place) -> Option<Struct> {
    match target(segments, place)? {
        Target::Struct(found) => Some(found),
        Target::Capability(_) => None,
    }
}

/// What a pointer at a place points to, in its own segment.
fn near(segments: &[&[u8]], pointer: u64, at: Place) -> Option<Target> {
    direct(segments, pointer, Place { word: start(pointer, at.word)?, ..at })
}

fn direct(segments: &[&[u8]], pointer: u64, start: Place) -> Option<Target> {
    let (data_words, count) = sizes(pointer);
    match pointer & 3 {
        0 if pointer != 0 => {
            let whole = start.word + data_words + count <= segments.get(start.segment)?.len() / 8;
            let found = Struct { pointers: start.after(data_words), count };
            whole.then_some(Target::Struct(found))
        }
        3 if pointer as u32 == 3 => Some(Target::Capability((pointer >> 32) as u32)),
        _ => None,
    }
}

/// A struct in the segment of the pointer to it.
pub(super) struct Near {
    start: usize,
    data_words: usize,
    count: usize,
}

impl Near {
    /// A word of its data, if it has it.
    pub(super) fn data(&self, words: &[[u8; 8]], index: usize) -> Option<u64> {
        if index < self.data_words { word_at(words, self.start + index) } else { None }
    }

    /// Where one of its pointers is, if it has it.
    pub(super) fn pointer(&self, index: usize) -> Option<usize> {
        (index < self.count).then_some(self.start + self.data_words + index)
    }
}

/// The struct to which the pointer at a word leads, if it lies whole in the same segment.
pub(super) fn near_struct(words: &[[u8; 8]], at: usize) -> Option<Near> {
    let pointer = word_at(words, at)?;
    let (data_words, count) = sizes(pointer);
    let start = start(pointer, at)?;
    let whole = pointer & 3 == 0 && pointer != 0 && start + data_words + count <= words.len();
    whole.then_some(Near { start, data_words, count })
}

pub(super) fn word_at(words: &[[u8; 8]], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*words.get(at)?))
}

/// Where what a pointer at this word points to starts, in the same segment.
fn start(pointer: u64, at: usize) -> Option<usize> {
    (at + 1).checked_add_signed((pointer as u32 as i32 >> 2) as isize)
}

/// How many words of data, and how many pointers, a struct has.
fn sizes(pointer: u64) -> (usize, usize) {
    ((pointer >> 32) as usize & 0xffff, (pointer >> 48) as usize)
}

fn word(segments: &[&[u8]], place: Place) -> Option<u64> {
    let bytes = segments.get(place.segment)?.get(place.word.checked_mul(8)?..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// For tests of what reads words by hand.
#[cfg(test)]
pub(super) mod testing {
    use capnp::Word;
    use capnp::message::{Reader, ReaderOptions, SegmentArray};
    use capnp_rpc::rpc_capnp::message;
    use proptest::prelude::*;

    /// A word, and what to change in it: small changes as well as wild ones.
    pub(crate) type Change = (usize, u64, u32);

    /// Changes of the first words of a segment.
    pub(crate) fn changes(words: usize) -> impl Strategy<Value = Vec<Change>> {
        prop::collection::vec((0..words, any::<u64>(), 0u32..64), 0..4)
    }

    /// What is seen at a glance of a hostile peer's words is what the schema says, if that can be read.
    pub(crate) fn is_as_typed<T: PartialEq + std::fmt::Debug>(
        mut segment: Vec<u8>,
        changes: &[Change],
        glance: fn(&[u8]) -> Option<T>,
        typed: fn(message::Reader<'_>) -> capnp::Result<Option<T>>,
    ) {
        for (at, value, shift) in changes {
            if let Some(word) = segment.get_mut(at * 8..).and_then(|rest| rest.first_chunk_mut::<8>()) {
                *word = (u64::from_le_bytes(*word) ^ value >> shift).to_le_bytes();
            }
        }
        let mut words = Word::allocate_zeroed_vec(segment.len() / 8);
        Word::words_to_bytes_mut(&mut words).copy_from_slice(&segment);
        let segments = [Word::words_to_bytes(&words)];
        let reader = Reader::new(SegmentArray::new(&segments), ReaderOptions::new());
        if let (Some(seen), Ok(typed)) = (glance(segments[0]), reader.get_root().and_then(typed)) {
            assert_eq!(Some(seen), typed);
        }
    }
}
