//! [`BytesLoan`]: a message that is nothing but bytes.

use std::ops::{Deref, DerefMut};

use capnp::data;

use super::sender::too_large;
use super::{Segment, Sender};
use crate::Result;
use crate::frame::WORD_BYTES;

/// The count of a list has 29 bits.
const BYTES_MAX: usize = (1 << 29) - 1;

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
        // The pointer to the root, and the root, which is a list of bytes.
        let mut segment = self.new_segment(WORD_BYTES + bytes, false);
        let space = segment.as_mut();
        // Behind the last byte, to the end of its word.
        space[WORD_BYTES + bytes..].fill(0);
        // <https://capnproto.org/encoding.html#lists>: the list starts right here, of elements of one byte.
        let pointer = (1 | 2 << 32 | (bytes as u64) << 35).to_le_bytes();
        // What the last message of this size left there stays in the receiver's cache, too.
        if space[..WORD_BYTES] != pointer {
            space[..WORD_BYTES].copy_from_slice(&pointer);
        }
        Ok(BytesLoan { sender: self, segment, bytes })
    }
}

/// The bytes of a message, in memory of its sender. Dropping it sends nothing.
#[must_use = "a loan that is not sent sends nothing"]
pub struct BytesLoan<'a> {
    sender: &'a mut Sender<data::Owned>,
    segment: Segment,
    bytes: usize,
}

impl BytesLoan<'_> {
    /// Sends them, as [`Sender::send`] does.
    ///
    /// # Errors
    /// Those of [`Sender::send`].
    pub async fn send(self) -> Result<()> {
        self.sender.put_segment(self.segment)?;
        self.sender.flush_rest().await
    }
}

impl Deref for BytesLoan<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.segment.as_ref()[WORD_BYTES..][..self.bytes]
    }
}

impl DerefMut for BytesLoan<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.segment.as_mut()[WORD_BYTES..][..self.bytes]
    }
}
