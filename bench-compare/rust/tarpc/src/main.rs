//! tarpc with its bincode codec over a Unix socket, on one current-thread runtime on each side.

use std::time::Duration;

use futures::StreamExt;
use kit::{Job, Part, Work};
use serde_bytes::ByteBuf;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::{client, context, serde_transport};
use tokio::runtime;

/// Room for the largest argument.
const FRAME_BYTES_MAX: usize = 64 << 20;

#[tarpc::service]
trait Peer {
    async fn multiply(a: i64, b: i64) -> i64;
    async fn take(blob: ByteBuf) -> u64;
}

#[derive(Clone)]
struct Service;

impl Peer for Service {
    async fn multiply(self, _: context::Context, a: i64, b: i64) -> i64 {
        a * b
    }

    async fn take(self, _: context::Context, blob: ByteBuf) -> u64 {
        kit::sum(&blob)
    }
}

fn main() {
    let job = Job::of_this_process();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match &job.part {
            Part::Server => serve().await,
            Part::Client { address, time } => {
                let mut connecting = serde_transport::unix::connect(address, Bincode::default);
                connecting.config_mut().max_frame_length(FRAME_BYTES_MAX);
                let peer = PeerClient::new(client::Config::default(), connecting.await.unwrap()).spawn();
                call(peer, job.work, *time).await;
            }
        }
    });
}

async fn serve() {
    let mut incoming = serde_transport::unix::listen("peer", Bincode::default).await.unwrap();
    incoming.config_mut().max_frame_length(FRAME_BYTES_MAX);
    kit::ready("peer");
    let transport = incoming.next().await.unwrap().unwrap();
    let requests = BaseChannel::with_defaults(transport).execute(Service.serve());
    requests
        .for_each(async |answer| {
            tokio::spawn(answer);
        })
        .await;
    std::future::pending().await
}

async fn call(peer: PeerClient, work: Work, time: Duration) {
    let blob = work.payload();
    let sum = kit::sum(&blob);
    let multiply = async || assert_eq!(peer.multiply(context::current(), 6, 7).await.unwrap(), 42);
    let take = async || {
        let got = peer.take(context::current(), ByteBuf::from(blob.as_slice())).await.unwrap();
        assert_eq!(got, sum);
    };
    match work {
        Work::Multiply { in_flight } => kit::call(time, in_flight, multiply).await,
        _ => kit::call(time, 1, take).await,
    }
}
