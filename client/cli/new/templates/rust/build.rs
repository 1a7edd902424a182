//! Generates Rust from the schema, with the `capnp` tool.

fn main() {
    println!("cargo::rerun-if-changed=../schema");
    let mut command = capnpc::CompilerCommand::new();
    command
        .src_prefix("../schema")
        .file("../schema/greeter.capnp");
    if let Err(error) = command.run() {
        eprintln!("the schema is not compiled: {error}");
        std::process::exit(1);
    }
}
