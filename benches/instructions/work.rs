//! What is counted: the work, and both its sides on this thread.

use shipmate::message::{Listener, Receiver, Sender};
use shipmate::schema::arith_capnp::arith;
use shipmate::schema::shipmate_capnp::shipmate::ping_params;
use shipmate::transport::{Connecting, ListenOptions, Tier, memory};
use shipmate::{Address, Limits};
use tempfile::TempDir;
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

use crate::common::network::{Client, Network, multiply};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    /// A multiplication, by one of so many callers.
    Call { in_flight: usize },
    /// A call that has this much sent back.
    Echo { bytes: usize },
    /// This much, one way.
    Message { bytes: usize },
}

const LARGE: usize = 1 << 20;

impl Work {
    pub(crate) const ALL: [Work; 5] = [
        Work::Call { in_flight: 1 },
        Work::Call { in_flight: 64 },
        Work::Echo { bytes: LARGE },
        Work::Message { bytes: 16 },
        Work::Message { bytes: LARGE },
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Call { in_flight: 1 } => "call",
            Work::Call { .. } => "call-64-in-flight",
            Work::Echo { .. } => "echo-1-MiB",
            Work::Message { bytes: LARGE } => "message-1-MiB",
            Work::Message { .. } => "message-16-B",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name() == name)
    }

    /// How often it is done for a count. A call's is a multiple of those in flight.
    pub(crate) fn times(self) -> usize {
        match self {
            Work::Call { .. } => 64 * 30,
            Work::Message { bytes: 16 } => 20_000,
            Work::Echo { .. } | Work::Message { .. } => 64,
        }
    }

    /// Those that it differs on. The stock network has no messages.
    pub(crate) fn transports(self, network: Network) -> impl Iterator<Item = &'static str> {
        let tiers: &[&str] = match self {
            Work::Echo { .. } | Work::Message { bytes: LARGE } => &["shm", "shm-sealed", "shm-trusted"],
            Work::Call { .. } | Work::Message { .. } => &["shm"],
        };
        let (sockets, tiers): (&[&str], _) = match (network, self) {
            (Network::Stock, Work::Message { .. }) => (&[], &[][..]),
            (Network::Stock, _) => (&["memory", "unix", "tcp", "pipe"], &[][..]),
            _ => (&["memory", "unix", "tcp", "pipe"], tiers),
        };
        sockets.iter().chain(tiers).copied()
    }

    pub(crate) fn run(self, network: Network, transport: &str, times: usize) {
        let (transport, tier) = match transport.split_once('-') {
            Some((transport, tier)) => (transport, tier.parse().unwrap()),
            None => (transport, Tier::Copy),
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            match self {
                Work::Call { in_flight } => {
                    let client = Client::pair(network, transport, tier).await;
                    call(&client.arith().await, in_flight, times).await;
                }
                Work::Echo { bytes } => {
                    let client = Client::pair(network, transport, tier).await;
                    let payload = vec![7; bytes];
                    for _ in 0..times {
                        client.echo(&payload).await;
                    }
                }
                Work::Message { bytes } => send(transport, tier, &vec![7; bytes], times).await,
            }
        });
    }
}

async fn call(arith: &arith::Client, in_flight: usize, times: usize) {
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let arith = arith.clone();
        callers.spawn_local(async move {
            for _ in 0..times / in_flight {
                multiply(&arith, 6, 7).await;
            }
        });
    }
    callers.join_all().await;
}

async fn send(transport: &str, tier: Tier, payload: &[u8], times: usize) {
    let folder = TempDir::new().unwrap();
    let (mut sender, mut receiver) = connected(transport, tier, &folder).await;
    let sending = async {
        for _ in 0..times {
            sender.feed(|mut message| message.set_payload(payload)).await.unwrap();
        }
        sender.finish().await.unwrap();
    };
    let receiving = async {
        let mut received = 0;
        while let Some(message) = receiver.recv().await.unwrap() {
            assert_eq!(message.get().unwrap().get_payload().unwrap().len(), payload.len());
            received += 1;
        }
        assert_eq!(received, times);
    };
    tokio::join!(sending, receiving);
}

type Message = ping_params::Owned;

async fn connected(transport: &str, tier: Tier, folder: &TempDir) -> (Sender<Message>, Receiver<Message>) {
    let address: Address = match transport {
        "memory" => {
            let (near, far) = memory::pair();
            return (Sender::over(near, &Limits::DEFAULT), Receiver::over(far, &Limits::DEFAULT));
        }
        "tcp" => "tcp:127.0.0.1:0".parse().unwrap(),
        _ => format!("{transport}:{}/socket", folder.path().display()).parse().unwrap(),
    };
    let options = ListenOptions { tier, ..Default::default() };
    let mut listener = Listener::bind_with(address, &options, Limits::DEFAULT).await.unwrap();
    let address = listener.address().clone();
    let connecting = Connecting { tier, ..Default::default() };
    let (sender, receiver) =
        tokio::join!(Sender::connect_with(address, &connecting, &Limits::DEFAULT), listener.accept());
    (sender.unwrap(), receiver.unwrap())
}
