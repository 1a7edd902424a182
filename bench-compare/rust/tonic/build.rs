fn main() {
    tonic_prost_build::configure()
        .bytes(".")
        .compile_protos(&["../../schema/peer.proto"], &["../../schema"])
        .expect("protoc is installed (Debian and Ubuntu: apt-get install protobuf-compiler)");
}
