//! Guards of retirements and of the close: no vote that a node has answered is left out.

use votekit_core::election::State;
use votekit_core::id::{Epoch, NodeId, Sequence};
use votekit_core::log::leaf::{ElectionEvent, Leaf, NodeEvent};

use super::Guard;
use super::facts::{EpochFacts, Facts, LeaseFacts};
use super::refusal::{EventRule, Fault, MissingFact};
use crate::quiescence::{EpochProgress, Obstacle};

pub(super) const GUARDS: [Guard; 9] = [
    retired_given,
    retired_fenced,
    retired_lease,
    retired_staged,
    retired_observed,
    retired_confirmed,
    closed_epochs,
    closed_staged,
    closed_observed,
];

/// The epoch that a leaf retires, and its end.
fn retired(leaf: &Leaf) -> Option<(NodeId, Epoch, Sequence)> {
    match leaf {
        Leaf::Node(NodeEvent::Retired { node, epoch, through, .. }) => {
            Some((*node, *epoch, *through))
        }
        _ => None,
    }
}

/// An epoch, if the ledger has allocated it or it is open in the log. While the poll is closing,
/// also a missing epoch before later epochs of the same node: it is not allocated any more.
fn known<'a>(
    facts: &Facts<'a>,
    node: NodeId,
    epoch: Epoch,
) -> Result<Option<&'a EpochFacts>, MissingFact> {
    let LeaseFacts { epochs, .. } = facts.leases.ok_or(MissingFact::Leases)?;
    let is_closing = facts.state == Some(State::Closing);
    let is_known =
        |one: &EpochProgress| one.is_given || one.is_open || (one.is_missing && is_closing);
    Ok(find(epochs, node, epoch).filter(|one| is_known(&one.progress)))
}

fn find(epochs: &[EpochFacts], node: NodeId, epoch: Epoch) -> Option<&EpochFacts> {
    epochs.iter().find(|one| one.progress.node == node && one.progress.epoch == epoch)
}

/// Retired before it is allocated, an epoch would void every batch of the run that gets it.
fn retired_given(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some((node, epoch, _)) = retired(leaf) else { return Ok(()) };
    match known(facts, node, epoch)? {
        Some(_) => Ok(()),
        None => Err(EventRule::RetiredNotGiven { node, epoch }.into()),
    }
}

/// Once the poll is closing the ledger gives no lease to any epoch: a fence adds nothing.
fn retired_fenced(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some((node, epoch, _)) = retired(leaf) else { return Ok(()) };
    match known(facts, node, epoch)? {
        Some(one)
            if facts.state == Some(State::Open) && one.progress.is_given && !one.is_fenced =>
        {
            Err(EventRule::RetiredUnfenced { node, epoch }.into())
        }
        _ => Ok(()),
    }
}

fn retired_lease(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some((node, epoch, _)) = retired(leaf) else { return Ok(()) };
    match known(facts, node, epoch)? {
        Some(one) if one.has_lease => Err(EventRule::RetiredLease { node, epoch }.into()),
        _ => Ok(()),
    }
}

/// A batch that is published and not staged yet could still arrive after the recorded end. A row
/// that is not a batch of the node does not count: any number can be written into one.
fn retired_staged(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some((node, epoch, through)) = retired(leaf) else { return Ok(()) };
    let LeaseFacts { is_settled, .. } = facts.leases.ok_or(MissingFact::Leases)?;
    if !is_settled {
        return Err(MissingFact::BallotBox.into());
    }
    let staged = known(facts, node, epoch)?.and_then(|one| one.progress.staged_through);
    match staged.unwrap_or(Sequence(0)) {
        staged if staged == through => Ok(()),
        staged => Err(EventRule::RetiredStaged { node, epoch, staged, through }.into()),
    }
}

/// Rows of the ledger can be removed; what this authority has seen stays in its memory.
fn retired_observed(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some((node, epoch, through)) = retired(leaf) else { return Ok(()) };
    let own = facts.observed.iter().filter(|(of, number, _)| (*of, *number) == (node, epoch));
    match own.map(|(_, _, observed)| *observed).max() {
        Some(observed) if observed > through => {
            Err(EventRule::RetiredObserved { node, epoch, observed, through }.into())
        }
        _ => Ok(()),
    }
}

fn retired_confirmed(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some((node, epoch, through)) = retired(leaf) else { return Ok(()) };
    match known(facts, node, epoch)?.map(|one| one.confirmed_through) {
        Some(confirmed) if confirmed > through => {
            Err(EventRule::RetiredConfirmed { node, epoch, confirmed, through }.into())
        }
        _ => Ok(()),
    }
}

/// The epochs that matter at the close; `None` for any other leaf.
fn closed<'a>(leaf: &Leaf, facts: &Facts<'a>) -> Result<Option<&'a [EpochFacts]>, MissingFact> {
    match leaf {
        Leaf::Election(ElectionEvent::Closed { .. }) => {
            Ok(Some(facts.leases.ok_or(MissingFact::Leases)?.epochs))
        }
        _ => Ok(None),
    }
}

/// The log's check knows only the epochs that a batch or a retirement names. An epoch of a node
/// that is not admitted cannot end, and nothing of it can be sealed.
fn closed_epochs(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let mut epochs = closed(leaf, facts)?.unwrap_or_default().iter().map(|one| &one.progress);
    match epochs.find(|one| one.is_given && one.is_admitted && !one.is_ended) {
        Some(open) => Err(EventRule::ClosedOpenEpoch { node: open.node, epoch: open.epoch }.into()),
        None => Ok(()),
    }
}

fn closed_staged(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let epochs = closed(leaf, facts)?.unwrap_or_default().iter().map(|one| &one.progress);
    for epoch in epochs.filter(|one| one.is_given) {
        if let Err(Obstacle::Unsealed { node, epoch, staged, sealed }) = epoch.check_rows() {
            return Err(EventRule::ClosedStaged { node, epoch, staged, sealed }.into());
        }
    }
    Ok(())
}

/// As [`retired_observed`], for every epoch. An epoch that others retired below what this authority
/// has seen is no exception.
fn closed_observed(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some(epochs) = closed(leaf, facts)? else { return Ok(()) };
    for (node, epoch, observed) in facts.observed.iter().copied() {
        let sealed = find(epochs, node, epoch).map(|one| one.progress.sealed_through);
        let sealed = sealed.unwrap_or(Sequence(0));
        if observed > sealed {
            return Err(EventRule::ClosedObserved { node, epoch, observed, sealed }.into());
        }
    }
    Ok(())
}
