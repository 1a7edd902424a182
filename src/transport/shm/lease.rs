//! Bytes of a blob, which need not be cleared if they are filled as a whole.

use std::ptr::NonNull;

use super::pool::Pool;

/// Memory that its holder alone may use. What is in it at first, unless it was to be zeroed, are bytes that this side
/// had there for the same peer.
pub(crate) struct Lease {
    pool: Pool,
    address: NonNull<u8>,
    bytes: usize,
}

impl Lease {
    /// Takes `bytes` bytes of the pool, aligned to pages, if it has them.
    pub(super) fn of(pool: Pool, bytes: usize, zeroed: bool) -> Option<Self> {
        let address = if zeroed { pool.allocate(bytes)?.0 } else { pool.allocate_as_it_is(bytes)? };
        Some(Lease { pool, address, bytes })
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
        self.pool.let_go(self.address, self.bytes);
    }
}

// SAFETY: the memory belongs to no thread.
unsafe impl Send for Lease {}
// SAFETY: shared access only reads.
unsafe impl Sync for Lease {}
