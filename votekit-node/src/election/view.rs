//! The public view of an election.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::election::{Bilingual, Choice, Definition, State};
use votekit_core::instant::UnixMinutes;
use votekit_core::reconcile::Report;

use super::{CheckpointSigner, ElectionHandle};

/// A text in both languages.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BilingualView {
    /// French.
    pub fr: String,
    /// English.
    pub en: String,
}

/// A choice on the ballot.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChoiceView {
    /// Its id, the value of `vote` in a vote.
    pub id: String,
    /// The French label.
    pub fr: String,
    /// The English label.
    pub en: String,
}

/// An ingest node that an election admits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// Its id, which follows from its public key.
    pub node: String,
    /// Its public key, in hexadecimal digits.
    pub public_key: String,
    /// Its name in this data folder, if it has one.
    pub name: Option<String>,
    /// Whether it may be answering voters now.
    pub answering: bool,
    /// Its epochs.
    pub epochs: Vec<EpochView>,
}

/// An epoch of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EpochView {
    /// Its number, from 1.
    pub epoch: u32,
    /// Its batches in the log.
    pub sealed: u64,
    /// Whether it has ended: by the node's own last batch, or by retirement.
    pub ended: bool,
}

/// The present state of an election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ElectionView {
    /// The law put to the vote; the id of the election.
    pub law_id: String,
    /// Its title.
    pub title: BilingualView,
    /// Its description.
    pub description: BilingualView,
    /// The choices in the order of the ballot.
    pub choices: Vec<ChoiceView>,
    /// `draft`, `open`, `closing`, `closed` or `certified`.
    pub state: String,
    /// Whether the result binds.
    pub binding: bool,
    /// The results policy: `live`, `after_vote` or `after_close`.
    pub results: String,
    /// When the poll opens or opened, in RFC 3339.
    pub opens: Option<String>,
    /// When it closes or closed, in RFC 3339.
    pub closes: Option<String>,
    /// Electors registered.
    pub registered: u64,
    /// Votes received and decided.
    pub received: u64,
    /// Votes that count.
    pub accepted: u64,
    /// Votes with a credential that had voted before.
    pub duplicate: u64,
    /// Votes that do not count.
    pub invalid: u64,
    /// Leaves in the log.
    pub log_size: u64,
    /// The origin of the log's checkpoints.
    pub origin: String,
    /// SHA-256 of the policy that verifies the log, for pinning.
    pub policy_fingerprint: String,
}

/// The state of an election, from a node or from its log alone.
pub(crate) struct ElectionStatus {
    pub(crate) state: State,
    pub(crate) opens: Option<UnixMinutes>,
    pub(crate) closes: Option<UnixMinutes>,
    pub(crate) registered: u64,
    pub(crate) report: Report,
    pub(crate) log_size: u64,
}

impl ElectionView {
    pub(crate) fn from_handle(election: &ElectionHandle) -> Self {
        let committed = election.committed();
        let status = ElectionStatus {
            state: committed.state(),
            opens: committed.opens,
            closes: committed.closes,
            registered: committed.results.registered,
            report: committed.results.report,
            log_size: committed.size(),
        };
        Self::new(&committed.results.definition, &status, &election.signer)
    }

    pub(crate) fn new(
        definition: &Definition,
        status: &ElectionStatus,
        signer: &CheckpointSigner,
    ) -> Self {
        let text = |text: &Bilingual| BilingualView { fr: text.fr.clone(), en: text.en.clone() };
        let choice = |choice: &Choice| ChoiceView {
            id: choice.id.to_string(),
            fr: choice.fr.clone(),
            en: choice.en.clone(),
        };
        let report = &status.report;
        Self {
            law_id: definition.law_id.to_string(),
            title: text(&definition.title),
            description: text(&definition.description),
            choices: definition.choices.iter().map(choice).collect(),
            state: status.state.to_string(),
            binding: definition.binding,
            results: definition.results.as_str().to_owned(),
            opens: status.opens.map(UnixMinutes::to_rfc3339),
            closes: status.closes.map(UnixMinutes::to_rfc3339),
            registered: status.registered,
            received: report.received,
            accepted: report.accepted,
            duplicate: report.duplicate,
            invalid: report.invalid,
            log_size: status.log_size,
            origin: signer.origin.as_str().to_owned(),
            policy_fingerprint: signer.policy.fingerprint().to_hex(),
        }
    }
}
