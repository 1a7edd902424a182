//! `shipmate generate`: what each language needs of schemas that know nothing of any language.
//!
//! The schemas are checked where they are, so that the `capnp` tool's complaints name the user's files. Copies are
//! then put side by side in a temporary folder ([`schemas`]), each language's part is made beside it (a file here
//! for each language), and what was made is brought to its place ([`made`]) when all of it is there.

mod cpp;
mod go;
mod java;
mod made;
mod python;
mod rust;
mod scan;
mod schemas;
mod tool;
mod typescript;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use self::made::Made;
use self::schemas::Schemas;
use self::tool::Capnp;
use crate::output::Output;

/// Make what each language needs of your schemas
///
/// The schemas need nothing in them for any language. Each language gets a folder of its name in DIR: Rust modules,
/// C++ headers and sources, a Python package, Go packages, Java classes, TypeScript modules. Schemas that yours
/// import are generated too, but not Cap'n Proto's own (/capnp/...), which every language's library has.
///
/// Needs the `capnp` tool. Go, Java and TypeScript need their own generators too; where one is missing, this says
/// where to get it. Of the files in DIR only those that were made by this command are overwritten or removed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate generate --lang rust,python --out generated schema/*.capnp
  shipmate generate --lang cpp --out generated -I vendor schema/arith.capnp
  shipmate generate --lang go --out . --go-import-prefix example.com/depth/go schema")]
pub(crate) struct Generate {
    /// For which languages; may be repeated
    #[arg(short, long, value_delimiter = ',', required = true)]
    lang: Vec<Language>,

    /// The folder that gets a folder for each language
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,

    /// A folder in which `import "/..."` is looked for, before the system's; may be repeated
    #[arg(short = 'I', long, value_name = "DIR")]
    import_path: Vec<PathBuf>,

    #[command(flatten)]
    options: Options,

    /// Schemas: .capnp files, or folders of them
    #[arg(value_name = "SCHEMA", required = true)]
    schemas: Vec<PathBuf>,
}

/// What is for one language alone.
#[derive(Args)]
struct Options {
    /// The module of your crate that the Rust modules are in, such as schema or api::schema
    #[arg(long, value_name = "PATH", default_value = "schema")]
    rust_module: String,

    /// The name of the Python package
    #[arg(long, value_name = "NAME", default_value = "schema")]
    python_package: String,

    /// Put all Go code into one package of this name [default: a package for each schema, of its name]
    #[arg(long, value_name = "NAME")]
    go_package: Option<String>,

    /// How Go code imports the folder DIR/go [default: what the go.mod of DIR says]
    #[arg(long, value_name = "PATH")]
    go_import_prefix: Option<String>,

    /// The package of the Java classes
    #[arg(long, value_name = "NAME", default_value = "schema")]
    java_package: String,
}

/// A language; a further one is a line here and two below, and a file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Cpp,
    Python,
    Go,
    Java,
    Typescript,
}

/// What a language's part is made from, and where.
struct Job<'a> {
    schemas: &'a Schemas,
    capnp: &'a Capnp,
    options: &'a Options,
    /// The folder with all schemas side by side.
    side_by_side: &'a Path,
    /// Where the language's files are written.
    work: &'a Path,
    /// The folder that they are brought to.
    place: &'a Path,
}

/// How a language's part has come out.
enum Outcome {
    /// All is there, and this is how a program uses it.
    Whole(String),
    /// This is what the user has to do for the rest, which makes these files.
    Part(String, Vec<String>),
    /// Nothing could be made, and this is what the user has to do.
    Nothing(String),
}

impl Generate {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<()> {
        let folder = tempfile::Builder::new().prefix("shipmate-").tempdir().context("make a temporary folder")?;
        let named = files_in(&self.schemas)?;
        let capnp = Capnp::new(&self.import_path, folder.path().join("include"))?;
        capnp.request(Path::new("."), &named).await?;
        let schemas = Schemas::read(&named, &self.import_path)?;
        let side_by_side = folder.path().join("schemas");
        schemas.write(&side_by_side)?;

        let languages = Language::value_variants().iter().filter(|language| self.lang.contains(language));
        let (mut all, mut left) = (Vec::new(), Vec::new());
        for &language in languages {
            let (work, place) = (folder.path().join(language.name()), self.out.join(language.name()));
            std::fs::create_dir(&work).context("make a temporary folder")?;
            let (capnp, options) = (&capnp, &self.options);
            let job =
                Job { schemas: &schemas, capnp, options, side_by_side: &side_by_side, work: &work, place: &place };
            let (usage, later) = match language.generate(&job).await.with_context(|| language.name())? {
                Outcome::Whole(usage) => (usage, Vec::new()),
                Outcome::Part(to_do, files) => {
                    left.push(format!("{} is not complete: {to_do}", language.name()));
                    ("not complete".to_owned(), files)
                }
                Outcome::Nothing(to_do) => {
                    left.push(format!("{} is not made: {to_do}", language.name()));
                    continue;
                }
            };
            all.push((language, Made::collect(&work, place, later)?, usage));
        }
        for (language, made, usage) in all {
            made.write()?;
            let place = made.folder().display();
            output.line(format!("{}: {} files in {place}; {usage}", language.name(), made.len())).await?;
        }
        if left.is_empty() { Ok(()) } else { bail!(left.join("\nshipmate: ")) }
    }
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Cpp => "cpp",
            Language::Python => "python",
            Language::Go => "go",
            Language::Java => "java",
            Language::Typescript => "typescript",
        }
    }

    async fn generate(self, job: &Job<'_>) -> anyhow::Result<Outcome> {
        match self {
            Language::Rust => rust::generate(job).await,
            Language::Cpp => cpp::generate(job).await,
            Language::Python => python::generate(job),
            Language::Go => go::generate(job).await,
            Language::Java => java::generate(job).await,
            Language::Typescript => typescript::generate(job).await,
        }
    }
}

impl Job<'_> {
    /// The schemas' files, as seen from the folder where they are side by side.
    fn files(&self) -> Vec<String> {
        self.schemas.own.iter().map(|schema| schema.file()).collect()
    }
}

/// The schemas that are named, in folders all.
fn files_in(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            if !path.exists() {
                bail!("{}: there is no such file", path.display());
            }
            schemas::name_of(path)?;
            files.push(path.clone());
            continue;
        }
        let entries = path.read_dir().and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.with_context(|| format!("read {}", path.display()))?;
        let mut inside: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        inside.retain(|path| path.extension().is_some_and(|extension| extension == "capnp"));
        if inside.is_empty() {
            bail!("{} has no .capnp file in it", path.display());
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// A name that is one in most languages: of letters, digits and `_`.
fn identifier(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Fails unless `name`, which an option gave, is an identifier, or several with `separator` between them.
fn check_name(option: &str, name: &str, separator: &str) -> anyhow::Result<()> {
    if name.split(separator).any(|part| part.is_empty() || identifier(part) != part) {
        return Err(crate::context::Usage(format!("--{option} {name:?} is no name")).into());
    }
    Ok(())
}
