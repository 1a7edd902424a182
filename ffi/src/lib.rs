//! `libshipmate`: what `include/shipmate.h` declares, which is also its documentation.
//!
//! Every exported function checks its pointers, turns errors and panics into a code and a text, and leaves
//! the work to the modules: [`bridge`] for connections, [`message`] and [`publish`] for messages.

mod bridge;
mod error;
mod exports;
mod message;
mod options;
mod publish;
mod runtime;
mod sigpipe;

#[cfg(test)]
mod tests;
