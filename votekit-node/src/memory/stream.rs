//! Overwrites the data that a connection has read in the buffers of the libraries above it.
//!
//! hyper and rustls keep one read buffer a connection and reuse it without freeing it, so the body
//! of a vote would stay in it for as long as a voter keeps the connection open. Both pass the
//! unused part of that buffer to the stream below for the next read. When there is nothing to read
//! and the connection waits, this stream zeroes as many bytes of that part as it has read before.
//!
//! A buffer still in use at that moment is not passed down; it is freed with its last user, and
//! zeroed by the allocator.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stack::stack_used;

/// A stream whose reader's buffer contains no more than the data in progress.
pub struct OverwritingStream<S> {
    stream: S,
    /// Bytes read since the buffer was last overwritten: no byte beyond them was touched.
    read_bytes: usize,
}

impl<S> OverwritingStream<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self { stream, read_bytes: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OverwritingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled_before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            let read_bytes = buffer.filled().len() - filled_before;
            self.read_bytes = self.read_bytes.saturating_add(read_bytes);
            stack_used();
        // Nothing to read: the previous content has been consumed.
        } else if self.read_bytes > 0 {
            let length = self.read_bytes.min(buffer.remaining());
            buffer.initialize_unfilled_to(length).fill(0);
            self.read_bytes = 0;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OverwritingStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    /// Reads once into the start of the same room, as a reused buffer does.
    fn read(stream: &mut OverwritingStream<tokio::io::DuplexStream>, room: &mut [u8]) -> usize {
        let mut buffer = ReadBuf::new(room);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(stream).poll_read(&mut context, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()).expect("readable"),
            Poll::Pending => 0,
        }
    }

    #[tokio::test]
    async fn a_wait_overwrites_what_was_read_and_nothing_else() {
        let (mut sender, receiver) = duplex(64);
        let mut stream = OverwritingStream::new(receiver);
        let mut room = [b'.'; 16];
        sender.write_all(b"secret").await.expect("room");
        assert_eq!(read(&mut stream, &mut room), 6);
        assert_eq!(&room, b"secret..........", "what is being worked on stays");
        assert_eq!(read(&mut stream, &mut room), 0);
        assert_eq!(&room, b"\0\0\0\0\0\0..........");
        room.fill(b'.');
        assert_eq!(read(&mut stream, &mut room), 0);
        assert_eq!(&room, b"................", "a second wait has nothing to overwrite");
    }

    #[tokio::test]
    async fn several_reads_are_overwritten_together_and_a_small_rest_is_not_overrun() {
        let (mut sender, receiver) = duplex(64);
        let mut stream = OverwritingStream::new(receiver);
        let mut room = [b'.'; 8];
        for _ in 0..3 {
            sender.write_all(b"secret").await.expect("room");
            assert_eq!(read(&mut stream, &mut room), 6);
        }
        assert_eq!(read(&mut stream, &mut room), 0);
        assert_eq!(room, [0; 8]);
    }
}
