//! The public view of an election.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::election::{Bilingual, Choice, Definition, ResultsPolicy, State};
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixMinutes;
use votekit_core::reconcile::Report;

use super::{CheckpointSigner, DamagedElection, ElectionHandle};

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
    /// `draft`, `open`, `closing`, `closed`, `certified` or `annulled`; `halted` when a fault
    /// halted the election on this node. If its log cannot be read there, the counts are 0, and the
    /// definition is missing unless the leaves that can be read open the poll.
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

/// The state of an election that a fault halted on this node.
const HALTED: &str = "halted";

impl ElectionView {
    /// Whether a fault halted the election on this node.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.state == HALTED
    }

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
        let mut view = Self::new(&committed.results.definition, &status, &election.signer);
        if election.halted().is_some() {
            view.state = HALTED.to_owned();
        }
        view
    }

    /// The known facts about an election whose log cannot be read.
    pub(crate) fn from_damaged(election: &DamagedElection) -> Self {
        let view = match election.definition() {
            Some(definition) => Self::defined(definition),
            None => Self::unknown(election.law_id()),
        };
        let signer = election.signer();
        Self {
            state: HALTED.to_owned(),
            origin: signer.map(|signer| signer.origin.as_str().to_owned()).unwrap_or_default(),
            policy_fingerprint: signer
                .map(|signer| signer.policy.fingerprint().to_hex())
                .unwrap_or_default(),
            ..view
        }
    }

    pub(crate) fn new(
        definition: &Definition,
        status: &ElectionStatus,
        signer: &CheckpointSigner,
    ) -> Self {
        let report = &status.report;
        Self {
            state: status.state.to_string(),
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
            ..Self::defined(definition)
        }
    }

    /// The definition only.
    fn defined(definition: &Definition) -> Self {
        let text = |text: &Bilingual| BilingualView { fr: text.fr.clone(), en: text.en.clone() };
        let choice = |choice: &Choice| ChoiceView {
            id: choice.id.to_string(),
            fr: choice.fr.clone(),
            en: choice.en.clone(),
        };
        Self {
            title: text(&definition.title),
            description: text(&definition.description),
            choices: definition.choices.iter().map(choice).collect(),
            binding: definition.binding,
            results: definition.results.as_str().to_owned(),
            opens: definition.opens.map(UnixMinutes::to_rfc3339),
            closes: definition.closes.map(UnixMinutes::to_rfc3339),
            ..Self::unknown(&definition.law_id)
        }
    }

    /// An election of which no more than the id is known. Nothing is shown of it, and no page
    /// treats it as a test.
    fn unknown(law_id: &ElectionId) -> Self {
        let name = law_id.to_string();
        Self {
            title: BilingualView { fr: name.clone(), en: name.clone() },
            description: BilingualView { fr: String::new(), en: String::new() },
            law_id: name,
            choices: Vec::new(),
            state: HALTED.to_owned(),
            binding: true,
            results: ResultsPolicy::AfterClose.as_str().to_owned(),
            opens: None,
            closes: None,
            registered: 0,
            received: 0,
            accepted: 0,
            duplicate: 0,
            invalid: 0,
            log_size: 0,
            origin: String::new(),
            policy_fingerprint: String::new(),
        }
    }
}
