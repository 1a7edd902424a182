//! A side's memory: an anonymous file that nobody can resize and that its maker alone can write. It is a
//! region, with a ring and the words beside it, or a blob, which is nothing but bytes.
//!
//! The kernel keeps these promises for as long as the file lives, so a receiver that has checked them once
//! need not trust the peer for them:
//!
//! - `F_SEAL_SHRINK`, `F_SEAL_GROW`: no access beyond the end, which would be a SIGBUS.
//! - `F_SEAL_FUTURE_WRITE`: no writable mapping but the maker's, no `write`, and no hole punched into it.
//! - `F_SEAL_SEAL`: this set of seals is final.
//! - Every page is there from the start, on tmpfs: no access has to find memory, and fail with a SIGBUS.
//! - `F_SEAL_WRITE`, of a blob that is sealed for good: its maker cannot write it any more either.

use std::ffi::c_void;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use capnp::Word;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use super::sync::{Memory, layout, word};
use crate::{Error, Result};

/// A region, mapped: this side's own, writable, or the peer's, read only. Unmapped on drop.
pub struct Region {
    base: NonNull<u8>,
    bytes: usize,
    writable: bool,
}

impl Region {
    /// Makes this side's region, with a ring of `ring_bytes` (a power of two, from
    /// [`RING_BYTES_MIN`](layout::RING_BYTES_MIN) to [`RING_BYTES_MAX`](layout::RING_BYTES_MAX)), and gives
    /// the descriptor to pass to the peer. The memory is taken at once.
    pub fn create(ring_bytes: usize) -> Result<(Region, OwnedFd)> {
        if !is_ring(ring_bytes) {
            let (min, max) = (layout::RING_BYTES_MIN, layout::RING_BYTES_MAX);
            let what = format!("a ring of {ring_bytes} bytes: it takes a power of two from {min} to {max}");
            return Err(Error::Misuse(what));
        }
        let (region, file) = Region::make(layout::RING + ring_bytes, Access::Write)?;
        region.store(layout::MAGIC, layout::MAGIC_WORD);
        Region::close_to_writers(&file)?;
        Ok((region, file))
    }

    /// Maps the region of a peer, once its descriptor is found to be one. The descriptor is not needed
    /// afterwards.
    pub fn receive(file: impl AsFd, ring_bytes_max: usize) -> Result<Region> {
        let size = inspect(&file, SEALS | SealFlags::SEAL)?;
        let ring_bytes = size.saturating_sub(layout::RING);
        if !is_ring(ring_bytes) || ring_bytes > ring_bytes_max {
            return Err(refused(&format!("has a ring of {ring_bytes} bytes: {ring_bytes_max} are allowed")));
        }
        let region = Region::map(&file, size, Access::Read).map_err(|e| Error::os("map the peer's memory", e))?;
        if region.load(layout::MAGIC) != layout::MAGIC_WORD {
            return Err(refused("is of another version or byte order"));
        }
        Ok(region)
    }

    /// Makes a blob of `bytes` bytes, all zero. Until it is [sealed](Region::seal) or
    /// [closed to other writers](Region::close_to_writers), whoever has the descriptor can write it.
    pub(super) fn make_blob(bytes: usize) -> Result<(Region, OwnedFd)> {
        Region::make(bytes, Access::WriteWhole)
    }

    /// The same for one that is used once: in huge pages, if its size allows and the system has them now. To find,
    /// map and free 512 small ones in each process takes several times as long as to write them.
    pub(super) fn make_blob_to_seal(bytes: usize) -> Result<(Region, OwnedFd)> {
        match bytes.is_multiple_of(HUGE_PAGE_BYTES).then(|| Region::make_huge(bytes)) {
            Some(Ok(made)) => Ok(made),
            _ => Region::make_blob(bytes),
        }
    }

    fn make_huge(bytes: usize) -> rustix::io::Result<(Region, OwnedFd)> {
        let file = memfd()?;
        rustix::fs::ftruncate(&file, bytes as u64)?;
        for start in (0..bytes).step_by(HUGE_PAGE_BYTES) {
            // A huge page is made of small ones, of which there must be one.
            rustix::fs::fallocate(&file, FallocateFlags::empty(), start as u64, PAGE_BYTES as u64)?;
        }
        let region = Region::map(&file, bytes, Access::Write)?;
        // SAFETY: it changes how the memory of exactly this mapping is laid out, and none of its bytes.
        match unsafe { libc::madvise(region.base.as_ptr().cast(), bytes, libc::MADV_COLLAPSE) } {
            0 => Ok((region, file)),
            // Linux before 6.1 cannot, and another may have no huge page to spare now.
            _ => Err(Errno::NOMEM),
        }
    }

    fn make(bytes: usize, access: Access) -> Result<(Region, OwnedFd)> {
        let make = || {
            let file = memfd()?;
            rustix::fs::ftruncate(&file, bytes as u64)?;
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64)?;
            Ok((Region::map(&file, bytes, access)?, file))
        };
        make().map_err(|e: Errno| Error::os(format!("make {bytes} bytes of shared memory"), e))
    }

    /// Adds the seals that keep everybody from writing a file but through the mapping that exists.
    pub(super) fn close_to_writers(file: impl AsFd) -> Result<()> {
        let sealed = rustix::fs::fcntl_add_seals(&file, SEALS | SealFlags::SEAL);
        sealed.map_err(|e| Error::os("seal shared memory", e))
    }

    /// Makes the bytes final: this side cannot write them any more either. They stay where they are.
    pub(super) fn seal(&mut self, file: impl AsFd) -> Result<()> {
        let failed = |e| Error::os("seal shared memory", e);
        // The kernel refuses the seal while a writable mapping exists. Private pages of a mapping that
        // is only read are those of the file.
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: it replaces, in one step, exactly the mapping of `self` by one of the same bytes. No
        // `&mut` to them is lent: `self` is borrowed mutably, and callers of `slice_mut` promise the rest.
        unsafe { rustix::mm::mmap(self.base.as_ptr().cast(), self.bytes, ProtFlags::READ, flags, &file, 0) }
            .map_err(failed)?;
        self.writable = false;
        rustix::fs::fcntl_add_seals(&file, FINAL_SEALS | SealFlags::SEAL).map_err(failed)
    }

    /// Maps a blob of a peer that is to have `bytes` bytes, once its descriptor is found to be one:
    /// `sealed` for good, or such that the peer alone can write it.
    pub(super) fn receive_blob(file: impl AsFd, bytes: usize, sealed: bool) -> Result<Region> {
        let seals = if sealed { FINAL_SEALS } else { SEALS };
        let size = inspect(&file, seals | SealFlags::SEAL)?;
        if size != bytes {
            return Err(refused(&format!("has {size} bytes and was announced with {bytes}")));
        }
        let access = if sealed { Access::ReadSealed } else { Access::ReadWhole };
        Region::map(&file, size, access).map_err(|e| Error::os("map the peer's memory", e))
    }

    fn map(file: impl AsFd, bytes: usize, access: Access) -> rustix::io::Result<Region> {
        let (protection, flags) = match access {
            Access::Write => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
            Access::WriteWhole => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::POPULATE),
            Access::Read => (ProtFlags::READ, MapFlags::SHARED),
            Access::ReadWhole => (ProtFlags::READ, MapFlags::SHARED | MapFlags::POPULATE),
            // Before Linux 6.7, a shared mapping of a file that is sealed against writing is refused.
            Access::ReadSealed => (ProtFlags::READ, MapFlags::PRIVATE | MapFlags::POPULATE),
        };
        let base = match bytes.is_multiple_of(HUGE_PAGE_BYTES) {
            true => map_aligned(file, bytes, protection, flags)?,
            // SAFETY: the kernel chooses an address that nothing else has; the mapping is unmapped by `drop`.
            false => unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, protection, flags, file, 0)? },
        };
        let base = NonNull::new(base.cast::<u8>()).ok_or(Errno::FAULT)?;
        Ok(Region { base, bytes, writable: matches!(access, Access::Write | Access::WriteWhole) })
    }

    /// Where it lies in this process.
    pub(super) fn address(&self) -> NonNull<u8> {
        self.base
    }

    /// The bytes from `offset` on, to be read in place.
    ///
    /// # Safety
    ///
    /// Neither this process nor another writes to them while the slice lives.
    pub(super) unsafe fn slice(&self, offset: usize, bytes: usize) -> &[u8] {
        // SAFETY: `at` checks the bounds; that the bytes do not change, the caller promises.
        unsafe { std::slice::from_raw_parts(self.at(offset, bytes), bytes) }
    }

    /// The bytes from `offset` on, to be written in place.
    ///
    /// # Safety
    ///
    /// The region is this side's own, and nothing in this process reads or writes these bytes in any
    /// other way while the slice lives.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn slice_mut(&self, offset: usize, bytes: usize) -> &mut [u8] {
        assert!(self.writable, "a peer's region is read only");
        // SAFETY: `at` checks the bounds; that nobody else touches the bytes, the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset, bytes), bytes) }
    }

    /// The address of `bytes` bytes at `offset`, which are there until `drop`.
    fn at(&self, offset: usize, bytes: usize) -> *mut u8 {
        assert!(offset <= self.bytes && bytes <= self.bytes - offset, "an access outside of the region");
        // SAFETY: the offset is within the mapping.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Words as atomics, which is what makes a peer that writes to them at any time a nuisance and not a
    /// data race. Of a peer's region they are only loaded, and relaxed: other loads are not promised to
    /// work on read-only pages.
    fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        assert!(offset.is_multiple_of(8), "a word that is not aligned");
        let first = self.at(offset, count * 8).cast::<AtomicU64>();
        // SAFETY: the words are in bounds, aligned (the mapping starts on a page) and live as long as
        // `self`. They are written only as atomics, by `write` before they are published, or through
        // `slice_mut`, whose caller promises that nothing comes here meanwhile.
        unsafe { std::slice::from_raw_parts(first, count) }
    }
}

impl Memory for Region {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn load(&self, offset: usize) -> u64 {
        self.words(offset, 1)[0].load(Ordering::Relaxed)
    }

    fn store(&self, offset: usize, value: u64) {
        assert!(self.writable, "a peer's region is read only");
        self.words(offset, 1)[0].store(value, Ordering::Relaxed);
    }

    /// Word by word, and not by `memcpy`: with a peer that writes meanwhile, that would be a data race, and
    /// a compiler may read the source of a copy again where the copy is used.
    fn read(&self, offset: usize, to: &mut [u8]) {
        let inside = offset % 8;
        if inside > 0 {
            let (first, rest) = to.split_at_mut((8 - inside).min(to.len()));
            let word = self.load(offset - inside).to_ne_bytes();
            first.copy_from_slice(&word[inside..inside + first.len()]);
            return self.read(offset - inside + 8, rest);
        }
        let words = self.words(offset, to.len().div_ceil(8));
        let (whole, rest) = to.as_chunks_mut::<8>();
        for (to, word) in whole.iter_mut().zip(words) {
            *to = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        if let Some(last) = words.get(whole.len()) {
            rest.copy_from_slice(&last.load(Ordering::Relaxed).to_ne_bytes()[..rest.len()]);
        }
    }

    fn read_words(&self, offset: usize, count: usize) -> Vec<Word> {
        self.words(offset, count).iter().map(|from| word(from.load(Ordering::Relaxed))).collect()
    }

    fn write(&self, offset: usize, from: &[u8]) {
        assert!(self.writable, "a peer's region is read only");
        // SAFETY: the bytes are in bounds, and `from` is not of the region, of which no `&[u8]` is lent
        // while it is written. Nobody else writes to them: the seals see to other processes, and `link`
        // to this one. A peer that reads them before they are published reads nonsense, in its process.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.at(offset, from.len()), from.len()) }
    }

    fn fence(order: Ordering) {
        std::sync::atomic::fence(order);
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `map` made exactly this mapping, and whatever was borrowed of it is gone.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

// SAFETY: the mapping belongs to no thread.
unsafe impl Send for Region {}
// SAFETY: shared access is by atomics, or by the functions whose callers promise that it is exclusive.
unsafe impl Sync for Region {}

/// Beside the seal that makes them final.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE);
/// Those of a blob that nobody writes any more.
const FINAL_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// What a mapping is for. What is used as a whole is entered into the page table at once, which costs a
/// fraction of a fault for each page; the ring of a quiet connection is not.
#[derive(Clone, Copy)]
enum Access {
    Write,
    WriteWhole,
    Read,
    ReadWhole,
    ReadSealed,
}

/// Those of most machines. Where they are larger, none are used.
pub(super) const HUGE_PAGE_BYTES: usize = 2 << 20;
pub(super) const PAGE_BYTES: usize = 4096;

/// statfs(2); a memory file with huge pages has another.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// Maps a file where huge pages of it can be entered as such.
fn map_aligned(
    file: impl AsFd,
    bytes: usize,
    protection: ProtFlags,
    flags: MapFlags,
) -> rustix::io::Result<*mut c_void> {
    let reserved_bytes = bytes.checked_add(HUGE_PAGE_BYTES).ok_or(Errno::NOMEM)?;
    let reserve = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: the kernel chooses addresses that nothing else has. Of these, the file takes the place of some, and the
    // others, before and after it, are given back: nobody else knows of any.
    unsafe {
        let reserved = rustix::mm::mmap_anonymous(std::ptr::null_mut(), reserved_bytes, ProtFlags::empty(), reserve)?;
        let before = reserved.addr().next_multiple_of(HUGE_PAGE_BYTES) - reserved.addr();
        let base = reserved.byte_add(before);
        if let Err(error) = rustix::mm::mmap(base, bytes, protection, flags | MapFlags::FIXED, file, 0) {
            let _ = rustix::mm::munmap(reserved, reserved_bytes);
            return Err(error);
        }
        for (rest, rest_bytes) in [(reserved, before), (base.byte_add(bytes), HUGE_PAGE_BYTES - before)] {
            if rest_bytes > 0 {
                rustix::mm::munmap(rest, rest_bytes)?;
            }
        }
        Ok(base)
    }
}

fn is_ring(bytes: usize) -> bool {
    bytes.is_power_of_two() && (layout::RING_BYTES_MIN..=layout::RING_BYTES_MAX).contains(&bytes)
}

fn refused(what: &str) -> Error {
    Error::Protocol { what: format!("its shared memory {what}") }
}

/// Looks at a descriptor of the peer's, and gives the size of the file.
fn inspect(file: impl AsFd, seals: SealFlags) -> Result<usize> {
    // Fails for all but memory files.
    let found = rustix::fs::fcntl_get_seals(&file).map_err(|_| refused("is not a memory file"))?;
    if !found.contains(seals) {
        return Err(refused("is not sealed against shrinking, growing, writing by others and further seals"));
    }
    let failed = |e: Errno| Error::os("look at the peer's shared memory", e);
    // Huge pages can run out at any access.
    if rustix::fs::fstatfs(&file).map_err(failed)?.f_type != TMPFS_MAGIC {
        return Err(refused("is not on tmpfs"));
    }
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    if (stat.st_blocks as u64).saturating_mul(512) < stat.st_size as u64 {
        return Err(refused("has holes"));
    }
    Ok(usize::try_from(stat.st_size).unwrap_or(0))
}

fn memfd() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create("shipmate", flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag.
        Err(Errno::INVAL) => rustix::fs::memfd_create("shipmate", flags),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING_BYTES: usize = 8192;

    /// A memory file that a peer might pass.
    fn file(flags: MemfdFlags, bytes: usize, allocate: bool, seals: SealFlags) -> OwnedFd {
        let file = rustix::fs::memfd_create("test", flags | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, bytes as u64).unwrap();
        if allocate && bytes > 0 {
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64).unwrap();
        }
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        file
    }

    fn refusal(file: impl AsFd) -> String {
        match Region::receive(file, 1 << 20) {
            Err(Error::Protocol { what }) => what,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was mapped"),
        }
    }

    #[test]
    fn the_peer_sees_what_is_written() {
        let (mine, file) = Region::create(RING_BYTES).unwrap();
        let theirs = Region::receive(&file, RING_BYTES).unwrap();
        mine.store(layout::WRITTEN, 7);
        assert_eq!(theirs.load(layout::WRITTEN), 7);
        for length in [0, 1, 7, 8, 9, 64, 1001] {
            let bytes: Vec<u8> = (0..length).map(|index| (index * 7 + length) as u8).collect();
            mine.write(layout::RING + 8, &bytes);
            let mut copy = vec![0; length];
            theirs.read(layout::RING + 8, &mut copy);
            assert_eq!(copy, bytes);
        }
    }

    #[test]
    fn nobody_resizes_a_region_and_only_its_maker_writes_it() {
        let (_region, file) = Region::create(RING_BYTES).unwrap();
        let bytes = (layout::RING + RING_BYTES) as u64;
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert_eq!(rustix::fs::ftruncate(&file, bytes - 1), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, bytes + 1), Err(Errno::PERM));
        assert_eq!(rustix::fs::fallocate(&file, hole, 0, 4096), Err(Errno::PERM));
        assert_eq!(rustix::io::write(&file, &[1]), Err(Errno::PERM));
        assert_eq!(rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE), Err(Errno::PERM));
        assert!(Region::map(&file, bytes as usize, Access::Write).is_err(), "a second writable mapping");
    }

    #[test]
    fn what_could_change_or_vanish_is_refused() {
        let bytes = layout::RING + RING_BYTES;
        let (all, none) = (SEALS | SealFlags::SEAL, MemfdFlags::empty());
        for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE, SealFlags::SEAL] {
            assert!(refusal(file(none, bytes, true, all - missing)).contains("not sealed"), "{missing:?}");
        }
        assert!(refusal(std::fs::File::open("/dev/zero").unwrap()).contains("not a memory file"));
        assert!(refusal(tempfile::tempfile().unwrap()).contains("not"));
        assert!(refusal(rustix::pipe::pipe().unwrap().0).contains("not a memory file"));
        assert!(refusal(file(none, bytes, false, all)).contains("holes"));
        assert!(refusal(file(none, bytes, true, all)).contains("version"), "no magic word");
        for bytes in [0, 8, layout::RING, bytes - 8, bytes + 4096, layout::RING + (2 << 20)] {
            assert!(refusal(file(none, bytes, true, all)).contains("a ring of"), "{bytes}");
        }
    }

    /// Whether the system has huge pages for it or not.
    #[test]
    fn a_large_blob_is_whole_and_can_be_sealed() {
        for bytes in [HUGE_PAGE_BYTES, 3 * HUGE_PAGE_BYTES] {
            let (mut mine, file) = Region::make_blob_to_seal(bytes).unwrap();
            let words = [0, bytes / 2, bytes - 8];
            assert_eq!(words.map(|at| mine.load(at)), [0; 3]);
            words.into_iter().for_each(|at| mine.store(at, at as u64 + 1));
            mine.seal(&file).unwrap();
            let theirs = Region::receive_blob(&file, bytes, true).unwrap();
            for region in [&mine, &theirs] {
                assert_eq!(words.map(|at| region.load(at)), words.map(|at| at as u64 + 1));
            }
        }
    }

    #[test]
    fn huge_pages_which_can_run_out_are_refused() {
        let huge = MemfdFlags::HUGETLB | MemfdFlags::ALLOW_SEALING;
        // A kernel may have none.
        if let Ok(file) = rustix::fs::memfd_create("test", huge) {
            rustix::fs::fcntl_add_seals(&file, SEALS | SealFlags::SEAL).unwrap();
            assert!(refusal(file).contains("tmpfs"));
        }
    }

    #[test]
    fn bytes_are_read_from_any_offset() {
        let (mine, _file) = Region::make_blob(4096).unwrap();
        let bytes: Vec<u8> = (0..64).collect();
        mine.write(0, &bytes);
        for from in 0..=17 {
            for to in from..=33 {
                let mut copy = vec![0; to - from];
                mine.read(from, &mut copy);
                assert_eq!(copy, bytes[from..to]);
            }
        }
        mine.read(4095, &mut [0]);
    }

    #[test]
    fn a_sealed_blob_stays_where_it_is_and_nobody_writes_it() {
        let (mut mine, file) = Region::make_blob(8192).unwrap();
        mine.write(8, b"for ever");
        let address = mine.address();
        assert!(Region::receive_blob(&file, 8192, true).is_err(), "not sealed yet");
        mine.seal(&file).unwrap();
        assert_eq!(mine.address(), address);
        assert_eq!(rustix::io::pwrite(&file, &[1], 0), Err(Errno::PERM));
        assert!(Region::map(&file, 8192, Access::Write).is_err());
        let theirs = Region::receive_blob(&file, 8192, true).unwrap();
        for side in [&mine, &theirs] {
            let mut copy = [0; 8];
            side.read(8, &mut copy);
            assert_eq!(&copy, b"for ever");
        }
    }

    #[test]
    fn a_blob_that_is_not_as_announced_is_refused() {
        let refusal = |file: OwnedFd, bytes, sealed| match Region::receive_blob(file, bytes, sealed) {
            Err(Error::Protocol { what }) => what,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was mapped"),
        };
        let none = MemfdFlags::empty();
        for (sealed, all) in [(false, SEALS | SealFlags::SEAL), (true, FINAL_SEALS | SealFlags::SEAL)] {
            for missing in all.iter() {
                assert!(refusal(file(none, 8192, true, all - missing), 8192, sealed).contains("not sealed"));
            }
            assert!(refusal(file(none, 8192, true, all), 4096, sealed).contains("announced with 4096"));
            assert!(refusal(file(none, 8192, false, all), 8192, sealed).contains("holes"));
            assert!(refusal(std::fs::File::open("/dev/zero").unwrap().into(), 8192, sealed).contains("not a memory"));
        }
    }

    #[test]
    fn a_ring_has_a_size_that_is_a_power_of_two() {
        for bytes in [0, 2048, 5000, 2 << 30] {
            assert!(matches!(Region::create(bytes), Err(Error::Misuse(_))), "{bytes}");
        }
    }
}
