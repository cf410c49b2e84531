//! Leaves: the units of an election's log.
//!
//! Each is one canonical compact JSON object (`docs/formats.md`, section 6). Parsing accepts only
//! bytes that equal their own canonical form, so that each leaf has one text and one hash. Entries,
//! of which there are millions, have a hand-written codec; the other kinds go through serde and are
//! compared with their own encoding.
//!
//! Long because the kinds of leaves, their ranges and their canonical form are one contract.

use serde::{Deserialize, Serialize};

use crate::batch::{
    BatchHeader, BatchSignature, NodePublicKey, NodeVerifier, signed_header, signed_message,
};
use crate::commitment::Commitment;
use crate::credential::{CredentialHash, HashScheme};
use crate::decision::{Decision, Entry, InvalidReason, Outcome, Replay};
use crate::election::Definition;
use crate::electorate::ATTEMPTS_MAX;
use crate::envelope::EnvelopeDigest;
use crate::epochs::BatchPosition;
use crate::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId, Sequence};
use crate::instant::UnixMinutes;
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
    /// A second copy of a request that was decided earlier in this log.
    Replay(Replay),
    /// Commitments to the counts of this block.
    Counts(CountsLeaf),
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
        /// When this was decided.
        at: UnixMinutes,
        /// The definition.
        definition: Definition,
    },
    /// The definition of a draft is replaced. Its law, binding and ballot key never change.
    Amended {
        /// When this was decided.
        at: UnixMinutes,
        /// The whole new definition.
        definition: Definition,
    },
    /// The poll opens; the leaf carries the zero report.
    Open {
        /// When this was decided.
        at: UnixMinutes,
        /// The first minute whose votes count.
        opens: UnixMinutes,
        /// The planned closing, if any.
        closes: Option<UnixMinutes>,
        /// Electors registered at this moment.
        registered: u64,
        /// Rules of a binding election that were waived, by name.
        waivers: Vec<String>,
        /// All zero: the ballot box was empty.
        zero_report: Report,
    },
    /// The poll closes: votes received from `closes` on do not count.
    Closing {
        /// When this was decided.
        at: UnixMinutes,
        /// The effective closing time.
        closes: UnixMinutes,
        /// Why the poll closes before the planned closing; `None` unless it does.
        reason: Option<String>,
    },
    /// All votes are decided and reconciled.
    Closed {
        /// When this was decided.
        at: UnixMinutes,
        /// Electors registered at this moment.
        registered: u64,
        /// Counts of the received votes, by outcome.
        report: Report,
    },
    /// The result is declared official.
    Certified {
        /// When this was decided.
        at: UnixMinutes,
        /// SHA-256 of the results as JSON.
        results: Digest,
        /// Why the result is declared official before enough outside witnesses have cosigned;
        /// omitted from the leaf when no cosignature is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        witness_waiver: Option<String>,
    },
    /// The election is declared void.
    Annulled {
        /// When this was decided.
        at: UnixMinutes,
        /// The reason.
        reason: String,
    },
    /// Evidence and keys are destroyed.
    Purged {
        /// When this was decided.
        at: UnixMinutes,
    },
}

impl ElectionEvent {
    /// When this was decided.
    #[must_use]
    pub fn at(&self) -> UnixMinutes {
        match self {
            Self::Draft { at, .. }
            | Self::Amended { at, .. }
            | Self::Open { at, .. }
            | Self::Closing { at, .. }
            | Self::Closed { at, .. }
            | Self::Certified { at, .. }
            | Self::Annulled { at, .. }
            | Self::Purged { at } => *at,
        }
    }
}

/// A roll, or a supplement to it, took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollEvent {
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// SHA-256 of the manifest that this manifest supplements.
    pub parent: Option<Digest>,
    /// SHA-256 of the first manifest of the roll that this roll replaces, together with all its
    /// supplements; only while the election is a draft.
    pub replaces: Option<Digest>,
    /// How credentials are hashed.
    pub scheme: HashScheme,
    /// Electors of a roll; 0 for a supplement.
    pub loaded: u64,
    /// Electors a supplement added.
    pub added: u64,
    /// Credentials a supplement revoked.
    pub revoked: u64,
    /// Revocations refused because the credential was already spent; their replacements were not
    /// added.
    pub refused: u64,
}

/// An ingest node was admitted or retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum NodeEvent {
    /// The node is admitted: its batches are accepted from this leaf on.
    Admitted {
        /// The node.
        node: NodeId,
        /// The key that verifies its batches.
        key: NodePublicKey,
    },
    /// An epoch that its node will not end is ended: its sequences above `through` are void.
    Retired {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// The last sequence that counts; 0 if the node published nothing.
        through: Sequence,
        /// The last confirmed-through number that the node signed; never above `through`.
        confirmed: Sequence,
    },
}

/// A batch, as the log records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchLeaf {
    /// The ingest node.
    pub node: NodeId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its sequence in the epoch.
    pub sequence: Sequence,
    /// The sequence up to which the node knew all batches of the epoch to be durable.
    pub confirmed: Sequence,
    /// Whether it ends its epoch.
    pub last: bool,
    /// Number of envelopes: as many `entry` and `replay` leaves follow, in envelope order.
    pub count: u32,
    /// SHA-256 over c₁ … cₙ.
    pub envelopes: Digest,
    /// SHA-256 of the batch before its signature.
    pub digest: Digest,
    /// The node's signature.
    pub signature: BatchSignature,
}

impl BatchLeaf {
    /// The number that identifies the batch.
    #[must_use]
    pub fn number(&self) -> BatchNumber {
        BatchNumber { node: self.node, epoch: self.epoch, sequence: self.sequence }
    }

    /// The fields that the order of batches depends on.
    #[must_use]
    pub fn position(&self) -> BatchPosition {
        BatchPosition { number: self.number(), confirmed: self.confirmed, last: self.last }
    }

    /// Whether this node key made the signature over the fields of the leaf.
    #[must_use]
    pub fn is_signed_by(&self, law_id: &ElectionId, key: &NodeVerifier) -> bool {
        let header = BatchHeader {
            law_id: law_id.clone(),
            number: self.number(),
            confirmed_through: self.confirmed,
            last: self.last,
        };
        let header = signed_header(&header, self.count as usize);
        let message = signed_message(&header, &self.envelopes, &self.digest);
        key.has_signed(&message, &self.signature)
    }
}

/// Commitments to the counts of a block: one per choice in the definition's order, then one for
/// spoiled votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountsLeaf {
    /// The commitments.
    pub commitments: Vec<Commitment>,
}

/// The end of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockLeaf {
    /// Its height, from 1.
    pub height: u64,
    /// The term of the leader that proposed it.
    pub term: u64,
    /// The name of that authority.
    pub leader: String,
    /// When it was sealed.
    pub sealed_at: UnixMinutes,
}

/// Why bytes are not a leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// The bytes are not the JSON of any kind of leaf.
    #[error("not a leaf: column {column} does not fit any kind of leaf{}", .what.as_deref().map(|what| format!(" ({what})")).unwrap_or_default())]
    Syntax {
        /// Where parsing stopped, from 1; 0 when unknown.
        column: usize,
        /// The cause, if known: an unknown or repeated field, a number out of range.
        what: Option<String>,
    },
    /// An integer is out of its range.
    #[error("the leaf's {field} is out of range")]
    Range {
        /// The field.
        field: &'static str,
    },
    /// The leaf parses, but is not in its canonical form.
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
    Counts(CountsLeaf),
    Totals(Totals),
    Block(BlockLeaf),
}

impl Leaf {
    /// The longest leaf in bytes: the most that an entry bundle of tlog-tiles can carry.
    pub const LENGTH_MAX: usize = 65_535;

    /// The largest integer of a leaf: every JSON reader represents it exactly.
    pub const INTEGER_MAX: u64 = (1 << 53) - 1;

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
            Self::Replay(replay) => return replay.write(out),
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

    /// Parses a leaf.
    ///
    /// # Errors
    /// [`LeafError`] unless the bytes are the canonical form of a leaf.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.starts_with(ENTRY_START) {
            return Entry::parse(bytes).map(Self::Entry);
        }
        if bytes.starts_with(REPLAY_START) {
            return Replay::parse(bytes).map(Self::Replay);
        }
        if bytes.len() > Self::LENGTH_MAX {
            return Err(LeafError::TooLong { length: bytes.len() });
        }
        let wire = serde_json::from_slice(bytes)
            .map_err(|error| LeafError::Syntax { column: error.column(), what: what(&error) })?;
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
        leaf.check_ranges()?;
        Ok(leaf)
    }

    /// Checks every integer except times, which parsing checks.
    fn check_ranges(&self) -> Result<(), LeafError> {
        let report = |report: &Report| {
            let Report { received, accepted, duplicate, invalid, replayed } = *report;
            vec![
                ("received", received),
                ("accepted", accepted),
                ("duplicate", duplicate),
                ("invalid", invalid),
                ("replayed", replayed),
            ]
        };
        // Limits narrower than that of all counts are reported first.
        let (narrow, counts) = match self {
            Self::Entry(_) | Self::Replay(_) | Self::Counts(_) => return Ok(()),
            Self::Election(ElectionEvent::Open { registered, zero_report, .. }) => {
                (None, [vec![("registered", *registered)], report(zero_report)].concat())
            }
            Self::Election(ElectionEvent::Closed { registered, report: closing, .. }) => {
                (None, [vec![("registered", *registered)], report(closing)].concat())
            }
            Self::Election(
                ElectionEvent::Draft { definition, .. } | ElectionEvent::Amended { definition, .. },
            ) => (None, vec![("publish_every", definition.publish_every)]),
            Self::Election(_) => return Ok(()),
            Self::Roll(roll) => (
                None,
                vec![
                    ("loaded", roll.loaded),
                    ("added", roll.added),
                    ("revoked", roll.revoked),
                    ("refused", roll.refused),
                ],
            ),
            Self::Node(NodeEvent::Admitted { .. }) => return Ok(()),
            Self::Node(NodeEvent::Retired { epoch, through, confirmed, .. }) => (
                (epoch.0 == 0).then_some("epoch"),
                vec![("through", through.0), ("confirmed", confirmed.0)],
            ),
            Self::Batch(leaf) => (
                [
                    ("epoch", leaf.epoch.0 == 0),
                    ("sequence", leaf.sequence.0 == 0),
                    ("confirmed", leaf.confirmed >= leaf.sequence),
                    ("count", leaf.count as usize > crate::batch::Batch::COUNT_MAX),
                ]
                .iter()
                .find_map(|(field, out)| out.then_some(*field)),
                vec![("sequence", leaf.sequence.0)],
            ),
            Self::Totals(totals) => (
                (totals.through == 0).then_some("through"),
                totals
                    .values
                    .iter()
                    .map(|value| ("values", *value))
                    .chain([("through", totals.through)])
                    .collect(),
            ),
            Self::Block(leaf) => (
                [("height", leaf.height == 0), ("term", leaf.term == 0)]
                    .iter()
                    .find_map(|(field, out)| out.then_some(*field)),
                vec![("height", leaf.height), ("term", leaf.term)],
            ),
        };
        let too_large = counts.into_iter().find(|(_, value)| *value > Self::INTEGER_MAX);
        match narrow.or(too_large.map(|(field, _)| field)) {
            Some(field) => Err(LeafError::Range { field }),
            None => Ok(()),
        }
    }
}

impl From<Outcome> for Leaf {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Decided(entry) => Self::Entry(entry),
            Outcome::Replayed(replay) => Self::Replay(replay),
        }
    }
}

/// The message of serde without the position that it appends.
fn what(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    (!what.is_empty() && what.len() < 120).then(|| what.to_owned())
}

fn canonical(found: &[u8], expected: &[u8]) -> Result<(), LeafError> {
    if found == expected {
        return Ok(());
    }
    let position =
        found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    Err(LeafError::NotCanonical { position })
}

const REPLAY_START: &[u8] = br#"{"leaf":"replay","request":""#;
const ENVELOPE: &[u8] = br#"","envelope":""#;
const ENTRY_START: &[u8] = br#"{"leaf":"entry","request":""#;
const ACCEPTED: &[u8] = br#"","decision":"accepted","hash":""#;
const DUPLICATE: &[u8] = br#"","decision":"duplicate","hash":""#;
const INVALID: &[u8] = br#"","decision":"invalid","reason":""#;
const ATTEMPT: &[u8] = br#"","attempt":"#;
const MINUTE: &[u8] = br#","minute":"#;

impl Entry {
    /// Upper bound on the length of an entry, in bytes.
    pub const LENGTH_MAX: usize = 256;

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
            Decision::Invalid { reason, envelope } => {
                out.extend_from_slice(INVALID);
                out.extend_from_slice(reason.as_str().as_bytes());
                out.extend_from_slice(ENVELOPE);
                write_hex(out, envelope.as_bytes());
                out.push(b'"');
            }
        }
        out.extend_from_slice(MINUTE);
        write_number(out, self.minute.0);
        out.push(b'}');
    }

    /// Parses an entry. Only canonical bytes are accepted.
    ///
    /// # Errors
    /// [`LeafError::Syntax`] with the column where the text departs from an entry.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        let mut scan = Scan { bytes, position: 0 };
        scan.read_entry().ok_or_else(|| scan.error())
    }
}

impl Replay {
    /// Appends the canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(REPLAY_START);
        write_hex(out, self.request.as_bytes());
        out.extend_from_slice(ENVELOPE);
        write_hex(out, self.envelope.as_bytes());
        out.extend_from_slice(b"\"}");
    }

    /// Parses a replay. Only canonical bytes are accepted.
    ///
    /// # Errors
    /// [`LeafError::Syntax`] with the column where the text departs from a replay.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        let mut scan = Scan { bytes, position: 0 };
        scan.read_replay().ok_or_else(|| scan.error())
    }
}

/// Parses a leaf left to right. Each token has one accepted form, so whatever parses is canonical.
struct Scan<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Scan<'_> {
    fn error(&self) -> LeafError {
        LeafError::Syntax { column: self.position + 1, what: None }
    }

    fn read_replay(&mut self) -> Option<Replay> {
        self.expect(REPLAY_START)?;
        let request = RequestId::from_bytes(self.hex()?);
        self.expect(ENVELOPE)?;
        let envelope = EnvelopeDigest::from_bytes(self.hex()?);
        self.expect(b"\"}")?;
        (self.position == self.bytes.len()).then_some(Replay { request, envelope })
    }

    fn read_entry(&mut self) -> Option<Entry> {
        self.expect(ENTRY_START)?;
        let request = RequestId::from_bytes(self.hex()?);
        let decision = if self.expect(ACCEPTED).is_some() {
            let hash = CredentialHash::from_bytes(self.hex()?);
            self.expect(b"\"")?;
            Decision::Accepted { hash }
        } else if self.expect(DUPLICATE).is_some() {
            let hash = CredentialHash::from_bytes(self.hex()?);
            self.expect(ATTEMPT)?;
            let attempt = u32::try_from(self.number()?).ok();
            let attempt = attempt.filter(|attempt| (2..=ATTEMPTS_MAX).contains(attempt))?;
            Decision::Duplicate { hash, attempt }
        } else {
            self.expect(INVALID)?;
            let length = self.bytes[self.position..].iter().position(|byte| *byte == b'"')?;
            let reason =
                InvalidReason::from_bytes(&self.bytes[self.position..self.position + length])?;
            self.position += length;
            self.expect(ENVELOPE)?;
            let envelope = EnvelopeDigest::from_bytes(self.hex()?);
            self.expect(b"\"")?;
            Decision::Invalid { reason, envelope }
        };
        self.expect(MINUTE)?;
        let minute = UnixMinutes::try_from(self.number()?).ok()?;
        self.expect(b"}")?;
        (self.position == self.bytes.len()).then_some(Entry { request, decision, minute })
    }

    fn expect(&mut self, token: &[u8]) -> Option<()> {
        let end = self.position + token.len();
        (self.bytes.get(self.position..end)? == token).then(|| self.position = end)
    }

    fn hex<const N: usize>(&mut self) -> Option<[u8; N]> {
        let end = self.position + 2 * N;
        let digits = self.bytes.get(self.position..end)?;
        // `const_hex` also reads upper case and a `0x` prefix: neither is canonical.
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
