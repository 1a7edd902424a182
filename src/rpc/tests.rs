//! When replies are written: together, but not so much together that the two sides work by turns.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use capnp::message::Builder;
use capnp::serialize;
use capnp_rpc::rpc_capnp::message;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::{LocalSet, yield_now};

use crate::frame::Decoder;
use crate::schema::shipmate_capnp::shipmate;
use crate::transport::{Stream, WriteHalf, memory};
use crate::{Limits, ServerOptions, serve_stream};

#[tokio::test]
async fn replies_to_one_read_leave_in_parts_of_a_third() {
    assert_eq!(replies_in_each_write(1).await, [1]);
    assert_eq!(replies_in_each_write(3).await, [3]);
    assert_eq!(replies_in_each_write(9).await, [4, 4, 1]);
    assert_eq!(replies_in_each_write(30).await, [10, 10, 10]);
    assert_eq!(replies_in_each_write(100).await, [24, 24, 24, 24, 4]);
}

/// How many calls each write replies to, when so many of them arrive in one piece.
async fn replies_in_each_write(calls: u32) -> Vec<usize> {
    let (mut client, server) = memory::pair();
    let writes = Recorder::default();
    let server = Stream { writer: WriteHalf::new(writes.clone()), ..server };
    LocalSet::new()
        .run_until(async {
            let bootstrap: shipmate::Client = capnp_rpc::new_client(Echo);
            let _connection = serve_stream(server, bootstrap, &ServerOptions::default());
            client.writer.write_all(&frame(|root| root.init_bootstrap().set_question_id(0))).await.unwrap();
            writes.take_replies(1).await;
            let together: Vec<u8> = (1..=calls).flat_map(ping).collect();
            client.writer.write_all(&together).await.unwrap();
            writes.take_replies(calls as usize).await
        })
        .await
}

struct Echo;

impl shipmate::Server for Echo {
    async fn ping(
        self: Rc<Self>,
        params: shipmate::PingParams,
        mut results: shipmate::PingResults,
    ) -> capnp::Result<()> {
        results.get().set_payload(params.get()?.get_payload()?);
        Ok(())
    }
}

/// A call of `ping` on the bootstrap capability that question 0 asked for.
fn ping(question: u32) -> Vec<u8> {
    frame(|root| {
        let mut call = root.init_call();
        call.set_question_id(question);
        call.set_interface_id(<shipmate::Client as capnp::traits::HasTypeId>::TYPE_ID);
        call.set_method_id(3);
        call.reborrow().init_target().init_promised_answer().set_question_id(0);
        call.init_params().init_content().init_as::<shipmate::ping_params::Builder<'_>>();
    })
}

fn frame(build: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
    let mut message = Builder::new_default();
    build(message.init_root());
    serialize::write_message_to_words(&message)
}

/// Takes every write whole, and remembers where one ended.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Vec<u8>>>>);

impl Recorder {
    /// Waits for so many replies, and gives how many of them each write held.
    async fn take_replies(&self, count: usize) -> Vec<usize> {
        loop {
            let frames: Vec<usize> = self.0.lock().unwrap().iter().map(|bytes| frames_in(bytes)).collect();
            if frames.iter().sum::<usize>() == count {
                self.0.lock().unwrap().clear();
                return frames;
            }
            yield_now().await;
        }
    }
}

fn frames_in(bytes: &[u8]) -> usize {
    let mut decoder = Decoder::new(&Limits::DEFAULT);
    decoder.push(bytes);
    decoder.ready_frames()
}

impl AsyncWrite for Recorder {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let count = bytes.len();
        self.0.lock().unwrap().push(bytes);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
