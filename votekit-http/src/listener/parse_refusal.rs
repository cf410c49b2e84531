//! Problem details for messages that hyper cannot parse.
//!
//! hyper answers such a message itself, with a status and no body, before any service sees it. This
//! stream replaces that answer by an answer with the same status and problem details.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::guard::message_rules::unreadable_message;

/// A stream that replaces hyper's own refusals.
pub(super) struct ParseRefusals<S> {
    stream: S,
    is_tls: bool,
    /// The bytes written instead of a refusal, and the number already written.
    replacement: Option<(Vec<u8>, usize)>,
}

impl<S> ParseRefusals<S> {
    pub(super) fn new(stream: S, is_tls: bool) -> Self {
        Self { stream, is_tls, replacement: None }
    }
}

impl<S: AsyncWrite + Unpin> ParseRefusals<S> {
    /// Writes the whole replacement, then reports all of `replaced` as written.
    fn write_replacement(
        &mut self,
        context: &mut Context<'_>,
        replaced: usize,
    ) -> Poll<io::Result<usize>> {
        while let Some((answer, written)) = &mut self.replacement {
            let rest = &answer[*written..];
            if rest.is_empty() {
                self.replacement = None;
                break;
            }
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        Poll::Ready(Ok(replaced))
    }
}

/// The status of a refusal by hyper itself, if `bytes` are exactly such a refusal. No answer of
/// votekit matches: with these statuses its answers have a body, and none of these bodies contains
/// a carriage return, so the rest of a partly written body does not match either.
fn own_refusal(bytes: &[u8]) -> Option<StatusCode> {
    const EMPTY: &[u8] = b"\r\ncontent-length: 0\r\n";
    let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    if status[0] != b'4' {
        return None;
    }
    let ends_at_its_head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4 == bytes.len();
    let is_empty = bytes.windows(EMPTY.len()).any(|line| line == EMPTY);
    (ends_at_its_head && is_empty).then(|| StatusCode::from_bytes(status).ok()).flatten()
}

impl<S: AsyncRead + Unpin> AsyncRead for ParseRefusals<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ParseRefusals<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.replacement.is_none()
            && let Some(status) = own_refusal(bytes)
            && let Some(answer) = unreadable_message(status, this.is_tls)
        {
            this.replacement = Some((answer, 0));
        }
        if this.replacement.is_some() {
            return this.write_replacement(context, bytes.len());
        }
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        match (filled.next(), filled.next()) {
            (Some(only), None) => self.poll_write(context, only),
            _ => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
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
    use super::*;

    #[test]
    fn only_an_empty_refusal_is_replaced() {
        let refusal = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: Sat, 28 Nov 2026 00:00:00 GMT\r\n\r\n";
        assert_eq!(own_refusal(refusal), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        for other in [
            &b"HTTP/1.1 100 Continue\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n{}",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            b"HTTP/1.1 4",
            b"",
        ] {
            assert_eq!(own_refusal(other), None);
        }
    }
}
