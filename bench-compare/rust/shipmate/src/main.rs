//! Shipmate, on one shard, with its defaults but for what the way says: `TRANSPORT [spin] [copy|sealed|trusted] [fed|lent]`.

use std::future::pending;
use std::time::Duration;

use capnp::data;
use capnp::traits::Owned;
use kit::{Job, Part, Sending, Tally, Work};
use schema::peer_capnp::{peer, record};
use shipmate::message::{Listener, Receiver, Sender};
use shipmate::transport::Connecting;
use shipmate::{Address, ConnectOptions, Limits, ListenOptions, Server, ServerOptions, Tier};
use tokio::runtime;
use tokio::task::LocalSet;

/// Long enough for any answer here.
const SPIN: Duration = Duration::from_millis(1);

fn main() {
    let job = Job::of_this_process();
    let spin = if job.has("spin") { SPIN } else { Duration::ZERO };
    let tier = job.way.iter().find_map(|word| word.parse().ok()).unwrap_or(Tier::Copy);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        match (&job.part, job.work) {
            (Part::Server, Work::Multiply { .. } | Work::Blob { .. }) => serve(&here(&job.way[0]), spin, tier).await,
            (Part::Server, _) if job.has("lent") => receive_bytes(&here(&job.way[0]), spin, tier).await,
            (Part::Server, _) => receive(&here(&job.way[0]), spin, tier).await,
            (Part::Client { address, time }, Work::Multiply { .. } | Work::Blob { .. }) => {
                let options = ConnectOptions { spin, tier, ..Default::default() };
                let connection = shipmate::connect_with(address.as_str(), &options).await.unwrap();
                schema::call(connection.bootstrap(), job.work, *time).await;
            }
            (Part::Client { address, time }, work) if job.has("lent") => {
                lend(address, Connecting { spin, tier }, work, *time).await
            }
            (Part::Client { address, time }, work) => {
                send(address, Connecting { spin, tier }, job.has("fed"), work, *time).await
            }
        }
    });
}

/// An address in the current folder.
fn here(transport: &str) -> Address {
    let text = match transport {
        "tcp" => "tcp:127.0.0.1:0".to_owned(),
        other => format!("{other}:./peer"),
    };
    text.parse().unwrap()
}

async fn serve(address: &Address, spin: Duration, tier: Tier) {
    let mut server = Server::new(ServerOptions { shards: 1, ..Default::default() });
    let options = ListenOptions { spin, tier, ..Default::default() };
    let bootstrap = |_: &shipmate::Peer| -> peer::Client { capnp_rpc::new_client(schema::Service) };
    kit::ready(server.listen(address, &options, bootstrap).await.unwrap());
    server.serve(pending()).await.unwrap();
}

async fn accept<T: Owned>(address: &Address, spin: Duration, tier: Tier) -> (Listener, Receiver<T>) {
    let options = ListenOptions { spin, tier, ..Default::default() };
    let mut listener = Listener::bind_with(address.clone(), &options, Limits::DEFAULT).await.unwrap();
    kit::ready(listener.address());
    let receiver = listener.accept().await.unwrap();
    (listener, receiver)
}

async fn receive(address: &Address, spin: Duration, tier: Tier) {
    let (_listener, mut receiver) = accept::<record::Owned>(address, spin, tier).await;
    let mut tally = Tally::default();
    while let Some(message) = receiver.recv().await.unwrap() {
        let message = message.get().unwrap();
        assert_eq!(message.get_name().unwrap(), kit::NAME);
        tally.note(message.get_value(), message.get_blob().unwrap());
    }
    tally.figures();
    pending().await
}

/// The value, and behind it the blob.
async fn receive_bytes(address: &Address, spin: Duration, tier: Tier) {
    let (_listener, mut receiver) = accept::<data::Owned>(address, spin, tier).await;
    let mut tally = Tally::default();
    while let Some(message) = receiver.recv().await.unwrap() {
        let (value, blob) = message.get().unwrap().split_first_chunk().unwrap();
        tally.note(i64::from_le_bytes(*value), blob);
    }
    tally.figures();
    pending().await
}

/// The same where a message is bytes alone, written where they are sent from.
async fn lend(address: &str, options: Connecting, work: Work, time: Duration) {
    let mut sender = Sender::<data::Owned>::connect_with(address, &options, &Limits::DEFAULT).await.unwrap();
    let blob = work.payload();
    let mut sending = Sending::begin(work, time);
    while let Some(value) = sending.next() {
        let mut loan = sender.loan_bytes(size_of::<i64>() + blob.len()).unwrap();
        let (at, rest) = loan.split_first_chunk_mut().unwrap();
        *at = value.to_le_bytes();
        rest.copy_from_slice(&blob);
        loan.send().await.unwrap();
    }
    sender.finish().await.unwrap();
    sending.figures();
}

/// One by one, each in the transport before the next is built; or, if `fed`, collected by the sender.
async fn send(address: &str, options: Connecting, fed: bool, work: Work, time: Duration) {
    let mut sender = Sender::<record::Owned>::connect_with(address, &options, &Limits::DEFAULT).await.unwrap();
    let blob = work.payload();
    let mut sending = Sending::begin(work, time);
    while let Some(value) = sending.next() {
        let build = |mut record: record::Builder<'_>| {
            record.set_name(kit::NAME);
            record.set_value(value);
            record.set_blob(&blob);
        };
        match fed {
            true => sender.feed(build).await.unwrap(),
            false => sender.send(build).await.unwrap(),
        }
    }
    sender.finish().await.unwrap();
    sending.figures();
}
