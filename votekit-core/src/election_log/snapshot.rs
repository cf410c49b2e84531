//! Snapshots: a log as bytes, so that a restart reads only the blocks added since.
//!
//! A snapshot is a cache. Everything in it can be derived from the log and the evidence. After
//! restoring a snapshot, compare its root with the signed checkpoint. It has two parts. The decided
//! requests, of which there are millions, go into segments that are written once and never change.
//! Everything else is small, and goes into the head together with the digests of the segments and
//! the requests that do not fill a segment yet. A new head is written each time.
//!
//! Counts that are still secret are encrypted to the ballot key: otherwise two heads written
//! shortly after each other would reveal individual votes.

mod bytes;

use serde::{Deserialize, Serialize};

use super::state::LogState;
use super::{ElectionLog, RollContent};
use crate::ballot::{BallotSecretKey, SealError};
use crate::batch::NodePublicKey;
use crate::credential::HashScheme;
use crate::decision::DecisionState;
use crate::election::{Definition, State, Window};
use crate::electorate::{CredentialStatus, Electorate};
use crate::epochs::{EpochProgress, Epochs};
use crate::id::{Digest, ElectionId, Epoch, NodeId, Sequence};
use crate::instant::UnixMinutes;
use crate::log::merkle::{TreeBuilder, TreeHash};
use crate::reconcile::Report;
use crate::request_index::{
    Decided, DecidedList, DecidedListError, RequestIndex, requests_expected,
};
use crate::tally::{Tally, Totals};

pub use bytes::{SEGMENT_REQUESTS, decode_segment, encode_segment};

/// A log without its decided requests and its electors: kilobytes.
#[derive(Debug)]
pub struct Snapshot {
    state: SmallState,
    sums: Sums,
}

/// The decoded head of a snapshot.
#[derive(Debug)]
pub struct Head {
    state: SmallState,
    /// The state as written: sealed sums are bound to these bytes.
    text: Vec<u8>,
    sums: Vec<u8>,
    /// The digests of the segments, in order.
    pub segments: Vec<Digest>,
    /// The decided requests that are in no segment.
    pub rest: DecidedList,
    /// The value passed to [`Snapshot::encode`].
    pub sealed_through: u64,
}

/// Why a snapshot cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes are not a snapshot of this election and version, or are cut short.
    #[error("byte {offset}: {rule}")]
    Malformed {
        /// The offset, from 0.
        offset: usize,
        /// The rule that is violated.
        rule: &'static str,
    },
    /// The bytes differ from those that were written.
    #[error("its SHA-256 is {found}, and should be {expected}")]
    Digest {
        /// The digest expected.
        expected: Digest,
        /// The digest found.
        found: Digest,
    },
    /// The state or the sums do not parse.
    #[error("{part}, column {column}: not as a snapshot has it")]
    Json {
        /// The part.
        part: &'static str,
        /// Where parsing stopped, from 1.
        column: usize,
    },
    /// The sealed sums do not open with the given ballot key.
    #[error("its sums do not open with the ballot key of the election")]
    Sums,
    /// The parts contradict one another.
    #[error("its parts contradict one another: {rule}")]
    Contradiction {
        /// The rule that is violated.
        rule: &'static str,
    },
    /// A roll is not available.
    #[error("the roll of manifest {manifest} is not available")]
    Roll {
        /// The manifest.
        manifest: Digest,
    },
    /// The decided requests do not fit one another.
    #[error(transparent)]
    Decided(#[from] DecidedListError),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SmallState {
    definition: Definition,
    state: State,
    window_opens: Option<UnixMinutes>,
    window_closes: Option<UnixMinutes>,
    opened: Option<UnixMinutes>,
    closed: Option<UnixMinutes>,
    scheme: Option<HashScheme>,
    loads: Vec<LoadState>,
    replaced: Vec<Digest>,
    registered: u64,
    nodes: Vec<NodePublicKey>,
    epochs: Vec<EpochState>,
    report: Report,
    decided: usize,
    size: u64,
    root: TreeHash,
    /// The partial tile of each level.
    edge: Vec<Vec<TreeHash>>,
    height: u64,
    updated_at: UnixMinutes,
    purged: bool,
    sealed_through: u64,
    segments: Vec<Digest>,
    /// Whether the sums are sealed.
    sealed: bool,
}

/// A manifest that took effect.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadState {
    manifest: Digest,
    /// Requests decided before it.
    after: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochState {
    node: NodeId,
    epoch: Epoch,
    through: Sequence,
    confirmed: Sequence,
    /// Minutes since 1970, or 0 for none. Not a [`UnixMinutes`], whose range excludes 0 when read.
    minute: u64,
    ended: bool,
}

/// The sums of a log, opened at their heights.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    tally: Totals,
    published: Totals,
    candidate: Option<Totals>,
}

impl ElectionLog {
    /// Takes a snapshot, without the decided requests. Fast, because the log must not change during
    /// the call.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = &self.state;
        let open = |tally: &Tally| tally.open(tally.height());
        let loads = now.manifests.iter().zip(&now.decided_before);
        let edge = (0..8).map(|level| now.tree.partial_tile(level).to_vec());
        let epochs = self.decisions.epochs().iter().map(|(node, epoch, progress)| {
            let EpochProgress { through, confirmed, minute, ended } = progress;
            EpochState { node, epoch, through, confirmed, minute: minute.0, ended }
        });
        let state = SmallState {
            definition: now.definition.clone(),
            state: now.state,
            window_opens: now.window.opens,
            window_closes: now.window.closes,
            opened: now.opened,
            closed: now.closed,
            scheme: now.scheme,
            loads: loads
                .map(|(manifest, after)| LoadState { manifest: *manifest, after: *after })
                .collect(),
            replaced: now.replaced.clone(),
            registered: self.decisions.electorate().registered(),
            nodes: now.nodes.values().copied().collect(),
            epochs: epochs.collect(),
            report: now.report,
            decided: self.decisions.requests().len(),
            size: now.tree.size(),
            root: now.root,
            edge: edge.collect(),
            height: now.height,
            updated_at: now.updated_at,
            purged: now.purged,
            sealed_through: 0,
            segments: Vec::new(),
            sealed: now.state < State::Closed,
        };
        // After the close every sum is public, and a candidate has no use.
        let candidate = now.candidate.as_ref().filter(|_| state.sealed).map(open);
        Snapshot {
            state,
            sums: Sums { tally: open(&now.tally), published: open(&now.published), candidate },
        }
    }

    /// Restores the log of a snapshot. `requests` are all decided requests in log order; `rolls`
    /// returns the content of a manifest. The ballot key is needed while the sums are sealed: until
    /// the close.
    ///
    /// # Errors
    /// [`SnapshotError`] when the parts do not fit one another.
    pub fn restore(
        head: Head,
        requests: RequestIndex,
        ballot_key: Option<&BallotSecretKey>,
        rolls: &mut dyn FnMut(&Digest) -> Option<RollContent>,
    ) -> Result<Self, SnapshotError> {
        let sums = head.sums(ballot_key)?;
        let state = head.state;
        let electorate = restore_electorate(&state, requests.decided(), rolls)?;
        let tree = TreeBuilder::restore(state.size, state.edge)
            .map_err(|_| contradiction("the tree's edge follows from its size"))?;
        if tree.root() != state.root {
            return Err(contradiction("the tree's edge has the root"));
        }
        let tally = |totals: &Totals| {
            Tally::opened(totals)
                .filter(|tally| tally.counts().choices.len() == state.definition.choices.len())
        };
        let tally_of =
            |totals: &Totals| tally(totals).ok_or(contradiction("there is a sum for each choice"));
        let (whole, published) = (tally_of(&sums.tally)?, tally_of(&sums.published)?);
        if whole.counts().total() != state.report.accepted {
            return Err(contradiction("the sums add up to the votes accepted"));
        }
        let epochs = state.epochs.iter().map(|row| {
            let progress = EpochProgress {
                through: row.through,
                confirmed: row.confirmed,
                minute: UnixMinutes(row.minute),
                ended: row.ended,
            };
            (row.node, row.epoch, progress)
        });
        let decisions = DecisionState::restore(
            state.definition.law_id.clone(),
            electorate,
            requests,
            Epochs::restore(epochs),
        );
        let state = LogState {
            state: state.state,
            window: Window { opens: state.window_opens, closes: state.window_closes },
            opened: state.opened,
            closed: state.closed,
            scheme: state.scheme,
            manifests: state.loads.iter().map(|load| load.manifest).collect(),
            replaced: state.replaced,
            decided_before: state.loads.iter().map(|load| load.after).collect(),
            nodes: state.nodes.iter().map(|key| (key.node_id(), *key)).collect(),
            report: state.report,
            candidate: sums.candidate.as_ref().map(tally_of).transpose()?,
            tally: whole,
            published,
            tree,
            root: state.root,
            height: state.height,
            updated_at: state.updated_at,
            purged: state.purged,
            evidence_missing: false,
            followed: false,
            definition: state.definition,
        };
        Ok(Self { state, decisions })
    }
}

impl Snapshot {
    /// Leaves in the log when it was taken.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state.size
    }

    /// Requests decided when it was taken.
    #[must_use]
    pub fn decided(&self) -> usize {
        self.state.decided
    }

    /// The state of the election when it was taken.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.state
    }

    /// Encodes the head. `segments` are the digests in order, `rest` the decided requests that are
    /// in no segment. `sealed_through` is stored with them: a position in staging up to which
    /// everything was sealed.
    ///
    /// # Errors
    /// [`SealError`] when the ballot key cannot be used.
    ///
    /// # Panics
    /// When segments and rest are not all decided requests.
    pub fn encode(
        &self,
        segments: &[Digest],
        rest: &DecidedList,
        sealed_through: u64,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        assert_eq!(
            segments.len() * SEGMENT_REQUESTS + rest.decided.len(),
            self.state.decided,
            "segments and rest are all requests"
        );
        let state =
            SmallState { segments: segments.to_vec(), sealed_through, ..self.state.clone() };
        let law_id = &state.definition.law_id;
        let text = json(&state);
        let sums = zeroize::Zeroizing::new(json(&self.sums));
        let sums = match state.sealed {
            true => state.definition.ballot_key.seal_sums(law_id, &text, &sums, rng)?,
            false => sums.to_vec(),
        };
        Ok(bytes::encode_head(law_id, &text, &sums, rest))
    }
}

impl Head {
    /// Decodes a head.
    ///
    /// # Errors
    /// [`SnapshotError`] unless it is a head of that election, as written.
    pub fn decode(bytes: &[u8], law_id: &ElectionId) -> Result<Self, SnapshotError> {
        let bytes::Head { state: text, sums, rest } = bytes::decode_head(bytes, law_id)?;
        let mut state: SmallState = parse("the state", text)?;
        let (sealed_through, segments) =
            (state.sealed_through, std::mem::take(&mut state.segments));
        if segments
            .len()
            .checked_mul(SEGMENT_REQUESTS)
            .and_then(|count| count.checked_add(rest.decided.len()))
            != Some(state.decided)
        {
            return Err(contradiction("segments and rest are all requests"));
        }
        if state.definition.law_id != *law_id {
            return Err(contradiction("the definition is of this election"));
        }
        Ok(Self { state, text: text.to_vec(), sums: sums.to_vec(), segments, rest, sealed_through })
    }

    /// Leaves in the log when it was taken.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state.size
    }

    /// The root of the log at that size.
    #[must_use]
    pub fn root(&self) -> &TreeHash {
        &self.state.root
    }

    /// The manifests in effect, in order.
    pub fn manifests(&self) -> impl Iterator<Item = Digest> {
        self.state.loads.iter().map(|load| load.manifest)
    }

    /// Requests to make room for: those decided, and those still expected.
    #[must_use]
    pub fn room(&self) -> usize {
        usize::try_from(self.state.registered).map_or(0, requests_expected).max(self.state.decided)
    }

    fn sums(&self, ballot_key: Option<&BallotSecretKey>) -> Result<Sums, SnapshotError> {
        if !self.state.sealed {
            return parse("the sums", &self.sums);
        }
        let opened = ballot_key
            .and_then(|key| key.open_sums(&self.state.definition.law_id, &self.text, &self.sums));
        parse("the sums", &opened.ok_or(SnapshotError::Sums)?)
    }
}

/// Applies the rolls and records the attempts in log order. No key is looked up.
fn restore_electorate(
    state: &SmallState,
    decided: &[Decided],
    rolls: &mut dyn FnMut(&Digest) -> Option<RollContent>,
) -> Result<Electorate, SnapshotError> {
    if decided.len() != state.decided {
        return Err(contradiction("all requests are there"));
    }
    if !decided.is_sorted_by(|one, next| one.leaf() < next.leaf())
        || decided.last().is_some_and(|last| last.leaf() >= state.size)
    {
        return Err(contradiction("entries stand in the log one after the other"));
    }
    let mut electorate = Electorate::default();
    let mut report = Report {
        received: state.report.received,
        replayed: state.report.replayed,
        ..Report::default()
    };
    let mut done = 0;
    for load in &state.loads {
        let before = decided
            .get(done..load.after)
            .ok_or(contradiction("manifests take effect one after the other"))?;
        attempts(&mut electorate, before, &mut report)?;
        done = load.after;
        match rolls(&load.manifest).ok_or(SnapshotError::Roll { manifest: load.manifest })? {
            RollContent::Roll(keys) => {
                electorate
                    .add_roll(keys)
                    .map_err(|_| contradiction("a roll has fewer than 2^32 electors"))?;
            }
            RollContent::Supplement(changes) => {
                electorate.apply(&changes);
            }
        }
    }
    attempts(&mut electorate, &decided[done..], &mut report)?;
    // A clash counts as invalid, but the list contains only the first decision on its request.
    let clashes = state.report.invalid.checked_sub(report.invalid);
    report.invalid += clashes.unwrap_or(0);
    if report != state.report
        || report.received != report.accepted + report.duplicate + report.invalid + report.replayed
    {
        return Err(contradiction("the requests add up to the report"));
    }
    if electorate.registered() != state.registered {
        return Err(contradiction("the rolls register as many electors"));
    }
    Ok(electorate)
}

fn attempts(
    electorate: &mut Electorate,
    decided: &[Decided],
    report: &mut Report,
) -> Result<(), SnapshotError> {
    for decided in decided {
        let Some(elector) = decided.elector() else {
            report.invalid += 1;
            continue;
        };
        match electorate.record_attempt(elector) {
            CredentialStatus::First => report.accepted += 1,
            CredentialStatus::Again { .. } => report.duplicate += 1,
            CredentialStatus::Unknown | CredentialStatus::Revoked => {
                return Err(contradiction("who votes is registered"));
            }
        }
    }
    Ok(())
}

fn contradiction(rule: &'static str) -> SnapshotError {
    SnapshotError::Contradiction { rule }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a snapshot has text keys and writes to memory")
}

fn parse<T: for<'de> Deserialize<'de>>(
    part: &'static str,
    text: &[u8],
) -> Result<T, SnapshotError> {
    serde_json::from_slice(text)
        .map_err(|error| SnapshotError::Json { part, column: error.column() })
}

#[cfg(test)]
#[path = "snapshot/snapshot_test.rs"]
pub(super) mod tests;
