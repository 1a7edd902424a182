//! The names and the announcements of clients. See the [module](super) for the format.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use crate::transport::names::folder_of;

/// The FIFOs in a client's folder.
pub(super) const TO_SERVER: &str = "to-server";
/// See [`TO_SERVER`].
pub(super) const TO_CLIENT: &str = "to-client";

/// The server's first bytes on `to-client`.
pub(super) const HELLO: &[u8; 8] = b"SHIPMATE";

const ANNOUNCES: &str = "SHIPMATE-PIPE 1 ";
const PROCESS_DIGITS_MAX: usize = 10;
const RANDOM_DIGITS: usize = 16;
const ID_MAX: usize = PROCESS_DIGITS_MAX + "-".len() + RANDOM_DIGITS;
/// Linux's bound for a file name.
const NAME_MAX: usize = 255;
/// More than any announcement has.
const LINE_MAX: usize = 64;

/// What a client calls itself: `<process>-<16 hexadecimal digits>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id(String);

/// Where a rendezvous is: the folder that it and the folders of its clients are in, and its name there.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) folder_path: PathBuf,
    name: Vec<u8>,
}

/// Finds announcements in what is read from a rendezvous, whatever else may be in it.
#[derive(Default)]
pub(super) struct Scanner {
    line: Vec<u8>,
    /// The line is longer than any announcement; its start was thrown away.
    overlong: bool,
}

impl Id {
    pub(super) fn new() -> io::Result<Self> {
        let mut random = [0; RANDOM_DIGITS / 2];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        Ok(Id(format!("{}-{:016x}", std::process::id(), u64::from_ne_bytes(random))))
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (process, random) = text.split_once('-')?;
        let decimal = (1..=PROCESS_DIGITS_MAX).contains(&process.len()) && process.bytes().all(|b| b.is_ascii_digit());
        let hexadecimal =
            random.len() == RANDOM_DIGITS && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (decimal && hexadecimal).then(|| Id(text.to_owned()))
    }

    pub(super) fn announcement(&self) -> String {
        format!("\n{ANNOUNCES}{self}\n")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Place {
    pub(super) fn of(rendezvous: &Path) -> io::Result<Self> {
        let name = rendezvous.file_name().ok_or(io::ErrorKind::InvalidInput)?.as_bytes().to_owned();
        if name.len() > NAME_MAX - ".".len() - ID_MAX {
            return Err(rustix::io::Errno::NAMETOOLONG.into());
        }
        let folder_path = folder_of(rendezvous).to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, &folder_path, flags, Mode::empty())?;
        Ok(Place { folder, folder_path, name })
    }

    /// The name of a client's folder.
    pub(super) fn client_folder(&self, id: &Id) -> OsString {
        OsString::from_vec([&self.name, b".".as_slice(), id.0.as_bytes()].concat())
    }

    /// The client whose folder has this name.
    pub(super) fn client_of(&self, folder: &[u8]) -> Option<Id> {
        Id::parse(folder.strip_prefix(self.name.as_slice())?.strip_prefix(b".")?)
    }
}

impl Scanner {
    /// The clients that are announced in `bytes`, which follow those of the last time.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Vec<Id> {
        let mut found = Vec::new();
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.append(end);
                    found.extend(self.line.strip_prefix(ANNOUNCES.as_bytes()).and_then(Id::parse));
                    *self = Scanner::default();
                }
                None => self.append(piece),
            }
        }
        found
    }

    fn append(&mut self, piece: &[u8]) {
        self.overlong |= self.line.len() + piece.len() > LINE_MAX;
        if self.overlong {
            self.line.clear();
        } else {
            self.line.extend_from_slice(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_id_is_refused() {
        for text in
            ["", "1", "1-", "-0123456789abcdef", "1-0123456789abcde", "1-0123456789abcdeF", "../-0123456789abcdef"]
        {
            assert_eq!(Id::parse(text.as_bytes()), None, "{text}");
        }
        for text in
            ["1-0123456789abcdef/", "12345678901-0123456789abcdef", "1/../2-0123456789abcdef", "1-é23456789abcdef"]
        {
            assert_eq!(Id::parse(text.as_bytes()), None, "{text}");
        }
        assert!(Id::parse(b"4294967295-0123456789abcdef").is_some());
    }

    #[test]
    fn only_folders_with_an_id_are_a_clients() {
        let place = Place::of(Path::new("/tmp/a chat")).unwrap();
        let id = Id::new().unwrap();
        assert_eq!(place.client_of(place.client_folder(&id).as_bytes()), Some(id));
        for name in
            ["a chat", "a chat.", "a chat.d", "a chat.4711", "a chatty.1-0123456789abcdef", "b.1-0123456789abcdef"]
        {
            assert_eq!(place.client_of(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_name_leaves_room_for_those_of_the_clients() {
        assert!(Place::of(Path::new(&format!("/tmp/{}", "x".repeat(228)))).is_err());
        let place = Place::of(Path::new(&format!("/tmp/{}", "x".repeat(227)))).unwrap();
        let id = Id::parse(b"4294967295-0123456789abcdef").unwrap();
        assert_eq!(place.client_folder(&id).len(), NAME_MAX);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let mut scanner = Scanner::default();
        for _ in 0..1000 {
            assert_eq!(scanner.scan(&[b'x'; 4096]), []);
            assert!(scanner.line.capacity() <= 2 * LINE_MAX);
        }
        let id = Id::new().unwrap();
        assert_eq!(scanner.scan(id.announcement().as_bytes()), [id]);
    }

    proptest! {
        #[test]
        fn announcements_are_found_in_any_garbage_and_however_they_are_cut(
            garbage in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
            cut in 1..50_usize,
        ) {
            let mut bytes = Vec::new();
            let mut announced = Vec::new();
            for garbage in garbage {
                bytes.extend(garbage);
                let id = Id::new().unwrap();
                bytes.extend(id.announcement().as_bytes());
                announced.push(id);
            }
            let mut scanner = Scanner::default();
            let found: Vec<Id> = bytes.chunks(cut).flat_map(|piece| scanner.scan(piece)).collect();
            prop_assert_eq!(found, announced);
        }
    }
}
