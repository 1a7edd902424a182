//! The table of the peers: all that is known here about any of them.

use crate::work::Work;

/// Who is measured.
pub struct Peer {
    pub name: &'static str,
    pub version: Version,
    /// How it is set up, in one sentence or two.
    pub settings: &'static str,
    pub ways: Vec<Way>,
}

/// Where its version is found.
pub enum Version {
    Ours,
    /// In `Cargo.lock`.
    Crate(&'static str),
    /// In `go/go.mod`.
    Module(&'static str),
    /// The first line that a program prints.
    Command(&'static [&'static str]),
    Both(&'static Version, &'static Version),
}

/// One way in which a peer is used.
#[derive(Clone)]
pub struct Way {
    pub peer: &'static str,
    pub detail: &'static str,
    pub kind: Kind,
    pub program: &'static str,
    pub arguments: Vec<&'static str>,
    does: Does,
}

/// What is compared with what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Tcp,
    Unix,
    Pipe,
    /// Shared memory, whose sides sleep while they wait.
    Sleeping,
    /// Shared memory, whose sides look again and again, each on whatever CPU it gets.
    Spinning,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Calls,
    /// Calls, one after the other.
    SingleCalls,
    Streams,
    /// Of streams, the small messages.
    Records,
    /// Of streams, the large messages.
    Bulk,
    All,
    /// All but many calls in flight.
    Raw,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Tcp, Kind::Unix, Kind::Pipe, Kind::Sleeping, Kind::Spinning];

    pub fn title(self) -> &'static str {
        match self {
            Kind::Tcp => "TCP",
            Kind::Unix => "Unix socket",
            Kind::Pipe => "named pipe",
            Kind::Sleeping => "shared memory, sleeping",
            Kind::Spinning => "shared memory, spinning",
        }
    }

    /// Such are not pinned: with one CPU alone there is nobody to look for.
    pub fn spins(self) -> bool {
        self == Kind::Spinning
    }

    /// What it can be no faster than: one that sleeps is woken over a Unix socket.
    pub fn lowest(self) -> Self {
        if self == Kind::Sleeping { Kind::Unix } else { self }
    }
}

impl Way {
    pub fn does(&self, work: &Work) -> bool {
        match self.does {
            Does::All => true,
            Does::Calls => !work.one_way,
            Does::SingleCalls => !work.one_way && (work.name, work.size) != ("multiply", 64),
            Does::Streams => work.one_way,
            Does::Records => work.name == "record",
            Does::Bulk => work.name == "bulk",
            Does::Raw => (work.name, work.size) != ("multiply", 64),
        }
    }

    pub fn is_ours(&self) -> bool {
        self.peer == "shipmate"
    }

    pub fn is_peer(&self) -> bool {
        !self.is_ours() && self.peer != "raw"
    }

    /// Whether messages wait until there are many, because the program asked for that.
    pub fn is_fed(&self) -> bool {
        self.detail.ends_with(", fed")
    }

    pub fn title(&self) -> String {
        format!("{} {}", self.peer, self.detail).trim_end().to_owned()
    }
}

impl Peer {
    pub fn program(&self) -> &'static str {
        self.ways[0].program
    }
}

/// `name`, where it is, and its ways: (detail, kind, arguments, what it does).
fn peer(
    name: &'static str,
    program: &'static str,
    version: Version,
    settings: &'static str,
    ways: &[(&'static str, Kind, &'static str, Does)],
) -> Peer {
    let way = |&(detail, kind, arguments, does): &(&'static str, Kind, &'static str, Does)| Way {
        peer: name,
        detail,
        kind,
        program,
        arguments: arguments.split_whitespace().collect(),
        does,
    };
    Peer { name, version, settings, ways: ways.iter().map(way).collect() }
}

#[rustfmt::skip]
pub fn all() -> Vec<Peer> {
    use Does::*;
    use Kind::*;
    vec![
        peer("raw", "target/release/peer-raw", Version::Ours,
            "Blocking reads and writes, 64 bytes each way or a blob there and 8 bytes back, with no types at all; \
             over shared memory a word that each side looks at, and a blob that is copied in and read in place.",
            &[("tcp", Tcp, "tcp", Raw), ("unix", Unix, "unix", Raw), ("pipe", Pipe, "pipe", Raw),
              ("shm", Spinning, "shm", SingleCalls)]),
        peer("shipmate", "target/release/peer-shipmate", Version::Ours,
            "The defaults, on one shard; spinning ways look for up to 1 ms before they sleep. Messages go one by one \
             (`send`) or, where it says fed, are collected by the sender (`feed`); where it says lent, they are bytes that are \
             written where they are sent from (`loan_bytes`).",
            &[("tcp", Tcp, "tcp", All), ("unix", Unix, "unix", All), ("pipe", Pipe, "pipe", All),
              ("shm copy", Sleeping, "shm copy", All),
              ("shm sealed", Sleeping, "shm sealed", All),
              ("shm trusted", Sleeping, "shm trusted", All),
              ("shm copy", Spinning, "shm spin copy", All),
              ("shm sealed", Spinning, "shm spin sealed", All),
              ("shm trusted", Spinning, "shm spin trusted", All),
              ("tcp, fed", Tcp, "tcp fed", Streams), ("unix, fed", Unix, "unix fed", Streams),
              ("pipe, fed", Pipe, "pipe fed", Streams), ("shm, fed", Sleeping, "shm fed", Streams),
              ("shm, fed", Spinning, "shm spin fed", Streams),
              ("shm sealed, lent", Sleeping, "shm sealed lent", Bulk),
              ("shm trusted, lent", Sleeping, "shm trusted lent", Bulk),
              ("shm sealed, lent", Spinning, "shm spin sealed lent", Bulk),
              ("shm trusted, lent", Spinning, "shm spin trusted lent", Bulk)]),
        peer("capnp-rpc", "target/release/peer-stock", Version::Crate("capnp-rpc"),
            "`twoparty::VatNetwork` over buffered streams as its documentation advises, TCP_NODELAY, one \
             current-thread tokio runtime; messages by `capnp-futures` over a buffer of 64 KiB, flushed after each \
             or, where it says fed, when full.",
            &[("tcp", Tcp, "tcp", All), ("unix", Unix, "unix", All),
              ("tcp, fed", Tcp, "tcp fed", Streams), ("unix, fed", Unix, "unix fed", Streams)]),
        peer("capnp-c++", "target/cpp/ezrpc", Version::Command(&["capnp", "--version"]),
            "`EzRpcServer` and `EzRpcClient`, with size hints.",
            &[("tcp", Tcp, "tcp", Calls), ("unix", Unix, "unix", Calls)]),
        peer("nng", "target/cpp/nng", Version::Command(&["sh", "-c", "echo nng $(dpkg-query -Wf '${Version}' libnng-dev)"]),
            "Over `ipc:`: req and rep with a context for each call in flight, push and pull one way, up to 1000 messages (8 \
             of 1 MiB) waiting to be sent.",
            &[("ipc", Unix, "ipc", All)]),
        peer("go-net-rpc", "target/go/netrpc", Version::Command(&["go", "version"]),
            "The guide's programs: net/rpc with gob; records by gob; lines of text through a named pipe. Each message \
             is one write or, where it says fed, waits in a `bufio.Writer` of 64 KiB.",
            &[("tcp", Tcp, "tcp", Calls), ("unix", Unix, "unix", Calls),
              ("gob, unix", Unix, "unix", Streams), ("gob, unix, fed", Unix, "unix fed", Streams),
              ("text, pipe", Pipe, "pipe", Records), ("text, pipe, fed", Pipe, "pipe fed", Records)]),
        peer("grpc-go", "target/go/grpc", Version::Module("google.golang.org/grpc"),
            "Plain text HTTP/2, windows of 16 MiB, messages up to 64 MiB.",
            &[("tcp", Tcp, "tcp", All), ("unix", Unix, "unix", All)]),
        peer("tonic", "target/release/peer-tonic", Version::Crate("tonic"),
            "One current-thread runtime on each side, not tonic's default of many threads, which would share one CPU; plain \
             text, TCP_NODELAY, windows of 16 MiB, messages up to 64 MiB, `Bytes` for blobs.",
            &[("tcp", Tcp, "tcp", All), ("unix", Unix, "unix", All)]),
        peer("tarpc", "target/release/peer-tarpc", Version::Crate("tarpc"),
            "Its bincode codec, one current-thread runtime on each side, `serde_bytes` for blobs.",
            &[("unix", Unix, "unix", Calls)]),
        peer("zeromq", "target/release/peer-zeromq", Version::Command(&["sh", "-c", "echo libzmq $(pkg-config --modversion libzmq)"]),
            "libzmq over `ipc:`, by the crate zmq: REQ and REP, DEALER and REP for 64 in flight, PUSH and PULL one way; \
             it collects messages by itself.",
            &[("ipc", Unix, "ipc", All)]),
        peer("dbus", "target/release/peer-zbus", Version::Both(&Version::Crate("zbus"), &Version::Command(&["dbus-daemon", "--version"])),
            "zbus with its tokio feature, one current-thread runtime on each side, `serde_bytes` for blobs, over a \
             daemon of its own, which shares the server's CPU.",
            &[("unix", Unix, "unix", Calls)]),
        peer("iceoryx2", "target/release/peer-iceoryx2", Version::Crate("iceoryx2"),
            "Request-response and publish-subscribe without overflow, of types without pointers, read in place; sides \
             that sleep are woken by its events.",
            &[("event", Sleeping, "event", All), ("busy", Spinning, "busy", All)]),
    ]
}
