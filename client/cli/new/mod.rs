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
/// The project has one command that runs all of it, and one that tests it. Both say what to install when a tool of a
/// language is missing. They make the types from the schema anew each time, for some languages by `shipmate generate`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate new hello && hello/run
  shipmate new hello --lang rust,python,typescript,go,cpp,java
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
    Typescript,
    Go,
    Cpp,
    Java,
}

/// A file of a project: its path and its text. Those that begin with `#!/` are programs.
type Template = (&'static str, &'static str);

macro_rules! templates {
    ($($path:literal $(from $file:literal)?),* $(,)?) => {
        &[$(($path, include_str!(concat!("templates/", templates!(@file $path $($file)?))))),*]
    };
    (@file $path:literal) => { $path };
    (@file $path:literal $file:literal) => { $file };
}

/// What every project has. Some would mean something where the templates are, and have another name there.
const COMMON: &[Template] = templates![
    "README.md",
    ".gitignore" from "gitignore",
    "run",
    "test",
    "need",
    "schema/greeter.capnp",
    "rust/Cargo.toml" from "rust/Cargo.toml.in",
    "rust/build.rs",
    "rust/src/lib.rs",
    "rust/src/bin/server.rs",
    "rust/tests/greeter.rs",
];

/// What a project has that uses a copy of the repository.
const FROM: &[Template] = templates!["from"];

impl Language {
    /// The client.
    fn templates(self) -> &'static [Template] {
        match self {
            Language::Rust => templates!["rust/client", "rust/src/bin/client.rs"],
            Language::Python => {
                templates!["python/client", "python/client.py", "python/test_client.py", "python/requirements.txt"]
            }
            Language::Typescript => templates![
                "typescript/client",
                "typescript/package.json",
                "typescript/tsconfig.json",
                "typescript/src/greet.ts",
                "typescript/src/greet.test.ts",
                "typescript/src/main.ts",
            ],
            Language::Go => templates!["go/client", "go/go.mod" from "go/go.mod.in", "go/main.go", "go/main_test.go"],
            Language::Cpp => templates![
                "cpp/client",
                "cpp/CMakeLists.txt",
                "cpp/greet.h",
                "cpp/greet.cpp",
                "cpp/greet_test.cpp",
                "cpp/main.cpp",
            ],
            Language::Java => templates![
                "java/client",
                "java/pom.xml",
                "java/src/main/java/greeter/Client.java",
                "java/src/test/java/greeter/ClientTest.java",
            ],
        }
    }
}

impl New {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<()> {
        let name = project_name(&self.folder)?;
        if self.folder.symlink_metadata().is_ok() {
            bail!("{} is there already: choose another name", self.folder.display());
        }
        let from = self.from.as_deref().map(repository).transpose()?;
        let id = schema_id()?;
        let clients = Language::value_variants().iter().filter(|language| self.lang.contains(language));
        let mut parts = vec![COMMON];
        parts.extend(clients.map(|language| language.templates()));
        parts.extend(from.is_some().then_some(FROM));
        for (path, text) in parts.into_iter().flatten() {
            write(&self.folder.join(path), &fill(text, name, &id, from.as_deref()))?;
        }
        output.line(format!("made {0}; next: {0}/run, and {0}/test", self.folder.display())).await
    }
}

/// What a template says of this project.
fn fill(text: &str, name: &str, id: &str, from: Option<&str>) -> String {
    let mut text = text
        .replace("hello-shipmate", name)
        .replace("hello_shipmate", &name.replace('-', "_"))
        .replace("@0x9d1f3c5b7a2e4f60", id);
    for (package, here) in from.into_iter().flat_map(instead_of_packages) {
        text = text.replace(package, &here);
    }
    text
}

/// What templates say of Shipmate's packages, and what they are to say of a copy of the repository.
fn instead_of_packages(from: &str) -> [(&'static str, String); 7] {
    const GO: &str = "github.com/shipmate-ipc/shipmate/client/go";
    [
        ("shipmate = { version = \"0.1\"", format!("shipmate = {{ path = \"{from}\"")),
        ("shipmate==0.1.0", format!("{from}/client/python")),
        ("\"shipmate\": \"0.1.0\"", format!("\"shipmate\": \"file:{from}/client/typescript\"")),
        ("client/go v0.1.0\n)", format!("client/go v0.1.0\n)\n\nreplace {GO} => \"{from}/client/go\"")),
        (
            "find_package(shipmate REQUIRED)",
            format!("add_subdirectory(\"{from}/client/cpp\" shipmate EXCLUDE_FROM_ALL)"),
        ),
        ("cargo install shipmate --version 0.1.0", format!("cargo install --path '{from}'")),
        ("/a/copy/of/shipmate", from.to_owned()),
    ]
}

/// The folder's name, which has to be one for a Rust package too.
fn project_name(folder: &Path) -> anyhow::Result<&str> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    // These are in the project itself.
    let is_taken =
        ["capnp", "capnp-rpc", "capnpc", "shipmate", "tempfile", "test", "tokio", "typescript"].contains(&name);
    if is_taken || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_fit) {
        let why = format!(
            "{name:?} cannot be a project's name: it has a-z first, then a-z, 0-9, - and _, and is no library's"
        );
        return Err(Usage(why).into());
    }
    Ok(name)
}

fn repository(from: &Path) -> anyhow::Result<String> {
    let from = std::path::absolute(from)?;
    let manifest = std::fs::read_to_string(from.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains("name = \"shipmate\"") {
        bail!("{} is no copy of Shipmate's repository", from.display());
    }
    // It is written into files of many kinds, in quotes.
    match from.to_str() {
        Some(path) if !path.contains(['"', '\'', '\\', '$', '`', '\n']) => Ok(path.to_owned()),
        _ => bail!("{} has characters in it that scripts take for their own: use a copy elsewhere", from.display()),
    }
}

/// A schema's id is random, with its highest bit set.
fn schema_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("@0x{:016x}", u64::from_le_bytes(bytes) | 1 << 63))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)?;
        if !text.starts_with("#!/") {
            return Ok(());
        }
        // For those who may read it.
        let mode = path.metadata()?.permissions().mode();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode | (mode & 0o444) >> 2))
    };
    write().with_context(|| format!("write {}", path.display()))
}
