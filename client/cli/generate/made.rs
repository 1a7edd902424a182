//! What was generated for one language, on its way to the folder that it is for.
//!
//! That folder may have files of others in it. A list that lies there says which are ours: only those are
//! overwritten, and removed when they are no longer made. What has not changed is not touched, so that nothing is
//! built again for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};

use super::schemas::write;

/// The files of one language.
pub(super) struct Made {
    /// Where they go.
    folder: PathBuf,
    /// By their path in the folder.
    files: BTreeMap<String, Vec<u8>>,
    /// What the list has: the files, and those that a next step, which is the user's, makes.
    names: BTreeSet<String>,
    /// What the list had.
    names_before: BTreeSet<String>,
}

const LIST: &str = ".shipmate-generated";
const LIST_HEAD: &str = "# Made by `shipmate generate`, which overwrites and removes these files and no others.\n";

impl Made {
    /// Takes what was made in `from`, for `folder`; `later` is what the user makes there. Fails when files of
    /// others are in the way.
    pub(super) fn collect(from: &Path, folder: PathBuf, later: Vec<String>) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        read_all(from, "", &mut files).context("read what was generated")?;
        let names: BTreeSet<String> = files.keys().cloned().chain(later).collect();
        let names_before = names_in(&folder.join(LIST))?;
        for (name, bytes) in &files {
            let path = folder.join(name);
            let is_foreign = !names_before.contains(name) && path.symlink_metadata().is_ok();
            if is_foreign && std::fs::read(&path).ok().as_ref() != Some(bytes) {
                bail!(
                    "{} is there and was not made by `shipmate generate`: move it away, or choose another --out",
                    path.display()
                );
            }
        }
        Ok(Made { folder, files, names, names_before })
    }

    /// Writes them, and removes what was made before and is not any more.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        // An interruption must not leave a file of ours that no list has.
        self.write_list(self.names.union(&self.names_before))?;
        for (name, bytes) in &self.files {
            let path = self.folder.join(name);
            if std::fs::read(&path).ok().as_ref() != Some(bytes) {
                write(&path, bytes)?;
            }
        }
        for name in self.names_before.difference(&self.names) {
            remove(&self.folder, name).with_context(|| format!("remove {}", self.folder.join(name).display()))?;
        }
        self.write_list(self.names.iter())
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn write_list<'a>(&self, names: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
        let list: String = names.map(|name| format!("{name}\n")).collect();
        write(&self.folder.join(LIST), LIST_HEAD.to_owned() + &list)
    }
}

fn read_all(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read_all(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// The names in a list, none if there is no list. One that leads out of the folder is not ours.
fn names_in(list: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = match std::fs::read_to_string(list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other.with_context(|| format!("read {}", list.display()))?,
    };
    let is_inside = |name: &&str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let names = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(names.filter(is_inside).map(str::to_owned).collect())
}

/// Removes a file, and the folders that it leaves empty.
fn remove(folder: &Path, name: &str) -> io::Result<()> {
    match std::fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for parent in Path::new(name).ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
        if std::fs::remove_dir(folder.join(parent)).is_err() {
            break;
        }
    }
    Ok(())
}
