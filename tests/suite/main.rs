//! The black-box suite: what a user of the library and of `shipmated` relies on, on every transport.
//!
//! A step is an asynchronous function of a transport; [`on_every_transport!`] makes a test of it for each,
//! so that a failure names both: `calls::ping::pipe`.

#[macro_use]
mod harness;

mod auto;
mod calls;
mod conformance;
mod handle;
mod hostile;
mod lifetime;
mod limits;
mod mailbox;
mod memory;
mod message;
mod publish;
mod stock;
mod tiers;
