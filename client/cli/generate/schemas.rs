//! The schemas to generate from: those that were named, and all that they import.
//!
//! Every generator sees them side by side in one folder, whatever folders they come from: imports are rewritten to
//! match. That is what all languages have in common, since several of them tell files apart by their name alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};

use super::scan::{What, mentions};

/// All schemas, and what they lean on.
pub(super) struct Schemas {
    /// In the order of their names.
    pub(super) own: Vec<Schema>,
    /// Cap'n Proto's own that the others import, and two that must always be there: the text of each, by its path
    /// as an import has it, without the `/` in front. No code is generated from these, since each language's
    /// library brings it.
    pub(super) standard: BTreeMap<String, String>,
}

/// One schema.
pub(super) struct Schema {
    /// That of its file, without `.capnp`. No two schemas have the same.
    pub(super) name: String,
    path: PathBuf,
    text: String,
    mentions: Vec<(Range<usize>, Mentioned)>,
}

/// What a schema names.
enum Mentioned {
    Own(String),
    Standard(String),
    Embedded(PathBuf),
}

/// Cap'n Proto's own schemas that we bring, so that neither headers nor libraries need be installed. The folder
/// `include` is theirs, and comes after those that the user names.
pub(super) const BROUGHT: [(&str, &str); 3] = [
    ("capnp/c++.capnp", include_str!("include/capnp/c++.capnp")),
    ("capnp/stream.capnp", include_str!("include/capnp/stream.capnp")),
    ("go.capnp", include_str!("include/go.capnp")),
];

/// Where the `capnp` tool looks last.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/include", "/usr/include", "/opt/homebrew/include"];

/// The folder beside copies of schemas that has the files which they embed.
const EMBEDDED: &str = "embedded";

impl Schemas {
    /// Reads schemas that the `capnp` tool has accepted, and all that they import from `import_path` and elsewhere.
    pub(super) fn read(named: &[PathBuf], import_path: &[PathBuf]) -> anyhow::Result<Self> {
        let system = SYSTEM_FOLDERS.iter().map(PathBuf::from);
        let mut search =
            Search { import_path: import_path.iter().cloned().chain(system).collect(), waiting: Vec::new() };
        let mut own: BTreeMap<String, Schema> = BTreeMap::new();
        let mut standard = BTreeMap::new();
        // `-> stream` imports one of them without saying so, and that one the other.
        for name in ["capnp/c++.capnp", "capnp/stream.capnp"] {
            search.add_standard(name, &mut standard)?;
        }
        search.waiting.extend(named.iter().rev().cloned());
        while let Some(path) = search.waiting.pop() {
            let name = name_of(&path)?;
            match own.get(&name) {
                Some(other) if is_same(&other.path, &path)? => {}
                Some(other) => bail!(
                    "two schemas are called {name}: {} and {}; rename one, since languages tell them apart by their \
                     file's name",
                    other.path.display(),
                    path.display()
                ),
                None => {
                    let schema = Schema::read(name.clone(), path, &mut search, &mut standard)?;
                    own.insert(name, schema);
                }
            }
        }
        Ok(Schemas { own: own.into_values().collect(), standard })
    }

    /// Writes a copy of each into one folder, as the generators get to see it.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        self.own.iter().try_for_each(|schema| schema.write(folder, |name| format!("{name}.capnp"), ""))
    }

    /// Writes those of Cap'n Proto's own, with `ending` at the end of each, to where `folder` in an import path
    /// makes them found.
    pub(super) fn write_standard(&self, folder: &Path, ending: impl Fn(&str) -> String) -> anyhow::Result<()> {
        for (name, text) in &self.standard {
            write(&folder.join(name), &(text.clone() + &ending(name)))?;
        }
        Ok(())
    }

    /// `go.capnp`: the one that the schemas import, or ours.
    pub(super) fn go_annotations(&self) -> &str {
        let ours = BROUGHT.iter().find(|(name, _)| *name == "go.capnp").map_or("", |(_, text)| text);
        self.standard.get("go.capnp").map_or(ours, |text| text)
    }

    /// Names the schemas in a language, whose names cannot have all that a file's can.
    pub(super) fn named(&self, name: impl Fn(&str) -> String) -> anyhow::Result<Vec<(String, &Schema)>> {
        let mut seen = BTreeMap::new();
        for schema in &self.own {
            let name = name(&schema.name);
            if let Some(Schema { name: other, .. }) = seen.insert(name.clone(), schema) {
                bail!("{other}.capnp and {}.capnp would both be called {name}: rename one", schema.name);
            }
        }
        Ok(seen.into_iter().collect())
    }

    /// For the first line of what is generated.
    pub(super) fn list(&self) -> String {
        self.own.iter().map(|schema| schema.file()).collect::<Vec<_>>().join(", ")
    }
}

impl Schema {
    fn read(
        name: String,
        path: PathBuf,
        search: &mut Search,
        standard: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let mut all = Vec::new();
        for mention in mentions(&text) {
            let file = &text[mention.place.clone()];
            let mentioned = match (mention.what, standard_name(file)) {
                (What::Import, Some(name)) => {
                    search.add_standard(name, standard)?;
                    Mentioned::Standard(name.to_owned())
                }
                (what, _) => {
                    let found = search.find(&path, file)?;
                    match what {
                        What::Import => {
                            search.waiting.push(found.clone());
                            Mentioned::Own(name_of(&found)?)
                        }
                        What::Embed => Mentioned::Embedded(found),
                    }
                }
            };
            all.push((mention.place, mentioned));
        }
        Ok(Schema { name, path, text, mentions: all })
    }

    /// The file's name.
    pub(super) fn file(&self) -> String {
        format!("{}.capnp", self.name)
    }

    /// Whether it imports one of Cap'n Proto's own, such as `go.capnp`.
    pub(super) fn imports_standard(&self, name: &str) -> bool {
        self.mentions.iter().any(|(_, mentioned)| matches!(mentioned, Mentioned::Standard(it) if it == name))
    }

    /// Writes a copy into a folder: with `import` telling where others are from there, and with `ending` at the
    /// end, where it does not move the lines that an error message names.
    pub(super) fn write(&self, folder: &Path, import: impl Fn(&str) -> String, ending: &str) -> anyhow::Result<()> {
        let mut text = self.text.clone();
        for (place, mentioned) in self.mentions.iter().rev() {
            match mentioned {
                Mentioned::Standard(_) => {}
                Mentioned::Own(name) => text.replace_range(place.clone(), &import(name)),
                Mentioned::Embedded(from) => {
                    let file = from.file_name().unwrap_or_default().to_string_lossy();
                    let to = folder.join(EMBEDDED).join(&self.name).join(&*file);
                    let bytes = std::fs::read(from).with_context(|| format!("read {}", from.display()))?;
                    if to.exists() && std::fs::read(&to)? != bytes {
                        bail!("{} embeds two files that are called {file}: rename one", self.path.display());
                    }
                    write(&to, bytes)?;
                    text.replace_range(place.clone(), &format!("{EMBEDDED}/{}/{file}", self.name));
                }
            }
        }
        write(&folder.join(self.file()), text + ending)
    }
}

/// Looking for what schemas import.
struct Search {
    /// Where `/…` is looked for.
    import_path: Vec<PathBuf>,
    /// Schemas that are to be read.
    waiting: Vec<PathBuf>,
}

impl Search {
    /// Finds what `importer` calls `file`.
    fn find(&self, importer: &Path, file: &str) -> anyhow::Result<PathBuf> {
        let folder = importer.parent().unwrap_or(Path::new(""));
        let found = match file.strip_prefix('/') {
            Some(inside) => self.find_in_path(inside),
            None => Some(normal(&folder.join(file))).filter(|path| path.exists()),
        };
        found.with_context(|| {
            format!("{}: {file:?} is not found: name the folder that has it with -I", importer.display())
        })
    }

    fn find_in_path(&self, inside: &str) -> Option<PathBuf> {
        self.import_path.iter().map(|folder| folder.join(inside)).find(|path| path.exists())
    }

    /// Reads one of Cap'n Proto's own, and those that it imports.
    fn add_standard(&self, name: &str, standard: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
        if standard.contains_key(name) {
            return Ok(());
        }
        let text = match BROUGHT.iter().find(|(brought, _)| *brought == name) {
            Some((_, text)) => (*text).to_owned(),
            None => {
                let path = self.find(Path::new(""), &format!("/{name}"))?;
                std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?
            }
        };
        standard.insert(name.to_owned(), text.clone());
        for mention in mentions(&text) {
            if let Some(name) = standard_name(&text[mention.place]) {
                self.add_standard(name, standard)?;
            }
        }
        Ok(())
    }
}

/// Writes a file, whose folder is made if it is missing.
pub(super) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, bytes)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// What is Cap'n Proto's own, and an annotation for a generator, by its path without the `/` in front.
fn standard_name(file: &str) -> Option<&str> {
    let name = file.strip_prefix('/')?;
    (name.starts_with("capnp/") || ["go.capnp", "rust.capnp"].contains(&name)).then_some(name)
}

/// The name of the schema in a file.
pub(super) fn name_of(path: &Path) -> anyhow::Result<String> {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match file.strip_suffix(".capnp") {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => bail!("{} is no schema: a schema's file is called NAME.capnp", path.display()),
    }
}

fn is_same(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let real = |path: &Path| path.canonicalize().with_context(|| format!("read {}", path.display()));
    Ok(real(one)? == real(other)?)
}

/// Without `.` and `..`, as the `capnp` tool understands an import: by the text, whatever links there are.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            component => normal.push(component),
        }
    }
    normal
}
