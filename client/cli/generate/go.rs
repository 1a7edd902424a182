//! Go: a package for each schema, by capnpc-go.
//!
//! capnpc-go asks each schema for its package and for how that is imported. Copies of the schemas say it, which
//! lie beside the code: with them, and with the folder `include`, the `capnp` tool can also be run by hand.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::process::Command;

use super::tool::{on_path, output, upwards};
use super::{Job, Outcome, check_name};

/// Where the library has the packages of Cap'n Proto's own schemas.
const LIBRARY: &str = "capnproto.org/go/capnp/v3";

/// What Go has for itself, and packages that generated code needs to import under their own names.
const KEYWORDS: [&str; 27] = [
    "break",
    "capnp",
    "case",
    "chan",
    "const",
    "context",
    "continue",
    "default",
    "defer",
    "else",
    "fallthrough",
    "for",
    "func",
    "go",
    "goto",
    "if",
    "import",
    "interface",
    "map",
    "package",
    "range",
    "return",
    "select",
    "struct",
    "switch",
    "type",
    "var",
];

pub(super) async fn generate(job: &Job<'_>) -> anyhow::Result<Outcome> {
    let prefix = import_prefix(job)?;
    let one = job.options.go_package.as_deref();
    if let Some(package) = one {
        check_name("go-package", package, ".")?;
    }
    let mut copies = Vec::new();
    for (package, schema) in job.schemas.named(|name| if one.is_some() { name.to_owned() } else { package(name) })? {
        let (folder, name, path) = match one {
            Some(one) => (String::new(), one, prefix.clone()),
            None => (format!("{package}/"), package.as_str(), format!("{prefix}/{package}")),
        };
        let import = |name: &str| if one.is_some() { format!("{name}.capnp") } else { beside(name) };
        let is_annotated = schema.imports_standard("go.capnp");
        let ending = if is_annotated { String::new() } else { annotations(name, &path) };
        schema.write(&job.work.join(&folder), import, &ending)?;
        copies.push(format!("{folder}{}", schema.file()));
    }
    write_include(job)?;

    let first = copies.first().map(|copy| copy.rsplit_once('/').map_or("", |(folder, _)| folder)).unwrap_or_default();
    let usage = format!("import \"{}\"", format!("{prefix}/{first}").trim_end_matches('/'));
    let Some(generator) = generator(job.place).await? else {
        let made = copies.iter().map(|copy| format!("{copy}.go")).collect();
        return Ok(Outcome::Part(by_hand(job.place, &copies), made));
    };
    let mut to = OsString::from("-o");
    to.push(generator);
    to.push(":");
    to.push(job.work);
    let include = job.work.join("include");
    let options = ["--no-standard-import".into(), "-I".into(), include.into(), "--src-prefix=.".into(), to];
    job.capnp.compile(job.work, &options, &copies).await?;
    Ok(Outcome::Whole(usage))
}

/// How Go code imports the folder.
fn import_prefix(job: &Job<'_>) -> anyhow::Result<String> {
    if let Some(prefix) = &job.options.go_import_prefix {
        return Ok(prefix.trim_end_matches('/').to_owned());
    }
    let file = upwards(job.place, "go.mod").with_context(|| {
        format!(
            "no go.mod is in {} or around it, so that the import paths of its packages are not known: make one \
             (go mod init example.com/yours), or give --go-import-prefix",
            job.place.display()
        )
    })?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module "));
    let module = module.with_context(|| format!("{} names no module", file.display()))?;
    let module = module.split("//").next().unwrap_or_default().trim().trim_matches('"');
    let place = std::path::absolute(job.place)?;
    let inside = place.strip_prefix(file.parent().unwrap_or(Path::new("/"))).context("the module's folder")?;
    Ok(Path::new(module).join(inside).display().to_string())
}

/// Puts what the copies import beside them, with the packages that the library has for it.
fn write_include(job: &Job<'_>) -> anyhow::Result<()> {
    let include = job.work.join("include");
    super::schemas::write(&include.join("go.capnp"), job.schemas.go_annotations())?;
    job.schemas.write_standard(&include, |name| match name.strip_prefix("capnp/") {
        Some(file) => {
            let stem = file.strip_suffix(".capnp").unwrap_or(file);
            let package =
                if stem == "c++" { "cxx".to_owned() } else { package(stem.rsplit('/').next().unwrap_or(stem)) };
            annotations(&package, &format!("{LIBRARY}/std/capnp/{package}"))
        }
        None => String::new(),
    })
}

/// capnpc-go: on PATH, or as a tool of the module that the code is for, which has the library's own version of it.
async fn generator(place: &Path) -> anyhow::Result<Option<PathBuf>> {
    if let Some(program) = on_path("capnpc-go") {
        return Ok(Some(program));
    }
    let Some(module) = upwards(place, "go.mod") else { return Ok(None) };
    let text = std::fs::read_to_string(&module).with_context(|| format!("read {}", module.display()))?;
    if !text.contains(&format!("{LIBRARY}/capnpc-go")) {
        return Ok(None);
    }
    let ask = async || {
        let mut command = Command::new("go");
        command.args(["tool", "-n", "capnpc-go"]).current_dir(module.parent().unwrap_or(place));
        let path = output(command, &[]).await;
        let path = path.with_context(|| format!("find the tool capnpc-go of {}", module.display()))?;
        anyhow::Ok(PathBuf::from(String::from_utf8_lossy(&path).trim()))
    };
    let built = ask().await?;
    // Go 1.24 builds it, and says where that was. The second time it says where it is.
    Ok(Some(if built.exists() { built } else { ask().await? }))
}

/// What is to be done without a generator.
fn by_hand(place: &Path, copies: &[String]) -> String {
    let place = place.display();
    let copies: Vec<_> = copies.iter().map(|copy| format!("{place}/{copy}")).collect();
    format!(
        "capnpc-go is not on PATH. Install it (go install {LIBRARY}/capnpc-go@latest) and run this again, or run \
         capnp compile --no-standard-import -I {place}/include --src-prefix={place} -ogo:{place} {}",
        copies.join(" ")
    )
}

fn annotations(package: &str, import: &str) -> String {
    format!(
        "\nusing ShipmateGo = import \"/go.capnp\";\n$ShipmateGo.package(\"{package}\");\n$ShipmateGo.import(\"{import}\");\n"
    )
}

/// Where a schema's copy is, as seen from another's.
fn beside(name: &str) -> String {
    format!("../{}/{name}.capnp", package(name))
}

/// The name of a schema's package: that of its file, less what no Go name may have in it.
fn package(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let is_digit = name.starts_with(|c: char| c.is_ascii_digit());
    if is_digit || KEYWORDS.contains(&name.as_str()) { format!("capnp{name}") } else { name }
}
