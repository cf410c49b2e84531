//! The ingest nodes of one election: which it admits, and the end of a node that does not return.
//!
//! Nodes of the installation as a whole are in `cluster`.

use votekit_core::batch::NodePublicKey;
use votekit_core::election::State;
use votekit_core::election_log::{Change, LogEvent};
use votekit_core::id::{ElectionId, NodeId};

use crate::admin::election_access::check_state;
use crate::call_rule::CallRule;
use crate::election::{ElectionView, EpochView, NodeView, SealerCommand};
use crate::error::AdminError;
use crate::node::Node;
use crate::recovery::election_keys;

impl Node {
    /// Admits an ingest node by its public key: its batches are accepted from then on. Admitting it
    /// again changes nothing.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn admit_node(
        &self,
        law_id: &ElectionId,
        key: NodePublicKey,
    ) -> Result<ElectionView, AdminError> {
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        check_state(&election, Change::GiveNode)?;
        if election.log().node_key(key.node_id()).is_none() {
            if self.context.authorities.is_some() {
                // The others accept no block with a node whose record no authority has signed.
                let records = election_keys::node_records(&self.context).await?;
                if !records.iter().any(|record| record.key == key) {
                    let rule = CallRule::NodeWithoutRecord;
                    return Err(AdminError::Field { field: "public_key", rule });
                }
            }
            self.record(&election, vec![LogEvent::Admit(key)]).await?;
        }
        Ok(ElectionView::from_handle(&election))
    }

    /// Returns the admitted ingest nodes of an election, each with its epochs.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn nodes(&self, law_id: &ElectionId) -> Result<Vec<NodeView>, AdminError> {
        let election = self.election_handle(law_id)?;
        let leases = self.context.ledger.leases(law_id).await?;
        let epochs = self.context.ledger.epochs(law_id).await?;
        let names = self.on_files(|folder| Ok(folder.named_nodes()?)).await?;
        let alone = !self.context.is_shared;
        let log = election.log();
        let nodes = log.nodes().map(|(node, key)| NodeView {
            node: node.to_string(),
            public_key: key.to_string(),
            name: names.iter().find(|(_, named)| named == key).map(|(name, _)| name.to_string()),
            answering: leases.iter().any(|lease| lease.node == node)
                || (alone && log.state() == State::Open),
            epochs: epochs
                .iter()
                .filter(|(owner, _)| *owner == node)
                .map(|(_, epoch)| {
                    let progress = log.decisions().epochs().progress(node, *epoch);
                    EpochView { epoch: epoch.0, sealed: progress.through.0, ended: progress.ended }
                })
                .collect(),
        });
        Ok(nodes.collect())
    }

    /// Retires an ingest node that is gone permanently: fences it, so that it answers no more
    /// voters, decides the batches that it confirmed, and voids its higher numbers in the log.
    /// Retiring it again changes nothing.
    ///
    /// # Errors
    /// [`AdminError`]; a second call completes the failed steps.
    pub async fn retire_node(
        &self,
        law_id: &ElectionId,
        node: NodeId,
    ) -> Result<ElectionView, AdminError> {
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        self.ask_sealer(&election, |reply| SealerCommand::Retire(node, reply)).await?;
        Ok(ElectionView::from_handle(&election))
    }
}
