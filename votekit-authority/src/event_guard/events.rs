//! Guards of events: draft, rolls, nodes, opening and closing.

use votekit_core::election::Definition;
use votekit_core::instant::UnixMinutes;
use votekit_core::log::leaf::{ElectionEvent, Leaf, NodeEvent, RollEvent};

use super::Guard;
use super::block::{earliest, latest_minute};
use super::facts::{Facts, RollFacts};
use super::refusal::{EventRule, Fault, MissingFact};

pub(super) const GUARDS: [Guard; 12] = [
    draft_law,
    new_election,
    ballot_key,
    signed_manifest,
    roll_scheme,
    roll_parent,
    node_key,
    node_record,
    opening,
    binding_rules,
    closing_past,
    closing_stamp,
];

fn drafted(leaf: &Leaf) -> Option<&Definition> {
    match leaf {
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => Some(definition),
        _ => None,
    }
}

/// The first block names the law only in its draft, because the log is still empty.
fn draft_law(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    match drafted(leaf) {
        Some(definition) if definition.law_id != *facts.law_id => {
            Err(EventRule::DraftLaw { law_id: definition.law_id.clone() }.into())
        }
        _ => Ok(()),
    }
}

fn new_election(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    if drafted(leaf).is_some() && facts.state.is_some() {
        return Err(EventRule::ElectionExists.into());
    }
    Ok(())
}

/// An authority without the secret ballot key could not check blocks with votes.
fn ballot_key(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Election(
        ElectionEvent::Draft { definition, .. } | ElectionEvent::Amended { definition, .. },
    ) = leaf
    else {
        return Ok(());
    };
    let own = facts.ballot_key.ok_or(MissingFact::BallotKey)?;
    if definition.ballot_key != own {
        return Err(EventRule::BallotKey.into());
    }
    Ok(())
}

/// A roll and the manifest that it names.
fn roll<'a>(
    leaf: &'a Leaf,
    facts: &Facts<'a>,
) -> Result<Option<(&'a RollEvent, &'a RollFacts)>, MissingFact> {
    let Leaf::Roll(event) = leaf else { return Ok(None) };
    let manifest = event.manifest;
    let roll = facts.rolls.iter().find(|roll| roll.manifest == manifest);
    Ok(Some((event, roll.ok_or(MissingFact::Roll { manifest })?)))
}

fn signed_manifest(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    match roll(leaf, facts)? {
        Some((event, roll)) if !roll.is_signed => {
            Err(EventRule::ManifestUnsigned { manifest: event.manifest }.into())
        }
        _ => Ok(()),
    }
}

/// The log reads the hash scheme from the leaf: with a wrong scheme, no credential would be found.
fn roll_scheme(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    match roll(leaf, facts)? {
        Some((event, roll)) if event.scheme != roll.scheme => {
            Err(EventRule::RollScheme { manifest: event.manifest }.into())
        }
        _ => Ok(()),
    }
}

/// The log compares the parent in the leaf with its last manifest, not with the supplement.
fn roll_parent(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    match roll(leaf, facts)? {
        Some((event, roll)) if event.parent != roll.parent => {
            Err(EventRule::RollParent { manifest: event.manifest }.into())
        }
        _ => Ok(()),
    }
}

/// A batch and a statement must never verify under the same key.
fn node_key(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Node(NodeEvent::Admitted { node, key }) = leaf else { return Ok(()) };
    let is_own = facts.authorities.members().iter().any(|member| {
        [member.log, member.cosigner, member.statement, member.transport].contains(key.as_bytes())
    });
    if is_own {
        return Err(EventRule::AuthorityKey { node: *node }.into());
    }
    Ok(())
}

/// An authority must have signed that operators admitted the node, so that no other writer of the
/// ledger can add one. A block waits while the record is missing instead of being refused: the
/// record may not have been read yet, or the ledger may have lost it, and an honest leader has read
/// it.
fn node_record(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Node(NodeEvent::Admitted { node, key }) = leaf else { return Ok(()) };
    if facts.admitted.contains(key) {
        return Ok(());
    }
    Err(MissingFact::NodeRecord { node: *node }.into())
}

/// Votes before the opening are invalid: if a poll opened later than officials expect, these votes
/// would be lost.
fn opening(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Election(ElectionEvent::Open { opens, .. }) = leaf else { return Ok(()) };
    if facts.planned.opens.is_some_and(|planned| *opens <= planned) {
        return Ok(());
    }
    let latest = latest_minute(facts)?;
    if *opens > latest {
        return Err(EventRule::OpeningAhead { opens: *opens, latest }.into());
    }
    Ok(())
}

fn binding_rules(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Leaf::Election(ElectionEvent::Open { waivers, .. }) = leaf else { return Ok(()) };
    let unmet = facts.unmet.ok_or(MissingFact::BindingRules)?;
    match unmet.iter().find(|rule| !rule.is_waived(waivers)) {
        Some(rule) => Err(EventRule::BindingRule { requirement: rule.clone() }.into()),
        None => Ok(()),
    }
}

/// The effective closing that a leaf states, unless it is the planned one. A poll may be closed
/// long after its planned closing, which then takes effect as planned: no node answers voters after
/// it.
fn unplanned_closing(leaf: &Leaf, facts: &Facts<'_>) -> Option<UnixMinutes> {
    match leaf {
        Leaf::Election(ElectionEvent::Closing { closes, .. }) => {
            Some(*closes).filter(|closes| facts.planned.closes != Some(*closes))
        }
        _ => None,
    }
}

/// Votes from the closing time on are late: a closing time in the past would void votes that were
/// already answered.
fn closing_past(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some(closes) = unplanned_closing(leaf, facts) else { return Ok(()) };
    if closes.start().millis() < earliest(facts)? {
        return Err(EventRule::ClosingPast { closes }.into());
    }
    Ok(())
}

/// Clocks differ by up to a minute; stamps of answered votes show the progress of the poll.
fn closing_stamp(leaf: &Leaf, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some(closes) = unplanned_closing(leaf, facts) else { return Ok(()) };
    match facts.latest_stamp {
        Some(stamp) if closes <= stamp => Err(EventRule::ClosingStamp { closes, stamp }.into()),
        _ => Ok(()),
    }
}
