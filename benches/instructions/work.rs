//! What is counted: the work, and both its sides on this thread.

use capnp::data;
use capnp::traits::Owned;
use shipmate::Limits;
use shipmate::message::{Listener, Receiver, Sender};
use shipmate::schema::arith_capnp::arith;
use shipmate::schema::shipmate_capnp::shipmate::ping_params;
use shipmate::transport::{Connecting, ListenOptions, Tier, memory};
use tempfile::TempDir;
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

use crate::common::network::{Client, Network, address, multiply};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    /// A multiplication, by one of so many callers.
    Call { in_flight: usize },
    /// A call that has this much sent back.
    Echo { bytes: usize },
    /// This much, one way, into a queue of them.
    Message { bytes: usize },
    /// A small one that is received before the next is sent.
    Alone,
    /// Bytes in memory that the sender lends, of which one is written.
    Lent,
    /// Such bytes in a loan, which is all zero at first.
    Loan,
}

const LARGE: usize = 1 << 20;
/// Its memory is taken as it arrives.
const HUGE: usize = 16 << 20;

impl Work {
    pub(crate) const ALL: [Work; 9] = [
        Work::Call { in_flight: 1 },
        Work::Call { in_flight: 64 },
        Work::Echo { bytes: LARGE },
        Work::Message { bytes: 16 },
        Work::Alone,
        Work::Message { bytes: LARGE },
        Work::Message { bytes: HUGE },
        Work::Loan,
        Work::Lent,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Call { in_flight: 1 } => "call",
            Work::Call { .. } => "call-64-in-flight",
            Work::Echo { .. } => "echo-1-MiB",
            Work::Message { bytes: LARGE } => "message-1-MiB",
            Work::Message { bytes: HUGE } => "message-16-MiB",
            Work::Message { .. } => "message-16-B",
            Work::Alone => "message-alone",
            Work::Loan => "message-1-MiB-loan",
            Work::Lent => "message-1-MiB-lent",
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
            Work::Message { bytes: HUGE } => 8,
            Work::Alone | Work::Lent => 2_000,
            Work::Echo { .. } | Work::Message { .. } | Work::Loan => 64,
        }
    }

    /// Those that it differs on. The stock network has no messages.
    pub(crate) fn transports(self, network: Network) -> impl Iterator<Item = &'static str> {
        let sockets: &[&str] = &["memory", "unix", "tcp", "pipe"];
        let tiers: &[&str] = &["shm", "shm-sealed", "shm-trusted"];
        let (sockets, tiers) = match (network, self) {
            (Network::Stock, Work::Call { .. } | Work::Echo { .. }) => (sockets, &[][..]),
            (Network::Stock, _) => (&[][..], &[][..]),
            (_, Work::Message { bytes: HUGE }) => (&sockets[1..2], &[][..]),
            (_, Work::Loan | Work::Lent) => (&[][..], &tiers[1..]),
            (_, Work::Echo { .. } | Work::Message { bytes: LARGE }) => (sockets, tiers),
            _ => (sockets, &tiers[..1]),
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
                Work::Alone => send_alone(transport, tier, times).await,
                Work::Loan => send_loans(transport, tier, times).await,
                Work::Lent => send_lent(transport, tier, times).await,
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
    let (mut sender, mut receiver) = connected::<ping_params::Owned>(transport, tier, &folder).await;
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

async fn send_alone(transport: &str, tier: Tier, times: usize) {
    let folder = TempDir::new().unwrap();
    let (mut sender, mut receiver) = connected::<ping_params::Owned>(transport, tier, &folder).await;
    for _ in 0..times {
        let sending = sender.send(|mut message| message.set_payload(&[7; 16]));
        let (sent, message) = tokio::join!(sending, receiver.recv());
        sent.unwrap();
        assert_eq!(message.unwrap().unwrap().get().unwrap().get_payload().unwrap(), &[7; 16]);
    }
}

async fn send_loans(transport: &str, tier: Tier, times: usize) {
    let folder = TempDir::new().unwrap();
    let (mut sender, mut receiver) = connected::<ping_params::Owned>(transport, tier, &folder).await;
    for _ in 0..times {
        let mut loan = sender.loan(LARGE as u32 / 8 + 64);
        loan.init_root().init_payload(LARGE as u32)[LARGE - 1] = 7;
        let (sent, message) = tokio::join!(loan.send(), receiver.recv());
        sent.unwrap();
        assert_eq!(message.unwrap().unwrap().get().unwrap().get_payload().unwrap()[LARGE - 1], 7);
    }
}

async fn send_lent(transport: &str, tier: Tier, times: usize) {
    let folder = TempDir::new().unwrap();
    let (mut sender, mut receiver) = connected::<data::Owned>(transport, tier, &folder).await;
    for _ in 0..times {
        let mut loan = sender.loan_bytes(LARGE).unwrap();
        loan[LARGE - 1] = 7;
        let (sent, message) = tokio::join!(loan.send(), receiver.recv());
        sent.unwrap();
        assert_eq!(message.unwrap().unwrap().get().unwrap()[LARGE - 1], 7);
    }
}

async fn connected<T: Owned>(transport: &str, tier: Tier, folder: &TempDir) -> (Sender<T>, Receiver<T>) {
    if transport == "memory" {
        let (near, far) = memory::pair();
        return (Sender::over(near, &Limits::DEFAULT), Receiver::over(far, &Limits::DEFAULT));
    }
    let options = ListenOptions { tier, ..Default::default() };
    let mut listener =
        Listener::bind_with(address(transport, folder, "socket"), &options, Limits::DEFAULT).await.unwrap();
    let address = listener.address().clone();
    let connecting = Connecting { tier, ..Default::default() };
    let (sender, receiver) =
        tokio::join!(Sender::connect_with(address, &connecting, &Limits::DEFAULT), listener.accept());
    (sender.unwrap(), receiver.unwrap())
}
