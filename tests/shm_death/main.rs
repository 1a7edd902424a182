//! Death and hostility over shared memory, under load: peers that are killed at any moment, and peers that
//! write what they like into their memory. Whatever they do costs them their own connection, and leaves nothing
//! behind.
//!
//! It is a program of its own, as its tests look at what a process holds: they run one after the other.

#[allow(dead_code, unused_macros)]
#[macro_use]
#[path = "../suite/harness.rs"]
mod harness;

mod hostile;
mod killed;
mod load;
mod peers;
mod usage;

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use harness::Random;

/// Nothing that is waited for takes nearly as long; what does never happens.
const LONG: Duration = Duration::from_secs(30);

/// Runs a test with nothing else in this process.
fn alone(test: impl Future<Output = ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // A hundred processes take their time where others run; what hangs is found by `within`.
    harness::local_within(10 * LONG, test);
}

/// Other numbers in every run, unless it is to be the run that failed.
fn seeded() -> Random {
    let seed = match std::env::var("SHIPMATE_TEST_SEED") {
        Ok(seed) => seed.parse().expect("SHIPMATE_TEST_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
    };
    println!("to have the same numbers again: SHIPMATE_TEST_SEED={seed}");
    Random(seed)
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, work).await.expect("what is waited for does not happen")
}
