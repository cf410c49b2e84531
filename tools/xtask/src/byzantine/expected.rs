//! The expected answer of the others to each lie, and the comparison with their actual answers.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A lie, and the rule by which every honest authority must refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    /// The name of the lie on the liar's command line.
    pub(super) lie: &'static str,
    pub(super) rule: &'static str,
    /// Which of the liar's proposals is false, from 0.
    proposal: usize,
}

const fn refused(lie: &'static str, rule: &'static str) -> Expected {
    Expected { lie, rule, proposal: 0 }
}

/// Every lie of a leader. A refusal must name the leaf that the liar reports as false.
pub(super) const LIES: [Expected; 12] = [
    // The leaf differs from the leaf that follows from the inputs.
    refused("accept-unregistered", "differs"),
    refused("duplicate-for-accepted", "differs"),
    refused("wrong-count", "differs"),
    refused("false-replay", "differs"),
    // After a gap, and after a copy of itself, a batch is not the next batch of its epoch.
    refused("drop-batch", "order"),
    refused("double-batch", "order"),
    // The stored batch has another digest.
    refused("alter-batch", "evidence"),
    // No block is dated before the previous block.
    refused("back-dated", "differs"),
    // The first of the two proposals is valid and may be certified; the second is refused.
    Expected { lie: "second-root", rule: "second-proposal", proposal: 1 },
    refused("stale-term", "not-leader-of-term"),
    // Votes that were already answered would be late.
    refused("early-close", "closing-stamp"),
    refused("rogue-node", "authority-key"),
];

/// The report of the liar.
#[derive(Debug, Deserialize)]
struct Report {
    believed: bool,
    proposals: Vec<Proposal>,
    refused: Vec<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Proposal {
    digest: String,
    false_leaf: u64,
    row: String,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    authority: String,
    digest: String,
    leaf: u64,
    rule: String,
}

/// The verdict on a lie.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every other authority refused it as expected, at this leaf.
    Refused { leaf: u64 },
    /// Not all of them have seen it: the leadership passed on before. It may be tried again.
    Unseen { why: String },
}

impl Expected {
    /// Judges the report of the liar, which the authorities `others` were to refuse.
    ///
    /// # Errors
    /// When the lie was believed, or refused at another leaf or by another rule.
    pub(super) fn judge(&self, report: &str, others: &[String]) -> Result<Verdict> {
        let report: Report = serde_json::from_str(report).context("reading the liar's report")?;
        ensure!(!report.believed, "{} was believed", self.lie);
        let proposal = report.proposals.get(self.proposal);
        let proposal = proposal.context("the liar reports fewer proposals than expected")?;
        if proposal.row != "stored" {
            return Ok(Verdict::Unseen {
                why: format!("the proposal was not taken: {}", proposal.row),
            });
        }
        for other in others {
            let by_other = report.refused.iter().filter(|refusal| refusal.authority == *other);
            let mut about_it = by_other.filter(|refusal| refusal.digest == proposal.digest);
            let Some(refusal) = about_it.next() else {
                return Ok(Verdict::Unseen { why: format!("{other} did not refuse it") });
            };
            if (refusal.leaf, refusal.rule.as_str()) != (proposal.false_leaf, self.rule) {
                bail!(
                    "{} was refused by {other} at leaf {} by the rule {}, expected leaf {} and {}",
                    self.lie,
                    refusal.leaf,
                    refusal.rule,
                    proposal.false_leaf,
                    self.rule
                );
            }
        }
        Ok(Verdict::Refused { leaf: proposal.false_leaf })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: [&str; 2] = ["authority-1", "authority-2"];

    /// A report with two proposals, of which the first is refused by these authorities.
    fn report(by: &[&str], leaf: u64, rule: &str, row: &str, believed: bool) -> String {
        let refused: Vec<serde_json::Value> = by
            .iter()
            .map(|by| {
                serde_json::json!({
                    "authority": by, "digest": "d1", "leaf": leaf, "rule": rule, "own": null,
                })
            })
            .collect();
        let proposals = serde_json::json!([
            { "digest": "d1", "false_leaf": 7, "row": row, "root": "r1" },
            { "digest": "d2", "false_leaf": 9, "row": row, "root": "r2" },
        ]);
        serde_json::json!({ "believed": believed, "proposals": proposals, "refused": refused })
            .to_string()
    }

    fn judge(report: &str) -> Result<Verdict> {
        refused("wrong-count", "differs").judge(report, &OTHERS.map(str::to_owned))
    }

    #[test]
    fn a_lie_is_refused_by_all_at_its_leaf_and_by_its_rule() {
        let by_all = report(&OTHERS, 7, "differs", "stored", false);
        assert_eq!(judge(&by_all).ok(), Some(Verdict::Refused { leaf: 7 }));
        for wrong in [
            report(&OTHERS, 8, "differs", "stored", false),
            report(&OTHERS, 7, "order", "stored", false),
            report(&OTHERS, 7, "differs", "stored", true),
            "no JSON".to_owned(),
        ] {
            assert!(judge(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_lie_that_not_all_have_seen_may_be_tried_again() {
        for unseen in [
            report(&OTHERS[..1], 7, "differs", "stored", false),
            report(&[], 7, "differs", "stored", false),
            report(&OTHERS, 7, "differs", "late: the term is 9", false),
        ] {
            assert!(matches!(judge(&unseen), Ok(Verdict::Unseen { .. })), "{unseen}");
        }
        // Only the second of two proposals is false.
        let second = Expected { lie: "second-root", rule: "second-proposal", proposal: 1 };
        let first = report(&OTHERS, 7, "second-proposal", "stored", false);
        let judged = second.judge(&first, &OTHERS.map(str::to_owned));
        assert!(matches!(judged, Ok(Verdict::Unseen { .. })), "{judged:?}");
    }
}
