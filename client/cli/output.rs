//! Standard output, written without holding the program up: while it is blocked, a signal still ends us.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Where results go.
pub(crate) struct Output {
    to: Box<dyn AsyncWrite + Unpin>,
}

/// Nobody reads standard output any more.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct Closed;

impl Output {
    pub(crate) fn stdout() -> Self {
        Output { to: Box::new(tokio::io::stdout()) }
    }

    /// Writes a line, and sees that it is out.
    pub(crate) async fn line(&mut self, text: impl AsRef<str>) -> anyhow::Result<()> {
        self.all(format!("{}\n", text.as_ref()).as_bytes()).await
    }

    /// Writes bytes as they are, and sees that they are out.
    pub(crate) async fn all(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = async {
            self.to.write_all(bytes).await?;
            self.to.flush().await
        };
        written.await.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => anyhow::Error::new(Closed),
            _ => anyhow::Error::new(error).context("write to standard output"),
        })
    }
}

/// Whether the reader of standard output has gone, which is no failure of ours.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error.is::<Closed>()
}
