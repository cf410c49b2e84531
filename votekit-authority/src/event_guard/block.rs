//! Guards of every block: its maker and its minutes.

use std::time::Duration;

use votekit_core::instant::{UnixMillis, UnixMinutes};
use votekit_core::log::leaf::{BlockLeaf, Leaf};

use super::Guard;
use super::facts::Facts;
use super::refusal::{EventRule, Fault, MissingFact};

/// How far a leader's clock may be from the own one. Leaves carry whole minutes, so a minute is
/// compared with the clock this much earlier and later, each rounded down.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

pub(super) const GUARDS: [Guard; 9] = [
    term,
    known_leader,
    leader_of_term,
    first_proposal,
    minute_behind,
    minute_ahead,
    proposal_behind,
    proposal_ahead,
    takes_votes,
];

/// The earliest time that a leader's clock may have shown now.
pub(super) fn earliest(facts: &Facts<'_>) -> Result<UnixMillis, MissingFact> {
    let now = facts.now.ok_or(MissingFact::Clock)?;
    let tolerance = u64::try_from(CLOCK_TOLERANCE.as_millis()).expect("a minute");
    Ok(UnixMillis(now.0.saturating_sub(tolerance)))
}

/// The latest time that a leader's clock may show now.
pub(super) fn latest(facts: &Facts<'_>) -> Result<UnixMillis, MissingFact> {
    Ok(facts.now.ok_or(MissingFact::Clock)? + CLOCK_TOLERANCE)
}

/// Whether the block was first made in the term of its proposal. A block of an earlier term, which
/// a new leader carries on, may be of any age.
fn is_new(block: &BlockLeaf, facts: &Facts<'_>) -> bool {
    block.term == facts.proposal.leadership.term
}

fn term(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(block) = leaf else { return Ok(()) };
    let proposed = facts.proposal.leadership.term;
    if block.term > proposed {
        return Err(EventRule::TermAhead { term: block.term, proposed }.into());
    }
    Ok(())
}

fn is_known(leader: &str, facts: &Facts<'_>) -> bool {
    facts.authorities.members().iter().any(|member| member.name.as_str() == leader)
}

fn known_leader(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(block) = leaf else { return Ok(()) };
    if is_known(&block.leader, facts) {
        return Ok(());
    }
    Err(EventRule::LeaderUnknown { leader: block.leader.clone() }.into())
}

fn leader_of_term(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(block) = leaf else { return Ok(()) };
    let is_leader = block.leader == facts.proposal.leadership.leader.as_str();
    // A leader that is not an authority at all violates the previous rule.
    if is_new(block, facts) && !is_leader && is_known(&block.leader, facts) {
        return Err(EventRule::LeaderOther { leader: block.leader.clone() }.into());
    }
    Ok(())
}

/// Without the first proposal, a leader could date a block back by naming an earlier term.
fn first_proposal(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(block) = leaf else { return Ok(()) };
    let is_signed = facts
        .proposal
        .signed_by
        .iter()
        .any(|first| first.term == block.term && first.leader.as_str() == block.leader);
    if block.term < facts.proposal.leadership.term && !is_signed {
        return Err(MissingFact::FirstProposal { term: block.term }.into());
    }
    Ok(())
}

fn minute_behind(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(block) = leaf else { return Ok(()) };
    if !is_new(block, facts) {
        return Ok(());
    }
    let (minute, earliest) = (block.sealed_at, earliest(facts)?.minutes());
    if minute < earliest {
        return Err(EventRule::BlockMinuteBehind { minute, earliest }.into());
    }
    Ok(())
}

fn minute_ahead(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(block) = leaf else { return Ok(()) };
    let (minute, latest) = (block.sealed_at, latest_minute(facts)?);
    if minute > latest {
        return Err(EventRule::BlockMinuteAhead { minute, latest }.into());
    }
    Ok(())
}

/// The latest minute that a leader may state now.
pub(super) fn latest_minute(facts: &Facts<'_>) -> Result<UnixMinutes, MissingFact> {
    Ok(latest(facts)?.minutes())
}

fn proposal_behind(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(block) = leaf else { return Ok(()) };
    if !is_new(block, facts) {
        return Ok(());
    }
    let (at, earliest) = (facts.proposal.proposed_at, earliest(facts)?.seconds());
    if at < earliest {
        return Err(EventRule::ProposalBehind { at, earliest }.into());
    }
    Ok(())
}

fn proposal_ahead(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(_) = leaf else { return Ok(()) };
    let (at, latest) = (facts.proposal.proposed_at, latest(facts)?.seconds());
    if at > latest {
        return Err(EventRule::ProposalAhead { at, latest }.into());
    }
    Ok(())
}

/// The ledger gives leases by this word of the proposal: a leader that states it falsely keeps
/// voters out, or lets nodes answer them after the closing.
fn takes_votes(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Block(_) = leaf else { return Ok(()) };
    let (proposed, own) = (facts.proposal.takes_votes, facts.is_open_after);
    if proposed != own {
        return Err(EventRule::TakesVotes { proposed, own }.into());
    }
    Ok(())
}
