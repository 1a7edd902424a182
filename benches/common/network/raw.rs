//! The primitive below: 64 bytes there and back, with blocking reads and writes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use shipmate::Address;

use super::super::process;
use super::{fifos, local_port, make_fifos};

pub(crate) const PING_BYTES: usize = 64;

/// The client's end.
pub(crate) struct Line {
    reader: Box<dyn Read>,
    writer: Box<dyn Write>,
}

impl Line {
    pub(crate) fn connect(address: &Address) -> Self {
        match address {
            Address::Tcp { .. } => {
                let stream = TcpStream::connect(local_port(address)).unwrap();
                stream.set_nodelay(true).unwrap();
                Line { reader: Box::new(stream.try_clone().unwrap()), writer: Box::new(stream) }
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                Line { reader: Box::new(stream.try_clone().unwrap()), writer: Box::new(stream) }
            }
            Address::Pipe(path) => {
                let (up, down) = fifos(path);
                let writer = OpenOptions::new().write(true).open(up).unwrap();
                Line { reader: Box::new(File::open(down).unwrap()), writer: Box::new(writer) }
            }
            other => unreachable!("{other} is not measured"),
        }
    }

    pub(crate) fn round_trip(&mut self) {
        let mut bytes = [7; PING_BYTES];
        self.writer.write_all(&bytes).unwrap();
        self.reader.read_exact(&mut bytes).unwrap();
    }

    fn echo(mut self) {
        let mut bytes = [0; PING_BYTES];
        while self.reader.read_exact(&mut bytes).is_ok() && self.writer.write_all(&bytes).is_ok() {}
    }
}

/// Serves one client.
pub(super) fn serve(address: &Address) {
    let line = match address {
        Address::Tcp { .. } => {
            let listener = TcpListener::bind(local_port(address)).unwrap();
            let port = listener.local_addr().unwrap().port();
            process::ready(&Address::Tcp { host: "127.0.0.1".into(), port });
            let stream = listener.accept().unwrap().0;
            stream.set_nodelay(true).unwrap();
            Line { reader: Box::new(stream.try_clone().unwrap()), writer: Box::new(stream) }
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path).unwrap();
            process::ready(address);
            let stream = listener.accept().unwrap().0;
            Line { reader: Box::new(stream.try_clone().unwrap()), writer: Box::new(stream) }
        }
        Address::Pipe(path) => {
            let (up, down) = make_fifos(path);
            process::ready(address);
            let reader = File::open(up).unwrap();
            let writer = OpenOptions::new().write(true).open(down).unwrap();
            Line { reader: Box::new(reader), writer: Box::new(writer) }
        }
        other => unreachable!("{other} is not measured"),
    };
    line.echo();
}
