//! That the header says what the code does: sizes, offsets and numbers, checked by compilers of C and C++.

use std::fmt::Write as _;
use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use crate::error::{Code, ErrorOut};
use crate::message::{Message, Segment};
use crate::options::{Options, TIERS};

#[test]
fn the_header_agrees_with_the_code() {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let folder = tempfile::tempdir().unwrap();
    for (compiler, standard, file) in [("cc", "-std=c11", "agrees.c"), ("c++", "-std=c++17", "agrees.cpp")] {
        let source = folder.path().join(file);
        fs::write(&source, assertions()).unwrap();
        let mut command = Command::new(compiler);
        command.args([standard, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"]).arg(&include).arg(&source);
        let output = command.output().unwrap_or_else(|error| panic!("install a compiler: {compiler}: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A program of C, and of C++, that compiles only if the header agrees.
fn assertions() -> String {
    let mut text = String::from("#include <assert.h>\n#include <shipmate.h>\n");
    let mut equal = |what: &str, value: usize| {
        writeln!(text, "static_assert({what} == {value}, \"{what}\");").unwrap();
    };
    macro_rules! layout {
        ($type:ty as $name:literal: $($field:ident),+) => {
            equal(concat!("sizeof(struct ", $name, ")"), size_of::<$type>());
            $(equal(concat!("offsetof(struct ", $name, ", ", stringify!($field), ")"), offset_of!($type, $field));)+
        };
    }
    layout!(ErrorOut as "shipmate_error": code, os_error, message);
    layout!(Options as "shipmate_options": size, connect_timeout_ms, spin_us, mode, tier);
    layout!(Segment as "shipmate_segment": data, size);
    layout!(Message as "shipmate_message": segment_count, segments);
    for (name, code) in [
        ("SHIPMATE_OK", Code::Ok),
        ("SHIPMATE_ERROR_ADDRESS", Code::Address),
        ("SHIPMATE_ERROR_UNREACHABLE", Code::Unreachable),
        ("SHIPMATE_ERROR_ADDRESS_IN_USE", Code::AddressInUse),
        ("SHIPMATE_ERROR_DISCONNECTED", Code::Disconnected),
        ("SHIPMATE_ERROR_PROTOCOL", Code::Protocol),
        ("SHIPMATE_ERROR_LIMIT", Code::Limit),
        ("SHIPMATE_ERROR_DEADLINE", Code::Deadline),
        ("SHIPMATE_ERROR_SERVICE", Code::Service),
        ("SHIPMATE_ERROR_MISUSE", Code::Misuse),
        ("SHIPMATE_ERROR_OS", Code::Os),
        ("SHIPMATE_ERROR_INTERNAL", Code::Internal),
    ] {
        equal(name, code as usize);
    }
    let tiers = ["SHIPMATE_TIER_COPY", "SHIPMATE_TIER_SEALED", "SHIPMATE_TIER_TRUSTED"];
    for (number, (name, tier)) in tiers.into_iter().zip(TIERS).enumerate() {
        assert!(name.ends_with(&tier.to_string().to_uppercase()));
        equal(name, number);
    }
    equal("SHIPMATE_POLICY_BLOCK", 1);
    equal("SHIPMATE_POLICY_LOSE_OLDEST", 2);
    text
}
