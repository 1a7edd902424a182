//! The library's one thread, which looks after descriptors and timers, and carries connections.

use std::ffi::c_int;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Failure, Result};
use crate::sigpipe;

/// A runtime that is driven by a thread of its own.
pub(crate) struct Runtime {
    handle: Handle,
    /// Whose thread it is: a child made by fork has the memory, and no thread.
    process: u32,
    /// The program is about to end.
    pub(crate) exiting: CancellationToken,
    /// What has been written to connections, and not been carried to the transport.
    pub(crate) undelivered: TaskTracker,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

/// How long `exit` waits for peers to take what was written.
const EXIT_LINGER: Duration = Duration::from_secs(5);

/// The runtime of this process. A pointer, and no lock, which a fork could leave locked for ever.
static CURRENT: AtomicPtr<Runtime> = AtomicPtr::new(null_mut());

impl Runtime {
    /// The runtime of this process, which is started if there is none.
    pub(crate) fn current() -> Result<&'static Runtime> {
        let current = CURRENT.load(Ordering::Acquire);
        if let Some(runtime) = Self::of_this_process(current) {
            return Ok(runtime);
        }
        let started = Box::into_raw(Box::new(Self::start()?));
        match CURRENT.compare_exchange(current, started, Ordering::AcqRel, Ordering::Acquire) {
            Ok(replaced) => {
                if replaced.is_null() {
                    // SAFETY: it is a function, and stays one: the library is never unloaded. A child
                    // made by fork has this already.
                    unsafe { libc::atexit(deliver) };
                }
                // SAFETY: what is in CURRENT is never freed.
                Ok(unsafe { &*started })
            }
            Err(other) => {
                // SAFETY: it was made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(started) });
                Ok(Self::of_this_process(other).expect("another thread of this process put it there"))
            }
        }
    }

    /// Fails in a child of the process that this belongs to, where nothing would ever wake up who waits.
    pub(crate) fn check_process(&self) -> Result<()> {
        match self.process == process::id() {
            true => Ok(()),
            false => Err(Failure::misuse("this was made before the process was forked, and belongs to the parent")),
        }
    }

    /// Waits for a future, on the caller's thread.
    pub(crate) fn wait<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        let _blocked = sigpipe::Blocked::new();
        match Handle::try_current() {
            // `exit` has begun and has taken this thread's local data, which waiting needs: another waits
            // for it. A program may close its objects as late as that.
            Err(error) if error.is_thread_local_destroyed() => {
                let waited = thread::scope(|scope| scope.spawn(|| self.handle.block_on(work)).join());
                waited.unwrap_or_else(|panic| resume_unwind(panic))
            }
            _ => self.handle.block_on(work),
        }
    }

    fn of_this_process(pointer: *mut Runtime) -> Option<&'static Runtime> {
        // SAFETY: what is or was in CURRENT is null, or is never freed.
        let runtime = unsafe { pointer.as_ref() };
        runtime.filter(|runtime| runtime.check_process().is_ok())
    }

    fn start() -> Result<Self> {
        let failed = |error| Failure::os("start the library's thread", error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || drop(runtime.block_on(stopped));
        // The thread inherits the mask: the program's signals are for the program's threads.
        sigpipe::with_all_blocked(|| thread::Builder::new().name("shipmate".into()).spawn(run)).map_err(failed)?;
        Ok(Runtime {
            handle,
            process: process::id(),
            exiting: CancellationToken::new(),
            undelivered: TaskTracker::new(),
            _stop: stop,
        })
    }
}

/// Before the process ends, and with it the thread, what was written to connections is carried on.
extern "C" fn deliver() {
    let Some(runtime) = Runtime::of_this_process(CURRENT.load(Ordering::Acquire)) else { return };
    let _ = catch_unwind(AssertUnwindSafe(|| {
        runtime.exiting.cancel();
        runtime.undelivered.close();
        let _ = runtime.wait(async { timeout(EXIT_LINGER, runtime.undelivered.wait()).await });
    }));
}

/// `timeout_ms`, of which a negative one waits for ever.
pub(crate) async fn within<T>(timeout_ms: c_int, work: impl Future<Output = T>) -> Result<T> {
    let Ok(millis) = u64::try_from(timeout_ms) else { return Ok(work.await) };
    match timeout(Duration::from_millis(millis), work).await {
        Ok(done) => Ok(done),
        Err(_) => Err(Failure::deadline(format!("nothing came within {timeout_ms} ms"))),
    }
}
