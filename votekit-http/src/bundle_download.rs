//! The publication bundle as one ZIP file, for officials: the node reads the log once to make every
//! other file and to compute the length, then again while it sends. Each pass keeps only a chunk of
//! the log in memory, and nothing is written, so a client that disconnects leaves nothing behind.
//!
//! A bundle of millions of votes takes minutes of processor and network time. Downloads therefore
//! require an account, and are limited to one for each account and few in all.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::response::Response;
use flate2::Crc;
use futures_util::stream::try_unfold;
use time::OffsetDateTime;
use votekit_core::id::ElectionId;
use votekit_node::{Bundle, BundleLines};

use crate::accounts::Caller;
use crate::context::Api;
use crate::download_slots::DownloadSlot;
use crate::live::StaysOpen;
use crate::problem::Problem;
use crate::zip::{ZipFile, ZipParts};

/// The time to send a bundle: this much, plus a second for each [`BYTES_PER_SECOND`]. The
/// connection drops a client that reads nothing before that.
const SEND_TIME: Duration = Duration::from_secs(300);

/// The lowest speed at which a bundle is sent: 1 Mbit/s.
const BYTES_PER_SECOND: u64 = 125_000;

/// The largest piece that is passed to the connection. The time is checked between two pieces: a
/// client that reads a large piece slowly would occupy its slot far longer.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The name of the leaves in a bundle.
const LEAVES: &str = votekit_core::bundle::file::LEAVES;

/// Answers with the bundle of an election. The answer to `HEAD` has no length, because the length
/// is known only after making the bundle.
///
/// # Errors
/// [`Problem`], if there is no bundle, or no slot for this download.
pub(crate) async fn bundle_answer(
    api: &Api,
    caller: &Caller,
    law: &ElectionId,
    method: &Method,
) -> Result<Response, Problem> {
    if *method == Method::HEAD {
        api.node.check_bundle(law)?;
        // Of unknown length: an empty body would announce the length 0.
        let unsent = futures_util::stream::empty::<io::Result<Bytes>>();
        return zip_response(law, Body::from_stream(unsent));
    }
    let slot = api.downloads.take(caller.id)?;
    let mut crc = Crc::new();
    let bundle = api.node.bundle(law, |lines| crc.update(lines)).await?;
    let (download, bytes) = Download::new(law, bundle, crc.sum(), slot);
    let account = const_hex::encode(caller.id.0);
    tracing::info!(event = "bundle_download_begun", law_id = %law, account, bytes, "bundle begun");
    let body = Body::from_stream(try_unfold(download, Download::next));
    let mut response = zip_response(law, body)?;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    // Sending may take long: its connection does not count as an idle one.
    response.extensions_mut().insert(StaysOpen);
    Ok(response)
}

fn zip_response(law: &ElectionId, body: Body) -> Result<Response, Problem> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    // A law id is plain ASCII without quotation marks.
    let disposition = format!("attachment; filename=\"{law}-bundle.zip\"");
    let disposition = HeaderValue::try_from(disposition).map_err(|_| Problem::Internal)?;
    headers.insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// The body of one answer.
struct Download {
    law_id: ElectionId,
    /// The pieces to send next: at first the other files and all headers, then lines of the leaves.
    pieces: VecDeque<Bytes>,
    lines: BundleLines,
    /// The checksum of the lines so far, and that of all lines in the first pass.
    crc: Crc,
    crc_expected: u32,
    /// The directory of the archive; taken when the last line is sent.
    tail: Option<Vec<u8>>,
    deadline: Instant,
    _slot: DownloadSlot,
}

impl Download {
    /// The body, and its length.
    fn new(
        law_id: &ElectionId,
        bundle: Bundle,
        crc_expected: u32,
        slot: DownloadSlot,
    ) -> (Self, u64) {
        let Bundle { files, leaves_bytes, lines, updated_at } = bundle;
        // All in one folder, so that unpacking scatters no files.
        let zip_file = |name: &str, bytes: u64, crc: u32| ZipFile {
            name: format!("{law_id}-bundle/{name}"),
            bytes,
            crc,
        };
        let of_bytes = |bytes: &[u8]| {
            let mut crc = Crc::new();
            crc.update(bytes);
            crc.sum()
        };
        let mut rows: Vec<ZipFile> = files
            .iter()
            .map(|file| zip_file(&file.name, file.bytes.len() as u64, of_bytes(&file.bytes)))
            .collect();
        rows.push(zip_file(LEAVES, leaves_bytes, crc_expected));
        let modified = updated_at.and_then(|minutes| {
            let seconds = i64::try_from(minutes.0.saturating_mul(60)).ok()?;
            OffsetDateTime::from_unix_timestamp(seconds).ok()
        });
        let ZipParts { heads, tail, bytes } =
            ZipParts::new(&rows, modified.unwrap_or(OffsetDateTime::UNIX_EPOCH));
        let contents = files.into_iter().map(|file| file.bytes).chain([Vec::new()]);
        let pieces = heads.into_iter().zip(contents).flat_map(|(head, content)| [head, content]);
        let pieces = pieces.filter(|piece| !piece.is_empty()).map(Bytes::from).collect();
        let seconds = Duration::from_secs(bytes / BYTES_PER_SECOND);
        let download = Self {
            law_id: law_id.clone(),
            pieces,
            lines,
            crc: Crc::new(),
            crc_expected,
            tail: Some(tail),
            deadline: Instant::now() + SEND_TIME + seconds,
            _slot: slot,
        };
        (download, bytes)
    }

    /// The next part of the body, with the rest of it. An error cuts the connection: the client
    /// sees that bytes are missing.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if Instant::now() > self.deadline {
            return Err(self.failed(io::ErrorKind::TimedOut, "the client reads too slowly"));
        }
        if let Some(piece) = take_piece(&mut self.pieces) {
            return Ok(Some((piece, self)));
        }
        match self.lines.next().await {
            Ok(Some(lines)) => {
                self.crc.update(&lines);
                self.pieces.push_back(Bytes::from(lines));
                Ok(take_piece(&mut self.pieces).map(|piece| (piece, self)))
            }
            // The ledger may have been restored from an older copy between the two passes.
            Ok(None) if self.crc.sum() != self.crc_expected => {
                Err(self.failed(io::ErrorKind::InvalidData, "the log has changed meanwhile"))
            }
            Ok(None) => Ok(self.tail.take().map(|tail| (Bytes::from(tail), self))),
            Err(error) => Err(self.failed(io::ErrorKind::Other, &error.to_string())),
        }
    }

    fn failed(&self, kind: io::ErrorKind, reason: &str) -> io::Error {
        let law_id = &self.law_id;
        tracing::warn!(event = "bundle_download_failed", %law_id, reason, "bundle not sent fully");
        io::Error::new(kind, reason.to_owned())
    }
}

/// The next piece, at most [`PIECE_BYTES_MAX`] long.
fn take_piece(pieces: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let mut first = pieces.pop_front()?;
    if first.len() > PIECE_BYTES_MAX {
        let piece = first.split_to(PIECE_BYTES_MAX);
        pieces.push_front(first);
        return Some(piece);
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_parts_are_sent_in_pieces_and_in_order() {
        let parts = [vec![1_u8; 3], vec![2; 2 * PIECE_BYTES_MAX], vec![3; PIECE_BYTES_MAX + 1]];
        let mut pieces: VecDeque<Bytes> = parts.iter().cloned().map(Bytes::from).collect();
        let (mut sent, mut lengths) = (Vec::new(), Vec::new());
        while let Some(piece) = take_piece(&mut pieces) {
            lengths.push(piece.len());
            sent.extend_from_slice(&piece);
        }
        assert_eq!(sent, parts.concat());
        let most = PIECE_BYTES_MAX;
        assert_eq!(lengths, [3, most, most, most, 1]);
    }
}
