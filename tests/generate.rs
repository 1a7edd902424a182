//! `shipmate generate` as a user has it: plain schemas in, and what each language makes of the result.

mod languages;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use languages::{Clients, not_tried, on_path};

/// A limit for what hangs; a first build of a crate is the longest.
const LONG: Duration = Duration::from_secs(300);

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Imports of every kind, a stream, an embedded file, and words that only look like imports.
const SCHEMAS: [(&str, &str); 4] = [
    (
        "schema/ship-log.capnp",
        r#"@0xa1d2c3b4a5960001;
# Not one: import "nowhere.capnp".
using Unit = import "units/unit.capnp".Unit;
using Port = import   # of another project
  "/harbour/port.capnp".Port;
const note :Text = "import \"nowhere.capnp\"";
const flag :Data = embed "units/flag.bin";
interface ShipLog {
  depth @0 (unit :Unit) -> (metres :Float64, nearest :Port);
  write @1 (line :Text) -> stream;
}
"#,
    ),
    (
        "schema/units/unit.capnp",
        "@0xa1d2c3b4a5960002;\nenum Unit { metre @0; fathom @1; }\nstruct Depth { unit @0 :Unit; }",
    ),
    ("schema/units/flag.bin", "\u{1}\u{2}\u{3}"),
    (
        "shared/harbour/port.capnp",
        "@0xa1d2c3b4a5960003;\nusing Cxx = import \"/capnp/c++.capnp\";\n$Cxx.namespace(\"harbour\");\nstruct Port { name @0 :Text; }\n",
    ),
];

/// A folder with schemas in it, where commands are run.
struct Project {
    folder: TempDir,
}

/// How a command ended, and what it said.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        files.iter().for_each(|(name, text)| project.write(name, text));
        project
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A program, which says `script` to a shell.
    fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(name, &format!("#!/bin/sh\nset -eu\n{script}\n"));
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, program: impl AsRef<OsStr>, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// `shipmate generate`, with none of the languages' generators that this machine may have.
    fn generate(&self, arguments: &str) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_shipmate"), &format!("generate {arguments}"));
        let bin = self.path("bin");
        std::fs::create_dir_all(&bin).unwrap();
        for program in ["capnp", "capnpc-c++", "sh", "cat", "cp", "dirname"] {
            let _ = std::os::unix::fs::symlink(on_path(program).unwrap(), bin.join(program));
        }
        command.env("PATH", bin).env("HOME", self.folder.path()).env_remove("SHIPMATE_JAVA_GENERATOR");
        command
    }

    async fn ok(&self, arguments: &str) -> String {
        let ended = end(self.generate(arguments)).await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments}");
        ended.out
    }

    async fn fails(&self, code: i32, arguments: &str) -> String {
        let ended = end(self.generate(arguments)).await;
        assert_eq!(ended.code, Some(code), "{arguments}: {}{}", ended.out, ended.err);
        ended.err
    }

    /// All files in a folder, by their paths in it.
    fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        fn visit(folder: &Path, root: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    visit(&path, root, files);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        visit(&self.path(folder), &self.path(folder), &mut files);
        files
    }

    fn names(&self, folder: &str) -> Vec<String> {
        self.files(folder).into_keys().filter(|name| name != ".shipmate-generated").collect()
    }
}

async fn end(mut command: Command) -> Ended {
    let output = timeout(LONG, command.output()).await.expect("it hangs").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs what must succeed, and gives what it prints.
async fn succeed(command: Command) -> String {
    let what = format!("{:?}", command.as_std());
    let ended = end(command).await;
    assert_eq!(ended.code, Some(0), "{what}: {}{}", ended.out, ended.err);
    ended.out
}

/// Runs what prepares the client in a language, in its folder.
async fn prepare(language: &str, script: &str) {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(Path::new(ROOT).join("client").join(language));
    succeed(command).await;
}

#[tokio::test]
async fn rust_modules_compile_with_their_imports_and_use_each_other() {
    let project = Project::new(&SCHEMAS);
    project.ok("-l rust -o src -I shared --rust-module api::wire schema/ship-log.capnp").await;
    assert_eq!(project.names("src/rust"), ["mod.rs", "port_capnp.rs", "ship_log_capnp.rs", "unit_capnp.rs"]);
    project.write(
        "src/lib.rs",
        r#"#![deny(warnings)]
        pub mod api;
        use api::wire::{port_capnp::port, ship_log_capnp::{FLAG, NOTE, ship_log}, unit_capnp::Unit};
        pub fn ask(log: &ship_log::Client) -> Unit { log.depth_request().get().set_unit(Unit::Fathom); Unit::Metre }
        pub fn name(port: port::Reader<'_>) -> bool { port.has_name() && NOTE.len() > 0 && FLAG.len() == 3 }"#,
    );
    project.write("src/api.rs", "#[path = \"rust/mod.rs\"] pub mod wire;");
    project.write(
        "Cargo.toml",
        "[package]\nname = \"log\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\ncapnp = \"0.27\"\n[workspace]\n",
    );
    // The versions that are here already.
    std::fs::copy(Path::new(ROOT).join("Cargo.lock"), project.path("Cargo.lock")).unwrap();
    let mut check = project.command(env!("CARGO"), "check --offline --quiet");
    check.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects"));
    succeed(check).await;
}

#[tokio::test]
async fn cpp_compiles_with_its_imports() {
    let project = Project::new(&SCHEMAS);
    let said = project.ok("--lang cpp --out made --import-path shared schema").await;
    assert_eq!(said, "cpp: 6 files in made/cpp; #include <port.capnp.h> with -I made/cpp\n");
    if on_path("g++").is_none() || !Path::new("/usr/include/capnp/message.h").exists() {
        return not_tried("g++ with Cap'n Proto's headers", "g++ libcapnp-dev");
    }
    project.write("main.c++", "#include <ship-log.capnp.h>\nharbour::Port::Reader port; ShipLog::Client *log;\n");
    succeed(project.command("g++", "-std=c++17 -fsyntax-only -I made/cpp main.c++ made/cpp/ship-log.capnp.c++")).await;
}

#[tokio::test]
async fn python_loads_the_package_with_its_imports_and_streams() {
    let project = Project::new(&SCHEMAS);
    project.ok("-l python -o made -I shared --python-package depth.wire schema").await;
    assert_eq!(
        project.names("made/python/depth/wire"),
        [
            "__init__.py",
            "capnp/c++.capnp",
            "capnp/stream.capnp",
            "embedded/ship-log/flag.bin",
            "port.capnp",
            "ship-log.capnp",
            "unit.capnp"
        ]
    );
    // What needs no change is as it was.
    assert_eq!(project.read("made/python/depth/wire/unit.capnp"), SCHEMAS[1].1);
    let Some(python) = python_with_pycapnp().await else {
        return not_tried("Python", "python3 python3-venv");
    };
    let program = "from depth.wire import port, ship_log, unit
assert ship_log.flag == b'\\x01\\x02\\x03' and ship_log.note == 'import \"nowhere.capnp\"'
assert ship_log.ShipLog.schema.methods['depth'].param_type.fields['unit'].proto.slot.type.enum.typeId == unit.Unit.schema.node.id
print(port.Port.new_message(name='Whitby').name)";
    let mut load = project.command(python, "-c");
    load.arg(program).env("PYTHONPATH", project.path("made/python"));
    assert_eq!(succeed(load).await, "Whitby\n");
}

/// The client's own, or one with pycapnp alone, as the client has it.
async fn python_with_pycapnp() -> Option<PathBuf> {
    let _alone = Clients::alone();
    let of_client = Path::new(ROOT).join("client/python/.venv");
    if of_client.join("installed").exists() {
        return Some(of_client.join("bin/python"));
    }
    on_path("python3")?;
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pycapnp");
    let pip = "install -q --disable-pip-version-check --no-deps --require-hashes -r";
    prepare(
        "python",
        &format!(
            "python3 -m venv {0}
            sed -n '/^pycapnp==/,/[^\\\\]$/p' requirements.lock > {0}/requirements
            {0}/bin/python -m pip {pip} {0}/requirements",
            own.display()
        ),
    )
    .await;
    Some(own.join("bin/python"))
}

#[tokio::test]
async fn go_gets_annotated_copies_and_the_command_that_does_the_rest() {
    let project = Project::new(&SCHEMAS);
    project.write("go.mod", "// Ours.\nmodule example.com/depth // and yours\n\ngo 1.24\n");
    let said = project.fails(1, "-l go -o made -I shared schema").await;
    assert_eq!(
        project.names("made/go"),
        [
            "include/capnp/c++.capnp",
            "include/capnp/stream.capnp",
            "include/go.capnp",
            "port/port.capnp",
            "shiplog/embedded/ship-log/flag.bin",
            "shiplog/ship-log.capnp",
            "unit/unit.capnp"
        ]
    );
    let copy = project.read("made/go/shiplog/ship-log.capnp");
    assert!(copy.contains(r#"import "../unit/unit.capnp".Unit"#), "{copy}");
    assert!(copy.contains(r#".package("shiplog");"#), "{copy}");
    assert!(copy.contains(r#".import("example.com/depth/made/go/shiplog");"#), "{copy}");
    assert!(said.contains("go install capnproto.org/go/capnp/v3/capnpc-go@latest"), "{said}");

    // The command that it names, with a generator that shows what it was given.
    project.program("bin/capnpc-go", "cat > request; for name in port ship unit; do echo ok > $name.made; done");
    let (_, command) = said.trim().split_once("or run capnp ").unwrap();
    let mut by_hand = project.command("capnp", command);
    by_hand.env("PATH", project.path("bin"));
    succeed(by_hand).await;
    assert!(std::fs::metadata(project.path("made/go/request")).unwrap().len() > 1000);
}

#[tokio::test]
async fn go_code_of_the_next_step_is_ours_and_one_package_may_have_all() {
    let project = Project::new(&SCHEMAS);
    let arguments = "-l go -o made -I shared --go-import-prefix example.com/log --go-package wire schema";
    project.fails(1, arguments).await;
    assert!(project.read("made/go/ship-log.capnp").contains(r#".import("example.com/log");"#));
    let made = "for name in port ship-log unit; do echo package wire > $name.capnp.go; done";
    project.program("bin/capnpc-go", &format!("cat > /dev/null; {made}"));
    // As if made by hand, and otherwise than the generator makes it.
    project.write("made/go/unit.capnp.go", "package older");
    let said = project.ok(arguments).await;
    assert!(said.ends_with("; import \"example.com/log\"\n"), "{said}");
    assert_eq!(project.read("made/go/unit.capnp.go"), "package wire\n");
}

#[tokio::test]
async fn go_packages_compile() {
    let module = Path::new(ROOT).join("client/go");
    let text = std::fs::read_to_string(module.join("go.mod")).unwrap();
    if on_path("go").is_none() {
        return not_tried("Go", "Go 1.24");
    }
    let project = Project::new(&SCHEMAS);
    let (_, rest) = text.split_once('\n').unwrap();
    project.write("go.mod", &format!("module example.com/depth\n{rest}"));
    std::fs::copy(module.join("go.sum"), project.path("go.sum")).unwrap();
    succeed(project.command(env!("CARGO_BIN_EXE_shipmate"), "generate -l go -o . -I shared schema")).await;
    succeed(project.command("go", "vet ./go/...")).await;
}

#[tokio::test]
async fn java_is_made_by_its_generator() {
    let project = Project::new(&SCHEMAS);
    let said = project.fails(1, "-l java -o made -I shared schema").await;
    assert!(said.contains("mvn install") && said.contains("SHIPMATE_JAVA_GENERATOR"), "{said}");
    assert!(!project.path("made/java").exists());

    let (Some(_), Some(java)) = (on_path("mvn"), on_path("java")) else {
        return not_tried("Java", "a JDK 17 and maven");
    };
    let _alone = Clients::alone();
    prepare("java", "mvn -B -q package --projects generator -DskipTests -Dspotless.check.skip").await;
    let target = Path::new(ROOT).join("client/java/generator/target");
    let jars = target.read_dir().into_iter().flatten().map(|entry| entry.unwrap().path());
    let jar = jars.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "jar")).unwrap();
    let mut generate = project.generate("-l java,python -o made -I shared --java-package org.depth schema");
    std::os::unix::fs::symlink(java, project.path("bin/java")).unwrap();
    generate.env("SHIPMATE_JAVA_GENERATOR", jar);
    succeed(generate).await;
    assert_eq!(
        project.names("made/java"),
        ["org/depth/PortSchema.java", "org/depth/ShipLogSchema.java", "org/depth/UnitSchema.java"]
    );
}

#[tokio::test]
async fn typescript_is_made_by_its_generator() {
    let project = Project::new(&SCHEMAS);
    let said = project.fails(1, "-l typescript -o made -I shared schema").await;
    assert!(said.contains("npm install shipmate"), "{said}");

    // It is found around DIR, and gets schemas that lie side by side.
    project.program(
        "node_modules/.bin/shipmate-generate",
        r#"test "$*" = "port.capnp ship-log.capnp unit.capnp --out $5"; for name in port ship-log unit; do
        cat $name.capnp > "$5/$name.ts"; done"#,
    );
    let said = project.ok("-l typescript -o made -I shared schema").await;
    assert_eq!(said, "typescript: 3 files in made/typescript; import … from \"made/typescript/port.js\"\n");
    assert!(project.read("made/typescript/ship-log.ts").contains(r#"import "unit.capnp".Unit"#));

    let (Some(node), Some(_)) = (on_path("node"), on_path("npm")) else {
        return not_tried("TypeScript", "Node.js 20 with npm");
    };
    let _alone = Clients::alone();
    prepare(
        "typescript",
        "cmp -s package-lock.json node_modules/.installed || npm ci --ignore-scripts --no-audit --no-fund
        cp package-lock.json node_modules/.installed
        npx --no-install tsc --build src",
    )
    .await;
    let real = Path::new(ROOT).join("client/typescript/dist/src/generate/main.js");
    let run = format!("exec {} {} \"$@\"", node.display(), real.display());
    project.program("node_modules/.bin/shipmate-generate", &run);
    project.ok("-l typescript -o made -I shared schema").await;
    assert!(project.read("made/typescript/ship-log.ts").contains("class ShipLog"));
}

#[tokio::test]
async fn the_same_schemas_give_the_same_bytes_in_any_order_and_from_any_folder() {
    let (one, other) = (Project::new(&SCHEMAS), Project::new(&SCHEMAS));
    one.ok("-l rust,cpp,python -o made -I shared schema/ship-log.capnp schema/units/unit.capnp").await;
    let made = format!("{}/made", other.folder.path().display());
    let there = other.folder.path().display();
    let arguments = format!("-l python -l cpp -l rust -o {made} -I {there}/shared {there}/schema/units {there}/schema");
    other.ok(&arguments).await;
    assert_eq!(one.files("made"), other.files("made"));
}

#[tokio::test]
async fn what_has_not_changed_is_not_touched_and_what_is_no_longer_made_goes() {
    let project = Project::new(&SCHEMAS);
    project.ok("-l rust -o made -I shared schema").await;
    let past = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let names = project.names("made/rust");
    for name in &names {
        let file = std::fs::File::options().write(true).open(project.path("made/rust").join(name)).unwrap();
        file.set_modified(past).unwrap();
    }
    project.write("schema/units/unit.capnp", "@0xa1d2c3b4a5960002;\nenum Unit { metre @0; fathom @1; foot @2; }");
    project.write("made/rust/notes.txt", "the user's");
    project.ok("-l rust -o made -I shared schema").await;
    let changed = |name: &&String| project.path("made/rust").join(name).metadata().unwrap().modified().unwrap() != past;
    assert_eq!(names.iter().filter(changed).collect::<Vec<_>>(), ["unit_capnp.rs"]);

    project.ok("-l rust -o made schema/units/unit.capnp").await;
    assert_eq!(project.names("made/rust"), ["mod.rs", "notes.txt", "unit_capnp.rs"]);
}

#[tokio::test]
async fn files_of_others_are_never_overwritten_nor_removed() {
    let project = Project::new(&SCHEMAS);
    project.write("made/rust/mod.rs", "// by hand");
    let said = project.fails(1, "-l rust,python -o made schema/units/unit.capnp").await;
    assert!(said.contains("made/rust/mod.rs is there and was not made by `shipmate generate`"), "{said}");
    assert_eq!(project.read("made/rust/mod.rs"), "// by hand");
    // Nothing is made when something is in the way.
    assert!(!project.path("made/python").exists());

    // A list that was tampered with reaches no further than the folder.
    project.write("precious", "the user's");
    project.write("list/rust/.shipmate-generated", "../../precious\n/precious\n");
    project.ok("-l rust -o list schema/units/unit.capnp").await;
    assert_eq!(project.read("precious"), "the user's");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place() {
    let project = Project::new(&SCHEMAS);
    project.write("schema/bad.capnp", "@0xa1d2c3b4a5960009;\nstruct Bad {\n  depth @0 :Flaot64;\n}\n");
    project.write("other/unit.capnp", "@0xa1d2c3b4a596000a;\nstruct Other {}");
    project.write("other/a-b.capnp", "@0xa1d2c3b4a596000b;\nstruct Other {}");
    project.write("other/a_b.capnp", "@0xa1d2c3b4a596000c;\nstruct Other {}");
    project.write("other/unit.txt", "");
    for (arguments, code, hint) in [
        ("-l rust -o made -I shared schema/bad.capnp", 1, "schema/bad.capnp:3:13-20: error: Not defined: Flaot64"),
        ("-l rust -o made schema/ship-log.capnp", 1, "schema/ship-log.capnp:5:"),
        ("-l rust -o made schema/units/unit.capnp other/unit.capnp", 1, "two schemas are called unit: "),
        ("-l rust -o made other/a-b.capnp other/a_b.capnp", 1, "would both be called a_b_capnp: rename one"),
        ("-l rust -o made other/unit.txt", 1, "other/unit.txt is no schema: a schema's file is called NAME.capnp"),
        ("-l rust -o made nowhere.capnp", 1, "nowhere.capnp: there is no such file"),
        ("-l rust -o made shared", 1, "shared has no .capnp file in it"),
        ("-l rust -o made -I nowhere schema/units", 1, "-I nowhere: there is no such folder"),
        ("-l rust -o made --rust-module 9 schema/units", 2, "--rust-module \"9\" is no name"),
        ("-l go -o made schema/units", 1, "go: no go.mod is in made/go or around it"),
        ("-l cobol -o made schema/units", 2, "[possible values: rust, cpp, python, go, java, typescript]"),
    ] {
        let said = project.fails(code, arguments).await;
        assert!(said.contains(hint) && !said.contains("panicked"), "{arguments}: {said}");
        assert!(!project.path("made").exists(), "{arguments}");
    }
    let mut without = project.generate("-l rust -o made schema/units");
    without.env("PATH", "/nowhere");
    let said = end(without).await.err;
    assert!(said.starts_with("shipmate: the `capnp` tool is not found: install it"), "{said}");
}
