//! What is below all peers: blocking reads and writes on the descriptor, with no types at all, or a word that
//! two processors hand over in shared memory: `tcp|unix|pipe|shm`.

mod shm;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use kit::{Job, Part, Sending, Tally, Work};
use rustix::fs::{CWD, Mode, mkfifoat};

/// Of a call without a blob, and of a record.
const SMALL_BYTES: usize = 64;
/// Of the answer to a blob.
const ANSWER_BYTES: usize = 8;

fn main() {
    let job = Job::of_this_process();
    match (job.way[0].as_str(), &job.part) {
        ("shm", Part::Server) => shm::serve(job.work),
        ("shm", Part::Client { time, .. }) => shm::work(job.work, *time),
        (way, Part::Server) => Line::accept(way).serve(job.work),
        (way, Part::Client { address, time }) => Line::connect(way, address).work(job.work, *time),
    }
}

struct Line {
    reader: Box<dyn Read>,
    writer: Box<dyn Write>,
}

impl Line {
    fn accept(way: &str) -> Self {
        match way {
            "tcp" => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                kit::ready(listener.local_addr().unwrap());
                Line::tcp(listener.accept().unwrap().0)
            }
            "unix" => {
                let listener = UnixListener::bind("peer").unwrap();
                kit::ready("peer");
                Line::unix(listener.accept().unwrap().0)
            }
            "pipe" => {
                for name in ["peer.up", "peer.down"] {
                    mkfifoat(CWD, name, Mode::RUSR | Mode::WUSR).unwrap();
                }
                kit::ready("peer");
                let reader = File::open("peer.up").unwrap();
                let writer = OpenOptions::new().write(true).open("peer.down").unwrap();
                Line { reader: Box::new(reader), writer: Box::new(writer) }
            }
            other => panic!("there is no way {other}"),
        }
    }

    fn connect(way: &str, address: &str) -> Self {
        match way {
            "tcp" => Line::tcp(TcpStream::connect(address).unwrap()),
            "unix" => Line::unix(UnixStream::connect(address).unwrap()),
            _ => {
                let writer = OpenOptions::new().write(true).open("peer.up").unwrap();
                Line { reader: Box::new(File::open("peer.down").unwrap()), writer: Box::new(writer) }
            }
        }
    }

    fn tcp(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Line { reader: Box::new(stream.try_clone().unwrap()), writer: Box::new(stream) }
    }

    fn unix(stream: UnixStream) -> Self {
        Line { reader: Box::new(stream.try_clone().unwrap()), writer: Box::new(stream) }
    }

    /// A call is so many bytes, and so many back.
    fn sizes(work: Work) -> (usize, usize) {
        match work {
            Work::Multiply { .. } => (SMALL_BYTES, SMALL_BYTES),
            Work::Blob { bytes } => (bytes, ANSWER_BYTES),
            Work::Record => (SMALL_BYTES, 0),
            Work::Bulk { bytes } => (bytes, 0),
        }
    }

    fn serve(mut self, work: Work) {
        let (there, back) = Self::sizes(work);
        let (mut bytes, answer) = (vec![0; there], vec![0; back]);
        if back > 0 {
            while self.reader.read_exact(&mut bytes).is_ok() && self.writer.write_all(&answer).is_ok() {}
        } else {
            self.receive(bytes);
        }
        kit::until_stdin_ends();
    }

    /// Small messages are read as many at a time as there are.
    fn receive(&mut self, message: Vec<u8>) {
        let mut bytes = vec![0; message.len().max(64 << 10)];
        let (mut tally, mut held) = (Tally::default(), 0);
        loop {
            match self.reader.read(&mut bytes[..message.len().max(64 << 10) - held % message.len()]) {
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    held += read;
                    for _ in 0..held / message.len() {
                        tally.note(0, &[]);
                    }
                    held %= message.len();
                }
            }
        }
        tally.figures();
    }

    fn work(mut self, work: Work, time: Duration) {
        let (there, back) = Self::sizes(work);
        let (bytes, mut answer) = (vec![7; there], vec![0; back]);
        if back > 0 {
            return kit::call_blocking(
                time,
                1,
                &mut self,
                |line| line.writer.write_all(&bytes).unwrap(),
                |line| line.reader.read_exact(&mut answer).unwrap(),
            );
        }
        let mut sending = Sending::begin(work, time);
        while sending.next().is_some() {
            self.writer.write_all(&bytes).unwrap();
        }
        drop(self);
        sending.figures();
    }
}
