//! What is left behind after a kill at any step, with real processes: [`child`] is started again from this
//! test binary, goes as far as it is told, and waits to be killed.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::*;

/// The steps of the two sides at which [`child`] can be killed, and `connected` besides.
const CLIENT_STEPS: [&str; 7] = ["folder", "locked", "one fifo", "fifos", "opened", "announced", "announced in part"];
const SERVER_STEPS: [&str; 3] = ["listening", "half answered", "accepted"];

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
    let mut listener = listen(path, &ListenOptions::default()).unwrap();
    println!("\nlistening");
    let _stream;
    let _ends;
    match step {
        "accepted" => _stream = accept(&mut listener).await,
        // Opens a client's FIFOs and removes one, as the server does before it answers.
        "half answered" => {
            let (folder, to_client) = opened_folder_in(path.parent().unwrap()).await;
            _ends = [to_client, fifo::open(&folder.join(TO_SERVER), fifo::READ).unwrap()];
            fs::remove_file(folder.join(TO_SERVER)).unwrap();
        }
        step => assert_eq!(step, "listening"),
    }
    wait();
}

/// The folder of a client that has its FIFOs open, and the one to that client, open from here on: it would
/// take a second opening for the death of this server.
async fn opened_folder_in(parent: &Path) -> (PathBuf, OwnedFd) {
    loop {
        for folder in fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()) {
            if let Ok(to_client) = fifo::open(&folder.join(TO_CLIENT), fifo::WRITE) {
                return (folder, to_client);
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A [`child`].
struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Started {
    fn new(step: &str, path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "transport::pipe::tests::killed::child", "--ignored", "--nocapture"])
            .env("SHIPMATE_TEST_STEP", step)
            .env("SHIPMATE_TEST_PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Started { child, lines }
    }

    async fn says(&mut self, line: &str) {
        while within(self.lines.next_line()).await.unwrap().expect("the child ended") != line {}
    }

    /// Starts one and waits until it is where it is to be killed.
    async fn reached(step: &str, path: &Path) -> Self {
        let mut started = Started::new(step, path);
        started.says("reached").await;
        started
    }

    /// By SIGKILL.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn the_server_removes_what_clients_killed_at_any_step_leave() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let mut clients = Vec::new();
    for step in CLIENT_STEPS {
        clients.push(Started::reached(step, &scene.path).await);
    }
    // The first has no lock yet, and may count as dead already.
    assert!(scene.names().len() >= CLIENT_STEPS.len());
    for client in clients {
        client.kill().await;
    }
    // Others are served all the while.
    let (mut client, mut server) = pair(&mut listener, &scene.path).await;
    echo(&mut client, &mut server).await;
    scene.only(&["a chat"]).await;
    assert!(listener.accept().now_or_never().is_none(), "a dead client was answered");
}

#[tokio::test]
async fn the_server_removes_what_clients_leave_while_it_accepts_nobody() {
    let scene = scene();
    let listener = scene.listen().unwrap();
    for step in ["folder", "announced"] {
        Started::reached(step, &scene.path).await.kill().await;
        scene.only(&["a chat"]).await;
    }
    drop(listener);
    assert_eq!(scene.names(), [""; 0]);
}

#[tokio::test]
async fn the_next_server_removes_what_the_dead_left() {
    let scene = scene();
    let server = Started::reached("listening", &scene.path).await;
    let client = Started::reached("opened", &scene.path).await;
    fs::create_dir(scene.folder.path().join("a chat.d")).unwrap();
    client.kill().await;
    server.kill().await;
    let listener = scene.listen().unwrap();
    within(until(async || scene.names().len() == 2)).await;
    drop(listener);
    assert_eq!(scene.names(), ["a chat.d"]);
}

#[tokio::test]
async fn a_client_removes_what_a_server_killed_in_the_handshake_leaves() {
    for step in ["listening", "half answered"] {
        let scene = scene();
        let mut server = Started::new(step, &scene.path);
        server.says("listening").await;
        let path = scene.path.clone();
        let client = tokio::spawn(async move { connect(&path).await });
        server.says("reached").await;
        within(until(async || scene.names().len() == 2)).await;
        server.kill().await;
        assert!(unreachable(within(client).await.unwrap()).contains("the server ended"));
        scene.only(&[]).await;
    }
}

#[tokio::test]
async fn a_kill_ends_a_connection_and_leaves_nothing() {
    let scene = scene();
    let mut server = Started::new("accepted", &scene.path);
    server.says("listening").await;
    let mut stream = within(connect(&scene.path)).await.unwrap();
    server.says("reached").await;
    server.kill().await;
    ends(&mut stream).await;
    drop(stream);
    scene.only(&[]).await;

    let mut listener = scene.listen().unwrap();
    let (client, mut stream) = tokio::join!(Started::reached("connected", &scene.path), accept(&mut listener));
    client.kill().await;
    ends(&mut stream).await;
    drop(listener);
    assert_eq!(scene.names(), [""; 0]);
}
