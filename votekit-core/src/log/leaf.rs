//! Leaves: what the log of an election is made of.
//!
//! Each is one canonical compact JSON object (`docs/formats.md`, section 6). Reading accepts only
//! bytes that are equal to their own canonical form, so that one leaf has one text and one hash.
//! Entries, of which there are millions, have a hand-written codec; the others go through serde and
//! are compared with their own encoding.

use serde::{Deserialize, Serialize};

use crate::batch::NodePublicKey;
use crate::commitment::Commitment;
use crate::credential::{CredentialHash, HashScheme};
use crate::decision::{Decision, Entry, InvalidReason};
use crate::election::Definition;
use crate::id::{BatchNumber, Digest, Epoch, NodeId, RequestId, Sequence};
use crate::instant::{UnixMinutes, UnixSeconds};
use crate::reconcile::Report;
use crate::tally::Totals;

/// One leaf of an election's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leaf {
    /// A change of the election's state.
    Election(ElectionEvent),
    /// A roll, or a supplement to it, took effect.
    Roll(RollEvent),
    /// An ingest node was admitted or retired.
    Node(NodeEvent),
    /// A batch, whose entries follow.
    Batch(BatchLeaf),
    /// The decision on one request.
    Entry(Entry),
    /// Commitments to the counts of this block.
    Counts(Counts),
    /// The sums of all counts up to a block, opened.
    Totals(Totals),
    /// The end of a block.
    Block(BlockLeaf),
}

/// A change of the election's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum ElectionEvent {
    /// The election is defined.
    Draft {
        /// When.
        at: UnixSeconds,
        /// As what.
        definition: Definition,
    },
    /// The poll opens; the leaf carries the zero report.
    Open {
        /// When this was decided.
        at: UnixSeconds,
        /// From when on votes count.
        opens: UnixSeconds,
        /// Until when, if planned.
        closes: Option<UnixSeconds>,
        /// Electors registered at this moment.
        registered: u64,
        /// Rules of a binding election that were waived, by name.
        waivers: Vec<String>,
        /// All zero: nothing was in the box.
        zero_report: Report,
    },
    /// The poll closes: votes received from `closes` on do not count.
    Closing {
        /// When this was decided.
        at: UnixSeconds,
        /// The effective closing time.
        closes: UnixSeconds,
    },
    /// Everything is decided and reconciled.
    Closed {
        /// When.
        at: UnixSeconds,
        /// Electors registered at this moment.
        registered: u64,
        /// What was received and what became of it.
        report: Report,
    },
    /// The result is declared official.
    Certified {
        /// When.
        at: UnixSeconds,
        /// SHA-256 of the results as JSON.
        results: Digest,
    },
}

/// A roll, or a supplement to it, took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollEvent {
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// SHA-256 of the manifest that this one supplements.
    pub parent: Option<Digest>,
    /// How credentials are hashed.
    pub scheme: HashScheme,
    /// Electors of a roll; 0 for a supplement.
    pub loaded: u64,
    /// Electors a supplement added.
    pub added: u64,
    /// Credentials a supplement revoked.
    pub revoked: u64,
    /// Revocations refused because the credential was spent already; their replacements were not
    /// added.
    pub refused: u64,
}

/// An ingest node was admitted or retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum NodeEvent {
    /// From here on its batches are taken.
    Admitted {
        /// The node.
        node: NodeId,
        /// The key its batches are verified with.
        key: NodePublicKey,
    },
    /// An epoch that will not end by itself is ended: its numbers above `through` are void.
    Retired {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// The last sequence that counts.
        through: Sequence,
    },
}

/// A batch, as the log names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchLeaf {
    /// The ingest node.
    pub node: NodeId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The place in it.
    pub sequence: Sequence,
    /// Whether it ends its epoch.
    pub last: bool,
    /// Its envelopes. Those without an entry are replays of requests decided earlier.
    pub count: u32,
    /// Its digest.
    pub digest: Digest,
}

impl BatchLeaf {
    /// What makes the batch unique.
    #[must_use]
    pub fn number(&self) -> BatchNumber {
        BatchNumber { node: self.node, epoch: self.epoch, sequence: self.sequence }
    }
}

/// Commitments to the counts of a block: one a choice in the definition's order, then one for
/// spoiled votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// The commitments.
    pub commitments: Vec<Commitment>,
}

/// The end of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockLeaf {
    /// Its place in the log, from 1.
    pub height: u64,
    /// The term of the leader that proposed it.
    pub term: u64,
    /// The name of that authority.
    pub leader: String,
    /// When.
    pub sealed_at: UnixSeconds,
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// The bytes are no JSON of any kind of leaf.
    #[error("not a leaf: no known kind of leaf reads so (column {column})")]
    Syntax {
        /// Where reading stopped, from 1; 0 when unknown.
        column: usize,
    },
    /// The leaf reads, but is not written in its one canonical form.
    #[error("the leaf is not in canonical form (first difference at byte {position})")]
    NotCanonical {
        /// The first byte that differs, from 0.
        position: usize,
    },
    /// Longer than a tile can carry.
    #[error("the leaf has {length} bytes, more than {maximum}", maximum = Leaf::LENGTH_MAX)]
    TooLong {
        /// Bytes found.
        length: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "leaf", rename_all = "lowercase")]
enum Wire {
    Election(ElectionEvent),
    Roll(RollEvent),
    Node(NodeEvent),
    Batch(BatchLeaf),
    Counts(Counts),
    Totals(Totals),
    Block(BlockLeaf),
}

impl Leaf {
    /// The longest leaf in bytes: what an entry bundle of tlog-tiles can carry.
    pub const LENGTH_MAX: usize = 65_535;

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Entry::LENGTH_MAX);
        self.write(&mut bytes);
        bytes
    }

    /// Appends the canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let wire = match self {
            Self::Entry(entry) => return entry.write(out),
            Self::Election(event) => Wire::Election(event.clone()),
            Self::Roll(event) => Wire::Roll(event.clone()),
            Self::Node(event) => Wire::Node(event.clone()),
            Self::Batch(leaf) => Wire::Batch(*leaf),
            Self::Counts(counts) => Wire::Counts(counts.clone()),
            Self::Totals(totals) => Wire::Totals(totals.clone()),
            Self::Block(leaf) => Wire::Block(leaf.clone()),
        };
        serde_json::to_writer(out, &wire).expect("a leaf has text keys and writes to memory");
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// [`LeafError`] unless the bytes are the canonical form of a leaf.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.starts_with(ENTRY_START) {
            return Entry::parse(bytes).map(Self::Entry);
        }
        if bytes.len() > Self::LENGTH_MAX {
            return Err(LeafError::TooLong { length: bytes.len() });
        }
        let wire = serde_json::from_slice(bytes)
            .map_err(|error| LeafError::Syntax { column: error.column() })?;
        let leaf = match wire {
            Wire::Election(event) => Self::Election(event),
            Wire::Roll(event) => Self::Roll(event),
            Wire::Node(event) => Self::Node(event),
            Wire::Batch(leaf) => Self::Batch(leaf),
            Wire::Counts(counts) => Self::Counts(counts),
            Wire::Totals(totals) => Self::Totals(totals),
            Wire::Block(leaf) => Self::Block(leaf),
        };
        canonical(bytes, &leaf.to_bytes())?;
        Ok(leaf)
    }
}

fn canonical(found: &[u8], expected: &[u8]) -> Result<(), LeafError> {
    if found == expected {
        return Ok(());
    }
    let position =
        found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    Err(LeafError::NotCanonical { position })
}

const ENTRY_START: &[u8] = br#"{"leaf":"entry","request":""#;
const ACCEPTED: &[u8] = br#"","decision":"accepted","hash":""#;
const DUPLICATE: &[u8] = br#"","decision":"duplicate","hash":""#;
const INVALID: &[u8] = br#"","decision":"invalid","reason":""#;
const ATTEMPT: &[u8] = br#"","attempt":"#;
const MINUTE: &[u8] = br#","minute":"#;

impl Entry {
    /// No entry is longer, in bytes.
    pub const LENGTH_MAX: usize = 224;

    /// Appends the canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(ENTRY_START);
        write_hex(out, self.request.as_bytes());
        match self.decision {
            Decision::Accepted { hash } => {
                out.extend_from_slice(ACCEPTED);
                write_hex(out, hash.as_bytes());
                out.push(b'"');
            }
            Decision::Duplicate { hash, attempt } => {
                out.extend_from_slice(DUPLICATE);
                write_hex(out, hash.as_bytes());
                out.extend_from_slice(ATTEMPT);
                write_number(out, u64::from(attempt));
            }
            Decision::Invalid { reason } => {
                out.extend_from_slice(INVALID);
                out.extend_from_slice(reason.as_str().as_bytes());
                out.push(b'"');
            }
        }
        out.extend_from_slice(MINUTE);
        write_number(out, self.minute.0);
        out.push(b'}');
    }

    /// Reads an entry. Only canonical bytes are accepted.
    ///
    /// # Errors
    /// [`LeafError::Syntax`] with the column where the text departs from an entry.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        let mut scan = Scan { bytes, position: 0 };
        scan.read(bytes).ok_or(LeafError::Syntax { column: scan.position + 1 })
    }
}

/// Reads an entry left to right; every token has one form, so what reads is canonical.
struct Scan<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Scan<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Option<Entry> {
        self.expect(ENTRY_START)?;
        let request = RequestId::from_bytes(self.hex()?);
        let decision = if self.expect(ACCEPTED).is_some() {
            let hash = CredentialHash::from_bytes(self.hex()?);
            self.expect(b"\"")?;
            Decision::Accepted { hash }
        } else if self.expect(DUPLICATE).is_some() {
            let hash = CredentialHash::from_bytes(self.hex()?);
            self.expect(ATTEMPT)?;
            Decision::Duplicate { hash, attempt: u32::try_from(self.number()?).ok()? }
        } else {
            self.expect(INVALID)?;
            let length = self.bytes[self.position..].iter().position(|byte| *byte == b'"')?;
            let reason =
                InvalidReason::from_bytes(&self.bytes[self.position..self.position + length])?;
            self.position += length + 1;
            Decision::Invalid { reason }
        };
        self.expect(MINUTE)?;
        let minute = UnixMinutes(self.number()?);
        self.expect(b"}")?;
        (self.position == bytes.len()).then_some(Entry { request, decision, minute })
    }

    fn expect(&mut self, token: &[u8]) -> Option<()> {
        let end = self.position + token.len();
        (self.bytes.get(self.position..end)? == token).then(|| self.position = end)
    }

    fn hex<const N: usize>(&mut self) -> Option<[u8; N]> {
        let end = self.position + 2 * N;
        let digits = self.bytes.get(self.position..end)?;
        if digits.iter().any(u8::is_ascii_uppercase) || digits.starts_with(b"0x") {
            return None;
        }
        let mut value = [0; N];
        const_hex::decode_to_slice(digits, &mut value).ok()?;
        self.position = end;
        Some(value)
    }

    fn number(&mut self) -> Option<u64> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = &rest[..length];
        if length == 0 || (digits[0] == b'0' && length > 1) {
            return None;
        }
        self.position += length;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    const_hex::encode_to_slice(bytes, &mut out[start..]).expect("the space is twice the bytes");
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
#[path = "leaf_test.rs"]
mod tests;
