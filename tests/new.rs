//! `shipmate new` as a user has it: a project that is made, built, run and tested.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// A limit for what hangs; a first build of a project is the longest.
const LONG: Duration = Duration::from_secs(300);

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs a program in a folder, and gives its exit code and all that it says.
async fn run(folder: &TempDir, program: impl AsRef<Path>, arguments: &str) -> (Option<i32>, String) {
    let mut command = Command::new(program.as_ref());
    command.args(arguments.split_whitespace()).current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    // With the libraries that are here already, each built once for all tests.
    command.env("CARGO_NET_OFFLINE", "true");
    command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects"));
    command.env("PYTHON", python());
    let output = timeout(LONG, command.output()).await.expect("it hangs").unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

async fn new(folder: &TempDir, arguments: &str) -> (Option<i32>, String) {
    run(folder, env!("CARGO_BIN_EXE_shipmate"), &format!("new {arguments}")).await
}

fn python() -> PathBuf {
    Path::new(ROOT).join("client/python/.venv/bin/python")
}

#[tokio::test]
async fn a_project_runs_and_its_tests_pass() {
    let folder = tempfile::tempdir().unwrap();
    let languages = if python().exists() { "rust,python" } else { "rust" };
    if languages == "rust" {
        eprintln!("not tried: Python with pycapnp: run client/python/check");
    }
    let made = new(&folder, &format!("ahoy-there --lang {languages} --from {ROOT}")).await;
    assert_eq!(made, (Some(0), "made ahoy-there; next: ahoy-there/run, and ahoy-there/test\n".to_owned()));
    let project = folder.path().join("ahoy-there");
    std::fs::copy(Path::new(ROOT).join("Cargo.lock"), project.join("rust/Cargo.lock")).unwrap();

    let (code, said) = run(&folder, project.join("run"), "").await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("server: listening at unix:") && said.contains("\nHello, Rust!\n"), "{said}");
    assert_eq!(said.contains("\nHello, Python!\n"), python().exists(), "{said}");
    // The server has ended, and its folder is gone.
    let socket = said.lines().next().unwrap().rsplit_once("unix:").unwrap().1;
    assert!(!Path::new(socket).parent().unwrap().exists());

    let (code, said) = run(&folder, project.join("test"), "").await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    assert_eq!(said.contains("\nRan 1 test in "), python().exists(), "{said}");

    // They are green because the server does what they ask for.
    let server = project.join("rust/src/bin/server.rs");
    let text = std::fs::read_to_string(&server).unwrap();
    assert!(text.contains("Hello, {name}!"));
    std::fs::write(&server, text.replace("Hello, {name}!", "Goodbye, {name}!")).unwrap();
    let (code, said) = run(&folder, project.join("test"), "").await;
    assert!(code != Some(0) && said.contains("Goodbye, Ada!"), "{said}");

    // What the tool says of the schema is seen.
    std::fs::write(project.join("schema/greeter.capnp"), "@0xa1d2c3b4a5960001;\nstruct Bad { x @0 :Strnig; }").unwrap();
    let (code, said) = run(&folder, project.join("run"), "").await;
    assert!(code != Some(0) && said.contains("greeter.capnp:2:20-26: error: Not defined: Strnig"), "{said}");
}

#[tokio::test]
async fn a_project_has_the_clients_that_were_asked_for_and_a_schema_id_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(new(&folder, "one").await.0, Some(0));
    assert_eq!(new(&folder, "two --lang python").await.0, Some(0));
    let has = |file: &str| folder.path().join(file).exists();
    assert!(has("one/rust/src/bin/client.rs") && !has("one/python"));
    assert!(!has("two/rust/src/bin/client.rs") && has("two/rust/src/bin/server.rs") && has("two/python/client.py"));

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
        ("ahoy --lang cobol", 2, "[possible values: rust, python]"),
    ] {
        let (ended, said) = new(&folder, arguments).await;
        assert!(ended == Some(code) && said.contains(hint), "{arguments}: {said}");
        assert!(!folder.path().join("ahoy").exists(), "{arguments}");
    }
}
