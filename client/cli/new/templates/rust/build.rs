//! Generates Rust from the schema, with the `capnp` tool.

fn main() {
    let mut command = capnpc::CompilerCommand::new();
    command
        .src_prefix("../schema")
        .file("../schema/greeter.capnp");
    if let Err(error) = command.run() {
        println!(
            "cargo::error=the schema is not compiled: {}",
            error.to_string().replace('\n', " ")
        );
    }
}
