pub(crate) mod arith;
pub(crate) mod calculator;
pub(crate) mod mailbox;
