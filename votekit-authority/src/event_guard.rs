//! Event guards: what an authority verifies about a proposed block in addition to recomputing it.
//!
//! ```text
//! proposal ─▶ ElectionLog::check ─▶ check_block ─▶ accept
//!              every byte that        what a leader states freely: its name, term and
//!              follows from inputs    minutes, and the parameters of events
//! ```
//!
//! Call [`check_block`] on blocks that [`ElectionLog::check`] accepts. It does not repeat that
//! check:
//!
//! | leaf | a guard here checks | the log's check already compares |
//! | --- | --- | --- |
//! | any block | term, leader, minutes, whether nodes take votes after it | height, root, order |
//! | draft | law, no such election yet, ballot key | rules of a definition |
//! | amended | ballot key is present | draft; same law, ballot key and binding |
//! | roll, supplement | signed manifest; its parent and hash scheme | shards whole, counts, order |
//! | node admitted | not an authority's key; its record is signed | id of the key, usable, state |
//! | open | opening not in the future, binding rules | roll, plan, electors, zero report, end |
//! | closing | closing not in the past, nor before staged votes | open poll, plan, reason |
//! | node retired | epoch given and fenced, no lease, nothing unsealed | node, epoch not ended |
//! | closed | every epoch given has ended, nothing unsealed | epochs, report, totals |
//! | certified, annulled, purged | – | order of states, digest of the results |
//!
//! Two rules need no guard: for an authority with another file `authorities`, the signature of the
//! proposal is not valid, and an authority without the evidence waits in the log's check.
//!
//! A guard that lacks a fact cannot decide yet: the authority waits, and signs no refusal.
//!
//! [`ElectionLog::check`]: votekit_core::election_log::ElectionLog::check

mod facts;
mod refusal;

mod block;
mod epochs;
mod events;

use votekit_core::election::Window;
use votekit_core::election_log::leaves_of_block;
use votekit_core::log::leaf::{ElectionEvent, Leaf};

pub use facts::{EpochFacts, Facts, LeaseFacts, ProposalFacts, RollFacts};
pub use refusal::{EventRefusal, EventRule, MissingFact};

use refusal::Fault;

/// Checks one rule of one leaf. Returns `Ok` for leaves to which the rule does not apply.
type Guard = fn(&Leaf, &Facts<'_>) -> Result<(), Fault>;

/// The first bytes of leaves that follow from their inputs. No guard checks such leaves, and a
/// block contains thousands of them.
const DERIVED: [&[u8]; 5] = [
    br#"{"leaf":"entry""#,
    br#"{"leaf":"replay""#,
    br#"{"leaf":"batch""#,
    br#"{"leaf":"counts""#,
    br#"{"leaf":"totals""#,
];

/// Checks the values that a leader chooses freely in a block that the log's check accepts. `leaves`
/// are the bytes of its leaves, each after its length.
///
/// # Errors
/// [`EventRefusal::Refused`] with the first leaf that breaks a rule, else
/// [`EventRefusal::Undecided`] when a fact is missing.
pub fn check_block(leaves: &[u8], facts: &Facts<'_>) -> Result<(), EventRefusal> {
    let mut undecided = None;
    for (leaf, fault) in faults(leaves, facts) {
        match fault {
            Fault::Broken(rule) => return Err(EventRefusal::Refused { leaf, rule }),
            // A later leaf may break a rule, whatever the value of this fact.
            Fault::Missing(what) => {
                undecided.get_or_insert(what);
            }
        }
    }
    undecided.map_or(Ok(()), |what| Err(EventRefusal::Undecided { what }))
}

/// Every fault of a block, in the order of its leaves, each with the index of its leaf.
fn faults(leaves: &[u8], facts: &Facts<'_>) -> Vec<(u64, Fault)> {
    let mut facts = *facts;
    let mut faults = Vec::new();
    let mut last = None;
    for (bytes, index) in leaves_of_block(leaves).zip(facts.first_leaf..) {
        if bytes.is_some_and(|bytes| DERIVED.iter().any(|start| bytes.starts_with(start))) {
            last = None;
            continue;
        }
        let Some(leaf) = bytes.and_then(|bytes| Leaf::parse(bytes).ok()) else {
            faults.push((index, Fault::Broken(EventRule::Malformed)));
            return faults;
        };
        let broken = guards().filter_map(|guard| guard(&leaf, &facts).err());
        faults.extend(broken.map(|fault| (index, fault)));
        // An opening may follow in the same block.
        if let Some(planned) = planned(&leaf) {
            facts.planned = planned;
        }
        last = Some(leaf);
    }
    if !matches!(last, Some(Leaf::Block(_))) {
        faults.push((facts.first_leaf, Fault::Broken(EventRule::Malformed)));
    }
    faults
}

fn guards() -> impl Iterator<Item = Guard> {
    block::GUARDS.into_iter().chain(events::GUARDS).chain(epochs::GUARDS)
}

/// The planned times of the definition that a leaf puts into effect.
fn planned(leaf: &Leaf) -> Option<Window> {
    match leaf {
        Leaf::Election(
            ElectionEvent::Draft { definition, .. } | ElectionEvent::Amended { definition, .. },
        ) => Some(Window { opens: definition.opens, closes: definition.closes }),
        _ => None,
    }
}

#[cfg(test)]
#[path = "event_guard/sample_test.rs"]
mod sample;

#[cfg(test)]
#[path = "event_guard/event_guard_test.rs"]
mod tests;

#[cfg(test)]
#[path = "event_guard/corpus_test.rs"]
mod corpus;
