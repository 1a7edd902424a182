//! The network that `capnp-rpc` brings, over buffered streams as its documentation advises, and messages by
//! `capnp-futures`, over a buffered stream too: `tcp|unix [fed]`.

use std::future::pending;
use std::time::Duration;

use capnp::message::{HeapAllocator, TypedBuilder};
use capnp_futures::serialize;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use capnp_rpc::{RpcSystem, new_client};
use futures::AsyncWriteExt;
use futures::io::{BufReader, BufWriter};
use kit::{Job, Part, Sending, Tally, Work};
use schema::READER_OPTIONS;
use schema::peer_capnp::{peer, record};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime;
use tokio::task::{LocalSet, spawn_local};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

fn main() {
    let job = Job::of_this_process();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        match &job.part {
            Part::Server if job.has("tcp") => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                kit::ready(listener.local_addr().unwrap());
                let stream = listener.accept().await.unwrap().0;
                stream.set_nodelay(true).unwrap();
                let (reader, writer) = stream.into_split();
                serve(reader, writer, job.work).await;
            }
            Part::Server => {
                let listener = UnixListener::bind("peer").unwrap();
                kit::ready("peer");
                let (reader, writer) = listener.accept().await.unwrap().0.into_split();
                serve(reader, writer, job.work).await;
            }
            Part::Client { address, time } if job.has("tcp") => {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (reader, writer) = stream.into_split();
                work(reader, writer, job.work, job.has("fed"), *time).await;
            }
            Part::Client { address, time } => {
                let (reader, writer) = UnixStream::connect(address).await.unwrap().into_split();
                work(reader, writer, job.work, job.has("fed"), *time).await;
            }
        }
    });
}

async fn serve(reader: impl AsyncRead + Unpin + 'static, writer: impl AsyncWrite + Unpin + 'static, work: Work) {
    if let Work::Record | Work::Bulk { .. } = work {
        return receive(reader).await;
    }
    let bootstrap: peer::Client = new_client(schema::Service);
    let _ = RpcSystem::new(Box::new(network(reader, writer, Side::Server)), Some(bootstrap.client)).await;
    pending().await
}

async fn work(
    reader: impl AsyncRead + Unpin + 'static,
    writer: impl AsyncWrite + Unpin + 'static,
    work: Work,
    fed: bool,
    time: Duration,
) {
    if let Work::Record | Work::Bulk { .. } = work {
        return send(writer, work, fed, time).await;
    }
    let mut rpc = RpcSystem::new(Box::new(network(reader, writer, Side::Client)), None);
    let peer = rpc.bootstrap(Side::Server);
    spawn_local(rpc);
    schema::call(peer, work, time).await;
}

fn network<R: AsyncRead + Unpin + 'static>(
    reader: R,
    writer: impl AsyncWrite + Unpin + 'static,
    side: Side,
) -> VatNetwork<BufReader<tokio_util::compat::Compat<R>>> {
    let (reader, writer) = (BufReader::new(reader.compat()), BufWriter::new(writer.compat_write()));
    VatNetwork::new(reader, writer, side, READER_OPTIONS)
}

async fn receive(reader: impl AsyncRead + Unpin + 'static) {
    let mut reader = BufReader::with_capacity(64 << 10, reader.compat());
    let mut tally = Tally::default();
    while let Some(message) = serialize::try_read_message(&mut reader, READER_OPTIONS).await.unwrap() {
        let message = message.into_typed::<record::Owned>();
        let message = message.get().unwrap();
        assert_eq!(message.get_name().unwrap(), kit::NAME);
        tally.note(message.get_value(), message.get_blob().unwrap());
    }
    tally.figures();
    pending().await
}

/// A flush for each message, or, if `fed`, whenever the buffer is full.
async fn send(writer: impl AsyncWrite + Unpin + 'static, work: Work, fed: bool, time: Duration) {
    let mut writer = BufWriter::with_capacity(64 << 10, writer.compat_write());
    let blob = work.payload();
    let words = (64 + blob.len() as u32) / 8 + 1;
    let mut sending = Sending::begin(work, time);
    while let Some(value) = sending.next() {
        let allocator = HeapAllocator::new().first_segment_words(words);
        let mut message = TypedBuilder::<record::Owned, _>::new(capnp::message::Builder::new(allocator));
        let mut record = message.init_root();
        record.set_name(kit::NAME);
        record.set_value(value);
        record.set_blob(&blob);
        serialize::write_message(&mut writer, message.into_inner()).await.unwrap();
        if !fed {
            writer.flush().await.unwrap();
        }
    }
    writer.close().await.unwrap();
    sending.figures();
}
