//! A peer that writes what it likes into its shared memory:
//! `cargo +nightly fuzz run shm_hostile_peer`.
//!
//! The script that it follows is run by the library's own tests, too, from random bytes.

#![no_main]

use shipmate::Error;
use shipmate::transport::shm::{Condition, Label, Memory, layout, lending, link};

#[path = "../../src/transport/shm/tests/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    hostile::run(script);
    hostile::run_books(script);
});
