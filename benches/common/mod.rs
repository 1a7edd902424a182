//! What the benchmarks share: the service that is called, the networks that it is called over, and the
//! server process.

pub(crate) mod network;
pub(crate) mod process;
mod service;
pub(crate) mod statistics;

/// For the stock network and Shipmate alike: `shipmated` uses it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
