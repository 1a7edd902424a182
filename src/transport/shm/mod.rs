//! Shared memory: two processes of one machine that write where the other reads.
//!
//! ```text
//!   process A                                        process B
//!   ┌──────────────────────────┐                     ┌──────────────────────────┐
//!   │ A's region, writable     │ ── same pages ────► │ A's region, read only    │
//!   │   written  ring  read    │                     │                          │
//!   │   wishes                 │                     │ B's region, writable     │
//!   │ B's region, read only    │ ◄──── same pages ── │   written  ring  read    │
//!   └──────────────────────────┘                     │   wishes                 │
//!            ▲                                       └──────────────────────────┘
//!            └── Unix socket: passes the regions, rings, and its end is the peer's death ──┘
//! ```
//!
//! - [`region`]: one sealed memfd for each side, which that side alone can write (the kernel sees to it).
//! - [`ring`]: records of bytes, from one producer to one consumer, copied or read in place.
//! - [`broadcast`]: messages from one publisher to many subscribers, written once.
//! - [`lending`]: the books of both sides about blobs, large parts of messages that go by reference; `pool`: the
//!   memory of those, `arena` and `lease`: messages built in it.
//! - [`mod@doorbell`]: how to sleep until the peer has done something, and how to wake a peer that sleeps.
//! - [`passing`]: file descriptors over a Unix socket.
//! - `in_place`: messages built in a ring; `publish`: how publishers and subscribers meet.
//! - `meet`: how two sides find each other and exchange regions; `stream`: the bytes of a connection.
//! - [`sync`]: what the ring asks of memory; the models put loom's atomics there.
//!
//! Whatever a peer writes into its region, it can harm its own connection only: a word that it wrote is
//! read once, checked against what this side knows, and then used. `docs/shared-memory.md` has every byte.

// The one place of the transports that needs it: the mapping, and slices of it. Each block has its reason.
#![allow(unsafe_code)]

mod arena;
pub mod broadcast;
pub mod doorbell;
mod in_place;
mod lease;
pub mod lending;
mod meet;
pub mod passing;
mod pool;
mod publish;
pub mod region;
pub mod ring;
mod stream;
pub mod sync;

#[cfg(test)]
mod tests;

pub(crate) use arena::Arena;
pub use doorbell::{BlockingDoorbell, Condition, Waiter, doorbell};
use in_place::WORD_BYTES;
pub(crate) use in_place::{TABLE_BYTES, build};
pub(crate) use lease::Lease;
pub(super) use meet::{HELLO_MAGIC, Host, Terms, ask};
pub use meet::{connect, listen};
pub(crate) use pool::{Pool, SHARED_BYTES_MIN};
pub(crate) use publish::{Publisher, Subscriber};
pub use region::Region;
pub use ring::{Consumer, Held, Label, Loan, Producer, Record, Room, link};
pub(super) use stream::Reader;
pub use sync::{Memory, layout};
