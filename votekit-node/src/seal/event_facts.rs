//! The facts by which an authority checks the events of a proposed block, and the result of the
//! check.
//!
//! The guards of votekit-authority only compare. This module gathers the facts that they compare:
//! clock and keys for every block; rolls, leases, epochs and the own memory only for a block with
//! an event that needs them, so that a block of votes costs no query.

use std::sync::Arc;
use std::time::Duration;

use votekit_authority::event_guard::{
    EpochFacts, EventRefusal, EventRule, Facts, LeaseFacts, ProposalFacts, RollFacts, check_block,
};
use votekit_authority::quiescence::EpochProgress;
use votekit_core::authority::{BlockProposal, TermLeader};
use votekit_core::batch::NodePublicKey;
use votekit_core::binding::BindingRule;
use votekit_core::election::{Definition, Window};
use votekit_core::election_log::leaves_of_block;
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::leaf::{ElectionEvent, Leaf, NodeEvent};
use votekit_store::{EngineError, Lease};

use crate::authority::{AuthorityContext, HeightRows, ProposalRow};
use crate::binding_rules::unmet_rules;
use crate::context::NodeContext;
use crate::data_folder::DataFolder;
use crate::election::ElectionHandle;
use crate::recovery::election_keys;
use crate::roll_store;
use crate::seal::proposals::NotMade;
use crate::seal::round::RoundBlock;
use crate::seal::sealer::Sealer;

/// How long a block waits for the ballot box to settle before it is checked again.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first bytes of the leaves of votes. Such leaves are not events, and a block contains
/// thousands of them.
const VOTES: [&[u8]; 3] = [br#"{"leaf":"entry""#, br#"{"leaf":"replay""#, br#"{"leaf":"batch""#];

/// The facts that the check of a block's events needs.
#[derive(Debug, Default)]
struct Needs {
    manifests: Vec<Digest>,
    retired: Vec<NodeId>,
    admits: bool,
    opens: bool,
    closing: bool,
    closed: bool,
}

impl Needs {
    fn of_block(leaves: &[u8]) -> Self {
        let mut needs = Self::default();
        let events = leaves_of_block(leaves)
            .flatten()
            .filter(|bytes| !VOTES.iter().any(|start| bytes.starts_with(start)));
        for leaf in events.filter_map(|bytes| Leaf::parse(bytes).ok()) {
            match leaf {
                Leaf::Roll(event) => needs.manifests.push(event.manifest),
                // A block may retire hundreds of epochs of one node.
                Leaf::Node(NodeEvent::Retired { node, .. }) if !needs.retired.contains(&node) => {
                    needs.retired.push(node);
                }
                Leaf::Node(NodeEvent::Admitted { .. }) => needs.admits = true,
                Leaf::Election(ElectionEvent::Open { .. }) => needs.opens = true,
                Leaf::Election(ElectionEvent::Closing { .. }) => needs.closing = true,
                Leaf::Election(ElectionEvent::Closed { .. }) => needs.closed = true,
                _ => {}
            }
        }
        needs
    }

    fn needs_epochs(&self) -> bool {
        self.closed || !self.retired.is_empty()
    }

    fn needs_files(&self) -> bool {
        self.opens || !self.manifests.is_empty()
    }
}

/// The facts that were read for the events of one block.
#[derive(Debug, Default)]
struct Gathered {
    rolls: Vec<RollFacts>,
    admitted: Vec<NodePublicKey>,
    unmet: Option<Vec<BindingRule>>,
    epochs: Option<Vec<EpochFacts>>,
    is_settled: bool,
    observed: Vec<(NodeId, Epoch, Sequence)>,
    latest_stamp: Option<UnixMinutes>,
}

impl Sealer {
    /// Checks the events of a block that this authority has made itself.
    pub(crate) async fn check_events(
        &self,
        authority: &Arc<AuthorityContext>,
        row: &ProposalRow,
        block: &RoundBlock,
    ) -> Result<(), NotMade> {
        let gathered = self.gather(authority, &Needs::of_block(&row.leaves)).await;
        let rows = authority.board.rows(self.election.law_id(), row.proposal.point.height);
        let first = same_bytes(rows, &row.proposal.digest);
        let signed_by: Vec<TermLeader> =
            first.iter().map(|proposal| proposal.leadership.clone()).collect();
        let definition = self.election.log().definition().clone();
        let ballot_key = self.election.ballot_key().map(|key| key.public_key());
        let leases = gathered
            .epochs
            .as_deref()
            .map(|epochs| LeaseFacts { epochs, is_settled: gathered.is_settled });
        let facts = Facts {
            law_id: self.election.law_id(),
            first_leaf: row.proposal.first_leaf,
            now: Some(self.context.now()),
            proposal: proposal_facts(&row.proposal, &signed_by),
            authorities: &authority.set,
            state: Some(self.state()),
            is_open_after: block.takes_votes,
            planned: Window { opens: definition.opens, closes: definition.closes },
            ballot_key,
            rolls: &gathered.rolls,
            admitted: &gathered.admitted,
            unmet: gathered.unmet.as_deref(),
            latest_stamp: gathered.latest_stamp,
            leases,
            observed: &gathered.observed,
        };
        let verdict = match check_block(&row.leaves, &facts) {
            Err(EventRefusal::Refused { rule: EventRule::ClosingPast { .. }, .. }) => {
                check_again_at_first(&row.leaves, &facts, &row.proposal, &first)
            }
            verdict => verdict,
        };
        verdict.map_err(|refusal| not_made(refusal, &row.leaves, row.proposal.first_leaf))
    }

    async fn gather(&self, authority: &Arc<AuthorityContext>, needs: &Needs) -> Gathered {
        let mut gathered = Gathered::default();
        if needs.closing {
            gathered.latest_stamp = self.latest_stamp_seen();
        }
        if needs.admits {
            gathered.admitted = self.admitted_nodes().await;
        }
        if needs.needs_files() {
            let context = Arc::clone(&self.context);
            let (manifests, opens) = (needs.manifests.clone(), needs.opens);
            let read = self
                .blocking(move |election| {
                    let rolls = rolls(&context.folder, &manifests);
                    // The rule on TLS is about the nodes that accept votes.
                    let unmet = opens.then(|| unmet_rules(&context.folder, election, true));
                    (rolls, unmet.and_then(Result::ok))
                })
                .await;
            if let Ok((rolls, unmet)) = read {
                (gathered.rolls, gathered.unmet) = (rolls, unmet);
            }
        }
        if needs.needs_epochs() {
            let law_id = self.election.law_id().clone();
            // Without its own marks an authority does not decide: it reads no epochs, so the guards
            // wait.
            let Ok(observed) = authority.durable(move |memory| memory.observed(&law_id)).await
            else {
                return gathered;
            };
            match self.read_epochs(&needs.retired, &observed).await {
                Ok((epochs, is_settled)) => {
                    (gathered.epochs, gathered.is_settled) = (Some(epochs), is_settled);
                }
                Err(error) => tracing::debug!(
                    event = "epochs_not_read",
                    law_id = %self.election.law_id(),
                    %error,
                    "leases and epochs not read, the block waits"
                ),
            }
            gathered.observed = observed;
        }
        gathered
    }

    /// The keys of the nodes that are admitted by records signed by authorities; none if the ledger
    /// does not answer.
    async fn admitted_nodes(&self) -> Vec<NodePublicKey> {
        match election_keys::node_records(&self.context).await {
            Ok(records) => records.into_iter().map(|record| record.key).collect(),
            Err(error) => {
                tracing::debug!(
                    event = "node_records_not_read",
                    law_id = %self.election.law_id(),
                    %error,
                    "records of nodes not read, the block waits"
                );
                Vec::new()
            }
        }
    }

    /// The progress of the epochs, with their leases and fences; and whether the ballot box is
    /// settled, and staging read as far as the progress depends on it.
    async fn read_epochs(
        &self,
        retired: &[NodeId],
        observed: &[(NodeId, Epoch, Sequence)],
    ) -> Result<(Vec<EpochFacts>, bool), EngineError> {
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        let mut leases = ledger.leases(law_id).await?;
        let mut fenced = Vec::new();
        for node in retired {
            // The ledger does not say which epochs are fenced. Fencing an epoch again is the only
            // way to learn this, and changes nothing after an honest leader. A node that answers
            // voters is not fenced because of a proposal: its lease suffices for a refusal.
            if !leases.iter().any(|lease| lease.node == *node) {
                ledger.fence(law_id, *node).await?;
                fenced.push(*node);
            }
        }
        if !fenced.is_empty() {
            leases = ledger.leases(law_id).await?;
        }
        let settling = self.context.ballot_box.settle(law_id);
        let settled = tokio::time::timeout(SETTLE_TIMEOUT, settling).await;
        let seen: Vec<(NodeId, Epoch)> =
            observed.iter().map(|(node, epoch, _)| (*node, *epoch)).collect();
        let mut progress = self.epoch_progress(&seen).await?;
        let is_read = self.count_unread(&mut progress).await?;
        let epochs = epoch_facts(&self.election, progress, &leases, &fenced);
        Ok((epochs, is_read && matches!(settled, Ok(Ok(())))))
    }

    /// The latest minute of an envelope in the log, or staged and not ahead of the clock.
    fn latest_stamp_seen(&self) -> Option<UnixMinutes> {
        let log = self.election.log();
        let sealed = log.decisions().epochs().iter().map(|(_, _, progress)| progress.minute);
        let staged = self.seal_queue.latest_stamp(&log, self.context.now().0);
        sealed.chain(staged).max().filter(|minute| minute.0 > 0)
    }
}

fn epoch_facts(
    election: &ElectionHandle,
    progress: Vec<EpochProgress>,
    leases: &[Lease],
    fenced: &[NodeId],
) -> Vec<EpochFacts> {
    let log = election.log();
    let epochs = log.decisions().epochs();
    let facts = |progress: EpochProgress| {
        let (node, epoch) = (progress.node, progress.epoch);
        EpochFacts {
            progress,
            is_fenced: fenced.contains(&node),
            has_lease: leases.iter().any(|lease| (lease.node, lease.epoch) == (node, epoch)),
            confirmed_through: epochs.progress(node, epoch).confirmed,
        }
    };
    progress.into_iter().map(facts).collect()
}

/// Checks the first block of an election that this authority does not have yet.
pub(crate) fn check_draft(
    context: &NodeContext,
    authority: &AuthorityContext,
    law_id: &ElectionId,
    row: &ProposalRow,
    definition: &Definition,
) -> Result<(), NotMade> {
    let first = same_bytes(authority.board.rows(law_id, 1), &row.proposal.digest);
    let signed_by: Vec<TermLeader> =
        first.iter().map(|proposal| proposal.leadership.clone()).collect();
    // The caller has compared the key of the definition with the own key.
    let facts = Facts {
        law_id,
        first_leaf: row.proposal.first_leaf,
        now: Some(context.now()),
        proposal: proposal_facts(&row.proposal, &signed_by),
        authorities: &authority.set,
        state: None,
        is_open_after: false,
        planned: Window { opens: definition.opens, closes: definition.closes },
        ballot_key: Some(definition.ballot_key),
        rolls: &[],
        admitted: &[],
        unmet: None,
        latest_stamp: None,
        leases: None,
        observed: &[],
    };
    check_block(&row.leaves, &facts)
        .map_err(|refusal| not_made(refusal, &row.leaves, row.proposal.first_leaf))
}

fn proposal_facts<'a>(
    proposal: &'a BlockProposal,
    signed_by: &'a [TermLeader],
) -> ProposalFacts<'a> {
    ProposalFacts {
        leadership: &proposal.leadership,
        proposed_at: proposal.proposed_at,
        takes_votes: proposal.takes_votes,
        signed_by,
    }
}

/// The proposals of the same bytes, in any term.
fn same_bytes(rows: Option<HeightRows>, digest: &Digest) -> Vec<BlockProposal> {
    let rows = rows.into_iter().flat_map(|rows| rows.proposals);
    rows.map(|row| row.proposal).filter(|proposal| proposal.digest == *digest).collect()
}

/// Checks a closing that a new leader proposes again against the time at which it was first
/// proposed: the closing time is in the past now, and no other block may replace this block.
fn check_again_at_first(
    leaves: &[u8],
    facts: &Facts<'_>,
    proposal: &BlockProposal,
    signed: &[BlockProposal],
) -> Result<(), EventRefusal> {
    let earlier = signed.iter().filter(|one| one.leadership.term < proposal.leadership.term);
    match earlier.min_by_key(|one| one.leadership.term) {
        Some(first) => {
            let now = Some(first.proposed_at.millis());
            let proposal = ProposalFacts { proposed_at: first.proposed_at, ..facts.proposal };
            check_block(leaves, &Facts { now, proposal, ..*facts })
        }
        None => check_block(leaves, facts),
    }
}

/// A rule that depends on the clock does not justify a signed refusal: an authority that was down
/// reads old proposals of honest leaders. It waits, and another leader follows.
fn not_made(refusal: EventRefusal, leaves: &[u8], first_leaf: u64) -> NotMade {
    match refusal {
        EventRefusal::Refused { leaf, rule } if !rule.depends_on_clock() => {
            let place = usize::try_from(leaf.saturating_sub(first_leaf)).unwrap_or(usize::MAX);
            let theirs = leaves_of_block(leaves).nth(place).flatten().map(<[u8]>::to_vec);
            NotMade::Refused { leaf, rule: rule.as_str().to_owned(), own: None, theirs }
        }
        waits => {
            let rule = match &waits {
                EventRefusal::Refused { rule, .. } => Some(rule.as_str()),
                _ => None,
            };
            NotMade::Later { what: waits.to_string(), rule }
        }
    }
}

/// The manifests that are in the data folder. The log's check has read their content; signatures
/// are verified when a roll is loaded, and are not kept with it.
fn rolls(folder: &DataFolder, manifests: &[Digest]) -> Vec<RollFacts> {
    let read = |digest: &Digest| {
        let manifest = roll_store::manifest(folder, digest).ok()?;
        let body = manifest.body();
        let (parent, scheme) = (body.parent, body.scheme);
        Some(RollFacts { manifest: *digest, parent, scheme, is_signed: true })
    };
    manifests.iter().filter_map(read).collect()
}
