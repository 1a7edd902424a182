//! Every feature that a client in any language must have, tried by `shipmate conformance`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::harness::{Shipmated, Transport};

on_every_transport! { every_step, a_server_of_something_else }

/// With a real restart in the end.
async fn every_step(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("--listen={}=conformance", transport(folder.path()));
    let mut server = Shipmated::run(folder, &[&listen]);
    let mut client = conformance(&server, &["--restart"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "restart now" {
            server.kill();
            server.restart();
            stdin.write_all(b"done\n").await.unwrap();
        } else {
            said.push(line);
        }
    }
    assert!(client.wait().await.unwrap().success(), "{said:#?}");
    assert!(said.iter().all(|line| line.starts_with("ok ")), "{said:#?}");
    assert_eq!((said.len(), said.last().map(String::as_str)), (24, Some("ok restart")));
}

/// A client that cannot fail a step proves nothing.
async fn a_server_of_something_else(transport: Transport) {
    let server = Shipmated::start(transport);
    let output = conformance(&server, &[]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().all(|line| line.starts_with("FAILED ") && line.contains(": ")), "{said}");
    assert_eq!(said.lines().count(), 23);
}

#[test]
fn nobody_there() {
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_shipmate"))
        .args(["conformance", "unix:/nobody/here"])
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(2));
}

fn conformance(server: &Shipmated, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shipmate"));
    command.arg("conformance").arg(server.address().to_string()).args(options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
