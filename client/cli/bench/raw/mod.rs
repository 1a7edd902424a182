//! What is below every transport, without Shipmate: the limit of what can be built on it.

pub(super) mod streams;
pub(super) mod words;
