//! Checks a receipt against the policies and the logs of this node.

use votekit_core::bundle::verify::Pin;
use votekit_core::bundle::{
    ReceiptError, ReceiptFault, ReceiptVerdict, RecordedDecision, check_receipt,
};
use votekit_core::id::ElectionId;
use votekit_core::log::policy::VerifyError;
use votekit_core::log::proof::{Proof, ProofVerifyError};
use votekit_node::{ElectionView, Node, VoteStatus};

use crate::problem::Problem;
use crate::published;

/// The first bytes of a UTF-8 file that an editor has saved, which are not part of it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The result of a check.
#[derive(Debug)]
pub(super) enum Finding {
    /// The text is not a receipt, or not a whole one.
    NotReceipt,
    /// No election of this node has signed it.
    OtherLog,
    /// It differs from the receipt that an election of this node has signed.
    Changed { election: ElectionView },
    /// An election of this node has signed a log that contains the decision.
    Signed { election: ElectionView, recorded: Box<RecordedDecision>, log: LogState },
}

/// The state of a signed decision in this node's copy of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    /// It contains the decision.
    Holds,
    /// It is shorter than the log of the receipt.
    Behind,
    /// It is long enough, and does not contain the decision.
    Lacks,
}

/// The bytes of a receipt that went through a form: browsers send line feeds as CR LF, and people
/// copy one line end more or less.
pub(super) fn restored(text: &str) -> String {
    let lines = text.trim_matches(|edge: char| edge.is_whitespace() || edge == BYTE_ORDER_MARK);
    let mut receipt = lines.replace("\r\n", "\n");
    receipt.push('\n');
    receipt
}

/// Checks a receipt.
///
/// # Errors
/// [`Problem`], if the log cannot be read.
pub(super) async fn check(node: &Node, receipt: &str) -> Result<Finding, Problem> {
    let Ok(proof) = Proof::parse(receipt.as_bytes()) else { return Ok(Finding::NotReceipt) };
    let origin = proof.checkpoint().unverified().origin();
    // No draft has issued a receipt, and a forged one must not show that it exists.
    let elections = published::elections(node);
    // The log of a damaged election may have any name.
    let has_unnamed = elections.iter().any(|election| election.origin.is_empty());
    let Some(election) = elections.into_iter().find(|election| election.origin == origin) else {
        return if has_unnamed { Err(Problem::UnreadableLog) } else { Ok(Finding::OtherLog) };
    };
    let policy = election.law_id.parse::<ElectionId>().ok().and_then(|law| node.policy(&law));
    // Only an election whose log cannot be read has no policy.
    let policy = policy.ok_or(Problem::UnreadableLog)?;
    let recorded = match check_receipt(receipt.as_bytes(), None, Some(&Pin::Policy(policy))) {
        Ok(ReceiptVerdict::Proven(recorded) | ReceiptVerdict::Consistent(recorded)) => recorded,
        Ok(ReceiptVerdict::Failed(ReceiptFault::Proof(ProofVerifyError::Checkpoint(
            VerifyError::NoLog { .. },
        )))) => return Ok(Finding::OtherLog),
        Ok(ReceiptVerdict::Failed(_)) => return Ok(Finding::Changed { election }),
        Err(ReceiptError::Form(_)) => return Ok(Finding::NotReceipt),
        // The policy is the node's own.
        Err(_) => return Err(Problem::Internal),
    };
    let log = match node.status(recorded.entry.request).await? {
        Some(VoteStatus::Decided(decision)) if decision == recorded.entry.decision => {
            LogState::Holds
        }
        _ if recorded.inclusion.checkpoint.checkpoint().size() > election.log_size => {
            LogState::Behind
        }
        _ => LogState::Lacks,
    };
    Ok(Finding::Signed { election, recorded: Box::new(recorded), log })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_survives_a_form() {
        let receipt = "c2sp.org/tlog-proof@v1\nindex 0\n\norigin\n1\nroot\n\n— name sig\n";
        for sent in [
            receipt.to_owned(),
            receipt.replace('\n', "\r\n"),
            receipt.trim_end().to_owned(),
            format!("\u{feff}\r\n  {receipt}\n\n"),
        ] {
            assert_eq!(restored(&sent), receipt);
        }
    }
}
