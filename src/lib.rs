//! Inter-process communication for programs in any language.

pub mod address;
pub mod client;
pub mod connection;
pub mod error;
pub mod frame;
pub mod handle;
pub mod limits;
pub mod message;
mod rpc;
pub mod server;
pub mod transport;

pub use address::Address;
pub use client::{ConnectOptions, Connector, Reconnect, RequestExt, connect, connect_stream, connect_with};
pub use connection::{Connection, Keepalive};
pub use error::{Error, Result};
pub use handle::Handle;
pub use limits::Limits;
pub use server::{Server, ServerOptions, ServerStats};
pub use transport::{ListenOptions, Peer};

/// The types generated from `schema/`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod schema {
    include!(concat!(env!("OUT_DIR"), "/schema.rs"));
}
