fn main() {
    println!("cargo:rerun-if-changed=../../schema/peer.capnp");
    capnpc::CompilerCommand::new()
        .src_prefix("../../schema")
        .file("../../schema/peer.capnp")
        .run()
        .expect("capnp is installed (Debian and Ubuntu: apt-get install capnproto)");
}
