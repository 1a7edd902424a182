//! Both sides together, in one process; [`killed`] has what takes more than one.

mod killed;

use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt;
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Folder, Rendezvous};
use super::rendezvous::{Id, Place, TO_CLIENT, TO_SERVER};
use super::*;
use crate::transport::{ListenOptions, Listener, ReadHalf, Stream};
use crate::{Error, Result};

/// Far more than anything here takes: a test that reaches it hangs.
const HANG: Duration = Duration::from_secs(60);

/// A folder of its own, with the path of a rendezvous in it.
pub(super) struct Scene {
    pub(super) folder: TempDir,
    pub(super) path: PathBuf,
}

pub(super) fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a chat");
    Scene { folder, path }
}

impl Scene {
    pub(super) fn listen(&self) -> Result<impl Listener + use<>> {
        listen(&self.path, &ListenOptions::default())
    }

    pub(super) fn names(&self) -> Vec<String> {
        fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits until only these names are there.
    pub(super) async fn only(&self, names: &[&str]) {
        within(until(async || self.names() == names)).await;
    }
}

/// A FIFO that stays, like that of a dead server or of the command.
pub(super) fn mkfifo(path: &Path) {
    std::mem::forget(fifo::make(path, 0o600).unwrap());
}

pub(super) async fn until(condition: impl AsyncFn() -> bool) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("hangs")
}

pub(super) async fn accept(listener: &mut impl Listener) -> Stream {
    within(listener.accept()).await.unwrap().attach().await.unwrap()
}

pub(super) async fn pair(listener: &mut impl Listener, path: &Path) -> (Stream, Stream) {
    let (client, server) = within(async { tokio::join!(connect(path), accept(listener)) }).await;
    (client.unwrap(), server)
}

pub(super) async fn read_exactly(reader: &mut ReadHalf, bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    within(reader.read_exact(&mut buffer)).await.unwrap();
    buffer
}

pub(super) async fn read_to_end(reader: &mut ReadHalf) -> Vec<u8> {
    let mut buffer = Vec::new();
    within(reader.read_to_end(&mut buffer)).await.unwrap();
    buffer
}

/// Sends a megabyte there and back, at once, so that neither side's pipes can hold it.
pub(super) async fn echo(a: &mut Stream, b: &mut Stream) {
    let sent: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 7) as u8).collect();
    let back = async {
        let (mut buffer, mut left) = (vec![0; 64 << 10], sent.len());
        while left > 0 {
            let read = b.reader.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0);
            b.writer.write_all(&buffer[..read]).await.unwrap();
            left -= read;
        }
    };
    let (wrote, received, ()) =
        within(async { tokio::join!(a.writer.write_all(&sent), read_exactly(&mut a.reader, sent.len()), back) }).await;
    wrote.unwrap();
    assert!(received == sent);
}

pub(super) async fn ends(stream: &mut Stream) {
    assert_eq!(read_to_end(&mut stream.reader).await, b"");
    assert!(stream.writer.write_all(b"x").await.is_err());
}

pub(super) fn unreachable(result: Result<Stream>) -> String {
    match result {
        Err(Error::Unreachable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bytes_go_both_ways_and_nothing_is_left() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let (mut client, mut server) = pair(&mut listener, &scene.path).await;
    assert_eq!(scene.names(), ["a chat"]);
    echo(&mut client, &mut server).await;
    let credentials = server.peer.credentials.unwrap();
    assert_eq!(credentials.uid, rustix::process::geteuid().as_raw());
    assert_eq!(client.peer.credentials.unwrap().uid, credentials.uid);

    drop(client);
    ends(&mut server).await;
    let (mut client, server) = pair(&mut listener, &scene.path).await;
    drop(listener);
    assert_eq!(scene.names(), [""; 0]);
    drop(server);
    ends(&mut client).await;
}

#[tokio::test]
async fn a_shutdown_ends_one_direction() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let (mut client, mut server) = pair(&mut listener, &scene.path).await;
    client.writer.write_all(b"last").await.unwrap();
    client.writer.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server.reader).await, b"last");
    server.writer.write_all(b"answer").await.unwrap();
    assert_eq!(read_exactly(&mut client.reader, 6).await, b"answer");
    assert!(client.writer.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn many_clients_at_once_each_have_their_own_stream() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    const CLIENTS: u32 = 100;
    let path = &scene.path;
    let client = async |i: u32| {
        let mut stream = connect(path).await.unwrap();
        stream.writer.write_all(&i.to_le_bytes()).await.unwrap();
        assert_eq!(read_exactly(&mut stream.reader, 4).await, i.to_le_bytes());
        stream
    };
    let serve = async {
        let mut streams = Vec::new();
        for _ in 0..CLIENTS {
            streams.push(accept(&mut listener).await);
        }
        for stream in &mut streams {
            let bytes = read_exactly(&mut stream.reader, 4).await;
            stream.writer.write_all(&bytes).await.unwrap();
        }
        streams
    };
    let clients = futures::future::join_all((0..CLIENTS).map(client));
    let (_clients, _servers) = within(async { tokio::join!(clients, serve) }).await;
    assert_eq!(scene.names(), ["a chat"]);
}

#[tokio::test]
async fn an_accept_that_is_given_up_loses_no_client() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let connecting: Vec<_> = (0..20)
        .map(|_| {
            let path = scene.path.clone();
            tokio::spawn(async move { connect(&path).await })
        })
        .collect();
    let mut accepted = Vec::new();
    within(async {
        while accepted.len() < connecting.len() {
            tokio::task::yield_now().await;
            // Polled once, then dropped.
            accepted.extend(listener.accept().now_or_never().map(|accepted| accepted.unwrap()));
        }
    })
    .await;
    for client in connecting {
        within(client).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_was_accepted_is_served_by_another_runtime() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let (client, accepted) = tokio::join!(connect(&scene.path), listener.accept());
    let (mut client, accepted) = (client.unwrap(), accepted.unwrap());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stream = accepted.attach().await.unwrap();
            let bytes = read_exactly(&mut stream.reader, 5).await;
            stream.writer.write_all(&bytes).await.unwrap();
        });
    });
    client.writer.write_all(b"hello").await.unwrap();
    assert_eq!(read_to_end(&mut client.reader).await, b"hello");
    thread.join().unwrap();
}

#[tokio::test]
async fn garbage_in_the_rendezvous_harms_nobody() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let (mut old_client, mut old_server) = pair(&mut listener, &scene.path).await;

    let garbage: [&[u8]; 8] = [
        b"no newline",
        b"\n\n\n\0\xff\xfe",
        &[b'x'; 60_000],
        b"SHIPMATE-PIPE 1 ",
        b"\nSHIPMATE-PIPE 1 1-0123456789abcdef\n",
        b"\nSHIPMATE-PIPE 1 ../../etc/passwd\nSHIPMATE-PIPE 1 1-0123456789abcdef",
        b"\nSHIPMATE-PIPE 2 1-0123456789abcdef\n",
        &[b'\n'; 4096],
    ];
    let mut vandal = fs::OpenOptions::new().write(true).open(&scene.path).unwrap();
    for garbage in garbage {
        vandal.write_all(garbage).unwrap();
        let (mut client, mut server) = pair(&mut listener, &scene.path).await;
        client.writer.write_all(garbage).await.unwrap();
        assert!(read_exactly(&mut server.reader, garbage.len()).await == garbage);
    }
    echo(&mut old_client, &mut old_server).await;
}

#[tokio::test]
async fn clients_are_served_while_a_vandal_writes_without_end() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let mut vandal = std::process::Command::new("sh")
        .arg("-c")
        .arg("exec cat /dev/urandom > \"$0\"")
        .arg(&scene.path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..20 {
        let (mut client, mut server) = pair(&mut listener, &scene.path).await;
        echo(&mut client, &mut server).await;
    }
    // Once nobody reads, the vandal ends by itself.
    drop(listener);
    vandal.wait().unwrap();
}

#[tokio::test]
async fn what_is_no_clients_folder_is_not_answered_and_holds_nobody_up() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let rendezvous = Rendezvous::open(&scene.path).unwrap();
    let made: [&dyn Fn(&Path); 6] = [
        &|_| {},
        &|folder| fs::write(folder, "a file").unwrap(),
        &|folder| std::os::unix::fs::symlink("/", folder).unwrap(),
        // FIFOs that nobody reads or writes.
        &|folder| {
            fs::create_dir(folder).unwrap();
            mkfifo(&folder.join(TO_SERVER));
            mkfifo(&folder.join(TO_CLIENT));
        },
        &|folder| {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(TO_SERVER), "a file").unwrap();
            std::os::unix::fs::symlink("/dev/zero", folder.join(TO_CLIENT)).unwrap();
        },
        &|folder| {
            fs::create_dir(folder).unwrap();
            mkfifo(&folder.join(TO_SERVER));
            std::os::unix::fs::symlink(TO_SERVER, folder.join(TO_CLIENT)).unwrap();
        },
    ];
    for make in made {
        let id = Id::new().unwrap();
        make(&scene.folder.path().join(rendezvous.place.client_folder(&id)));
        rendezvous.announce(&id).await.unwrap();
    }
    // Reads what it would have to, but cannot be read: its death would go unnoticed.
    let id = Id::new().unwrap();
    let folder = scene.folder.path().join(rendezvous.place.client_folder(&id));
    fs::create_dir(&folder).unwrap();
    mkfifo(&folder.join(TO_SERVER));
    mkfifo(&folder.join(TO_CLIENT));
    let mut to_client = fs::File::from(fifo::open(&folder.join(TO_CLIENT), fifo::READ).unwrap());
    rendezvous.announce(&id).await.unwrap();

    let (mut client, mut server) = pair(&mut listener, &scene.path).await;
    echo(&mut client, &mut server).await;
    assert_eq!(to_client.read(&mut [0; 8]).unwrap(), 0, "not answered");
}

#[tokio::test]
async fn a_live_server_is_refused_and_a_dead_ones_pipe_replaced() {
    let scene = scene();
    mkfifo(&scene.path);
    // Open, so that its inode is not used again.
    let stale = fs::File::from(rustix::fs::open(&scene.path, OFlags::PATH, Mode::empty()).unwrap());
    assert!(unreachable(connect(&scene.path).await).contains("no server reads this pipe"));

    let mut listener = listen(&scene.path, &ListenOptions { mode: 0o622, ..Default::default() }).unwrap();
    let fresh = fs::metadata(&scene.path).unwrap();
    assert!(fresh.file_type().is_fifo() && fresh.permissions().mode() & 0o777 == 0o622);
    assert_ne!(fresh.ino(), stale.metadata().unwrap().ino());

    assert!(matches!(scene.listen().err(), Some(Error::AddressInUse { .. })));
    let (mut client, mut server) = pair(&mut listener, &scene.path).await;
    echo(&mut client, &mut server).await;

    // Another has taken the place by force: that is not this server's to remove.
    fs::remove_file(&scene.path).unwrap();
    let _second = scene.listen().unwrap();
    drop(listener);
    assert_eq!(scene.names(), ["a chat"]);
}

#[tokio::test]
async fn what_is_no_pipe_is_named() {
    let scene = scene();
    assert!(unreachable(connect(&scene.path).await).contains("there is no such pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(&scene.path).unwrap();
    assert!(scene.listen().err().unwrap().to_string().contains("not a named pipe"));
    assert!(matches!(connect(&scene.path).await, Err(Error::Misuse(_))));
    fs::remove_file(&scene.path).unwrap();
    fs::write(&scene.path, "precious").unwrap();
    assert!(scene.listen().err().unwrap().to_string().contains("not a named pipe"));
    assert!(matches!(connect(&scene.path).await, Err(Error::Misuse(_))));
    assert!(matches!(open_reader(&scene.path, 0o600).await.err(), Some(Error::Misuse(_))));
    assert!(matches!(open_writer(&scene.path, 0o600).await.err(), Some(Error::Misuse(_))));
    assert_eq!(fs::read(&scene.path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_client_gives_up_when_the_server_stops_and_leaves_nothing() {
    let scene = scene();
    let listener = scene.listen().unwrap();
    let path = scene.path.clone();
    let client = tokio::spawn(async move { connect(&path).await });
    within(until(async || scene.names().len() == 2)).await;
    drop(listener);
    assert!(unreachable(within(client).await.unwrap()).contains("the server ended"));
    assert_eq!(scene.names(), [""; 0]);
}

#[tokio::test]
async fn a_client_that_is_cancelled_leaves_nothing() {
    let scene = scene();
    let _listener = scene.listen().unwrap();
    assert!(connect(&scene.path).now_or_never().is_none());
    assert_eq!(scene.names(), ["a chat"]);
}

#[tokio::test]
async fn a_symbolic_link_leads_to_the_server() {
    let (scene, elsewhere) = (scene(), tempfile::tempdir().unwrap());
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(&scene.path, &link).unwrap();
    let mut listener = scene.listen().unwrap();
    let (mut client, mut server) = pair(&mut listener, &link).await;
    echo(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_folder_of_a_client_that_takes_its_time_is_left_alone() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let rendezvous = Rendezvous::open(&scene.path).unwrap();
    let folder = Folder::make(&rendezvous.place).unwrap();
    assert!(sweep::sweep(&rendezvous.place), "it lives");
    let _ends = folder.open().unwrap();
    rendezvous.announce(&folder.id).await.unwrap();
    accept(&mut listener).await;
    assert!(!sweep::sweep(&rendezvous.place));
}

#[tokio::test]
async fn a_client_makes_another_folder_when_its_first_is_swept_away() {
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    let there = std::sync::Arc::new(Place::of(&scene.path).unwrap());
    // Sweeps without a pause, so that it meets folders that are not locked yet.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sweeper = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            sweep::sweep(&there);
        }
    });
    for _ in 0..200 {
        let (mut client, mut server) = pair(&mut listener, &scene.path).await;
        client.writer.write_all(b"x").await.unwrap();
        assert_eq!(read_exactly(&mut server.reader, 1).await, b"x");
    }
    drop(stop);
    sweeper.join().unwrap();
    assert_eq!(scene.names(), ["a chat"]);
}

/// A root user's test alone: only root can start a process of another user.
#[tokio::test]
async fn a_server_of_another_user_is_given_access() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scene = scene();
    let mut listener = scene.listen().unwrap();
    std::os::unix::fs::chown(&scene.path, Some(4711), None).unwrap();
    let rendezvous = Rendezvous::open(&scene.path).unwrap();
    let folder = Folder::make(&rendezvous.place).unwrap();
    let ends = folder.open().unwrap();
    folder.grant(&ends, 4711).unwrap();
    let path = scene.folder.path().join(rendezvous.place.client_folder(&folder.id));
    fs::set_permissions(scene.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let can = |user: u32, test: &str, path: &Path| {
        use std::os::unix::process::CommandExt;
        std::process::Command::new("test").arg(test).arg(path).uid(user).gid(user).status().unwrap().success()
    };
    for name in [TO_SERVER, TO_CLIENT] {
        assert!(can(4711, "-r", &path.join(name)) && can(4711, "-w", &path.join(name)), "{name}");
        assert!(!can(4712, "-r", &path.join(name)) && !can(4712, "-w", &path.join(name)), "{name}");
    }
    drop((ends, folder));
    // The whole handshake does the same.
    pair(&mut listener, &scene.path).await;
    assert_eq!(scene.names(), ["a chat"]);
}
