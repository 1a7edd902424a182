pub(crate) mod arith;
pub(crate) mod mailbox;
