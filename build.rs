//! Generates the Rust types of every `.capnp` file in `schema/`.
//!
//! The input of code generation is a CodeGeneratorRequest, which the `capnp` tool makes from the
//! schemas. One is checked in at `schema/compiled/`, beside the digest of the schemas that it was made
//! from: while that digest matches, the build needs no tool and is the same on every machine. When a
//! schema has changed, the tool makes a fresh request. `cargo xtask schema` checks one in.

#[path = "schema/compiled/digest.rs"]
mod digest;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=schema");
    println!("cargo::rerun-if-env-changed=CAPNP");
    if let Err(message) = generate() {
        println!("cargo::error={}", message.replace('\n', " "));
    }
}

fn generate() -> Result<(), String> {
    let schema_dir = Path::new("schema");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let files = digest::schema_files(schema_dir).map_err(|e| format!("schema/: {e}"))?;
    let digest = digest::digest(&files).map_err(|e| format!("schema/: {e}"))?;

    let checked_in = fs::read_to_string(schema_dir.join("compiled/digest")).unwrap_or_default();
    let request = if checked_in.trim() == digest {
        let path = schema_dir.join("compiled/request.bin");
        fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?
    } else {
        compile(schema_dir, &files)?
    };

    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(&out_dir)
        .default_parent_module(vec!["schema".into()])
        .run(request.as_slice())
        .map_err(|e| format!("cannot generate Rust from the schemas: {e}"))?;
    // Other programs can learn the schemas at run time from the request itself.
    fs::write(out_dir.join("request.bin"), &request).map_err(|e| e.to_string())?;
    fs::write(out_dir.join("schema.rs"), modules(&files)).map_err(|e| e.to_string())
}

/// Runs `capnp compile -o-`, which writes a CodeGeneratorRequest to its standard output.
fn compile(schema_dir: &Path, files: &[PathBuf]) -> Result<Vec<u8>, String> {
    let tool = env::var("CAPNP").unwrap_or_else(|_| "capnp".into());
    let output = Command::new(&tool)
        .args(["compile", "-o-", "--src-prefix=schema"])
        .arg(format!("--import-path={}", schema_dir.display()))
        .args(files)
        .env_remove("PWD")
        .stderr(Stdio::piped())
        .output()
        .map_err(|_| {
            format!(
                "a schema in schema/ has changed, and the tool `{tool}` that compiles it was not found: \
                 install it (Debian and Ubuntu: apt-get install capnproto libcapnp-dev; macOS: brew install \
                 capnp) or name it in the variable CAPNP"
            )
        })?;
    if !output.status.success() {
        return Err(format!(
            "`{tool} compile` refused the schemas: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(output.stdout)
}

/// One module for each schema, so that adding a file to `schema/` is all that it takes.
fn modules(files: &[PathBuf]) -> String {
    files
        .iter()
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().replace('-', "_");
            format!(
                "#[doc = \"Generated from `{}`.\"]\npub mod {name}_capnp {{ \
                 include!(concat!(env!(\"OUT_DIR\"), \"/{name}_capnp.rs\")); }}\n",
                file.display()
            )
        })
        .collect()
}
