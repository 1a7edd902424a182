//! Bytes of a blob, which need not be cleared if they are filled as a whole.

use std::ptr::NonNull;

use super::pool::Pool;
use crate::Result;

/// Memory that its holder alone may use. What is in it at first, unless it was to be zeroed, are bytes that this side
/// had there for the same peer.
pub(crate) struct Lease {
    pool: Pool,
    /// The id of the blob that it is in, at the start.
    blob: usize,
    address: NonNull<u8>,
    bytes: usize,
    /// The peer has it.
    sent: bool,
}

impl Lease {
    /// Takes `bytes` bytes of the pool, aligned to pages, if it has them.
    pub(super) fn of(pool: Pool, bytes: usize, zeroed: bool) -> Option<Self> {
        let (blob, address) = pool.allocate_blob(bytes, zeroed)?;
        Some(Lease { pool, blob, address, bytes, sent: false })
    }

    /// Whether it is memory of this pool.
    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        self.pool.is(pool)
    }

    /// Sends its first `bytes` bytes, whole words, as a frame of one segment, if the peer has the blob mapped already
    /// and nothing has to be waited for. Gives itself back otherwise.
    pub(crate) fn send(mut self, bytes: usize) -> Result<Option<Self>> {
        assert!(bytes <= self.bytes, "more is sent than was leased");
        self.sent = self.pool.send_blob(self.blob, bytes, self.bytes)?;
        Ok((!self.sent).then_some(self))
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the pool has given out at least these bytes, mapped until they are let go of, to this lease alone.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.bytes) }
    }
}

impl AsMut<[u8]> for Lease {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the lease is borrowed for as long.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.bytes) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.sent {
            self.pool.let_go_of(self.blob, self.bytes);
        }
    }
}

// SAFETY: the memory belongs to no thread.
unsafe impl Send for Lease {}
// SAFETY: shared access only reads.
unsafe impl Sync for Lease {}
