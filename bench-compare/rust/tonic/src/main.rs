//! gRPC by tonic, on one current-thread runtime on each side: `tcp|unix`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kit::{Job, Part, Sending, Tally, Work};
use pb::peer_client::PeerClient;
use pb::peer_server::{Peer, PeerServer};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

mod pb {
    tonic::include_proto!("peer");
}

/// Room for the largest argument, and windows that do not hold it up.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const WINDOW_BYTES: u32 = 16 << 20;

struct Service;

#[tonic::async_trait]
impl Peer for Service {
    async fn multiply(&self, factors: Request<pb::Factors>) -> Result<Response<pb::Product>, Status> {
        let pb::Factors { a, b } = factors.into_inner();
        Ok(Response::new(pb::Product { product: a * b }))
    }

    async fn take(&self, blob: Request<pb::Blob>) -> Result<Response<pb::Sum>, Status> {
        Ok(Response::new(pb::Sum { sum: kit::sum(&blob.get_ref().blob) }))
    }

    async fn send(&self, records: Request<Streaming<pb::Record>>) -> Result<Response<pb::Sum>, Status> {
        let mut records = records.into_inner();
        let mut tally = Tally::default();
        while let Some(record) = records.message().await? {
            assert_eq!(record.name, kit::NAME);
            tally.note(record.value, &record.blob);
        }
        tally.figures();
        Ok(Response::new(pb::Sum { sum: 0 }))
    }
}

fn main() {
    let job = Job::of_this_process();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match &job.part {
            Part::Server => serve(job.has("tcp")).await,
            Part::Client { address, time } => {
                let endpoint = Endpoint::from_shared(address.clone()).unwrap().tcp_nodelay(true);
                let windows =
                    endpoint.initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
                let peer = PeerClient::new(windows.connect().await.unwrap());
                match job.work {
                    Work::Multiply { .. } | Work::Blob { .. } => call(peer, job.work, *time).await,
                    _ => send(peer, job.work, *time).await,
                }
            }
        }
    });
}

async fn serve(tcp: bool) {
    let service = PeerServer::new(Service).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .add_service(service);
    if tcp {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        kit::ready(format!("http://{}", listener.local_addr().unwrap()));
        server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await.unwrap();
    } else {
        let listener = UnixListener::bind("peer").unwrap();
        kit::ready("unix:peer");
        server.serve_with_incoming(UnixListenerStream::new(listener)).await.unwrap();
    }
}

async fn call(peer: PeerClient<Channel>, work: Work, time: Duration) {
    let blob = work.payload();
    let sum = kit::sum(&blob);
    let multiply = async || {
        let product = peer.clone().multiply(pb::Factors { a: 6, b: 7 }).await.unwrap();
        assert_eq!(product.get_ref().product, 42);
    };
    let take = async || {
        let got = peer.clone().take(pb::Blob { blob: Bytes::copy_from_slice(&blob) }).await.unwrap();
        assert_eq!(got.get_ref().sum, sum);
    };
    match work {
        Work::Multiply { in_flight } => kit::call(time, in_flight, multiply).await,
        _ => kit::call(time, 1, take).await,
    }
}

/// The stream is ready whenever it is asked, so that tonic may put many messages into one frame.
async fn send(mut peer: PeerClient<Channel>, work: Work, time: Duration) {
    let blob = work.payload();
    let sending = Arc::new(Mutex::new(Sending::begin(work, time)));
    let records = futures::stream::iter(std::iter::from_fn({
        let sending = sending.clone();
        move || {
            let value = sending.lock().unwrap().next()?;
            Some(pb::Record { name: kit::NAME.into(), value, blob: Bytes::copy_from_slice(&blob) })
        }
    }));
    peer.send(records).await.unwrap();
    sending.lock().unwrap().figures();
}
