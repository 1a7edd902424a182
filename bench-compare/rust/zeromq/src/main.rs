//! ZeroMQ by libzmq, over `ipc:`, which is a Unix socket: REQ and REP, or DEALER and REP for many calls in
//! flight; PUSH and PULL one way.

use kit::{Job, Part, Sending, Tally, Work};
use zmq::{Context, Socket};

const ADDRESS: &str = "ipc://peer";
/// In a message: two factors, or a value and a name before the blob.
const NUMBER_BYTES: usize = 8;
const HEAD_BYTES: usize = NUMBER_BYTES + kit::NAME.len();
/// Large messages that may wait on each side, so that they stay in the cache; of others a thousand may.
const BULK_WAITING: i32 = 8;
/// Shorter than any message that carries something.
const END: &[u8] = b"end";

fn main() {
    let job = Job::of_this_process();
    let context = Context::new();
    match (&job.part, job.work) {
        (Part::Server, Work::Multiply { .. } | Work::Blob { .. }) => {
            answer(&bound(&context, zmq::REP, job.work), job.work)
        }
        (Part::Server, work) => receive(&bound(&context, zmq::PULL, work)),
        (Part::Client { time, .. }, work @ (Work::Multiply { .. } | Work::Blob { .. })) => {
            let many = work.in_flight() > 1;
            let mut socket = connected(&context, if many { zmq::DEALER } else { zmq::REQ }, work);
            let question = if let Work::Blob { .. } = work { work.payload() } else { numbers(6, 7) };
            let expected = if let Work::Blob { .. } = work { kit::sum(&question) } else { 42 };
            kit::call_blocking(
                *time,
                work.in_flight(),
                &mut socket,
                |socket| {
                    if many {
                        // What REQ does by itself.
                        socket.send("", zmq::SNDMORE).unwrap();
                    }
                    socket.send(question.as_slice(), 0).unwrap();
                },
                |socket| {
                    if many {
                        socket.recv_msg(0).unwrap();
                    }
                    assert_eq!(number(&socket.recv_msg(0).unwrap()), expected);
                },
            );
        }
        (Part::Client { time, .. }, work) => {
            let socket = connected(&context, zmq::PUSH, work);
            let mut message = numbers(0, 0)[..NUMBER_BYTES].to_vec();
            message.extend_from_slice(kit::NAME.as_bytes());
            message.extend_from_slice(&work.payload());
            let mut sending = Sending::begin(work, *time);
            while let Some(value) = sending.next() {
                message[..NUMBER_BYTES].copy_from_slice(&value.to_le_bytes());
                socket.send(message.as_slice(), 0).unwrap();
            }
            socket.send(END, 0).unwrap();
            sending.figures();
            // What the other side has not read yet may be lost with the connection.
            kit::until_stdin_ends();
        }
    }
}

fn bound(context: &Context, kind: zmq::SocketType, work: Work) -> Socket {
    let socket = open(context, kind, work);
    socket.bind(ADDRESS).unwrap();
    kit::ready(ADDRESS);
    socket
}

fn connected(context: &Context, kind: zmq::SocketType, work: Work) -> Socket {
    let socket = open(context, kind, work);
    socket.connect(ADDRESS).unwrap();
    socket
}

fn open(context: &Context, kind: zmq::SocketType, work: Work) -> Socket {
    let socket = context.socket(kind).unwrap();
    if let Work::Bulk { .. } = work {
        socket.set_sndhwm(BULK_WAITING).unwrap();
        socket.set_rcvhwm(BULK_WAITING).unwrap();
    }
    socket
}

fn answer(socket: &Socket, work: Work) {
    loop {
        let question = socket.recv_msg(0).unwrap();
        let answer = match work {
            Work::Multiply { .. } => number(&question) * number(&question[NUMBER_BYTES..]),
            _ => kit::sum(&question),
        };
        socket.send(answer.to_le_bytes().as_slice(), 0).unwrap();
    }
}

fn receive(socket: &Socket) {
    let mut tally = Tally::default();
    loop {
        let message = socket.recv_msg(0).unwrap();
        if message.len() < HEAD_BYTES {
            break;
        }
        assert_eq!(&message[NUMBER_BYTES..HEAD_BYTES], kit::NAME.as_bytes());
        tally.note(number(&message) as i64, &message[HEAD_BYTES..]);
    }
    tally.figures();
    std::thread::park();
}

fn numbers(a: i64, b: i64) -> Vec<u8> {
    [a.to_le_bytes(), b.to_le_bytes()].concat()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..NUMBER_BYTES].try_into().unwrap())
}
