//! Nodes and the numbers of their batches.

use std::collections::BTreeSet;

use super::log::Line;
use crate::bundle::Rule;
use crate::decision::Fold;
use crate::election::State;
use crate::id::NodeId;
use crate::log::leaf::{BatchLeaf, NodeEvent};

/// Which nodes are admitted, how far each epoch has come, and the batch under way.
#[derive(Default)]
pub(super) struct Batches {
    nodes: BTreeSet<NodeId>,
    /// For its epochs; requests are checked apart.
    fold: Fold,
    /// Envelopes of the batch under way, and entries so far.
    current: Option<(u32, u32)>,
}

impl Batches {
    pub(super) fn take_node(&mut self, event: &NodeEvent, line: &mut Line<'_>) {
        match event {
            NodeEvent::Admitted { node, key } => {
                if key.node_id() != *node {
                    line.fail(
                        Rule::NodeAdmission,
                        format_args!("node {node} is not the id of its key"),
                    );
                }
                if !self.nodes.insert(*node) {
                    line.fail(Rule::NodeAdmission, format_args!("node {node} is admitted twice"));
                }
            }
            NodeEvent::Retired { node, epoch, through } => {
                let progress = self.fold.progress(*node, *epoch);
                if !self.nodes.contains(node) {
                    line.fail(Rule::NodeRetirement, format_args!("node {node} was never admitted"));
                }
                if progress.ended {
                    line.fail(
                        Rule::NodeRetirement,
                        format_args!("epoch {} of node {node} has ended already", epoch.0),
                    );
                }
                let held = self.fold.retire(*node, *epoch);
                if held != *through {
                    let what = format_args!(
                        "epoch {} of node {node} is cut at {}, the log holds {}",
                        epoch.0, through.0, held.0
                    );
                    line.fail(Rule::NodeRetirement, what);
                }
            }
        }
    }

    pub(super) fn take_batch(
        &mut self,
        batch: &BatchLeaf,
        state: Option<State>,
        line: &mut Line<'_>,
    ) {
        if !self.nodes.contains(&batch.node) {
            line.fail(
                Rule::NodeAdmission,
                format_args!("a batch of node {}, which is not admitted", batch.node),
            );
        }
        if !matches!(state, Some(State::Open | State::Closing)) {
            line.fail(Rule::BatchState, format_args!("a batch while the poll is not open"));
        }
        if let Err(error) = self.fold.take_batch(batch.number(), batch.last) {
            line.fail(Rule::BatchNumber, format_args!("{error}"));
        }
        self.current = Some((batch.count, 0));
    }

    pub(super) fn take_entry(&mut self, line: &mut Line<'_>) {
        let Some((count, entries)) = &mut self.current else { return };
        *entries = entries.saturating_add(1);
        if entries > count {
            line.fail(
                Rule::BatchCount,
                format_args!("entry {entries} of a batch of {count} envelopes"),
            );
        }
    }

    pub(super) fn end_block(&mut self) {
        self.current = None;
    }

    pub(super) fn check_ended(&self, line: &mut Line<'_>) {
        for (node, epoch) in self.fold.open_epochs() {
            line.fail(
                Rule::EpochEnd,
                format_args!("epoch {} of node {node} has not ended", epoch.0),
            );
        }
    }
}
