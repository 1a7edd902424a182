//! What a process holds, as the kernel tells.

use std::fs;

use crate::harness::until;

/// What would grow if the end of a connection left anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    descriptors: usize,
    /// Shared memory that is mapped.
    regions: usize,
    threads: usize,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Self {
        let count = |folder: &str| fs::read_dir(format!("/proc/{process}/{folder}")).map_or(0, Iterator::count);
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        Usage {
            descriptors: count("fd"),
            regions: maps.lines().filter(|line| line.contains("/memfd:shipmate")).count(),
            threads: count("task"),
        }
    }

    /// A thread that nobody needs any more may have ended.
    fn is_no_more_than(self, other: Usage) -> bool {
        let Usage { descriptors, regions, threads } = other;
        self.descriptors <= descriptors && self.regions <= regions && self.threads <= threads
    }

    /// Waits until a process holds no more than it did, and all its threads sleep.
    pub(crate) async fn returns(self, process: u32) {
        let back = until(|| Usage::of(process).is_no_more_than(self) && sleeps(process));
        if tokio::time::timeout(crate::LONG, back).await.is_err() {
            panic!("it held {self:?} before, and now {:?}; its threads sleep: {}", Usage::of(process), sleeps(process));
        }
    }
}

/// Whether every thread of a process, but the one that asks, waits for something.
fn sleeps(process: u32) -> bool {
    let this = rustix::thread::gettid().as_raw_nonzero().to_string();
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|thread| thread.unwrap());
    threads.filter(|thread| thread.file_name().to_str() != Some(&this)).all(|thread| {
        // The state is behind the name, in which anything may be.
        fs::read_to_string(thread.path().join("stat"))
            .is_ok_and(|stat| stat.rsplit_once(") ").unwrap().1.starts_with('S'))
    })
}
