//! What is left behind after a kill at any step, with real processes: [`child`] is started again from this
//! test binary, goes as far as it is told, and waits to be killed.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::*;

/// The steps of the two sides at which [`child`] can be killed.
const CLIENT_STEPS: [&str; 8] =
    ["folder", "locked", "one fifo", "fifos", "opened", "announced", "announced in part", "connected"];
const SERVER_STEPS: [&str; 2] = ["listening", "half answered"];

/// Not a test: started by the tests as a process to kill.
#[tokio::test]
#[ignore = "is started by other tests"]
async fn child() {
    let Ok(step) = std::env::var("SHIPMATE_TEST_STEP") else { return };
    let path = PathBuf::from(std::env::var_os("SHIPMATE_TEST_PATH").unwrap());
    let wait = || {
        println!("\nreached");
        // Ends with the test that started it.
        let _ = std::io::stdin().read(&mut [0; 1]);
    };
    if SERVER_STEPS.contains(&step.as_str()) {
        return stop_as_server(&step, &path, wait).await;
    }
    let rendezvous = Rendezvous::open(&path).unwrap();
    let place = &rendezvous.place;
    if step == "folder" {
        fs::create_dir(path.with_file_name(place.client_folder(&Id::new().unwrap()))).unwrap();
        return wait();
    }
    if step == "connected" {
        let _stream = connect(&path).await.unwrap();
        return wait();
    }
    let folder = Folder::claim(place).unwrap();
    if step == "one fifo" {
        let to_server = path.with_file_name(place.client_folder(&folder.id)).join(TO_SERVER);
        let _fifo = fifo::make(&to_server, 0o600).unwrap();
        return wait();
    }
    if step == "locked" {
        return wait();
    }
    folder.make_fifos().unwrap();
    let _ends = (step != "fifos").then(|| folder.open().unwrap());
    match step.as_str() {
        "announced" => rendezvous.announce(&folder.id).await.unwrap(),
        "announced in part" => {
            fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(b"\nSHIPMATE-PIPE 1 47").unwrap();
        }
        step => assert!(["fifos", "opened"].contains(&step)),
    }
    wait();
}

async fn stop_as_server(step: &str, path: &Path, wait: impl Fn()) {
    let _listener = listen(path, &ListenOptions::default()).unwrap();
    if step == "half answered" {
        println!("\nlistening");
        // Opens a client's FIFOs and removes one, as the server does before it answers.
        let place = Place::of(path).unwrap();
        let folder = loop {
            let names = fs::read_dir(&place.folder_path).unwrap().map(|entry| entry.unwrap().path());
            let folder = names.into_iter().find(|path| path.is_dir());
            if let Some(folder) = folder.filter(|folder| fifo::open(&folder.join(TO_CLIENT), fifo::WRITE).is_ok()) {
                break folder;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let _ends = (fifo::open(&folder.join(TO_SERVER), fifo::READ), fifo::open(&folder.join(TO_CLIENT), fifo::WRITE));
        fs::remove_file(folder.join(TO_SERVER)).unwrap();
        return wait();
    }
    wait();
}

async fn start_child(step: &str, path: &Path, line: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "transport::pipe::tests::killed::child", "--ignored", "--nocapture"])
        .env("SHIPMATE_TEST_STEP", step)
        .env("SHIPMATE_TEST_PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    while within(lines.next_line()).await.unwrap().expect("the child ended") != line {}
    child
}

#[tokio::test]
async fn the_server_removes_what_clients_killed_at_any_step_leave() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let mut children = Vec::new();
    for step in CLIENT_STEPS {
        let start = start_child(step, &scene.path, "reached");
        if step == "connected" {
            let (child, mut stream) = tokio::join!(start, accept(&mut listener));
            let mut child = child;
            child.kill().await.unwrap();
            ends(&mut stream).await;
        } else {
            children.push(start.await);
        }
    }
    for child in &mut children {
        child.kill().await.unwrap();
    }
    // Another client is served all the while, and nothing but this is needed for the rest to go.
    let (mut client, mut server) = pair(&mut listener, &scene.path).await;
    echo(&mut client, &mut server).await;
    scene.only(&["a chat"]).await;
    assert!(listener.accept().now_or_never().is_none(), "a dead client was answered");
}

#[tokio::test]
async fn the_next_server_removes_what_the_dead_left() {
    let scene = scene();
    let mut server = start_child("listening", &scene.path, "reached").await;
    let mut client = start_child("opened", &scene.path, "reached").await;
    fs::create_dir(scene.folder.path().join("a chat.d")).unwrap();
    client.kill().await.unwrap();
    server.kill().await.unwrap();
    assert_eq!(scene.names().len(), 3);
    let listener = scene.listen().unwrap();
    within(until(async || scene.names().len() == 2)).await;
    drop(listener);
    assert_eq!(scene.names(), ["a chat.d"]);
}

#[tokio::test]
async fn a_client_removes_what_a_killed_server_leaves() {
    for (step, line) in [("listening", "reached"), ("half answered", "listening")] {
        let scene = scene();
        let mut server = start_child(step, &scene.path, line).await;
        let path = scene.path.clone();
        let client = tokio::spawn(async move { connect(&path).await });
        match step {
            "listening" => within(until(async || scene.names().len() == 2)).await,
            // Its next line says that it has the client's FIFOs open.
            _ => {
                let mut lines = BufReader::new(server.stdout.as_mut().unwrap()).lines();
                while within(lines.next_line()).await.unwrap().expect("the child ended") != "reached" {}
            }
        }
        server.kill().await.unwrap();
        assert!(unreachable(within(client).await.unwrap()).contains("the server ended"));
        assert_eq!(scene.names(), [""; 0], "{step}");
    }
}
