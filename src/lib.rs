//! **Shipmate**: inter-process communication for programs in any language, typed by Cap'n Proto schemas.
//!
//! ```text
//!   two styles                 transports                 any language
//!   call     (RPC)             tcp:HOST:PORT              whatever has Cap'n Proto
//!   message  (one-way)         unix:/path
//!                              pipe:/path   (FIFOs)
//!                              shm:/path    (shared memory)
//!                              auto:/path   (shared memory, or else the Unix socket)
//! ```
//!
//! A **call** is Cap'n Proto RPC: capabilities, promise pipelining, callbacks, cancellation. A **message**
//! is a typed Cap'n Proto message sent one way, with back-pressure. The schema and the code are the same on
//! every transport; only the [`Address`] changes.
//!
//! # A call
//!
//! ```
//! use shipmate::schema::arith_capnp::{arith, product};
//! # use std::rc::Rc;
//! # use shipmate::{Server, ServerOptions, ListenOptions};
//! # struct Multiplier;
//! # impl arith::Server for Multiplier {
//! #     async fn multiply(
//! #         self: Rc<Self>, params: arith::MultiplyParams, mut results: arith::MultiplyResults,
//! #     ) -> Result<(), capnp::Error> {
//! #         let params = params.get()?;
//! #         results.get().init_product().set_value(params.get_a() * params.get_b());
//! #         Ok(())
//! #     }
//! # }
//! # fn main() -> shipmate::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let address: shipmate::Address = format!("unix:{}/ship", folder.path().display()).parse()?;
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # tokio::task::LocalSet::new().block_on(&runtime, async {
//! # let mut server = Server::new(ServerOptions::default());
//! # server.listen(&address, &ListenOptions::default(), |_| capnp_rpc::new_client::<arith::Client, _>(Multiplier)).await?;
//! # let stop = tokio_util::sync::CancellationToken::new();
//! # let serving = tokio::task::spawn_local(server.serve(stop.clone().cancelled_owned()));
//! let connection = shipmate::connect(address).await?;
//! let arith: arith::Client = connection.bootstrap();
//!
//! let mut request = arith.multiply_request();
//! request.get().set_a(6);
//! request.get().set_b(7);
//! let response = request.send().promise.await?;
//!
//! let product::Value(value) = response.get()?.get_product()?.which()? else { panic!("overflow") };
//! assert_eq!(value, 42);
//! # connection.close().await;
//! # stop.cancel();
//! # serving.await.unwrap()
//! # }) }
//! ```
//!
//! # Where to look
//!
//! - To call: [`connect`], [`Connection`], [`RequestExt::within`] for a deadline, [`Connector`] to connect
//!   again, [`Handle`] for use from any thread.
//! - To serve: [`Server`].
//! - To send and receive messages: [`message`].
//! - What may go wrong: [`Error`]. What is bounded: [`Limits`].
//!
//! # Words
//!
//! An *address* says where a peer is; a *transport* is how bytes move there. A *listener* accepts
//! *connections*, each to one *peer*. A *frame* is a Cap'n Proto message as it travels in a stream of
//! bytes. A *capability* is a reference to an object that may be called, here or at the peer; the
//! *bootstrap* is the first one that a peer gives. A *pipe* is a named pipe (FIFO); promise pipelining,
//! which is a call on the result of a call that has not returned yet, is always written in full.

pub mod address;
pub mod client;
pub mod connection;
pub mod error;
pub mod frame;
pub mod handle;
pub mod limits;
pub mod message;
mod patience;
mod rpc;
pub mod server;
pub mod transport;
#[cfg(test)]
mod woken;

pub use address::Address;
pub use client::{ConnectOptions, Connector, Reconnect, RequestExt, connect, connect_stream, connect_with};
pub use connection::{Connection, Keepalive};
pub use error::{Error, Result};
pub use handle::Handle;
pub use limits::Limits;
pub use server::{Server, ServerOptions, ServerStats, serve_stream};
pub use transport::{ListenOptions, Peer, Tier};

/// The types generated from `schema/`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod schema {
    include!(concat!(env!("OUT_DIR"), "/schema.rs"));
}

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
