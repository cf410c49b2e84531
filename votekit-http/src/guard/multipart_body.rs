//! The body of a form with files: `multipart/form-data` (RFC 7578), read part by part as it
//! arrives.
//!
//! Written for votekit, because the memory of a request must be bounded: multer, which axum would
//! use, keeps the input of a client until it finds the end of a head or a boundary, and continues
//! to read while its caller writes to a disk. Here at most one frame of the body and one head are
//! in memory. They are zeroed, because a file that is not hashed contains a roll in clear text.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use memchr::memmem;
use tokio::time::{Instant, timeout_at};
use votekit_node::memory::stack_used;
use zeroize::Zeroizing;

use crate::guard::message_rules::check_content_coding;
use crate::problem::Problem;
use crate::problem::catalogue::field_rules;

/// The longest head of a part.
const HEAD_BYTES_MAX: usize = 4096;

/// The longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// The limits of a form with files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MultipartLimits {
    /// The largest body.
    pub(crate) bytes_max: u64,
    /// The most parts.
    pub(crate) parts_max: usize,
    /// The longest time without a byte.
    pub(crate) stall_time: Duration,
    /// The longest time for one part.
    pub(crate) part_time: Duration,
}

/// Why a part could not be read.
#[derive(Debug)]
pub(crate) enum MultipartError {
    /// The body ended early, or does not match its header.
    Malformed,
    /// The body is too large, or has too many parts.
    TooLarge,
    /// It did not arrive in time.
    Timeout,
}

/// The head of a part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The name of its field.
    pub(crate) name: String,
    /// The name of its file as the client has it; `None` for a field without a file.
    pub(crate) file: Option<String>,
}

/// The position of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderPosition {
    /// Before the first boundary, or in the content of a part.
    Content,
    /// After a boundary.
    Boundary,
    /// After the last boundary.
    End,
}

/// A form with files.
pub(crate) struct MultipartBody {
    body: Body,
    /// A line end and the boundary, which end each content.
    delimiter: Vec<u8>,
    limits: MultipartLimits,
    /// Bytes that have arrived and were not taken yet.
    buffer: Zeroizing<Vec<u8>>,
    position: ReaderPosition,
    received: u64,
    parts: usize,
    deadline: Instant,
}

impl MultipartBody {
    /// A reader of the body of a request. Nothing is read yet.
    ///
    /// # Errors
    /// [`Problem`], if the body is not a form with files, or its announced length is too large.
    pub(crate) fn new(
        headers: &HeaderMap,
        body: Body,
        limits: MultipartLimits,
    ) -> Result<Self, Problem> {
        check_content_coding(headers)?;
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = content_type
            .and_then(boundary)
            .ok_or_else(|| Problem::field("Content-Type", field_rules::NOT_MULTIPART_TYPE))?;
        if body.size_hint().lower() > limits.bytes_max {
            let bytes_max = usize::try_from(limits.bytes_max).unwrap_or(usize::MAX);
            return Err(Problem::BodyTooLarge { bytes_max });
        }
        Ok(Self {
            body,
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            limits,
            // There is no line before the first boundary.
            buffer: Zeroizing::new(b"\r\n".to_vec()),
            position: ReaderPosition::Content,
            received: 0,
            parts: 0,
            deadline: Instant::now() + limits.part_time,
        })
    }

    /// Skips the rest of the present part and returns the next part; `None` after the last part.
    ///
    /// # Errors
    /// [`MultipartError`].
    pub(crate) async fn next_part(&mut self) -> Result<Option<Part>, MultipartError> {
        while self.content().await?.is_some() {}
        if self.position == ReaderPosition::End {
            return Ok(None);
        }
        self.deadline = Instant::now() + self.limits.part_time;
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if self.buffer.starts_with(b"--") {
            self.position = ReaderPosition::End;
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > self.limits.parts_max {
            return Err(MultipartError::TooLarge);
        }
        loop {
            // The end of the line of the boundary may be that of an empty head.
            let end = memmem::find(&self.buffer, b"\r\n\r\n");
            if end.unwrap_or(self.buffer.len()) > HEAD_BYTES_MAX {
                return Err(MultipartError::Malformed);
            }
            if let Some(end) = end {
                let head = self.take(end + 4);
                self.position = ReaderPosition::Content;
                return part(&head[..end]).map(Some).ok_or(MultipartError::Malformed);
            }
            self.fill().await?;
        }
    }

    /// The next bytes of the content of the present part; `None` at its end.
    ///
    /// # Errors
    /// [`MultipartError`].
    pub(crate) async fn content(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, MultipartError> {
        while self.position == ReaderPosition::Content {
            match memmem::find(&self.buffer, &self.delimiter) {
                Some(0) => {
                    self.take(self.delimiter.len());
                    self.position = ReaderPosition::Boundary;
                }
                Some(end) => return Ok(Some(self.take(end))),
                // The last bytes may be the beginning of a boundary.
                None if self.buffer.len() >= self.delimiter.len() => {
                    let certain = self.buffer.len() + 1 - self.delimiter.len();
                    return Ok(Some(self.take(certain)));
                }
                None => self.fill().await?,
            }
        }
        Ok(None)
    }

    /// The whole content of the present part, if it is short text.
    ///
    /// # Errors
    /// [`MultipartError`].
    pub(crate) async fn text(
        &mut self,
        bytes_max: usize,
    ) -> Result<Zeroizing<String>, MultipartError> {
        let mut text = Zeroizing::new(Vec::<u8>::with_capacity(bytes_max));
        while let Some(bytes) = self.content().await? {
            if text.len() + bytes.len() > bytes_max {
                return Err(MultipartError::Malformed);
            }
            text.extend_from_slice(&bytes);
        }
        let text = std::str::from_utf8(&text).map_err(|_| MultipartError::Malformed)?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Discards further input, for at most this time: a browser shows the answer to a form only
    /// after it has sent the whole form.
    pub(crate) async fn discard(&mut self, time: Duration) {
        self.buffer = Zeroizing::new(Vec::new());
        let deadline = Instant::now() + time;
        while let Ok(Some(Ok(_))) = timeout_at(deadline, self.body.frame()).await {}
    }

    /// Takes the first bytes out of the buffer.
    fn take(&mut self, count: usize) -> Zeroizing<Vec<u8>> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, Zeroizing::new(rest))
    }

    /// Waits for the next bytes and adds them to the buffer.
    async fn fill(&mut self) -> Result<(), MultipartError> {
        let bytes = self.frame().await?.ok_or(MultipartError::Malformed)?;
        // Until a file was checked these may be rows of a roll.
        stack_used();
        self.received = self.received.saturating_add(bytes.len() as u64);
        if self.received > self.limits.bytes_max {
            return Err(MultipartError::TooLarge);
        }
        // A new allocation, because a growing buffer would leave a copy behind.
        let length = self.buffer.len() + bytes.len();
        let mut buffer = Zeroizing::new(Vec::<u8>::with_capacity(length));
        buffer.extend_from_slice(&self.buffer);
        buffer.extend_from_slice(&bytes);
        self.buffer = buffer;
        Ok(())
    }

    /// The next frame with data; `None` at the end of the body.
    async fn frame(&mut self) -> Result<Option<Bytes>, MultipartError> {
        loop {
            let stalled = Instant::now() + self.limits.stall_time;
            match timeout_at(stalled.min(self.deadline), self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    // A frame without data has trailers, which are ignored.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(Some(Err(_))) => return Err(MultipartError::Malformed),
                Ok(None) => return Ok(None),
                Err(_) => return Err(MultipartError::Timeout),
            }
        }
    }
}

/// The boundary of `multipart/form-data`.
fn boundary(content_type: &str) -> Option<&str> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_boundary = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
        && boundary.bytes().all(is_plain)
        && !boundary.ends_with(' ');
    is_boundary.then_some(boundary)
}

/// The lines of the head of a part. The first is the rest of the line of the boundary.
fn part(head: &[u8]) -> Option<Part> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    // White space may follow a boundary.
    if !lines.next()?.trim_ascii().is_empty() {
        return None;
    }
    let mut dispositions = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then(|| value.trim())
    });
    let disposition = dispositions.next()?;
    if dispositions.next().is_some() {
        return None;
    }
    let (kind, parameters) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let name = parameter(parameters, "name")?.to_owned();
    Some(Part { name, file: parameter(parameters, "filename").map(str::to_owned) })
}

/// The value of a parameter, which may be in quotation marks. Browsers write a quotation mark in a
/// file name as `%22`, so a quoted value has none.
fn parameter<'text>(parameters: &'text str, wanted: &str) -> Option<&'text str> {
    let mut rest = parameters;
    loop {
        let (name, value) = rest.trim_start_matches([' ', '\t', ';']).split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let (value, after) = value.split_once(';').unwrap_or((value, ""));
                (value.trim_ascii_end(), after)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

#[cfg(test)]
#[path = "multipart_body_test.rs"]
mod tests;
