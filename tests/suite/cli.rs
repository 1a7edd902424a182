//! `shipmate`, the program, as a person uses it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::harness::{self, Shipmated};

fn shipmate(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shipmate"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What it prints, when it succeeds.
fn answer(arguments: &[&str]) -> String {
    let output = shipmate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Its exit code and what it says is wrong.
fn failure(arguments: &[&str]) -> (i32, String) {
    let output = shipmate(arguments);
    (output.status.code().unwrap(), text(&output.stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_demonstration_succeeds_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(&["demo"]).env("TMPDIR", folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for transport in ["tcp:", "unix:", "pipe:", "shm:"] {
        assert!(table.contains(transport), "{table}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "the demonstration left files");
}

#[test]
fn a_demonstration_without_a_server_says_how_to_get_one() {
    let (code, error) = failure(&["demo", "--server", "/nonexistent/shipmated"]);
    assert_eq!(code, 1);
    assert!(error.contains("cargo build --bins"), "{error}");
}

#[test]
fn arithmetic_at_a_front_door_and_at_a_listener_of_its_own() {
    let door = Shipmated::start(harness::unix);
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("{}=arith", harness::unix(folder.path()));
    let own = Shipmated::run(folder, &["--listen", &listen]);
    for server in [&door, &own] {
        let at = server.address().to_string();
        assert_eq!(answer(&["arith", "multiply", "-6", "7", "--at", &at]), "-42\n");
        assert_eq!(answer(&["arith", "divide", "-7", "2", "--at", &at]), "-3 -1\n");
        let (code, error) = failure(&["arith", "divide", "1", "0", "--at", &at]);
        assert_eq!((code, error.trim()), (1, "shipmate: division by zero"));
        let (code, error) = failure(&["arith", "multiply", "9223372036854775807", "2", "--at", &at]);
        assert_eq!(code, 1);
        assert!(error.contains("overflow"), "{error}");
    }
    let (code, error) = failure(&["calc", &own.address().to_string(), "1"]);
    assert_eq!(code, 1);
    assert!(error.contains("unimplemented"), "{error}");
}

#[test]
fn a_calculation_with_definitions_and_a_callback() {
    let server = Shipmated::start(harness::unix);
    let at = server.address().to_string();
    assert_eq!(answer(&["calc", &at, "2 * (3 + 4) / 7"]), "2\n");
    assert_eq!(answer(&["calc", &at, "-d", "f(x, y) = x * y + 1", "-d", "g(x) = f(x, x)", "-g(pow(2, 3))"]), "-65\n");
    let (code, error) = failure(&["calc", &at, "h(1)"]);
    assert_eq!(code, 1);
    assert!(error.contains("--define 'h(…)"), "{error}");
}

#[test]
fn a_server_is_pinged_and_described() {
    let server = Shipmated::start(harness::unix);
    let at = server.address().to_string();
    let pinged = answer(&["ping", &at, "--count", "3", "--interval", "0", "--size", "100000"]);
    assert_eq!(pinged.lines().filter(|line| line.contains("100000 bytes from")).count(), 3, "{pinged}");
    let info: serde_json::Value = serde_json::from_str(&answer(&["info", &at, "--json"])).unwrap();
    assert_eq!(info["limits"]["segments_max"], 512);
    let services: Vec<_> = info["services"].as_array().unwrap().iter().map(|service| &service["name"]).collect();
    assert_eq!(services, ["arith", "calculator", "mailbox", "shipmate"]);
}

#[test]
fn a_wrong_address_is_a_wrong_use_and_a_dead_one_is_a_failure() {
    let (code, error) = failure(&["ping", "http://ship"]);
    assert_eq!(code, 2);
    assert!(error.contains("tcp:HOST:PORT"), "{error}");
    let (code, error) = failure(&["ping", "unix:/nonexistent/ship"]);
    assert_eq!(code, 1);
    assert!(error.contains("start the server"), "{error}");
}

/// The reader and the writer of a named pipe, the guide's third program, and the same over a socket.
#[test]
fn records_go_from_one_process_to_another() {
    for transport in [harness::pipe, harness::unix, harness::shm] {
        let folder = tempfile::tempdir().unwrap();
        let address = transport(folder.path());
        let mut receiver = command(&["recv", &address]);
        let mut receiver = receiver.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It says so once it listens.
        let mut said = std::io::BufReader::new(receiver.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut said, &mut String::new()).unwrap();

        let mut sender = command(&["send", &address]);
        let mut sender = sender.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = "{\"name\":\"depth\",\"value\":42}\n{\"value\":-1,\"body\":{\"bytes\":\"AAEC\"}}\n";
        sender.stdin.take().unwrap().write_all(format!("{lines}{{\"vale\":1}}\n").as_bytes()).unwrap();
        let sent = sender.wait_with_output().unwrap();
        let received = receiver.wait_with_output().unwrap();

        assert_eq!(sent.status.code(), Some(1));
        assert!(text(&sent.stderr).contains("line 3: unknown field `vale`"), "{}", text(&sent.stderr));
        assert!(received.status.success());
        assert_eq!(text(&received.stdout), lines, "{address}");
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "{address} left files");
    }
}

#[test]
fn completions_and_manual_pages() {
    assert!(answer(&["completions", "bash"]).contains("_shipmate()"));
    assert!(answer(&["man"]).contains(".TH shipmate"));
    let folder = tempfile::tempdir().unwrap();
    answer(&["man", "--out", folder.path().to_str().unwrap()]);
    for page in ["shipmate.1", "shipmate-demo.1", "shipmate-recv.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}

#[test]
fn an_interrupt_ends_it_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let address = harness::pipe(folder.path());
    let mut receiver = command(&["recv", &address]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(receiver.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut String::new()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&receiver), rustix::process::Signal::INT).unwrap();
    assert_eq!(receiver.wait().unwrap().code(), Some(130));
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "it left its FIFO");
}
