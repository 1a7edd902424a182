//! `shipmate`: the command line.
fn main() {}
