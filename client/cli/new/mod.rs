//! `shipmate new`: a small project that works, to begin with.
//!
//! What it gets is in `templates/`, file by file, as it is but for the project's name, the schema's id and where
//! Shipmate is from.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use crate::context::Usage;
use crate::output::Output;

/// Make a small project: a schema, a server in Rust, and clients
///
/// The project has one command that runs all of it, and one that tests it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate new hello && hello/run
  shipmate new hello --lang rust,python
  shipmate new hello --from ~/shipmate         with a copy of Shipmate's repository instead of its packages")]
pub(crate) struct New {
    /// The project's folder, which must not be there yet; its name is the project's
    #[arg(value_name = "NAME")]
    folder: PathBuf,

    /// Languages that get a client; may be repeated
    #[arg(short, long, value_delimiter = ',', default_value = "rust")]
    lang: Vec<Language>,

    /// A copy of Shipmate's repository to use, instead of its packages
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Python,
}

/// A file of a project.
struct Template {
    path: &'static str,
    text: &'static str,
    is_program: bool,
    /// Whose client it belongs to; those of none are always there.
    language: Option<Language>,
}

macro_rules! template {
    ($path:literal, $file:literal, $is_program:literal, $language:expr) => {
        Template {
            path: $path,
            text: include_str!(concat!("templates/", $file)),
            is_program: $is_program,
            language: $language,
        }
    };
}

/// All files; the names of two would mean something where the templates are.
const TEMPLATES: [Template; 15] = [
    template!("README.md", "README.md", false, None),
    template!(".gitignore", "gitignore", false, None),
    template!("run", "run", true, None),
    template!("test", "test", true, None),
    template!("schema/greeter.capnp", "schema/greeter.capnp", false, None),
    template!("rust/Cargo.toml", "rust/Cargo.toml.in", false, None),
    template!("rust/build.rs", "rust/build.rs", false, None),
    template!("rust/src/lib.rs", "rust/src/lib.rs", false, None),
    template!("rust/src/bin/server.rs", "rust/src/bin/server.rs", false, None),
    template!("rust/tests/greeter.rs", "rust/tests/greeter.rs", false, None),
    template!("rust/src/bin/client.rs", "rust/src/bin/client.rs", false, Some(Language::Rust)),
    template!("python/client.py", "python/client.py", false, Some(Language::Python)),
    template!("python/test_client.py", "python/test_client.py", false, Some(Language::Python)),
    template!("python/python", "python/python", true, Some(Language::Python)),
    template!("python/requirements.txt", "python/requirements.txt", false, Some(Language::Python)),
];

impl New {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<()> {
        let name = project_name(&self.folder)?;
        if self.folder.symlink_metadata().is_ok() {
            bail!("{} is there already: choose another name", self.folder.display());
        }
        let from = self.from.as_deref().map(repository).transpose()?;
        let id = schema_id()?;
        for template in &TEMPLATES {
            if template.language.is_none_or(|language| self.lang.contains(&language)) {
                let text = fill(template.text, name, &id, from.as_deref());
                write(&self.folder.join(template.path), &text, template.is_program)?;
            }
        }
        output.line(format!("made {0}; next: {0}/run, and {0}/test", self.folder.display())).await
    }
}

/// What a template says of this project.
fn fill(text: &str, name: &str, id: &str, from: Option<&Path>) -> String {
    let mut text = text
        .replace("hello-shipmate", name)
        .replace("hello_shipmate", &name.replace('-', "_"))
        .replace("@0x9d1f3c5b7a2e4f60", id);
    if let Some(from) = from {
        let crate_here = format!("shipmate = {{ path = {:?}, default-features", from.display().to_string());
        text = text
            .replace("shipmate = { version = \"0.1\", default-features", &crate_here)
            .replace("shipmate==0.1.0", &from.join("client/python").display().to_string());
    }
    text
}

/// The folder's name, which has to be one for a Rust package too.
fn project_name(folder: &Path) -> anyhow::Result<&str> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    // These are in the project itself.
    let is_taken = ["capnp", "capnp-rpc", "capnpc", "shipmate", "tempfile", "test", "tokio"].contains(&name);
    if is_taken || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_fit) {
        let why = format!(
            "{name:?} cannot be a project's name: it has a-z first, then a-z, 0-9, - and _, and is no library's"
        );
        return Err(Usage(why).into());
    }
    Ok(name)
}

fn repository(from: &Path) -> anyhow::Result<PathBuf> {
    let from = std::path::absolute(from)?;
    let manifest = std::fs::read_to_string(from.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains("name = \"shipmate\"") {
        bail!("{} is no copy of Shipmate's repository", from.display());
    }
    Ok(from)
}

/// A schema's id is random, with its highest bit set.
fn schema_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("@0x{:016x}", u64::from_le_bytes(bytes) | 1 << 63))
}

fn write(path: &Path, text: &str, is_program: bool) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)?;
        if !is_program {
            return Ok(());
        }
        // For those who may read it.
        let mode = path.metadata()?.permissions().mode();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode | (mode & 0o444) >> 2))
    };
    write().with_context(|| format!("write {}", path.display()))
}
