//! `shipmate new` as a user has it: a project that is made, built, run and tested.

mod languages;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use languages::{Clients, not_tried, on_path};

/// A limit for what hangs; a first build of a project is the longest.
const LONG: Duration = Duration::from_secs(900);

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs a program in a folder, and gives its exit code and all that it says.
async fn run(folder: &TempDir, program: impl AsRef<Path>, arguments: &str) -> (Option<i32>, String) {
    let mut command = Command::new(program.as_ref());
    command.args(arguments.split_whitespace()).current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    // With the libraries that are here already, each built once for all tests.
    command.env("CARGO_NET_OFFLINE", "true");
    command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects"));
    // A project's scripts run `shipmate`, as one who has installed it does.
    let shipmate = Path::new(env!("CARGO_BIN_EXE_shipmate")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap();
    command.env("PATH", std::env::join_paths([shipmate].into_iter().chain(std::env::split_paths(&path))).unwrap());
    let output = timeout(LONG, command.output()).await.expect("it hangs").unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

async fn new(folder: &TempDir, arguments: &str) -> (Option<i32>, String) {
    run(folder, env!("CARGO_BIN_EXE_shipmate"), &format!("new {arguments}")).await
}

/// A language that a client may be in.
struct Language {
    name: &'static str,
    /// What it calls itself in what it asks.
    title: &'static str,
    /// How a run of its tests says that all have passed.
    passed: &'static str,
    /// The program that tells that its tools are here, and what has it.
    tool: (&'static str, &'static str),
}

const LANGUAGES: [Language; 6] = [
    Language { name: "rust", title: "Rust", passed: "test result: ok. 1 passed", tool: ("cargo", "Rust") },
    Language { name: "python", title: "Python", passed: "\nRan 2 tests in ", tool: ("python3", "python3-venv") },
    Language { name: "typescript", title: "TypeScript", passed: "# pass 2\n# fail 0\n", tool: ("npm", "Node.js 20") },
    Language { name: "go", title: "Go", passed: "ok  \texample.com/ahoy-there\t", tool: ("go", "Go 1.24") },
    Language {
        name: "cpp",
        title: "C++",
        passed: "100% tests passed",
        tool: ("cmake", "g++ cmake libcapnp-dev libssl-dev"),
    },
    Language { name: "java", title: "Java", passed: "Tests run: 2, Failures: 0", tool: ("mvn", "a JDK 17 and maven") },
];

/// The languages whose tools are here: in CI, all of them.
fn languages_here() -> Vec<&'static Language> {
    let is_here = |language: &&Language| {
        let (tool, install) = language.tool;
        let is_here = on_path(tool).is_some();
        if !is_here {
            not_tried(language.title, install);
        }
        is_here
    };
    LANGUAGES.iter().filter(is_here).collect()
}

#[tokio::test]
async fn a_project_runs_and_its_tests_pass_in_every_language() {
    let folder = tempfile::tempdir().unwrap();
    let _alone = Clients::alone();
    let languages = languages_here();
    let names: Vec<_> = languages.iter().map(|language| language.name).collect();
    let made = new(&folder, &format!("ahoy-there --lang {} --from {ROOT}", names.join(","))).await;
    assert_eq!(made, (Some(0), "made ahoy-there; next: ahoy-there/run, and ahoy-there/test\n".to_owned()));
    let project = folder.path().join("ahoy-there");
    std::fs::copy(Path::new(ROOT).join("Cargo.lock"), project.join("rust/Cargo.lock")).unwrap();

    let (code, said) = run(&folder, project.join("run"), "").await;
    assert_eq!(code, Some(0), "{said}");
    for language in &languages {
        assert!(said.contains(&format!("Hello, {}!\n", language.title)), "{}: {said}", language.name);
    }
    // The server has ended, and its folder is gone.
    let socket = said.split_once("server: listening at unix:").unwrap().1.lines().next().unwrap();
    assert!(!Path::new(socket).parent().unwrap().exists());

    let (code, said) = run(&folder, project.join("test"), "").await;
    assert_eq!(code, Some(0), "{said}");
    for language in &languages {
        assert!(said.contains(language.passed), "{}: {said}", language.name);
    }

    // They are green because the server does what they ask for.
    let server = project.join("rust/src/bin/server.rs");
    let text = std::fs::read_to_string(&server).unwrap();
    assert!(text.contains("Hello, {name}!"));
    std::fs::write(&server, text.replace("Hello, {name}!", "Goodbye, {name}!")).unwrap();
    let (code, said) = run(&folder, project.join("test"), "").await;
    assert!(code != Some(0) && said.contains("Goodbye, Ada!"), "{said}");
    // The clients' are so because a server answers.
    for language in languages.iter().filter(|language| language.name != "rust") {
        let (client, address) = (project.join(language.name).join("client"), "unix:/nowhere/greeter.sock");
        let (code, said) = run(&folder, &client, &format!("run {address}")).await;
        assert!(code == Some(1) && said.contains("client: start the server first: "), "{}: {said}", language.name);
        let (code, said) = run(&folder, &client, &format!("test {address}")).await;
        assert!(code != Some(0), "{}: {said}", language.name);
    }

    // What the tool says of the schema is seen.
    std::fs::write(project.join("schema/greeter.capnp"), "@0xa1d2c3b4a5960001;\nstruct Bad { x @0 :Strnig; }").unwrap();
    let (code, said) = run(&folder, project.join("run"), "").await;
    assert!(code != Some(0) && said.contains("greeter.capnp:2:20-26: error: Not defined: Strnig"), "{said}");
}

#[tokio::test]
async fn a_tool_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(new(&folder, "ahoy --lang python,typescript,go,cpp,java").await.0, Some(0));
    // Of the system, what every one has.
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for program in ["sh", "dirname", "basename"] {
        std::os::unix::fs::symlink(on_path(program).unwrap(), bin.join(program)).unwrap();
    }
    for (script, hint) in [
        ("run", "cargo is not found: install Rust"),
        ("test", "cargo is not found: install Rust"),
        ("python/client", "python3 is not found: install Python 3.11 or later"),
        ("typescript/client", "node is not found: install Node.js 18.18 or later"),
        ("go/client", "go is not found: install Go 1.24 or later"),
        ("cpp/client", "cmake is not found: install C++17, CMake and Cap'n Proto"),
        ("java/client", "javac is not found: install a JDK 17 or later, and Maven"),
    ] {
        let mut command = Command::new(folder.path().join("ahoy").join(script));
        command.arg("build").env("PATH", &bin).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(LONG, command.output()).await.expect("it hangs").unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.starts_with(hint), "{script}: {said}");
    }
}

#[tokio::test]
async fn a_project_has_the_clients_that_were_asked_for_and_a_schema_id_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(new(&folder, "one").await.0, Some(0));
    assert_eq!(new(&folder, "two --lang python").await.0, Some(0));
    let has = |file: &str| folder.path().join(file).exists();
    assert!(has("one/rust/src/bin/client.rs") && has("one/rust/client") && !has("one/python"));
    assert!(!has("two/rust/src/bin/client.rs") && has("two/rust/src/bin/server.rs") && has("two/python/client.py"));
    assert!(!has("two/rust/client") && !has("two/go") && !has("two/from"));

    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    let (one, two) = (read("one/schema/greeter.capnp"), read("two/schema/greeter.capnp"));
    assert_ne!(one.lines().next(), two.lines().next());
    assert_eq!(one.lines().skip(1).collect::<Vec<_>>(), two.lines().skip(1).collect::<Vec<_>>());
    assert!(read("one/rust/Cargo.toml").contains("name = \"one\""));
    assert!(read("one/rust/Cargo.toml").contains("shipmate = { version = \"0.1\""));
}

#[tokio::test]
async fn what_cannot_be_made_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("here")).unwrap();
    for (arguments, code, hint) in [
        ("here", 1, "here is there already"),
        ("Ahoy", 2, "\"Ahoy\" cannot be a project's name"),
        ("shipmate", 2, "is no library's"),
        ("..", 2, "\"\" cannot be a project's name"),
        ("ahoy --from here", 1, "is no copy of Shipmate's repository"),
        ("ahoy --lang cobol", 2, "[possible values: rust, python, typescript, go, cpp, java]"),
    ] {
        let (ended, said) = new(&folder, arguments).await;
        assert!(ended == Some(code) && said.contains(hint), "{arguments}: {said}");
        assert!(!folder.path().join("ahoy").exists(), "{arguments}");
    }
}
