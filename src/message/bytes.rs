//! [`BytesLoan`]: a message that is nothing but bytes.

use std::ops::{Deref, DerefMut};

use capnp::{OutputSegments, Word, data};

use super::Sender;
use super::sender::{Outgoing, too_large};
use crate::Result;
use crate::frame::Segments;
use crate::transport::half::Lease;
use crate::transport::shm::SHARED_BYTES_MIN;

/// The count of a list has 29 bits.
const BYTES_MAX: usize = (1 << 29) - 1;
const WORD_BYTES: usize = 8;

impl Sender<data::Owned> {
    /// Memory for a message of `bytes` bytes, to be filled as a whole and [sent](BytesLoan::send) then. The message is
    /// one `Data`, as [`send`](Self::send) makes it from `data::Owned`.
    ///
    /// Over shared memory, 32 KiB and more are handed over where they are. Unlike memory for a message that is
    /// [built](Self::loan), this is not cleared between two messages, which takes as long as writing them does: what
    /// is not written is sent as it was left by an earlier message of this sender.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) for more than a message may have.
    pub fn loan_bytes(&mut self, bytes: usize) -> Result<BytesLoan<'_>> {
        let most = self.frame_bytes_max().saturating_sub(2 * WORD_BYTES).min(BYTES_MAX);
        if bytes > most {
            return Err(too_large(most, bytes));
        }
        let words = 1 + bytes.div_ceil(WORD_BYTES);
        let space_bytes = words * WORD_BYTES;
        let lease = if space_bytes >= SHARED_BYTES_MIN { self.lease(space_bytes) } else { None };
        let memory = lease.map_or_else(|| Memory::Heap(Word::allocate_zeroed_vec(words)), Memory::Shared);
        Ok(BytesLoan { sender: self, message: BytesMessage::new(memory, bytes) })
    }
}

/// The bytes of a message, in memory of its sender. Dropping it sends nothing.
#[must_use = "a loan that is not sent sends nothing"]
pub struct BytesLoan<'a> {
    sender: &'a mut Sender<data::Owned>,
    message: BytesMessage,
}

impl BytesLoan<'_> {
    /// Sends them, as [`Sender::send`] does.
    ///
    /// # Errors
    /// Those of [`Sender::send`].
    pub async fn send(self) -> Result<()> {
        self.sender.send_outgoing(Outgoing::Bytes(self.message)).await
    }
}

impl Deref for BytesLoan<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.message.memory.bytes()[WORD_BYTES..][..self.message.bytes]
    }
}

impl DerefMut for BytesLoan<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.message.memory.bytes_mut()[WORD_BYTES..][..self.message.bytes]
    }
}

/// A message of one segment: the pointer to its root, and the root, which is a list of bytes.
pub(super) struct BytesMessage {
    memory: Memory,
    bytes: usize,
}

enum Memory {
    Heap(Vec<Word>),
    Shared(Lease),
}

impl BytesMessage {
    fn new(mut memory: Memory, bytes: usize) -> Self {
        let space = memory.bytes_mut();
        // Behind the last byte, to the end of its word.
        space[WORD_BYTES + bytes..].fill(0);
        // <https://capnproto.org/encoding.html#lists>: the list starts right here, of elements of one byte.
        let pointer = 1 | 2 << 32 | (bytes as u64) << 35;
        space[..WORD_BYTES].copy_from_slice(&pointer.to_le_bytes());
        BytesMessage { memory, bytes }
    }
}

impl Segments for BytesMessage {
    fn segments(&self) -> OutputSegments<'_> {
        OutputSegments::SingleSegment([self.memory.bytes()])
    }
}

impl Memory {
    fn bytes(&self) -> &[u8] {
        match self {
            Memory::Heap(words) => Word::words_to_bytes(words),
            Memory::Shared(lease) => lease.as_ref(),
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(words) => Word::words_to_bytes_mut(words),
            Memory::Shared(lease) => lease.as_mut(),
        }
    }
}
