//! The project's own commands: `cargo xtask schema`, `cargo demo` and `cargo ci`.

#[path = "../../schema/compiled/digest.rs"]
mod digest;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const USAGE: &str = "cargo xtask schema   compile schema/*.capnp and check in the result";

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask/ lies in the root")?;
    std::env::set_current_dir(root)?;
    match std::env::args().nth(1).as_deref() {
        Some("schema") => schema(),
        _ => bail!("usage:\n{USAGE}"),
    }
}

/// Checks in the CodeGeneratorRequest of the schemas, so that they build without the `capnp` tool.
fn schema() -> Result<()> {
    let files = digest::schema_files(Path::new("schema"))?;
    let output = Command::new("capnp")
        .args(["compile", "-o-", "--src-prefix=schema", "--import-path=schema"])
        .args(&files)
        .env_remove("PWD")
        .output()
        .context("running `capnp`: install capnproto and libcapnp-dev")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write("schema/compiled/request.bin", output.stdout)?;
    std::fs::write("schema/compiled/digest", digest::digest(&files)? + "\n")?;
    Ok(())
}
