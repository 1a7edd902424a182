//! The programs that do the work: the `capnp` tool and the languages' generators.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::schemas::{BROUGHT, write};

/// The `capnp` tool.
pub(super) struct Capnp {
    program: OsString,
    /// Where `import "/…"` looks, before the system's folders.
    import_path: Vec<PathBuf>,
}

const MISSING: &str = "the `capnp` tool is not found: install it (Debian and Ubuntu: apt-get install capnproto; \
                       macOS: brew install capnp), or name it in the variable CAPNP";

impl Capnp {
    /// Finds the tool. `include` gets the schemas that we bring.
    pub(super) fn new(import_path: &[PathBuf], include: PathBuf) -> anyhow::Result<Self> {
        let mut folders = Vec::new();
        for folder in import_path {
            if !folder.is_dir() {
                bail!("-I {}: there is no such folder", folder.display());
            }
            folders.push(std::path::absolute(folder)?);
        }
        for (name, text) in BROUGHT {
            write(&include.join(name), text)?;
        }
        folders.push(include);
        Ok(Capnp { program: env::var_os("CAPNP").unwrap_or_else(|| "capnp".into()), import_path: folders })
    }

    /// Compiles `schemas`, as seen from `folder`, to a CodeGeneratorRequest.
    pub(super) async fn request<P: AsRef<OsStr>>(&self, folder: &Path, schemas: &[P]) -> anyhow::Result<Vec<u8>> {
        self.compile(folder, &["-o-".into()], schemas).await
    }

    /// Compiles, with options. What the tool has to say about a schema is our error.
    pub(super) async fn compile<P: AsRef<OsStr>>(
        &self,
        folder: &Path,
        options: &[OsString],
        schemas: &[P],
    ) -> anyhow::Result<Vec<u8>> {
        let mut command = Command::new(&self.program);
        command.arg("compile").args(options);
        for folder in &self.import_path {
            command.arg("-I").arg(folder);
        }
        // An older tool distrusts a PWD that is a symbolic link.
        command.args(schemas).current_dir(folder).env_remove("PWD");
        match output(command, &[]).await {
            Err(error) if is_missing(&error) => bail!(MISSING),
            other => other,
        }
    }
}

/// Runs a program to its end, and gives what it wrote. What it complains about is the error.
pub(super) async fn output(mut command: Command, input: &[u8]) -> anyhow::Result<Vec<u8>> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let piped = || Stdio::piped();
    let child = command.stdin(piped()).stdout(piped()).stderr(piped()).kill_on_drop(true).spawn();
    let mut child = child.with_context(|| format!("start {name}"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let feed = async move {
        // A program that needs no more of it, or ends early, says why on its own.
        let _ = stdin.write_all(input).await;
    };
    let ((), output) = futures::join!(feed, child.wait_with_output());
    let output = output.with_context(|| format!("run {name}"))?;
    if !output.status.success() {
        match String::from_utf8_lossy(&output.stderr).trim() {
            "" => bail!("{name} ended with {}", output.status),
            said => bail!("{said}"),
        }
    }
    Ok(output.stdout)
}

/// Whether a program is not there to be started.
fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::NotFound)
}

/// Finds a program on PATH.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let file = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_executable(file))?;
    std::path::absolute(file).ok()
}

/// Finds a file in `folder` or in one around it.
pub(super) fn upwards(folder: &Path, file: &str) -> Option<PathBuf> {
    let folder = std::path::absolute(folder).ok()?;
    folder.ancestors().map(|folder| folder.join(file)).find(|file| file.is_file())
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
