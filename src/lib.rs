//! Inter-process communication for programs in any language.

pub mod address;
pub mod error;
pub mod frame;
pub mod limits;
pub mod transport;

pub use address::Address;
pub use error::{Error, Result};
pub use limits::Limits;

/// The types generated from `schema/`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod schema {
    include!(concat!(env!("OUT_DIR"), "/schema.rs"));
}
