//! Named pipes (FIFOs).

use std::path::Path;

use super::{Accepted, ListenOptions, Listener, Stream};
use crate::{Address, Error, Result};
use futures::future::BoxFuture;

struct Pipe(Address);

/// Listens.
pub fn listen(path: &Path, _options: &ListenOptions) -> Result<impl Listener + use<>> {
    Ok(Pipe(Address::Pipe(path.into())))
}

/// Connects.
pub async fn connect(_path: &Path) -> Result<Stream> {
    Err(Error::Misuse("todo".into()))
}

impl Listener for Pipe {
    fn address(&self) -> &Address {
        &self.0
    }
    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted>> {
        Box::pin(std::future::pending())
    }
}
