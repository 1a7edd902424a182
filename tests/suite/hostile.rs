//! Peers that break every rule: it costs them their connection, and nobody else anything.

use std::time::Duration;

use capnp::message::{Builder, HeapAllocator};
use capnp::serialize;
use capnp_rpc::rpc_capnp::message;
use shipmate::{Address, transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Random, Shipmated, Transport, ping};

on_every_transport! { broken_frames, broken_calls, random_streams, damaged_calls }

async fn broken_frames(transport: Transport) {
    let one = rpc(|root| root.init_bootstrap().set_question_id(0));
    let mut cases = vec![
        ("nothing", vec![]),
        ("as many segments as there can be", u32::MAX.to_le_bytes().to_vec()),
        ("no segment length", 0_u32.to_le_bytes().to_vec()),
        ("one segment of 32 GiB", words(&[0, u32::MAX])),
        ("lengths whose sum is beyond 32 bits", words(&[3, u32::MAX, u32::MAX, u32::MAX, u32::MAX, 0])),
        ("an announcement of 64 MiB and nothing more", words(&[0, (64 << 17) - 2])),
        ("one byte too much", words(&[0, (64 << 17)])),
        ("a frame without a word", words(&[0, 0])),
        ("512 segments without a word", [words(&[511]), words(&[0; 512]), words(&[0])].concat()),
        ("513 segments without a word", [words(&[512]), words(&[0; 513])].concat()),
        ("two far pointers at each other", words(&[1, 1, 1, 0, 2, 1, 2, 0])),
        ("a pointer out of the segment", words(&[0, 1, 0x7fff_fffc, 0x0001_0001])),
        ("a pointer at itself", words(&[0, 1, 0xffff_fffc, 0x0000_0001])),
        ("a list of 500 million voids", words(&[0, 1, 1, 0xffff_fff8])),
        ("a good frame and then garbage", [one.as_slice(), &[0xff; 100]].concat()),
    ];
    cases.extend((1..one.len()).map(|length| ("a frame that is cut off", one[..length].to_vec())));
    check(transport, cases).await;
}

async fn broken_calls(transport: Transport) {
    let bootstrap = |id| rpc(move |root| root.init_bootstrap().set_question_id(id));
    let call = |id, target: u32| {
        rpc(move |root| {
            let mut call = root.init_call();
            call.set_question_id(id);
            call.set_interface_id(1);
            call.reborrow().init_target().set_imported_cap(target);
            call.init_params();
        })
    };
    let on_answer = |id, of, field| {
        rpc(move |root| {
            let mut call = root.init_call();
            call.set_question_id(id);
            let mut answer = call.reborrow().init_target().init_promised_answer();
            answer.set_question_id(of);
            answer.init_transform(1).get(0).set_get_pointer_field(field);
            call.init_params();
        })
    };
    let finish = |id| rpc(move |root| root.init_finish().set_question_id(id));
    let cases = vec![
        ("the same question twice", [bootstrap(7), bootstrap(7)].concat()),
        ("a call whose question is in use", [bootstrap(7), call(7, 0)].concat()),
        ("a call of nothing", call(0, 4711)),
        ("a call without a target", rpc(|root| _ = root.init_call())),
        ("a call of the answer to no question", on_answer(1, 4711, 0)),
        ("a call of itself", on_answer(1, 1, 0)),
        ("a field that is not there", [bootstrap(0), on_answer(1, 0, u16::MAX)].concat()),
        ("the end of no question", finish(4711)),
        ("the end of a question, twice", [bootstrap(0), finish(0), finish(0)].concat()),
        (
            "an answer to no question",
            rpc(|root| {
                let mut answer = root.init_return();
                answer.set_answer_id(4711);
                answer.init_results();
            }),
        ),
        (
            "a cancelled answer to no question",
            rpc(|root| {
                let mut answer = root.init_return();
                answer.set_answer_id(1);
                answer.set_canceled(());
            }),
        ),
        (
            "the release of nothing",
            rpc(|root| {
                let mut release = root.init_release();
                release.set_id(4711);
                release.set_reference_count(u32::MAX);
            }),
        ),
        (
            "more releases than references",
            [
                bootstrap(0),
                rpc(|root| {
                    let mut release = root.init_release();
                    release.set_id(0);
                    release.set_reference_count(u32::MAX);
                }),
                call(1, 0),
            ]
            .concat(),
        ),
        ("a promise of nothing", rpc(|root| root.init_resolve().set_promise_id(4711))),
        (
            "an embargo of nothing",
            rpc(|root| {
                let mut disembargo = root.init_disembargo();
                disembargo.reborrow().init_target().set_imported_cap(4711);
                disembargo.init_context().set_receiver_loopback(4711);
            }),
        ),
        ("an abort", rpc(|root| root.init_abort().set_reason("no reason"))),
        ("level 3", rpc(|root| _ = root.init_provide())),
        ("level 4", rpc(|root| _ = root.init_join())),
        ("what the peer does not implement", rpc(|root| _ = root.init_unimplemented().init_call())),
    ];
    check(transport, cases).await;
}

async fn random_streams(transport: Transport) {
    let mut random = Random(0x5eed);
    let mut cases = Vec::new();
    for _ in 0..100 {
        let length = random.below(200);
        cases.push(("random bytes", random.bytes(length)));
        let length = random.below(40) as u32;
        cases.push(("a frame of random bytes", [words(&[0, length]), random.bytes(8 * length as usize)].concat()));
    }
    check(transport, cases).await;
}

/// A session that is fine, but for one byte.
async fn damaged_calls(transport: Transport) {
    let session = [
        rpc(|root| root.init_bootstrap().set_question_id(0)),
        rpc(|root| {
            let mut call = root.init_call();
            call.set_question_id(1);
            call.set_interface_id(0xe9f9_f0e5_0a4e_4a2e);
            call.reborrow().init_target().init_promised_answer().set_question_id(0);
            let mut params = call.init_params();
            params.reborrow().init_cap_table(1).get(0).set_sender_hosted(3);
            params.get_content().set_as::<capnp::data::Owned>(b"some content".as_slice()).unwrap();
        }),
        rpc(|root| root.init_finish().set_question_id(1)),
        rpc(|root| root.init_finish().set_question_id(0)),
    ]
    .concat();
    let mut random = Random(0xda3a);
    let damaged = |at: usize, byte: u8| {
        let mut bytes = session.clone();
        bytes[at] ^= byte;
        ("a session with one wrong byte", bytes)
    };
    let cases = (0..session.len()).map(|at| damaged(at, 1 << random.below(8))).collect();
    check(transport, cases).await;
}

/// Sends each case on a connection of its own, which must end, while another client is answered.
async fn check(transport: Transport, cases: Vec<(&str, Vec<u8>)>) {
    let server = Shipmated::start_with(transport, &["--shards", "1", "--log-level", "error"]);
    let witness = server.connect().await;
    ping(&witness, b"before").await.unwrap();
    for (name, bytes) in cases {
        let (answered, alive) = futures::join!(send_raw(server.address(), &bytes), ping(&witness, b"meanwhile"));
        assert!(answered.is_some(), "{name}: the connection does not end after {bytes:02x?}");
        if let Err(error) = alive {
            panic!("{name}: another client is hit: {error}; after {bytes:02x?}");
        }
    }
    ping(&witness, b"after").await.unwrap();
    ping(&server.connect().await, b"a new one").await.unwrap();
}

/// Sends bytes and the end of the stream, and gives what comes back until the server ends it too.
pub(crate) async fn send_raw(address: &Address, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = transport::connect(address).await.unwrap();
    // The server may have seen enough before it has all.
    let _ = stream.writer.write_all(bytes).await;
    let _ = stream.writer.shutdown().await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.reader.read_to_end(&mut answer)).await;
    read.is_ok().then_some(answer)
}

/// A frame with one message of the protocol.
fn rpc(build: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
    let mut frame = Builder::new(HeapAllocator::new());
    build(frame.init_root());
    serialize::write_message_to_words(&frame)
}

pub(crate) fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
