//! Two processors that do nothing else than look at a word, and a blob that is copied in and read in place.

use std::fs::OpenOptions;
use std::hint;
use std::ptr::{copy_nonoverlapping, null_mut};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kit::Work;
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// Words that are written by different sides are on lines of their own.
const BACK: usize = 128;
const BLOB: usize = 4096;

/// Memory that both processes see.
struct Shared(*mut u8);

impl Shared {
    /// The folder is the driver's, in memory.
    fn open(bytes: usize) -> Self {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open("peer").unwrap();
        let length = BLOB + bytes;
        file.set_len(length as u64).unwrap();
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping, which is never unmapped and which the other side uses by the same rules.
        Shared(unsafe { mmap(null_mut(), length, access, flags, &file, 0) }.unwrap().cast())
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: the mapping is longer than `at`, which is aligned, and lives as long as the process.
        unsafe { &*self.0.add(at).cast::<AtomicU64>() }
    }

    fn write(&self, blob: &[u8]) {
        // SAFETY: the mapping has room for the blob, and the other side does not look before it is told.
        unsafe { copy_nonoverlapping(blob.as_ptr(), self.0.add(BLOB), blob.len()) }
    }

    fn sum(&self, bytes: usize) -> u64 {
        // SAFETY: the mapping is as long, and the other side does not write before it is answered.
        kit::sum(unsafe { slice::from_raw_parts(self.0.add(BLOB), bytes) })
    }
}

pub fn serve(work: Work) {
    let bytes = work.payload().len();
    let shared = Shared::open(bytes);
    kit::ready("peer");
    for turn in 1.. {
        wait_for(shared.word(0), turn);
        std::hint::black_box(shared.sum(bytes));
        shared.word(BACK).store(turn, Ordering::Release);
    }
}

pub fn work(work: Work, time: Duration) {
    let blob = work.payload();
    let shared = Shared::open(blob.len());
    let mut turn = 0;
    kit::call_blocking(
        time,
        1,
        &mut turn,
        |turn| {
            *turn += 1;
            shared.write(&blob);
            shared.word(0).store(*turn, Ordering::Release);
        },
        |turn| wait_for(shared.word(BACK), *turn),
    );
}

fn wait_for(word: &AtomicU64, turn: u64) {
    while word.load(Ordering::Acquire) < turn {
        hint::spin_loop();
    }
}
