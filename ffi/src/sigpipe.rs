//! Signals: the library takes none, and raises none.

use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// Keeps SIGPIPE from this thread. A write to a peer that is gone raises it, and would end a program that
/// has not thought of it.
pub(crate) struct Blocked {
    before: libc::sigset_t,
    was_pending: bool,
}

impl Blocked {
    pub(crate) fn new() -> Self {
        // Asked first: one that was pending already must stay.
        let was_pending = is_pending();
        Blocked { was_pending, before: block(&only_sigpipe()) }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if !self.was_pending && is_pending() {
            let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: all three are valid, or may be null.
            unsafe { libc::sigtimedwait(&only_sigpipe(), null_mut(), &no_time) };
        }
        restore(&self.before);
    }
}

/// Runs `work` with every signal blocked, which a thread that it starts inherits.
pub(crate) fn with_all_blocked<T>(work: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::uninit();
    // SAFETY: sigfillset fills it in.
    let all = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        all.assume_init()
    };
    let before = block(&all);
    let result = work();
    restore(&before);
    result
}

fn block(signals: &libc::sigset_t) -> libc::sigset_t {
    let mut before = MaybeUninit::uninit();
    // SAFETY: it cannot fail with these arguments, and fills in `before`.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, signals, before.as_mut_ptr());
        before.assume_init()
    }
}

fn restore(before: &libc::sigset_t) {
    // SAFETY: `before` is a valid set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, null_mut()) };
}

fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset fills it in.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

fn is_pending() -> bool {
    let mut pending = MaybeUninit::uninit();
    // SAFETY: sigpending fills it in.
    unsafe { libc::sigpending(pending.as_mut_ptr()) == 0 && libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1 }
}
