// The digest of the schemas, shared by build.rs, `cargo xtask schema` and the test that keeps the
// checked-in CodeGeneratorRequest fresh.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};

/// Every `.capnp` file directly in `dir`, sorted by name.
pub(crate) fn schema_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?
        .collect::<io::Result<Vec<_>>>()?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "capnp"))
        .collect();
    files.sort();
    Ok(files)
}

/// SHA-256, in hexadecimal, over the name and the contents of each file.
pub(crate) fn digest(files: &[PathBuf]) -> io::Result<String> {
    let mut sha = Sha256::new();
    for file in files {
        let contents = fs::read(file)?;
        sha.update(file.file_name().unwrap().as_encoded_bytes());
        sha.update([0]);
        sha.update((contents.len() as u64).to_le_bytes());
        sha.update(&contents);
    }
    Ok(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
