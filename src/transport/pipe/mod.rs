//! Named pipes (FIFOs): many clients at one path, and one-way messages on a plain FIFO.
//!
//! # Many clients
//!
//! A FIFO has no connections: whoever opens it shares one stream of bytes with everybody else. So the one
//! at the server's path, the *rendezvous*, carries announcements only, and each client brings two FIFOs of
//! its own.
//!
//! ```text
//! /run/chat                                the rendezvous: clients write to it, the server reads
//! /run/chat.4711-0123456789abcdef/         made by a client, removed by the server when it answers
//!     to-server                            the bytes of the connection, one way
//!     to-client                            and the other
//! ```
//!
//! This is all that another implementation needs. The client
//!
//! 1. resolves symbolic links in the path, and opens the rendezvous with `O_WRONLY|O_NONBLOCK`. `ENXIO`
//!    means that no server reads it, and error readiness (`POLLERR`), from here on, that the server is gone;
//! 2. makes a folder with mode 0700 beside the rendezvous. Its name is that of the rendezvous, `.` and an
//!    *id*: its process id in decimal, `-`, and 16 random lower-case hexadecimal digits;
//! 3. opens the folder and takes `flock(LOCK_EX|LOCK_NB)` on it until the handshake is over. A folder whose
//!    lock is free belongs to a dead client, and the server removes it. It may do so between the second
//!    step and this one: when the lock or the next step fails, the client starts again with a new id;
//! 4. makes the FIFOs `to-server` and `to-client` in the folder, with mode 0600;
//! 5. opens `to-client` with `O_RDONLY|O_NONBLOCK`, then `to-server` with the same flags (a *keeper*,
//!    without which nobody may open a FIFO to write) and then with `O_WRONLY|O_NONBLOCK`;
//! 6. announces itself with one `write` to the rendezvous, which is atomic since it is short:
//!    `"\nSHIPMATE-PIPE 1 " id "\n"`. The first newline ends whatever garbage may be before it. On
//!    `EAGAIN` it waits until it may write;
//! 7. reads 8 bytes from `to-client`, the hello: `SHIPMATE`. It writes nothing before;
//! 8. closes the keeper, gives the lock up, and removes what is left of the folder, if anything is.
//!
//! From then on `to-server` and `to-client` carry the bytes of the connection, and nothing else. The death
//! of either side is an end-of-file and a broken pipe for the other.
//!
//! The server reads the rendezvous line by line and ignores, in silence, all that is not an announcement.
//! For an announcement it opens the folder and both FIFOs without following links and without waiting, sees
//! that all three are of one owner and that the client is there at both ends, removes the names, and writes
//! the hello. It keeps a writing end of the rendezvous open, so that it never reads an end-of-file.
//!
//! The server can only open the FIFOs of a client of another user if that user lets it. So a client that
//! finds the rendezvous to be another's gives its owner, and nobody else, access to its folder and FIFOs
//! (a POSIX access control list). Such a rendezvous needs a mode of 0622, say: who may write can connect,
//! but who may read could take the announcements of others away.
//!
//! # Nothing is left behind
//!
//! | killed | what would be left | who removes it |
//! |---|---|---|
//! | client, before the hello | its folder | the server, which watches for such folders; or the next server |
//! | server, before the hello | the client's folder | that client |
//! | server, at any time | the rendezvous | its last client, or the next server |
//!
//! One thing can stay: in a folder like `/tmp`, where users may not remove each other's files, the folder of
//! another user's client that was killed in its handshake.
//!
//! # One-way messages
//!
//! [`open_reader`] and [`open_writer`] use one plain FIFO without any of this, as `mkfifo` makes it and
//! `cat` understands it.

mod client;
mod fifo;
mod one_way;
mod rendezvous;
mod server;
mod sweep;
#[cfg(test)]
mod tests;

pub use client::connect;
pub use one_way::{open_reader, open_writer};
pub use server::listen;
