//! The languages that have a client, what each needs to be checked, and how its conformance program runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{install, is_there, run};

/// A language and its client in `client/NAME`.
pub(crate) struct Language {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The programs without which nothing goes, and the Debian packages that have them.
    tools: &'static [(&'static str, &'static str)],
    /// How the conformance program is started, in `client/NAME`.
    conformance: &'static [&'static str],
}

pub(crate) const LANGUAGES: [Language; 2] = [
    Language { name: "rust", title: "Rust", tools: &[], conformance: &["target/debug/shipmate", "conformance"] },
    Language {
        name: "python",
        title: "Python",
        tools: &[("python3", "python3 python3-venv")],
        conformance: &[".venv/bin/python", "-m", "conformance"],
    },
];

impl Language {
    /// Installs what the client needs, and runs its own checks and tests.
    pub(crate) fn check(&self) -> Result<()> {
        for (program, packages) in self.tools {
            if !is_there(program) {
                install(&packages.split(' ').collect::<Vec<_>>())?;
            }
        }
        match self.tools {
            // Rust's own are the repository's.
            [] => Ok(()),
            _ => run(&format!("client/{}/check", self.name), &[]),
        }
    }

    /// Its conformance program, to be given an address.
    pub(crate) fn conformance(&self) -> Command {
        let [program, arguments @ ..] = self.conformance else { unreachable!("each has one") };
        let folder = Path::new("client").join(self.name);
        match self.tools {
            [] => command(Path::new(program), arguments),
            // A program without a folder is one of the system's.
            _ if !program.contains('/') => in_folder(command(Path::new(program), arguments), &folder),
            _ => in_folder(command(&absolute(&folder.join(program)), arguments), &folder),
        }
    }
}

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn in_folder(mut command: Command, folder: &Path) -> Command {
    command.current_dir(folder);
    command
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
