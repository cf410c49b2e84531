//! Nodes and their batches: numbers, signatures, and one leaf per envelope.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::Line;
use crate::batch::{NodePublicKey, NodeVerifier, envelopes_hasher};
use crate::bundle::{Failures, Rule, file};
use crate::decision::Outcome;
use crate::election::State;
use crate::envelope::EnvelopeDigest;
use crate::epochs::Epochs;
use crate::id::{Digest, ElectionId, NodeId};
use crate::log::leaf::{BatchLeaf, NodeEvent};

/// Signatures verified together, on as many threads as the caller allows.
const SIGNATURE_BATCH_LEN: usize = 2048;

/// The admitted nodes, the progress of each epoch, and the current batch.
#[derive(Default)]
pub(super) struct Batches {
    /// `None` for a node whose key is not usable.
    nodes: BTreeMap<NodeId, Option<NodeVerifier>>,
    epochs: Epochs,
    /// The first 16 bytes of each digest.
    digests: BTreeSet<[u8; 16]>,
    current: Option<Current>,
    unverified: Vec<Unverified>,
    threads: usize,
}

/// The batch whose leaves are being read.
struct Current {
    leaf: BatchLeaf,
    line: u64,
    leaves: u32,
    envelopes: Sha256,
}

struct Unverified {
    line: u64,
    leaf: BatchLeaf,
    key: Option<NodeVerifier>,
    law_id: ElectionId,
}

impl Batches {
    pub(super) fn with_threads(threads: usize) -> Self {
        Self { threads, ..Self::default() }
    }

    pub(super) fn take_node(
        &mut self,
        event: &NodeEvent,
        state: Option<State>,
        line: &mut Line<'_>,
    ) {
        match event {
            NodeEvent::Admitted { node, key } => self.admit(*node, key, state, line),
            NodeEvent::Retired { node, epoch, through, confirmed } => {
                let mut fail = |found: std::fmt::Arguments<'_>| {
                    line.fail(Rule::NodeRetirement, found);
                };
                if !matches!(state, Some(State::Open | State::Closing)) {
                    fail(format_args!("an epoch is retired while the poll is not open"));
                }
                if !self.nodes.contains_key(node) {
                    fail(format_args!("node {node} was never admitted"));
                }
                if self.epochs.progress(*node, *epoch).ended {
                    let epoch = epoch.0;
                    fail(format_args!("epoch {epoch} of node {node} has ended already"));
                }
                let held = self.epochs.retire(*node, *epoch);
                if (held.through, held.confirmed) != (*through, *confirmed) {
                    fail(format_args!(
                        "epoch {} of node {node} is cut at {} with {} confirmed, the log holds {} \
                         with {} confirmed",
                        epoch.0, through.0, confirmed.0, held.through.0, held.confirmed.0
                    ));
                }
            }
        }
    }

    fn admit(
        &mut self,
        node: NodeId,
        key: &NodePublicKey,
        state: Option<State>,
        line: &mut Line<'_>,
    ) {
        let mut fail = |found: std::fmt::Arguments<'_>| line.fail(Rule::NodeAdmission, found);
        if !matches!(state, Some(State::Draft | State::Open)) {
            fail(format_args!("node {node} is admitted once the poll is closing"));
        }
        if key.node_id() != node {
            fail(format_args!("node {node} is not the id of its key"));
        }
        let verifier = key.verifier();
        if verifier.is_none() {
            fail(format_args!("the key of node {node} is not a usable Ed25519 key"));
        }
        if self.nodes.insert(node, verifier).is_some() {
            fail(format_args!("node {node} is admitted twice"));
        }
    }

    pub(super) fn take_batch(
        &mut self,
        batch: &BatchLeaf,
        law_id: Option<&ElectionId>,
        state: Option<State>,
        line: &mut Line<'_>,
    ) {
        match (self.nodes.get(&batch.node), law_id) {
            (None, _) => line.fail(
                Rule::NodeAdmission,
                format_args!("a batch of node {}, which is not admitted", batch.node),
            ),
            (Some(key), Some(law_id)) => self.unverified.push(Unverified {
                line: line.number,
                leaf: *batch,
                key: *key,
                law_id: law_id.clone(),
            }),
            (Some(_), None) => {}
        }
        if !matches!(state, Some(State::Open | State::Closing)) {
            line.fail(Rule::BatchState, format_args!("a batch while the poll is not open"));
        }
        if let Err(error) = self.epochs.take_batch(&batch.position(), None) {
            line.fail(Rule::BatchNumber, format_args!("{error}"));
        }
        if !self.digests.insert(*batch.digest.as_bytes().first_chunk().expect("16 of 32 bytes")) {
            line.fail(Rule::BatchOnce, format_args!("the digest {} came before", batch.digest));
        }
        self.current = Some(Current {
            leaf: *batch,
            line: line.number,
            leaves: 0,
            envelopes: envelopes_hasher(),
        });
        if self.unverified.len() >= SIGNATURE_BATCH_LEN {
            self.verify_signatures(line.failures);
        }
    }

    /// Takes the leaf of the next envelope.
    pub(super) fn take_outcome(
        &mut self,
        outcome: &Outcome,
        digest: &EnvelopeDigest,
        line: &mut Line<'_>,
    ) {
        let Some(current) = &mut self.current else { return };
        current.leaves = current.leaves.saturating_add(1);
        current.envelopes.update(digest.as_bytes());
        let (number, count) = (current.leaf.number(), current.leaf.count);
        // Reported once, at the first leaf too many.
        if current.leaves == count.saturating_add(1) {
            line.fail(
                Rule::BatchCount,
                format_args!("more leaves than the {count} envelopes of batch {number}"),
            );
        }
        if let Some(entry) = outcome.entry()
            && !self.epochs.take_minute(number, entry.minute)
        {
            line.fail(
                Rule::BatchMinute,
                format_args!("{} is before an earlier minute of its epoch", entry.minute),
            );
        }
    }

    /// Ends the current batch: at the next one, or at the end of its block.
    pub(super) fn end_batch(&mut self, failures: &mut Failures) {
        let Some(Current { leaf, line, leaves, envelopes }) = self.current.take() else { return };
        let number = leaf.number();
        let mut line = Line { failures, number: line };
        if leaves < leaf.count {
            let count = leaf.count;
            line.fail(
                Rule::BatchCount,
                format_args!("batch {number} has {leaves} leaves for {count} envelopes"),
            );
        } else if leaves == leaf.count
            && leaf.envelopes != Digest::from_bytes(envelopes.finalize().into())
        {
            line.fail(
                Rule::BatchEnvelopes,
                format_args!("the leaves of batch {number} are not of the envelopes signed"),
            );
        }
    }

    pub(super) fn check_ended(&self, line: &mut Line<'_>) {
        for (node, epoch) in self.epochs.open() {
            line.fail(
                Rule::EpochEnd,
                format_args!("epoch {} of node {node} has not ended", epoch.0),
            );
        }
        for (node, epoch) in self.epochs.missing() {
            line.fail(Rule::EpochEnd, format_args!("epoch {} of node {node} is missing", epoch.0));
        }
    }

    /// Verifies the signatures of the batches read so far.
    pub(super) fn verify_signatures(&mut self, failures: &mut Failures) {
        let unverified = std::mem::take(&mut self.unverified);
        for one in find_bad(&unverified, self.threads) {
            failures.add(
                file::LEAVES,
                Some(one.line),
                Rule::BatchSignature,
                format_args!("batch {} is not signed by its node", one.leaf.number()),
            );
        }
    }
}

/// Returns those whose signature is not their node's, in order. With 0 or 1 threads none is
/// started.
fn find_bad(unverified: &[Unverified], threads: usize) -> Vec<&Unverified> {
    let is_bad =
        |one: &&Unverified| !one.key.is_some_and(|key| one.leaf.is_signed_by(&one.law_id, &key));
    if threads <= 1 {
        return unverified.iter().filter(is_bad).collect();
    }
    let part = unverified.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = unverified
            .chunks(part)
            .map(|part| scope.spawn(move || part.iter().filter(is_bad).collect::<Vec<_>>()))
            .collect();
        let joined = parts.into_iter().map(|part| part.join());
        joined.flat_map(|part| part.expect("verifying a signature does not panic")).collect()
    })
}
