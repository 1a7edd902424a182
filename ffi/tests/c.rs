//! The library as a programmer in C has it: installed, found by pkg-config, and used against real servers.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// How a transport's address is written, for who has this folder to itself.
type Transport = fn(&Path) -> String;

macro_rules! on_every_transport {
    ($($step:ident),+ $(,)?) => {
        $(on_every_transport!(@ $step: tcp unix unix_abstract pipe shm auto);)+
    };
    (@ $step:ident: $($transport:ident)+) => {
        mod $step {
            $(
                #[test]
                fn $transport() {
                    super::$step(super::$transport);
                }
            )+
        }
    };
}

fn tcp(_: &Path) -> String {
    "tcp:127.0.0.1:0".into()
}

fn unix(folder: &Path) -> String {
    format!("unix:{}/socket", folder.display())
}

fn unix_abstract(folder: &Path) -> String {
    format!("unix:@{}", folder.display())
}

fn pipe(folder: &Path) -> String {
    format!("pipe:{}/pipe", folder.display())
}

fn shm(folder: &Path) -> String {
    format!("shm:{}/shm", folder.display())
}

fn auto(folder: &Path) -> String {
    format!("auto:{}/auto", folder.display())
}

on_every_transport! {
    a_thousand_connections_leave_nothing_behind,
    every_step_of_conformance_through_the_library,
    a_server_that_is_killed,
    messages_to_the_command_line,
    messages_from_the_command_line,
    messages_between_two_programs_in_c,
    a_fork,
}

fn a_thousand_connections_leave_nothing_behind(transport: Transport) {
    let server = Server::start(transport, "arith");
    succeed(program("connect").arg(&server.address));
}

/// A program in C carries all that `shipmate conformance` says and hears.
fn every_step_of_conformance_through_the_library(transport: Transport) {
    let server = Server::start(transport, "conformance");
    let socket = server.folder.path().join("proxy");
    let mut proxy = Process::start(program("proxy").arg(&socket).arg(&server.address));
    assert_eq!(proxy.line(), "ready");
    let output = succeed(built("shipmate").arg("conformance").arg(format!("unix:{}", socket.display())));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().count() > 20 && said.lines().all(|line| line.starts_with("ok ")), "{said}");
}

fn a_server_that_is_killed(transport: Transport) {
    let mut server = Server::start(transport, "arith");
    let mut client = Process::start(program("end").arg(&server.address));
    assert_eq!(client.line(), "connected");
    server.process.kill();
    assert!(client.child.wait().unwrap().success());
}

/// Records as the command line writes them, a small one and one of many readings.
fn records() -> String {
    let values = vec!["0.25"; 3000].join(",");
    let small = r#"{"name":"depth","value":42,"tags":["sea","north"]}"#;
    let large = format!(r#"{{"name":"wind","value":-1,"readings":[{{"sensor":"mast","values":[{values}]}}]}}"#);
    (0..50).map(|n| if n % 7 == 3 { format!("{large}\n") } else { format!("{small}\n") }).collect()
}

/// The same in Cap'n Proto's stream framing, with segments of this many words, or one for each message.
fn frames(segment_words: Option<u32>) -> Vec<u8> {
    let schema = root().join("schema/record.capnp");
    let option = segment_words.map(|words| format!("--segment-size={words}"));
    let mut convert = Command::new("capnp");
    convert.args(["convert", "json:binary"]).args(option).arg(schema).arg("Record");
    succeed_with(&mut convert, records().as_bytes()).stdout
}

/// Whether these are the records, as the `capnp` tool reads them. To it an empty list is not a missing one.
fn are_the_records(received: &[u8]) -> bool {
    let decode = |frames: &[u8]| {
        let schema = root().join("schema/record.capnp");
        let mut convert = Command::new("capnp");
        let output = succeed_with(convert.args(["convert", "binary:text"]).arg(schema).arg("Record"), frames);
        String::from_utf8(output.stdout).unwrap().replace("  readings = [],\n", "").replace("  tags = [],\n", "")
    };
    decode(received) == decode(&frames(None))
}

fn messages_to_the_command_line(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let address = transport(folder.path());
    for segment_words in [None, Some(64)] {
        let mut receiver = Process::start(built("shipmate").args(["recv", &address]));
        let to = receiver.listening_at(&address);
        let sender = in_background(program("messages").args(["send", &to]), frames(segment_words));
        let received = String::from_utf8(receiver.output()).unwrap();
        sender.join().unwrap();
        let names = |records: &str| -> Vec<String> {
            records.lines().map(|line| line.split('"').nth(3).unwrap().to_owned()).collect()
        };
        assert_eq!(received.lines().count(), 50);
        assert_eq!(names(&received), names(&records()));
        assert_eq!(received.matches("0.25").count(), records().matches("0.25").count());
    }
}

fn messages_from_the_command_line(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let address = transport(folder.path());
    let mut receiver = Process::start(program("messages").args(["recv", &address]));
    let to = receiver.listening_at(&address);
    let sender = in_background(built("shipmate").args(["send", &to]), records().into_bytes());
    assert!(are_the_records(&receiver.output()));
    sender.join().unwrap();
}

fn messages_between_two_programs_in_c(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let address = transport(folder.path());
    for segment_words in [None, Some(64)] {
        let mut receiver = Process::start(program("messages").args(["recv", &address]));
        let to = receiver.listening_at(&address);
        let sender = in_background(program("messages").args(["send", &to]), frames(segment_words));
        assert!(are_the_records(&receiver.output()));
        sender.join().unwrap();
    }
}

fn a_fork(transport: Transport) {
    let server = Server::start(transport, "arith");
    let folder = tempfile::tempdir().unwrap();
    let address = transport(folder.path());
    let mut receiver = Process::start(program("messages").args(["recv", &address]));
    let to = receiver.listening_at(&address);
    succeed(program("forked").arg(&server.address).arg(to));
    // One message, a null root, of the parent alone.
    assert_eq!(receiver.output(), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// Two programs that share memory, one that sends from it and one that receives in it.
struct Sharing {
    receiver: Process,
    sender: Process,
    _folder: TempDir,
}

impl Sharing {
    fn start(tiers: [&str; 2], bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = shm(folder.path());
        let mut receiver = Process::start_with_input(program("in_place").args(["recv", &address, tiers[0]]));
        assert_eq!(receiver.line(), "listening");
        let send = ["send", &address, tiers[1], &bytes.to_string()];
        let mut sender = Process::start_with_input(program("in_place").args(send));
        assert_eq!(sender.line(), "connected");
        Sharing { receiver, sender, _folder: folder }
    }

    /// Where the sender builds a message, and where the receiver sees it: kind and address.
    fn pass(&mut self) -> [(String, String); 2] {
        self.sender.tell();
        [&mut self.sender, &mut self.receiver].map(|process| {
            let line = process.line();
            let (kind, address) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            (kind.to_owned(), address.to_owned())
        })
    }
}

/// What is lent lies in shared memory; where it is received, the weaker of the two tiers says.
#[test]
fn a_message_is_received_where_the_tier_says() {
    let (mine, copied, theirs, sealed) = ("memfd rw-s", "private", "memfd r--s", "memfd r--p");
    for (tiers, bytes, built, received) in [
        (["trusted", "trusted"], 1 << 20, mine, theirs),
        (["trusted", "trusted"], 32 << 10, mine, theirs),
        (["trusted", "trusted"], 1 << 10, copied, copied),
        (["copy", "trusted"], 1 << 20, mine, copied),
        (["trusted", "copy"], 1 << 20, mine, copied),
        (["sealed", "trusted"], 4 << 20, mine, sealed),
        (["sealed", "sealed"], 1 << 20, mine, copied),
    ] {
        let mut sharing = Sharing::start(tiers, bytes);
        for _ in 0..3 {
            let [from, to] = sharing.pass();
            assert_eq!((from.0.as_str(), to.0.as_str()), (built, received), "{tiers:?}, {bytes} bytes");
            sharing.receiver.tell();
            assert_eq!(sharing.receiver.line(), "returned");
        }
        sharing.sender.hang_up();
        assert_eq!(sharing.receiver.line(), "end after 3");
    }
}

/// What was returned is lent again: on both sides few addresses are seen, where each message held would have
/// its own. (A blob that is idle for long, on a machine that is busy, may be replaced.)
#[test]
fn what_is_returned_is_lent_again() {
    let mut sharing = Sharing::start(["trusted", "trusted"], 1 << 20);
    let mut seen = [HashSet::new(), HashSet::new()];
    for _ in 0..50 {
        for (seen, (_, address)) in seen.iter_mut().zip(sharing.pass()) {
            seen.insert(address);
        }
        sharing.receiver.tell();
        assert_eq!(sharing.receiver.line(), "returned");
    }
    assert!(seen.iter().all(|seen| seen.len() < 10), "{seen:?}");
}

#[test]
fn a_message_outlives_a_sender_that_is_killed() {
    for tier in ["trusted", "sealed", "copy"] {
        let mut sharing = Sharing::start([tier, tier], 4 << 20);
        sharing.pass();
        sharing.receiver.hang_up();
        sharing.pass();
        sharing.sender.kill();
        assert_eq!(sharing.receiver.line(), "end after 2");
        assert!(sharing.receiver.child.wait().unwrap().success());
    }
}

#[test]
fn a_loan_outlives_a_receiver_that_is_killed() {
    for tier in ["trusted", "sealed", "copy"] {
        let mut sharing = Sharing::start([tier, tier], 4 << 20);
        sharing.pass();
        sharing.receiver.kill();
        // It is told of the end, sooner or later; a loan can be written in any case.
        loop {
            sharing.sender.tell();
            let line = sharing.sender.line();
            if line == "disconnected" {
                break;
            }
            assert!(line.starts_with("memfd rw-s") || line.starts_with("private"), "{line}");
        }
        assert!(sharing.sender.child.wait().unwrap().success());
    }
}

#[test]
fn one_publisher_and_many_subscribers() {
    let folder = tempfile::tempdir().unwrap();
    succeed(program("publish").arg(shm(folder.path())));
}

#[test]
fn misuse() {
    let folder = tempfile::tempdir().unwrap();
    succeed(program("misuse").arg(folder.path()));
}

/// The library's thread ends with the process, and used to take along what it had not carried yet.
#[test]
fn what_was_written_before_exit_arrives() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let mut client = Process::start(program("exit").arg(address));
    let mut received = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
    assert!(client.child.wait().unwrap().success());
    assert!(received.len() == 4 << 20 && received.iter().all(|&byte| byte == b'x'), "{} bytes", received.len());
}

#[test]
fn a_program_that_is_linked_statically() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("misuse");
    let archive = installed().path().join("lib/libshipmate.a");
    let flags = pkg_config(&["--cflags"]);
    let private = pkg_config(&["--static", "--libs-only-l"]);
    let libraries = private.iter().filter(|flag| *flag != "-lshipmate");
    succeed(compiler("cc").arg(source("misuse")).args(flags).arg(archive).args(libraries).arg("-o").arg(&program));
    succeed(Command::new(program).arg(folder.path()));
}

/// A header of C++ and of older C is one too.
#[test]
fn the_header_compiles_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let text = "#include <shipmate.h>\nint main(void) {\n  struct shipmate_options options = SHIPMATE_OPTIONS_INIT;\n  \
                return shipmate_connect(\"\", &options, NULL) == -1 ? 0 : 1;\n}\n";
    for (compiler, standard, file) in [
        ("cc", "-std=c99", "a.c"),
        ("cc", "-std=c11", "b.c"),
        ("c++", "-std=c++11", "c.cpp"),
        ("c++", "-std=c++17", "d.cpp"),
    ] {
        let source = folder.path().join(file);
        fs::write(&source, text).unwrap();
        let mut command = Command::new(compiler);
        command.args([standard, "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"]);
        let program = source.with_extension("out");
        succeed(command.arg(source).args(pkg_config(&["--cflags", "--libs"])).arg("-o").arg(&program));
        succeed(Command::new(program).env("LD_LIBRARY_PATH", installed().path().join("lib")));
    }
}

/// What the header declares is what the library exports, no more and no less.
#[test]
fn the_header_declares_what_the_library_exports() {
    let header = fs::read_to_string(root().join("ffi/include/shipmate.h")).unwrap();
    let mut declared: Vec<&str> = header
        .lines()
        .filter(|line| !line.trim_start().starts_with(['*', '/', ' ', '#']))
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("shipmate_"))
        .collect();
    declared.sort_unstable();
    let library = installed().path().join("lib/libshipmate.so");
    let symbols = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(library)).stdout;
    let symbols = String::from_utf8(symbols).unwrap();
    let mut exported: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    exported.sort_unstable();
    assert_eq!(declared, exported);
}

/// `shipmated` in a folder of its own. It is killed when dropped.
struct Server {
    process: Process,
    address: String,
    folder: TempDir,
}

impl Server {
    fn start(transport: Transport, service: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = format!("--listen={}={service}", transport(folder.path()));
        let mut process = Process::start(built("shipmated").args([&listen, "--log-level=error"]));
        let address = process.line().split(' ').nth(3).unwrap().to_owned();
        assert_eq!(process.line(), "shipmated: ready");
        Server { process, address, folder }
    }
}

/// A child, which is killed when dropped.
struct Process {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Process { child, stdout }
    }

    /// One that is [told](Self::tell) when to go on.
    fn start_with_input(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Process { child, stdout }
    }

    /// Lets it go on. It may have ended.
    fn tell(&mut self) {
        let _ = self.child.stdin.as_mut().unwrap().write_all(b"\n");
    }

    /// Ends its input.
    fn hang_up(&mut self) {
        self.child.stdin = None;
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Where a receiver listens; in a named pipe it says nothing, and its sender waits for it.
    fn listening_at(&mut self, address: &str) -> String {
        let mut stderr = BufReader::new(self.child.stderr.take().unwrap());
        let mut address = address.to_owned();
        if !address.starts_with("pipe:") {
            let mut line = String::new();
            stderr.read_line(&mut line).unwrap();
            address = line.trim_end().strip_prefix("shipmate: listening at ").expect(&line).to_owned();
        }
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::stderr()));
        address
    }

    /// All that it prints until it ends, which must be with success.
    fn output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        self.stdout.read_to_end(&mut output).unwrap();
        assert!(self.child.wait().unwrap().success());
        output
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command that must succeed, with this standard input, while something else is done.
fn in_background(command: &mut Command, stdin: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut command = std::mem::replace(command, Command::new(""));
    std::thread::spawn(move || drop(succeed_with(&mut command, &stdin)))
}

/// Runs a command that must succeed.
fn succeed(command: &mut Command) -> Output {
    succeed_with(command, &[])
}

/// Runs a command that must succeed, with this standard input.
fn succeed_with(command: &mut Command, stdin: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut to = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // On a thread of its own: it may print before it has read all.
    let writing = std::thread::spawn(move || to.write_all(&stdin));
    let output = child.wait_with_output().unwrap();
    let _ = writing.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}\n{said}", output.status);
    output
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn source(program: &str) -> PathBuf {
    root().join("ffi/tests/programs").join(program).with_extension("c")
}

/// One of this project's programs, built once.
fn built(program: &str) -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        succeed(Command::new(env!("CARGO")).args(["build", "--package=shipmate", "--bins"]).current_dir(root()));
        // This test lies in `deps`, beside them.
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
    });
    Command::new(folder.join(program))
}

/// Where the library is installed, once for all tests.
fn installed() -> &'static TempDir {
    static INSTALLED: OnceLock<TempDir> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        succeed(Command::new(root().join("ffi/install")).arg(folder.path()).env("PROFILE", "dev"));
        folder
    })
}

fn pkg_config(options: &[&str]) -> Vec<String> {
    let folder = installed().path().join("lib/pkgconfig");
    let output = succeed(Command::new("pkg-config").args(options).arg("shipmate").env("PKG_CONFIG_PATH", folder));
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

fn compiler(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.args(["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    command
}

/// A program of `tests/programs`, compiled once.
fn program(name: &'static str) -> Command {
    static PROGRAMS: OnceLock<TempDir> = OnceLock::new();
    let folder = PROGRAMS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["connect", "end", "exit", "forked", "in_place", "messages", "misuse", "proxy", "publish"] {
            let flags = pkg_config(&["--cflags", "--libs"]);
            succeed(compiler("cc").arg(source(name)).args(flags).arg("-o").arg(folder.path().join(name)));
        }
        folder
    });
    let mut command = Command::new(folder.path().join(name));
    command.env("LD_LIBRARY_PATH", installed().path().join("lib"));
    command
}
