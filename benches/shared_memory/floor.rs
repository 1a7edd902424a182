//! What the kernel takes for bytes that nobody can change any more: no message, no second process, nobody to wake.

use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::write;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::common::statistics::median_time;

/// Bytes are written to a new memory file, which is sealed, mapped, read at one place of each page, and freed: the
/// median of how long that took. In small pages, as everybody has them.
pub(crate) fn sealed_file(bytes: &[u8], time: Duration) -> Duration {
    let end = Instant::now() + time;
    let mut took = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        let file = memfd_create("bench", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert_eq!(write(&file, bytes), Ok(bytes.len()));
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL).unwrap();
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        #[allow(unsafe_code)]
        // SAFETY: the kernel chooses an address that nothing else has. It is read while it is mapped, and nobody can
        // change it.
        let sum: usize = unsafe {
            let base = mmap(std::ptr::null_mut(), bytes.len(), ProtFlags::READ, flags, &file, 0).unwrap();
            let mapped = std::slice::from_raw_parts(base.cast::<u8>(), bytes.len());
            let sum = mapped.iter().step_by(4096).map(|byte| usize::from(*byte)).sum();
            munmap(base, bytes.len()).unwrap();
            sum
        };
        drop(file);
        took.push(start.elapsed());
        assert_eq!(sum, bytes.iter().step_by(4096).map(|byte| usize::from(*byte)).sum());
    }
    median_time(took)
}
