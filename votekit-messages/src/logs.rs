//! The texts for changes that the log of an election refuses.

use votekit_core::election::State;
use votekit_core::election_log::{CLOSING_AHEAD_MINUTES_MAX, Change, ElectionLogError, FixedPart};
use votekit_core::electorate::ElectorateError;
use votekit_core::reconcile::Imbalance;

use crate::InWords;

impl InWords for ElectionLogError {
    fn in_words(&self) -> String {
        match self {
            Self::State { state, wanted } => wrong_state(*state, *wanted),
            Self::Times { opens, closes } => {
                format!("the poll would close ({closes}) no later than it opens ({opens})")
            }
            Self::Early { opens, planned } => {
                format!("the poll would open ({opens}) before its planned opening ({planned})")
            }
            Self::EarlyReason { closes, planned } => format!(
                "the poll would close ({closes}) before its planned closing ({planned}): that \
                 requires a reason"
            ),
            Self::FarClosing { closes, at } => format!(
                "the poll would close ({closes}) more than {CLOSING_AHEAD_MINUTES_MAX} minutes \
                 after the closing is recorded ({at}): was the clock wrong?"
            ),
            Self::Amendment { what } => format!("an amendment cannot change {}", fixed_part(*what)),
            Self::Definition(error) => error.in_words(),
            Self::NodeKey { node } => {
                format!("the key of node {node} is not a usable Ed25519 key")
            }
            Self::Parent { parent } => format!(
                "the supplement is made for manifest {parent}, which is not the one loaded last"
            ),
            Self::Electorate(error) => error.in_words(),
            Self::NotAdmitted { node } => {
                format!("node {node} is not admitted to this election")
            }
            Self::Imbalance(error) => error.in_words(),
            Self::EpochEnded { node, epoch } => {
                format!("epoch {epoch} of node {node} has ended already")
            }
            Self::OpenEpoch { node, epoch } => {
                format!("the close is waiting for node {node}, epoch {epoch}, which has not ended")
            }
            Self::MissingEpoch { node, epoch } => format!(
                "the close is waiting for node {node}, epoch {epoch}: the log does not contain its \
                 end"
            ),
            other => plain(other).map_or_else(|| contradiction(other), str::to_owned),
        }
    }
}

/// The sentence of a refusal without parameters.
fn plain(error: &ElectionLogError) -> Option<&'static str> {
    Some(match error {
        ElectionLogError::Purged => "evidence and keys of this election are already destroyed",
        ElectionLogError::NoRoll => "no roll has been loaded for this election",
        ElectionLogError::SecondRoll => {
            "another roll is already loaded; later changes are loaded as supplements to it"
        }
        ElectionLogError::Replaces => {
            "the roll to be replaced is not the one that is loaded, or the election is not a draft \
             any more"
        }
        ElectionLogError::Scheme => "the supplement uses a different hash scheme than the roll",
        ElectionLogError::Followed => {
            "this node only follows the log: a node with the role seal decides"
        }
        _ => return None,
    })
}

/// The text for data that contradicts the log, with the reason for administrators: a stored leaf,
/// or a batch of another node.
fn contradiction(error: &ElectionLogError) -> String {
    match error {
        ElectionLogError::Leaf { index, error } => format!("leaf {index}: {error}"),
        ElectionLogError::Contradiction { index, rule } => {
            format!("leaf {index} does not follow from the log before it: {rule}")
        }
        ElectionLogError::Batch(error) => error.in_words(),
        other => other.to_string(),
    }
}

/// A change that the state of an election does not allow.
pub(crate) fn wrong_state(state: State, wanted: Change) -> String {
    let (refused, states) = (refused(wanted), wanted.state_names());
    format!("the election is {state}: {refused}; this requires the state {states}")
}

fn refused(change: Change) -> &'static str {
    match change {
        Change::Amend => "it cannot be amended",
        Change::GiveRoll => "no roll can be loaded for it",
        Change::ReplaceRoll => "its roll cannot be replaced",
        Change::GiveNode => "no node can be admitted to it",
        Change::RetireNode => "none of its nodes can be retired",
        Change::Open => "it cannot be opened",
        Change::Vote => "no vote can be decided",
        Change::Close => "it cannot be closed",
        Change::Certify => "it cannot be certified",
        Change::Annul => "it cannot be annulled",
        Change::Purge => "it cannot be purged",
    }
}

fn fixed_part(part: FixedPart) -> &'static str {
    match part {
        FixedPart::Law => "the law id",
        FixedPart::Binding => "whether the election is binding",
        FixedPart::BallotKey => "the ballot key",
    }
}

impl InWords for ElectorateError {
    fn in_words(&self) -> String {
        match self {
            Self::Order { position } => {
                format!("registry keys are not in ascending order at position {position}")
            }
            Self::TooMany { count } => {
                format!("{count} electors are more than this system can hold")
            }
            other => other.to_string(),
        }
    }
}

impl InWords for Imbalance {
    fn in_words(&self) -> String {
        match self {
            Self::Received { received, decided } => {
                format!("{received} envelopes were received, {decided} are accounted for")
            }
            Self::Accepted { accepted, counted } => format!(
                "{accepted} votes were accepted, the counts of all choices add up to {counted}"
            ),
            Self::Registered { accepted, registered } => {
                format!("{accepted} votes were accepted of {registered} electors registered")
            }
            other => other.to_string(),
        }
    }
}
