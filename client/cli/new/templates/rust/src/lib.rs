//! What the schema says, in Rust.

/// Generated from `schema/greeter.capnp`.
#[allow(clippy::all)]
pub mod greeter_capnp {
    include!(concat!(env!("OUT_DIR"), "/greeter_capnp.rs"));
}
