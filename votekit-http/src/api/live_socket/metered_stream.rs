//! A connection from which a bounded number of bytes is read before the next allowance.
//!
//! The WebSocket layer continues to read while bytes arrive that are not a complete message, and
//! returns none of them: a message in empty fragments never ends and never grows. Only the bytes
//! can be counted.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream of one reader.
#[derive(Debug)]
pub(super) struct MeteredStream<S> {
    inner: S,
    bytes_max: usize,
    left: usize,
}

impl<S> MeteredStream<S> {
    /// Allows `bytes_max` bytes.
    pub(super) fn new(inner: S, bytes_max: usize) -> Self {
        Self { inner, bytes_max, left: bytes_max }
    }

    /// Allows as many bytes again.
    pub(super) fn renew(&mut self) {
        self.left = self.bytes_max;
    }
}

/// Whether reading has failed because the allowance is used up.
pub(super) fn is_used_up(error: &io::Error) -> bool {
    error.kind() == ErrorKind::QuotaExceeded
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    /// The last read may go beyond the allowance, by the buffer of the caller.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(Err(ErrorKind::QuotaExceeded.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(context, buffer);
        this.left = this.left.saturating_sub(buffer.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn reading_fails_once_the_allowance_is_used_up_and_writing_does_not() {
        let (mut peer, inner) = tokio::io::duplex(64);
        let mut metered = MeteredStream::new(inner, 10);
        let mut buffer = [0; 4];
        peer.write_all(&[7; 24]).await.expect("room");
        for _ in 0..3 {
            assert_eq!(metered.read(&mut buffer).await.expect("allowed"), 4);
        }
        let refused = metered.read(&mut buffer).await.expect_err("used up");
        assert!(is_used_up(&refused), "{refused}");
        metered.write_all(b"bye").await.expect("written");
        metered.renew();
        for _ in 0..3 {
            assert_eq!(metered.read(&mut buffer).await.expect("allowed again"), 4);
        }
        assert!(metered.read(&mut buffer).await.is_err());
        metered.shutdown().await.expect("shut down");
        let mut written = Vec::new();
        peer.read_to_end(&mut written).await.expect("the end");
        assert_eq!(written, b"bye");
    }
}
