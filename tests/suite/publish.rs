//! One publisher and many subscribers, in one process and in several.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use shipmate::message::{Policy, PublishOptions, Publisher, Subscriber};
use shipmate::schema::record_capnp::record;
use shipmate::transport;
use shipmate::{Address, Error, Limits, ListenOptions};
use tempfile::TempDir;

use crate::harness::{local, shm, until};

/// A ring that is full all the time.
const SMALL: usize = 4096;

type Subscriptions = Vec<Subscriber<record::Owned>>;

async fn publisher(ring_bytes: usize) -> (Publisher<record::Owned>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = PublishOptions { ring_bytes, ..PublishOptions::default() };
    let publisher = Publisher::bind_with(shm(folder.path()).as_str(), &options, &Limits::DEFAULT).await.unwrap();
    (publisher, folder)
}

async fn subscribe(publisher: &Publisher<record::Owned>, policies: &[Policy]) -> Subscriptions {
    let mut subscribers = Vec::new();
    for policy in policies {
        subscribers.push(Subscriber::connect(publisher.address().clone(), *policy).await.unwrap());
    }
    subscribers
}

/// Of a size between next to nothing and most of what fits into a small ring.
fn fill(mut record: record::Builder<'_>, value: i64) {
    record.set_value(value);
    record.set_name(format!("record {value}"));
    record.init_body().set_bytes(&vec![value as u8; (value as usize * 37) % 700]);
}

async fn send(publisher: &mut Publisher<record::Owned>, value: i64) {
    publisher.send(|record| fill(record, value)).await.unwrap();
}

/// The value of the next record, which is whole; nothing at the end.
async fn receive(subscriber: &mut Subscriber<record::Owned>) -> Option<i64> {
    let message = subscriber.recv().await.unwrap()?;
    let record = message.get().unwrap();
    let value = record.get_value();
    assert_eq!(record.get_name().unwrap(), format!("record {value}").as_str());
    let record::body::Bytes(bytes) = record.get_body().which().unwrap() else { panic!("no bytes") };
    assert_eq!(bytes.unwrap(), vec![value as u8; (value as usize * 37) % 700]);
    Some(value)
}

/// With a ring of seldom more than ten messages, each of the subscribers holds the publisher back.
#[test]
fn all_who_block_get_everything_in_order() {
    const COUNT: i64 = 3000;
    local(async {
        let (mut publisher, _folder) = publisher(SMALL).await;
        let subscribers = subscribe(&publisher, &[Policy::Block; 3]).await;
        let publishing = async {
            for value in 0..COUNT {
                send(&mut publisher, value).await;
            }
            publisher.finish().await;
        };
        let receiving = subscribers.into_iter().map(|mut subscriber| async move {
            for value in 0..COUNT {
                assert_eq!(receive(&mut subscriber).await, Some(value));
            }
            for _ in 0..2 {
                assert_eq!(receive(&mut subscriber).await, None);
            }
            assert_eq!(subscriber.lost(), 0);
        });
        futures::join!(publishing, futures::future::join_all(receiving));
    });
}

/// On threads of their own: they are overtaken in the middle of what they copy.
#[test]
fn all_who_lose_the_oldest_count_exactly_what_is_missing() {
    const COUNT: i64 = 20_000;
    local(async {
        let (mut publisher, _folder) = publisher(SMALL).await;
        let subscribers = subscribe(&publisher, &[Policy::LoseOldest; 2]).await;
        let threads: Vec<_> = subscribers
            .into_iter()
            .map(|mut subscriber| {
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(async {
                        let (mut received, mut last) = (0, -1);
                        while let Some(value) = receive(&mut subscriber).await {
                            received += 1;
                            last = value;
                            assert_eq!(subscriber.lost() + received, value as u64 + 1, "lost before {value}");
                        }
                        assert_eq!(last, COUNT - 1);
                        subscriber.lost() + received
                    })
                })
            })
            .collect();
        for value in 0..COUNT {
            send(&mut publisher, value).await;
        }
        publisher.finish().await;
        for thread in threads {
            let all = tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
            assert_eq!(all, COUNT as u64);
        }
    });
}

#[test]
fn who_blocks_holds_the_publisher_back_until_it_leaves() {
    local(async {
        let (mut publisher, _folder) = publisher(SMALL).await;
        let mut subscribers = subscribe(&publisher, &[Policy::LoseOldest, Policy::Block]).await;
        let sent = fill_up(&mut publisher).await;
        assert_eq!(publisher.subscribers(), 2);
        drop(subscribers.pop());
        // The message whose future was dropped was not published.
        send(&mut publisher, sent).await;
        assert_eq!(publisher.subscribers(), 1);
        publisher.finish().await;
        let mut last = None;
        while let Some(value) = receive(&mut subscribers[0]).await {
            last = Some(value);
        }
        assert_eq!(last, Some(sent));
    });
}

/// Publishes until somebody holds the publisher back, and gives how many were published.
async fn fill_up(publisher: &mut Publisher<record::Owned>) -> i64 {
    for value in 0..1000 {
        if tokio::time::timeout(Duration::from_millis(200), send(publisher, value)).await.is_err() {
            return value;
        }
    }
    panic!("nobody holds the publisher back");
}

#[test]
fn who_joins_late_gets_what_comes_next() {
    local(async {
        let (mut publisher, _folder) = publisher(SMALL).await;
        for value in 0..100 {
            send(&mut publisher, value).await;
        }
        let mut late = subscribe(&publisher, &[Policy::Block, Policy::LoseOldest]).await;
        publisher.subscribed(2).await;
        send(&mut publisher, 100).await;
        for subscriber in &mut late {
            assert_eq!(receive(subscriber).await, Some(100));
            assert_eq!(subscriber.lost(), 0);
        }
    });
}

#[test]
fn too_large_a_message_is_refused_and_the_publisher_goes_on() {
    local(async {
        let (mut publisher, _folder) = publisher(SMALL).await;
        let mut subscribers = subscribe(&publisher, &[Policy::Block]).await;
        let large = publisher.send(|record| record.init_body().set_bytes(&[0; SMALL / 4])).await.unwrap_err();
        assert!(matches!(large, Error::Limit { limit: "ring_bytes / 4", allowed: 1008, .. }), "{large}");
        send(&mut publisher, 1).await;
        // Of many segments, and as large as it may be.
        let most = SMALL / 4 - 16 - 8 - 8 * 8 - 8;
        let build = |record: record::Builder<'_>| record.init_body().set_bytes(&vec![7; most]);
        publisher.send(build).await.unwrap();
        assert_eq!(receive(&mut subscribers[0]).await, Some(1));
        let message = subscribers[0].recv().await.unwrap().unwrap();
        let record::body::Bytes(bytes) = message.get().unwrap().get_body().which().unwrap() else { panic!("no bytes") };
        assert_eq!(bytes.unwrap().len(), most);
    });
}

#[test]
fn more_subscribers_than_allowed_are_told_so() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { subscribers_max: 2, ..Limits::DEFAULT };
        let options = PublishOptions::default();
        let publisher: Publisher<record::Owned> =
            Publisher::bind_with(shm(folder.path()).as_str(), &options, &limits).await.unwrap();
        let mut subscribers = subscribe(&publisher, &[Policy::Block, Policy::LoseOldest]).await;
        let refused = Subscriber::<record::Owned>::connect(publisher.address().clone(), Policy::Block).await;
        let refused = refused.err().unwrap();
        assert!(matches!(refused, Error::Limit { limit: "subscribers_max", allowed: 2, seen: 3, .. }), "{refused}");
        // Nothing is published meanwhile: that one has left is noticed all the same.
        subscribers.remove(0);
        assert!(!subscribe(&publisher, &[Policy::Block]).await.is_empty());
    });
}

#[test]
fn who_is_no_publisher_or_subscriber_is_told_so() {
    local(async {
        for address in ["tcp:127.0.0.1:0", "unix:/nowhere", "pipe:/nowhere"] {
            let publisher = Publisher::<record::Owned>::bind(address).await.err().unwrap();
            let subscriber = Subscriber::<record::Owned>::connect(address, Policy::Block).await.err().unwrap();
            for error in [publisher, subscriber] {
                assert!(matches!(&error, Error::Misuse(what) if what.contains("shm:/path")), "{error}");
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let address: Address = shm(folder.path()).parse().unwrap();
        let nobody = Subscriber::<record::Owned>::connect(address.clone(), Policy::Block).await.err().unwrap();
        assert!(matches!(nobody, Error::Unreachable { .. }), "{nobody}");

        let mut server = transport::listen(&address, &ListenOptions::default()).await.unwrap();
        let accepting = tokio::task::spawn_local(async move { server.accept().await.map(drop) });
        let server = Subscriber::<record::Owned>::connect(address.clone(), Policy::Block).await.err().unwrap();
        assert!(matches!(&server, Error::Unreachable { reason, .. } if reason.contains("no publisher")), "{server}");
        accepting.abort();
        assert!(accepting.await.unwrap_err().is_cancelled());

        let publisher = Publisher::<record::Owned>::bind(address.clone()).await.unwrap();
        assert!(matches!(transport::connect(&address).await, Err(Error::Unreachable { .. })), "a client connects");
        let second = Publisher::<record::Owned>::bind(address.clone()).await.err().unwrap();
        assert!(matches!(second, Error::AddressInUse { .. }), "{second}");
        drop(publisher);
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "the socket's file is left behind");
    });
}

#[test]
fn a_publisher_that_does_not_end_is_gone() {
    local(async {
        let (mut publisher, _folder) = publisher(SMALL).await;
        let subscribers = subscribe(&publisher, &[Policy::Block, Policy::LoseOldest]).await;
        send(&mut publisher, 1).await;
        drop(publisher);
        for mut subscriber in subscribers {
            assert_eq!(receive(&mut subscriber).await, Some(1));
            for _ in 0..2 {
                let gone = subscriber.recv().await.err().unwrap();
                assert!(matches!(gone, Error::Disconnected { .. }), "{gone}");
            }
        }
    });
}

/// Nothing but the end of its socket tells the publisher, which is asleep.
#[test]
fn a_subscriber_that_is_killed_holds_nothing_back() {
    local(async {
        let (mut publisher, _folder) = publisher(SMALL).await;
        let mut subscribers = subscribe(&publisher, &[Policy::LoseOldest]).await;
        let mut child = Process::start(publisher.address(), "subscribe");
        publisher.subscribed(2).await;
        let sent = fill_up(&mut publisher).await;
        let publishing = send(&mut publisher, sent);
        let killing = async {
            tokio::task::yield_now().await;
            child.kill();
        };
        futures::join!(publishing, killing);
        for value in sent + 1..sent + 100 {
            send(&mut publisher, value).await;
        }
        assert_eq!(publisher.subscribers(), 1);
        publisher.finish().await;
        let mut last = None;
        while let Some(value) = receive(&mut subscribers[0]).await {
            last = Some(value);
        }
        assert_eq!(last, Some(sent + 99));
    });
}

#[test]
fn what_a_killed_publisher_had_published_still_arrives() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let address: Address = shm(folder.path()).parse().unwrap();
        let mut child = Process::start(&address, "publish");
        child.line();
        let mut subscribers = Subscriptions::new();
        for policy in [Policy::Block, Policy::LoseOldest, Policy::Block] {
            subscribers.push(Subscriber::connect(address.clone(), policy).await.unwrap());
        }
        child.line();
        child.kill();
        for subscriber in &mut subscribers {
            for value in 0..PUBLISHED {
                assert_eq!(receive(subscriber).await, Some(value));
            }
            let gone = subscriber.recv().await.err().unwrap();
            assert!(matches!(gone, Error::Disconnected { .. }), "{gone}");
        }
        // Its socket is left, and whoever comes next replaces it.
        drop(Publisher::<record::Owned>::bind(address).await.unwrap());
    });
}

/// What leaves gives back what it had: descriptors and mappings.
#[test]
fn nothing_is_left_of_who_has_left() {
    let child = |folder: &TempDir| {
        let mut child = Process::start(&shm(folder.path()).parse().unwrap(), "come and go");
        assert_eq!(child.line(), "the same");
    };
    child(&tempfile::tempdir().unwrap());
}

const PUBLISHED: i64 = 50;
const ADDRESS: &str = "SHIPMATE_TEST_PUBLISH_ADDRESS";
const PART: &str = "SHIPMATE_TEST_PUBLISH_PART";

/// The other process of some tests: this program again, which does nothing unless it is told its part.
#[test]
fn process() {
    let (Ok(address), Ok(part)) = (std::env::var(ADDRESS), std::env::var(PART)) else { return };
    let address: Address = address.parse().unwrap();
    local(async {
        match part.as_str() {
            "subscribe" => {
                let _blocks = Subscriber::<record::Owned>::connect(address, Policy::Block).await.unwrap();
                std::future::pending().await
            }
            "publish" => {
                let mut publisher = Publisher::bind(address).await.unwrap();
                println!("\n{LINE}listening");
                publisher.subscribed(3).await;
                for value in 0..PUBLISHED {
                    send(&mut publisher, value).await;
                }
                println!("{LINE}published");
                std::future::pending().await
            }
            _ => come_and_go(address).await,
        }
    });
}

async fn come_and_go(address: Address) {
    let held = || {
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        (descriptors, maps.lines().filter(|line| line.contains("memfd:")).count())
    };
    let mut publisher = Publisher::bind(address).await.unwrap();
    // Once, for what is made once.
    for round in 0..2 {
        let before = held();
        for value in 0..20 {
            let mut subscribers = subscribe(&publisher, &[Policy::Block, Policy::LoseOldest]).await;
            send(&mut publisher, value).await;
            for subscriber in &mut subscribers {
                assert_eq!(receive(subscriber).await, Some(value));
            }
        }
        until(|| publisher.subscribers() == 0).await;
        if round == 1 {
            assert_eq!(held(), before);
        }
    }
    println!("\n{LINE}the same");
}

/// What a child says to its parent begins with this.
const LINE: &str = "child: ";

/// A child that is killed when it is not needed any more.
struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Process {
    fn start(address: &Address, part: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "publish::process", "--nocapture"])
            .env(ADDRESS, address.to_string())
            .env(PART, part)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process { child, lines }
    }

    /// The next thing that it says.
    fn line(&mut self) -> String {
        loop {
            let line = self.lines.next().expect("the child has ended").unwrap();
            if let Some(said) = line.strip_prefix(LINE) {
                return said.to_owned();
            }
        }
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
