//! The decoder: bytes in, frames out, nothing else.

use std::collections::VecDeque;

use bytes::BufMut;
use bytes::buf::Limit;
use capnp::Word;

use super::memory::{Aligned, words};
use super::{Contents, Frame, InPlace, Pieces, WORD_BYTES};
use crate::{Error, Limits, Result};

/// Memory for a frame is taken at once up to this, and from there so many times as much as its bytes arrive: a peer
/// that announces much and sends nothing costs nothing. The page more is for what is around a payload of
/// a round size. Growing less at a time would copy more: 15 MiB of 16, if it were doubled.
const FIRST_ALLOCATION_BYTES: usize = (1 << 20) + (4 << 10);
const GROWTH: usize = 4;

/// A frame with at least this much missing is worth reading straight into its own memory.
const DIRECT_READ_BYTES: usize = 4 << 10;

/// A segment of at least this much may come in place.
const IN_PLACE_BYTES: usize = 32 << 10;

/// Takes the bytes of a stream as they come and gives the frames that they make.
///
/// What is wrong with a frame is reported once every frame before it was given out.
pub struct Decoder {
    frame_bytes_max: usize,
    segments_max: usize,
    /// Large segments may come in place.
    in_place: bool,
    state: State,
    ready: VecDeque<Frame>,
    error: Option<Error>,
}

enum State {
    /// In the segment table; these bytes of it are here.
    Table(Vec<u8>),
    /// In the segments.
    Body(Body),
}

struct Body {
    memory: Aligned,
    /// What there is memory for now.
    room_bytes: usize,
    /// Of those that are to be in `memory`.
    total_bytes: usize,
    ends: Vec<usize>,
    elsewhere: Vec<(usize, InPlace)>,
}

/// What a complete segment table says.
struct Table {
    bytes: usize,
    total_bytes: usize,
    /// Where each segment ends, in bytes; nothing for a single one.
    ends: Vec<usize>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(limits: &Limits) -> Self {
        Decoder {
            frame_bytes_max: limits.frame_bytes_max,
            segments_max: limits.segments_max,
            in_place: false,
            state: State::Table(Vec::new()),
            ready: VecDeque::new(),
            error: None,
        }
    }

    /// Takes no memory for large segments before it is clear that they do not come
    /// [in place](Self::next_segment).
    pub(super) fn expecting_in_place(self) -> Self {
        Decoder { in_place: true, ..self }
    }

    /// The next complete frame, or what is wrong with the stream after the last one.
    pub fn next_frame(&mut self) -> Option<Result<Frame>> {
        match self.ready.pop_front() {
            Some(frame) => Some(Ok(frame)),
            None => self.error.clone().map(Err),
        }
    }

    /// Whether [`next_frame`](Self::next_frame) has something.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty() || self.error.is_some()
    }

    /// Whether nothing was taken of a frame that was not given out, and nothing is wrong.
    pub(super) fn is_between_frames(&self) -> bool {
        self.is_at_boundary() && !self.is_ready()
    }

    fn is_at_boundary(&self) -> bool {
        matches!(&self.state, State::Table(bytes) if bytes.is_empty())
    }

    /// How many complete frames wait for [`next_frame`](Self::next_frame).
    pub fn ready_frames(&self) -> usize {
        self.ready.len()
    }

    /// Takes the next bytes of the stream, all of them.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.error.is_none() {
            if !self.take_usual(&mut bytes)
                && let Err(error) = self.step(&mut bytes)
            {
                self.error = Some(error);
            }
        }
    }

    /// Where the next bytes of the stream may be put without a copy, when a large frame is on its way. Call
    /// [`filled`](Self::filled) once some were.
    pub(super) fn space(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        let State::Body(body) = &mut self.state else { return None };
        if self.error.is_some() || body.missing_bytes() < DIRECT_READ_BYTES {
            return None;
        }
        body.grow();
        let room = body.room_bytes - body.memory.len();
        Some(body.memory.rest().limit(room))
    }

    /// How many bytes the next segment has, if it is large and none of it is here yet. It may be given to
    /// [`put_in_place`](Self::put_in_place).
    pub(super) fn next_segment(&self) -> Option<usize> {
        match &self.state {
            State::Body(body) if self.in_place && self.error.is_none() => body.next_large().map(|(_, bytes)| bytes),
            _ => None,
        }
    }

    /// Takes the [next segment](Self::next_segment), where it is.
    pub(super) fn put_in_place(&mut self, bytes: InPlace) {
        if let State::Body(body) = &mut self.state {
            body.put_in_place(bytes);
            self.finish_body();
        }
    }

    /// Says that bytes were put into [`space`](Self::space).
    pub(super) fn filled(&mut self) {
        self.finish_body();
    }

    /// Takes the end of the stream: an error, after the last frame, unless it falls between two frames.
    pub fn end(&mut self) {
        if !self.is_at_boundary() && self.error.is_none() {
            let what = match &self.state {
                State::Table(bytes) => format!("the stream ends after {} bytes of a segment table", bytes.len()),
                State::Body(body) => format!(
                    "the stream ends after {} of the {} bytes of a message",
                    body.memory.len(),
                    body.total_bytes
                ),
            };
            self.error = Some(Error::Protocol { what });
        }
    }

    /// Takes the usual frame: small, of one segment, and here as a whole. Of small messages nearly all are.
    fn take_usual(&mut self, bytes: &mut &[u8]) -> bool {
        let Some((table, rest)) = bytes.split_first_chunk().filter(|_| self.is_at_boundary()) else { return false };
        let table = u64::from_le_bytes(*table);
        let (segments, body_bytes) = (table as u32, (table >> 32) as usize * WORD_BYTES);
        if segments != 0 || body_bytes >= IN_PLACE_BYTES || WORD_BYTES + body_bytes > self.frame_bytes_max {
            return false;
        }
        let Some((body, rest)) = rest.split_at_checked(body_bytes) else { return false };
        self.ready.push_back(Frame::of(words(body)));
        *bytes = rest;
        true
    }

    fn step(&mut self, bytes: &mut &[u8]) -> Result<()> {
        match &mut self.state {
            State::Table(partial) if partial.is_empty() => match self.parse_table(bytes)? {
                Some(table) => {
                    *bytes = &bytes[table.bytes..];
                    self.begin_body(table, bytes);
                }
                None => self.state = State::Table(std::mem::take(bytes).to_vec()),
            },
            State::Table(partial) => {
                // One word at a time, until the table is complete: it is a rare and short way.
                let mut partial = std::mem::take(partial);
                let take = (WORD_BYTES - partial.len() % WORD_BYTES).min(bytes.len());
                partial.extend_from_slice(&bytes[..take]);
                *bytes = &bytes[take..];
                match self.parse_table(&partial)? {
                    Some(table) => self.begin_body(table, bytes),
                    None => self.state = State::Table(partial),
                }
            }
            State::Body(body) => {
                body.take(bytes);
                self.finish_body();
            }
        }
        Ok(())
    }

    /// Reads the segment table at the beginning of `bytes`, if all of it is there.
    fn parse_table(&self, bytes: &[u8]) -> Result<Option<Table>> {
        let Some((first, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let segments = u64::from(u32::from_le_bytes(*first)) + 1;
        if segments > self.segments_max as u64 {
            return Err(limit("segments_max", self.segments_max, segments));
        }
        let segments = segments as usize;
        let table_bytes = (4 * (segments + 1)).next_multiple_of(WORD_BYTES);
        if bytes.len() < table_bytes {
            return Ok(None);
        }
        let lengths = rest[..4 * segments].chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
        let total_words: u64 = lengths.clone().map(u64::from).sum();
        let frame_bytes = table_bytes as u64 + total_words * WORD_BYTES as u64;
        if frame_bytes > self.frame_bytes_max as u64 {
            return Err(limit("frame_bytes_max", self.frame_bytes_max, frame_bytes));
        }
        let ends = match segments {
            1 => Vec::new(),
            _ => lengths
                .scan(0, |end, words| {
                    *end += words as usize * WORD_BYTES;
                    Some(*end)
                })
                .collect(),
        };
        Ok(Some(Table { bytes: table_bytes, total_bytes: total_words as usize * WORD_BYTES, ends }))
    }

    fn begin_body(&mut self, table: Table, bytes: &mut &[u8]) {
        let Table { total_bytes, ends, .. } = table;
        let mut body = Body { memory: Aligned::default(), room_bytes: 0, total_bytes, ends, elsewhere: Vec::new() };
        let before_large = if self.in_place { body.bytes_before_large() } else { usize::MAX };
        // Even for no bytes: what lies nowhere is not aligned.
        body.make_room(before_large.min(body.first_bytes()));
        body.take(bytes);
        self.state = State::Body(body);
        self.finish_body();
    }

    fn finish_body(&mut self) {
        if matches!(&self.state, State::Body(body) if body.missing_bytes() == 0)
            && let State::Body(body) = std::mem::replace(&mut self.state, State::Table(Vec::new()))
        {
            let Body { memory, ends, elsewhere, .. } = body;
            self.ready.push_back(Frame(Contents::Pieces(Box::new(Pieces { memory, ends, elsewhere }))));
        }
    }
}

impl Frame {
    /// A frame of one segment, of these words.
    pub(super) fn of(words: Vec<Word>) -> Frame {
        Frame(Contents::Words(words))
    }

    /// A frame of this one segment, which lies elsewhere.
    pub(super) fn in_place(segment: InPlace) -> Frame {
        Frame(Contents::InPlace(segment))
    }

    /// A frame that is here as a whole, its segment table first.
    pub(crate) fn whole(mut memory: Aligned, limits: &Limits) -> Result<Frame> {
        let table = Decoder::new(limits).parse_table(&memory)?;
        match table.filter(|table| table.bytes + table.total_bytes == memory.len()) {
            Some(Table { bytes, ends, .. }) => {
                memory.skip(bytes);
                Ok(Frame(Contents::Pieces(Box::new(Pieces { memory, ends, elsewhere: Vec::new() }))))
            }
            None => Err(Error::Protocol { what: format!("{} bytes that are not one frame", memory.len()) }),
        }
    }
}

impl Body {
    fn missing_bytes(&self) -> usize {
        self.total_bytes - self.memory.len()
    }

    /// How much to take memory for at first.
    fn first_bytes(&self) -> usize {
        self.total_bytes.min(FIRST_ALLOCATION_BYTES)
    }

    /// Makes room for more bytes when there is none.
    fn grow(&mut self) {
        if self.memory.len() == self.room_bytes && self.room_bytes < self.total_bytes {
            self.make_room((self.room_bytes * GROWTH).max(self.first_bytes()).min(self.total_bytes));
        }
    }

    fn make_room(&mut self, bytes: usize) {
        let mut memory = Aligned::with_room(bytes);
        memory.rest().extend_from_slice(&self.memory);
        self.memory = memory;
        self.room_bytes = bytes;
    }

    /// How many bytes there are before the first large segment.
    fn bytes_before_large(&self) -> usize {
        let mut start = 0;
        for end in self.ends.iter().copied().chain([self.total_bytes]) {
            if end - start >= IN_PLACE_BYTES {
                return start;
            }
            start = end;
        }
        start
    }

    /// The segment that comes next, if it is large, and its bytes.
    fn next_large(&self) -> Option<(usize, usize)> {
        let start = self.memory.len();
        if self.missing_bytes() < IN_PLACE_BYTES || !start.is_multiple_of(WORD_BYTES) {
            return None;
        }
        // Segments that are empty, or elsewhere, end where they start.
        let id = self.ends.partition_point(|end| *end <= start);
        let starts_here = start == if id == 0 { 0 } else { self.ends[id - 1] };
        let bytes = self.ends.get(id).copied().unwrap_or(self.total_bytes) - start;
        (starts_here && bytes >= IN_PLACE_BYTES).then_some((id, bytes))
    }

    fn put_in_place(&mut self, segment: InPlace) {
        let Some((id, bytes)) = self.next_large() else { return };
        debug_assert_eq!((*segment).as_ref().len(), bytes);
        if self.ends.is_empty() {
            self.ends.push(self.total_bytes);
        }
        self.ends[id..].iter_mut().for_each(|end| *end -= bytes);
        self.total_bytes -= bytes;
        self.elsewhere.push((id, segment));
    }

    /// Takes from `bytes` what belongs to this frame.
    fn take(&mut self, bytes: &mut &[u8]) {
        while self.missing_bytes() > 0 && !bytes.is_empty() {
            self.grow();
            let count = (self.room_bytes - self.memory.len()).min(bytes.len());
            self.memory.rest().extend_from_slice(&bytes[..count]);
            *bytes = &bytes[count..];
        }
    }
}

fn limit(limit: &'static str, allowed: usize, seen: u64) -> Error {
    let advice = "send less at a time, or raise the limit on the receiving side";
    Error::Limit { limit, allowed: allowed as u64, seen, what: "a message of the peer", advice }
}

#[cfg(test)]
mod tests {
    use capnp::message::{Builder, HeapAllocator, ReaderSegments};
    use capnp::serialize;
    use proptest::prelude::*;

    use super::*;

    /// A message whose segments have these lengths, in words.
    fn framed(segments: &[Vec<Word>]) -> Vec<u8> {
        let segments: Vec<&[u8]> = segments.iter().map(|words| Word::words_to_bytes(words)).collect();
        serialize::write_message_segments_to_words(&segments.as_slice())
    }

    fn any_segments() -> impl Strategy<Value = Vec<Vec<Word>>> {
        let word = any::<u8>().prop_map(|b| capnp::word(b, 1, 2, 3, 4, 5, 6, 7));
        prop::collection::vec(prop::collection::vec(word, 0..40), 1..6)
    }

    proptest! {
        /// However the stream is cut, the same frames come out.
        #[test]
        fn frames_survive_any_cut(
            messages in prop::collection::vec(any_segments(), 0..6),
            cuts in prop::collection::vec(1usize..64, 1..64),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|segments| framed(segments)).collect();
            let mut decoder = Decoder::new(&Limits::DEFAULT);
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.push(now);
                rest = later;
            }
            decoder.end();
            for segments in &messages {
                let frame = decoder.next_frame().unwrap().unwrap();
                prop_assert_eq!(frame.len(), segments.len());
                for (id, words) in segments.iter().enumerate() {
                    let segment = frame.get_segment(id as u32).unwrap();
                    prop_assert_eq!(segment, Word::words_to_bytes(words));
                    prop_assert!(segment.as_ptr().addr().is_multiple_of(WORD_BYTES));
                }
            }
            prop_assert!(decoder.next_frame().is_none());
        }

        /// A frame with its table is the same frame; a word more or less is none.
        #[test]
        fn a_frame_that_is_here_as_a_whole(segments in any_segments()) {
            let framed = framed(&segments);
            let frame = Frame::whole(Aligned::of(&framed), &Limits::DEFAULT).unwrap();
            prop_assert_eq!(frame.len(), segments.len());
            for (id, segment) in segments.iter().enumerate() {
                prop_assert_eq!(frame.get_segment(id as u32).unwrap(), Word::words_to_bytes(segment));
            }
            prop_assert!(Frame::whole(Aligned::of(&framed[..framed.len() - 8]), &Limits::DEFAULT).is_err());
            prop_assert!(Frame::whole(Aligned::of(&[&framed[..], &[0; 8]].concat()), &Limits::DEFAULT).is_err());
        }

        /// Random bytes are refused or make frames, and never take more memory than they are long.
        #[test]
        fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let mut decoder = Decoder::new(&Limits::DEFAULT);
            decoder.push(&bytes);
            decoder.end();
            while let Some(Ok(_)) = decoder.next_frame() {}
            if let State::Body(body) = &decoder.state {
                prop_assert!(body.room_bytes <= FIRST_ALLOCATION_BYTES);
            }
        }
    }

    #[test]
    fn a_large_frame_is_read_into_its_own_memory_as_it_arrives() {
        let mut message = Builder::new(HeapAllocator::new());
        message.set_root::<capnp::data::Owned>(vec![7u8; 3 << 20].as_slice()).unwrap();
        let stream = serialize::write_message_to_words(&message);
        let mut decoder = Decoder::new(&Limits::DEFAULT);
        decoder.push(&stream[..100]);
        let mut at = 100;
        while let Some(mut space) = decoder.space() {
            let count = space.remaining_mut().min(stream.len() - at).min(50_000);
            assert!(space.remaining_mut() <= GROWTH * at.max(FIRST_ALLOCATION_BYTES), "memory runs ahead of the bytes");
            space.put_slice(&stream[at..at + count]);
            decoder.filled();
            at += count;
        }
        decoder.push(&stream[at..]);
        let frame = decoder.next_frame().unwrap().unwrap().into_reader(&Limits::DEFAULT);
        assert_eq!(frame.get_root::<capnp::data::Reader>().unwrap(), vec![7u8; 3 << 20]);
    }

    #[test]
    fn an_error_comes_after_the_frames_before_it() {
        let good = framed(&[vec![capnp::word(1, 0, 0, 0, 0, 0, 0, 0)]]);
        for (bad, hint) in [
            (u32::MAX.to_le_bytes().to_vec(), "segments_max"),
            ([0u32.to_le_bytes(), u32::MAX.to_le_bytes()].concat(), "frame_bytes_max"),
            (vec![1, 2, 3], "ends after 3 bytes of a segment table"),
            (good[..good.len() - 1].to_vec(), "ends after 7 of the 8 bytes"),
        ] {
            let mut decoder = Decoder::new(&Limits::DEFAULT);
            decoder.push(&[good.as_slice(), &bad].concat());
            decoder.end();
            assert!(decoder.next_frame().unwrap().is_ok());
            let error = decoder.next_frame().unwrap().err().unwrap();
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn as_many_segments_as_allowed_and_no_more() {
        let limits = Limits::DEFAULT;
        for (count, fine) in [(limits.segments_max, true), (limits.segments_max + 1, false)] {
            let mut decoder = Decoder::new(&limits);
            decoder.push(&framed(&vec![Vec::new(); count]));
            assert_eq!(decoder.next_frame().unwrap().is_ok(), fine);
        }
    }
}
