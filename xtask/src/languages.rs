//! The languages that have a client, what each needs to be checked, and how its conformance program runs.

use std::path::{Path, absolute};
use std::process::Command;

use anyhow::Result;

use crate::{install, is_there, run};

/// A language and its client.
pub(crate) struct Language {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Where the client is, in `client`.
    folder: &'static str,
    /// The programs without which nothing goes, and the Debian packages that have them.
    tools: &'static [(&'static str, &'static str)],
    /// How the conformance program is started, in its folder.
    conformance: &'static [&'static str],
}

pub(crate) const LANGUAGES: [Language; 2] = [
    Language {
        name: "rust",
        title: "Rust",
        folder: "cli",
        tools: &[],
        conformance: &["../../target/debug/shipmate", "conformance"],
    },
    Language {
        name: "python",
        title: "Python",
        folder: "python",
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
            _ => run(&format!("client/{}/check", self.folder), &[]),
        }
    }

    /// Its conformance program, to be given an address.
    pub(crate) fn conformance(&self) -> Result<Command> {
        let [program, arguments @ ..] = self.conformance else { unreachable!("each has one") };
        let folder = Path::new("client").join(self.folder);
        // One without a folder is the system's. Links are not followed: Python would lose its packages.
        let program = if program.contains('/') { absolute(folder.join(program))? } else { program.into() };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder);
        Ok(command)
    }
}
