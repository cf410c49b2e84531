//! The files of a snapshot, byte by byte. Numbers are little-endian.
//!
//! ```text
//! segment    "VKSEGM02"  law id (1 byte length, bytes)  number u32  requests
//! head       "VKSNAP02"  law id (1 byte length, bytes)  length u32  state as JSON
//!            length u32  sums  requests  SHA-256 of all before it
//! requests   count u32  count × 24 bytes of decided requests
//!            count u32  count × 32 bytes: H of the invalid ones, zeros where it was purged
//! ```
//!
//! A segment holds exactly [`SEGMENT_REQUESTS`] decided requests. Its digest is in the head, which
//! also holds the requests that do not fill a segment yet.

use sha2::{Digest as _, Sha256};

use super::SnapshotError;
use crate::credential::CredentialHash;
use crate::id::{Digest, ElectionId};
use crate::request_index::{Decided, DecidedList};

/// Decided requests in one segment: 768 KiB.
pub const SEGMENT_REQUESTS: usize = 1 << 15;

const SEGMENT: &[u8; 8] = b"VKSEGM02";
const HEAD: &[u8; 8] = b"VKSNAP02";

/// Encodes the segment with this number, from 0.
///
/// # Panics
/// With another number of requests than [`SEGMENT_REQUESTS`], and above 2^32 segments.
#[must_use]
pub fn encode_segment(law_id: &ElectionId, number: usize, list: &DecidedList) -> Vec<u8> {
    assert_eq!(list.decided.len(), SEGMENT_REQUESTS, "a segment is full");
    let mut bytes = Vec::with_capacity(
        8 + 1 + ElectionId::LENGTH_MAX + 12 + list.decided.len() * Decided::LENGTH,
    );
    write_start(&mut bytes, SEGMENT, law_id);
    write_number(&mut bytes, number);
    write_list(&mut bytes, list);
    bytes
}

/// Decodes a segment into `out`, which has room for [`SEGMENT_REQUESTS`]. Returns H of the invalid
/// requests.
///
/// # Errors
/// [`SnapshotError`] unless it is the segment of that election with that number and digest.
///
/// # Panics
/// When `out` has another length.
pub fn decode_segment(
    bytes: &[u8],
    law_id: &ElectionId,
    number: usize,
    digest: &Digest,
    out: &mut [Decided],
) -> Result<Vec<Option<CredentialHash>>, SnapshotError> {
    assert_eq!(out.len(), SEGMENT_REQUESTS, "a segment is full");
    let found = Digest::compute(bytes);
    if found != *digest {
        return Err(SnapshotError::Digest { expected: *digest, found });
    }
    let mut reader = Reader { bytes, offset: 0 };
    reader.start(SEGMENT, law_id)?;
    let offset = reader.offset;
    if reader.number()? != number {
        return Err(SnapshotError::Malformed {
            offset,
            rule: "the segment has the number of its place",
        });
    }
    let decided = reader.decided()?;
    if decided.len() != out.len() {
        return Err(SnapshotError::Malformed { offset: offset + 4, rule: "a segment is full" });
    }
    for (out, decided) in out.iter_mut().zip(decided) {
        *out = Decided::from_bytes(decided);
    }
    let invalid = reader.invalid()?;
    reader.end()?;
    Ok(invalid)
}

/// The parts of a head.
pub(super) struct Head<'a> {
    pub(super) state: &'a [u8],
    pub(super) sums: &'a [u8],
    pub(super) rest: DecidedList,
}

pub(super) fn encode_head(
    law_id: &ElectionId,
    state: &[u8],
    sums: &[u8],
    rest: &DecidedList,
) -> Vec<u8> {
    let mut bytes =
        Vec::with_capacity(state.len() + sums.len() + rest.decided.len() * Decided::LENGTH + 128);
    write_start(&mut bytes, HEAD, law_id);
    write_number(&mut bytes, state.len());
    bytes.extend_from_slice(state);
    write_number(&mut bytes, sums.len());
    bytes.extend_from_slice(sums);
    write_list(&mut bytes, rest);
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

pub(super) fn decode_head<'a>(
    bytes: &'a [u8],
    law_id: &ElectionId,
) -> Result<Head<'a>, SnapshotError> {
    // Check the magic first: a file of another version or program is reported as such, not as
    // damaged.
    Reader { bytes, offset: 0 }.start(HEAD, law_id)?;
    let cut = SnapshotError::Malformed { offset: bytes.len(), rule: "the file ends with a digest" };
    let (bytes, digest) = bytes.split_last_chunk::<32>().ok_or(cut)?;
    let (expected, found) = (Digest::from_bytes(*digest), Digest::compute(bytes));
    if found != expected {
        return Err(SnapshotError::Digest { expected, found });
    }
    let mut reader = Reader { bytes, offset: 0 };
    reader.start(HEAD, law_id)?;
    let length = reader.number()?;
    let state = reader.slice(length)?;
    let length = reader.number()?;
    let sums = reader.slice(length)?;
    let decided = reader.decided()?.iter().map(Decided::from_bytes).collect();
    let rest = DecidedList { decided, invalid: reader.invalid()? };
    reader.end()?;
    Ok(Head { state, sums, rest })
}

fn write_start(bytes: &mut Vec<u8>, magic: &[u8; 8], law_id: &ElectionId) {
    let law_id = law_id.as_str().as_bytes();
    bytes.extend_from_slice(magic);
    bytes.push(u8::try_from(law_id.len()).expect("a law id has at most 50 bytes"));
    bytes.extend_from_slice(law_id);
}

fn write_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(
        &u32::try_from(number).expect("lengths and counts are below 2^32").to_le_bytes(),
    );
}

fn write_list(bytes: &mut Vec<u8>, list: &DecidedList) {
    write_number(bytes, list.decided.len());
    for decided in &list.decided {
        bytes.extend_from_slice(&decided.to_bytes());
    }
    write_number(bytes, list.invalid.len());
    for hash in &list.invalid {
        let purged = CredentialHash::from_bytes([0; CredentialHash::LENGTH]);
        bytes.extend_from_slice(hash.unwrap_or(purged).as_bytes());
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn start(&mut self, magic: &[u8; 8], law_id: &ElectionId) -> Result<(), SnapshotError> {
        if self.slice(magic.len())? != magic {
            return Err(SnapshotError::Malformed {
                offset: 0,
                rule: "the file starts as a snapshot of this version does",
            });
        }
        let offset = self.offset;
        let length = usize::from(self.slice(1)?[0]);
        if self.slice(length)? != law_id.as_str().as_bytes() {
            return Err(SnapshotError::Malformed {
                offset,
                rule: "the file belongs to this election",
            });
        }
        Ok(())
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], SnapshotError> {
        let cut =
            SnapshotError::Malformed { offset: self.bytes.len(), rule: "the file goes on here" };
        let slice = self.bytes[self.offset..].get(..length).ok_or(cut)?;
        self.offset += length;
        Ok(slice)
    }

    fn number(&mut self) -> Result<usize, SnapshotError> {
        let bytes = self.slice(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    }

    fn decided(&mut self) -> Result<&'a [[u8; Decided::LENGTH]], SnapshotError> {
        let count = self.number()?;
        let (decided, _) = self.slice(count.saturating_mul(Decided::LENGTH))?.as_chunks();
        Ok(decided)
    }

    fn invalid(&mut self) -> Result<Vec<Option<CredentialHash>>, SnapshotError> {
        let count = self.number()?;
        let (hashes, _) = self.slice(count.saturating_mul(CredentialHash::LENGTH))?.as_chunks();
        let hash = |bytes: &[u8; CredentialHash::LENGTH]| {
            bytes.iter().any(|byte| *byte != 0).then(|| CredentialHash::from_bytes(*bytes))
        };
        Ok(hashes.iter().map(hash).collect())
    }

    fn end(&self) -> Result<(), SnapshotError> {
        if self.offset == self.bytes.len() {
            return Ok(());
        }
        Err(SnapshotError::Malformed { offset: self.offset, rule: "the file ends here" })
    }
}
