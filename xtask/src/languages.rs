//! The languages that have a client, what each needs to be checked, and how its programs run.

use std::path::{Path, absolute};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run_with;

/// A language and its client.
pub(crate) struct Language {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Where the client is, in `client`.
    folder: &'static str,
    /// The programs without which nothing goes (see [`crate::is_there`]), and the Debian packages that have them.
    pub(crate) tools: &'static [(&'static str, &'static str)],
    /// How the conformance program is started, in its folder.
    conformance: &'static [&'static str],
    pub(crate) bench: Option<Bench>,
}

/// How a language's client is measured.
pub(crate) struct Bench {
    /// What builds it, in its folder, after the language's check.
    pub(crate) build: &'static [&'static [&'static str]],
    /// How it is started, in its folder.
    pub(crate) program: &'static [&'static str],
    /// The library underneath, of which the client measures its own RPC too; or why it cannot.
    pub(crate) beside: Result<&'static str, &'static str>,
}

pub(crate) const LANGUAGES: [Language; 6] = [
    Language {
        name: "rust",
        title: "Rust",
        folder: "cli",
        tools: &[],
        conformance: &["../../target/debug/shipmate", "conformance"],
        bench: None,
    },
    Language {
        name: "python",
        title: "Python",
        folder: "python",
        // Debian's Python has the one without the other.
        tools: &[("python3", "python3"), ("python3 -m ensurepip --version", "python3-venv")],
        conformance: &[".venv/bin/python", "-m", "conformance"],
        bench: Some(Bench {
            build: &[],
            program: &[".venv/bin/python", "-m", "bench"],
            beside: Ok("pycapnp, over its `AsyncIoStream`"),
        }),
    },
    Language {
        name: "typescript",
        title: "TypeScript",
        folder: "typescript",
        tools: &[("node", "nodejs"), ("npm", "npm")],
        conformance: &["node", "dist/conformance/main.js"],
        bench: Some(Bench {
            build: &[&["npm", "run", "--silent", "build"]],
            program: &["node", "dist/bench/main.js"],
            beside: Err("capnp-es has no RPC over sockets"),
        }),
    },
    Language {
        name: "go",
        title: "Go",
        folder: "go",
        tools: &[("go version", "golang"), ("gcc", "gcc")],
        conformance: &["bin/conformance"],
        bench: Some(Bench {
            build: &[&["go", "build", "-o", "bin/", "./cmd/bench"]],
            program: &["bin/bench"],
            beside: Ok("go-capnp's `rpc.NewConn` over `net.Dial`"),
        }),
    },
    Language {
        name: "cpp",
        title: "C++",
        folder: "cpp",
        tools: &[
            ("cmake", "cmake make"),
            ("ninja", "ninja-build"),
            ("clang-format", "clang-format libssl-dev libgtest-dev"),
        ],
        conformance: &["build/bin/conformance"],
        bench: Some(Bench {
            build: &[
                &["cmake", "-S", ".", "-B", "build/release", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"],
                &["cmake", "--build", "build/release", "--target", "bench"],
            ],
            program: &["build/release/bin/bench"],
            beside: Ok("Cap'n Proto's `EzRpcClient`"),
        }),
    },
    Language {
        name: "java",
        title: "Java",
        folder: "java",
        tools: &[("mvn", "maven"), ("javac", "openjdk-17-jdk-headless")],
        conformance: &["./conformance"],
        bench: Some(Bench {
            build: &[&["mvn", "-B", "-q", "package", "-DskipTests"]],
            program: &["java", "-cp", "samples/target/classes:samples/target/lib/*", "org.shipmate.bench.Bench"],
            beside: Err("capnproto-java has no RPC"),
        }),
    },
];

impl Language {
    /// Runs the client's own checks and tests, with the programs that are built.
    pub(crate) fn check(&self) -> Result<()> {
        if self.tools.is_empty() {
            // Rust's own are the repository's.
            return Ok(());
        }
        let built = absolute("target/debug")?;
        let (server, library) = (built.join("shipmated"), built.join("libshipmate.so"));
        let utf8 = "the repository's path is UTF-8";
        let environment =
            [("SHIPMATED", server.to_str().context(utf8)?), ("SHIPMATE_LIBRARY", library.to_str().context(utf8)?)];
        run_with(&format!("client/{}/check", self.folder), &[], &environment)
    }

    /// Its conformance program, to be given an address.
    pub(crate) fn conformance(&self) -> Result<Command> {
        self.command(self.conformance)
    }

    /// A command of its own, in its folder.
    pub(crate) fn command(&self, line: &[&str]) -> Result<Command> {
        let [program, arguments @ ..] = line else { unreachable!("each has a program") };
        let folder = Path::new("client").join(self.folder);
        // One without a folder is the system's. Links are not followed: Python would lose its packages.
        let program = if program.contains('/') { absolute(folder.join(program))? } else { program.into() };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder);
        Ok(command)
    }
}
