//! What a shared library of C has beside its code.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The major version of the interface; see `ffi/install`.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libshipmate.so.0");
    // Its thread runs on, so its code must not go away.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
