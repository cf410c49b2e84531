//! An election according to its log, for read-only commands: opens nothing for writing, and takes
//! no lock.

use std::collections::BTreeMap;

use votekit_core::batch::NodePublicKey;
use votekit_core::bundle::Account;
use votekit_core::election::{Definition, State};
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::leaf::{ElectionEvent, Leaf, NodeEvent};
use votekit_core::log::merkle::empty_root;

use crate::archive::Archive;
use crate::election::CheckpointSigner;
use crate::election::{ElectionStatus, ElectionView, EpochView, NodeView};
use crate::error::NodeError;
use crate::node_name::NodeName;

/// The state that results from the leaves of one log.
pub(crate) struct LogStatus {
    definition: Definition,
    account: Account,
    opens: Option<UnixMinutes>,
    closes: Option<UnixMinutes>,
    nodes: BTreeMap<NodeId, NodePublicKey>,
    epochs: BTreeMap<(NodeId, Epoch), EpochView>,
}

impl LogStatus {
    /// Reads a log from its first leaf. `None` if there is no such election.
    pub(crate) fn read(archive: &Archive, law_id: &ElectionId) -> Result<Option<Self>, NodeError> {
        if archive.head(law_id)?.is_none() {
            return Ok(None);
        }
        let damaged = |reason: String| NodeError::Undecodable { law_id: law_id.clone(), reason };
        let mut status: Option<Self> = None;
        archive.for_each_leaf(law_id, |leaf| -> Result<(), NodeError> {
            let leaf = Leaf::parse(leaf).map_err(|error| damaged(error.to_string()))?;
            match (&mut status, &leaf) {
                (Some(status), _) => status.record(&leaf),
                (None, Leaf::Election(ElectionEvent::Draft { definition, .. })) => {
                    status.insert(Self::draft(definition)).record(&leaf);
                }
                (None, _) => {
                    return Err(damaged("it does not begin with a draft".to_owned()));
                }
            }
            Ok(())
        })?;
        Ok(status)
    }

    fn draft(definition: &Definition) -> Self {
        Self {
            opens: definition.opens,
            closes: definition.closes,
            definition: definition.clone(),
            account: Account::default(),
            nodes: BTreeMap::new(),
            epochs: BTreeMap::new(),
        }
    }

    fn record(&mut self, leaf: &Leaf) {
        // Results are not read from this account, so it needs no root.
        self.account.take(leaf, empty_root);
        match leaf {
            Leaf::Election(ElectionEvent::Amended { definition, .. }) => {
                (self.opens, self.closes) = (definition.opens, definition.closes);
                self.definition = definition.clone();
            }
            Leaf::Election(ElectionEvent::Open { opens, .. }) => self.opens = Some(*opens),
            Leaf::Election(ElectionEvent::Closing { closes, .. }) => self.closes = Some(*closes),
            Leaf::Node(NodeEvent::Admitted { node, key }) => {
                self.nodes.insert(*node, *key);
            }
            Leaf::Node(NodeEvent::Retired { node, epoch, through, .. }) => {
                let progress = self.epoch(*node, *epoch);
                (progress.sealed, progress.ended) = (through.0, true);
            }
            Leaf::Batch(batch) => {
                let progress = self.epoch(batch.node, batch.epoch);
                (progress.sealed, progress.ended) = (batch.sequence.0, batch.last);
            }
            _ => {}
        }
    }

    fn epoch(&mut self, node: NodeId, epoch: Epoch) -> &mut EpochView {
        let none = EpochView { epoch: epoch.0, sealed: 0, ended: false };
        self.epochs.entry((node, epoch)).or_insert(none)
    }

    /// The definition of the election.
    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The manifests of the rolls, in the order of the log.
    pub(crate) fn manifests(&self) -> &[Digest] {
        self.account.manifests()
    }

    pub(crate) fn election_view(&self, signer: &CheckpointSigner) -> ElectionView {
        let status = ElectionStatus {
            state: self.account.state().unwrap_or(State::Draft),
            opens: self.opens,
            closes: self.closes,
            registered: self.account.registered(),
            report: self.account.report(),
            log_size: self.account.leaves(),
        };
        ElectionView::new(&self.definition, &status, signer)
    }

    pub(crate) fn node_views(&self, names: &[(NodeName, NodePublicKey)]) -> Vec<NodeView> {
        let nodes = self.nodes.iter().map(|(node, key)| NodeView {
            node: node.to_string(),
            public_key: key.to_string(),
            name: names.iter().find(|(_, named)| named == key).map(|(name, _)| name.to_string()),
            answering: false,
            epochs: self
                .epochs
                .iter()
                .filter(|((owner, _), _)| owner == node)
                .map(|(_, epoch)| epoch.clone())
                .collect(),
        });
        nodes.collect()
    }
}
