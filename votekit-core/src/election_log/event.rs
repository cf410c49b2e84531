//! Events of officials and operators, and their effects.

use std::sync::Arc;

use super::propose::NextState;
use super::{Change, ElectionLogError, FixedPart};
use crate::batch::NodePublicKey;
use crate::credential::HashScheme;
use crate::election::{Definition, State, TextPart, check_text};
use crate::electorate::{Changes, Electorate, KeyList};
use crate::epochs::EpochProgress;
use crate::export::json::certified_digest;
use crate::id::{Digest, Epoch, NodeId};
use crate::instant::UnixMinutes;
use crate::log::leaf::{ElectionEvent, Leaf, NodeEvent, RollEvent};

/// The maximum length of a reason in the log, in characters.
pub const REASON_LENGTH_MAX: usize = 500;

/// How far the effective closing may be after the time at which the closing is recorded, in
/// minutes.
///
/// Without this bound an election without a planned closing could stay open for years although the
/// log already contains a closing. A node names the minute after the last minute in which any node
/// may still answer a voter: at most 2 minutes ahead, with leases of 3 seconds (`Close` in
/// votekit-authority). It names a later minute only while its clock is behind times that it has
/// stamped and not sealed; the closing is then refused until the clock catches up.
pub const CLOSING_AHEAD_MINUTES_MAX: u64 = 5;

/// Whether a closing recorded at `at` is too far ahead.
pub(crate) fn is_too_far_ahead(closes: UnixMinutes, at: UnixMinutes) -> bool {
    closes.0.saturating_sub(at.0) > CLOSING_AHEAD_MINUTES_MAX
}

/// A roll that takes effect: its manifest and its keys.
#[derive(Debug, Clone)]
pub struct RollLoad {
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// The manifest that this manifest supplements.
    pub parent: Option<Digest>,
    /// The first manifest of the roll that this roll replaces; only in a draft.
    pub replaces: Option<Digest>,
    /// How credentials are hashed.
    pub scheme: HashScheme,
    /// The keys or changes.
    pub content: RollContent,
}

/// The content of a manifest for one election.
#[derive(Debug, Clone)]
pub enum RollContent {
    /// A roll's keys.
    Roll(Arc<KeyList>),
    /// A supplement's changes.
    Supplement(Arc<Changes>),
}

impl RollContent {
    /// The maximum number of credentials that it can add.
    #[must_use]
    pub fn electors(&self) -> u64 {
        match self {
            Self::Roll(keys) => keys.len() as u64,
            Self::Supplement(changes) => {
                (changes.add.len() + changes.replace.len() + changes.readmit.len()) as u64
            }
        }
    }
}

/// An event caused by an official or an operator. Events are recorded in a block without votes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LogEvent {
    /// The definition of a draft is replaced.
    Amend {
        /// The whole new definition: same law, binding and ballot key.
        definition: Box<Definition>,
    },
    /// A roll or a supplement takes effect.
    Load(RollLoad),
    /// An ingest node is admitted.
    Admit(NodePublicKey),
    /// An epoch that its node will not end is ended: batch numbers above the last in the log are
    /// void.
    Retire {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
    },
    /// The poll opens.
    Open {
        /// The first minute whose votes count.
        opens: UnixMinutes,
        /// Rules of a binding election that are waived.
        waivers: Vec<String>,
    },
    /// The poll closes: votes received from this minute on do not count.
    Closing {
        /// The effective closing time, at most [`CLOSING_AHEAD_MINUTES_MAX`] minutes ahead. The
        /// planned closing replaces it if that is earlier.
        closes: UnixMinutes,
        /// Why the poll closes before the planned closing: required if it does, otherwise not
        /// written.
        reason: Option<String>,
    },
    /// The result is declared official: the leaf carries the SHA-256 of the results as JSON.
    Certify {
        /// The reason for certifying although too few outside witnesses have cosigned, if so.
        witness_waiver: Option<String>,
    },
    /// The election is declared void.
    Annul {
        /// The reason.
        reason: String,
    },
    /// Evidence and keys are about to be destroyed.
    Purge,
}

impl NextState<'_> {
    /// Checks one event, applies it, and makes its leaf.
    pub(super) fn apply_event(
        &mut self,
        event: &LogEvent,
        at: UnixMinutes,
    ) -> Result<Leaf, ElectionLogError> {
        match event {
            LogEvent::Amend { definition } => self.amend(definition, at).map(Leaf::Election),
            LogEvent::Load(load) => self.load(load).map(Leaf::Roll),
            LogEvent::Admit(key) => self.admit(key).map(Leaf::Node),
            LogEvent::Retire { node, epoch } => self.retire(*node, *epoch).map(Leaf::Node),
            LogEvent::Open { opens, waivers } => self.open(*opens, waivers, at).map(Leaf::Election),
            LogEvent::Closing { closes, reason } => {
                self.begin_close(*closes, reason.as_deref(), at).map(Leaf::Election)
            }
            LogEvent::Certify { witness_waiver } => {
                self.certify(witness_waiver.as_deref(), at).map(Leaf::Election)
            }
            LogEvent::Annul { reason } => {
                check_text(TextPart::Reason, reason, 1..=REASON_LENGTH_MAX)?;
                self.check_possible(Change::Annul)?;
                self.next.state = State::Annulled;
                Ok(Leaf::Election(ElectionEvent::Annulled { at, reason: reason.clone() }))
            }
            LogEvent::Purge => {
                self.check_possible(Change::Purge)?;
                if self.next.purged {
                    return Err(ElectionLogError::Purged);
                }
                self.next.purged = true;
                Ok(Leaf::Election(ElectionEvent::Purged { at }))
            }
        }
    }

    fn amend(
        &mut self,
        definition: &Definition,
        at: UnixMinutes,
    ) -> Result<ElectionEvent, ElectionLogError> {
        self.check_possible(Change::Amend)?;
        definition.check()?;
        for (what, kept) in [
            (FixedPart::Law, definition.law_id == self.next.definition.law_id),
            (FixedPart::Binding, definition.binding == self.next.definition.binding),
            (FixedPart::BallotKey, definition.ballot_key == self.next.definition.ballot_key),
        ] {
            if !kept {
                return Err(ElectionLogError::Amendment { what });
            }
        }
        self.next.replace_definition(definition.clone());
        Ok(ElectionEvent::Amended { at, definition: definition.clone() })
    }

    fn admit(&mut self, key: &NodePublicKey) -> Result<NodeEvent, ElectionLogError> {
        let node = key.node_id();
        if !key.is_usable() {
            return Err(ElectionLogError::NodeKey { node });
        }
        self.check_possible(Change::GiveNode)?;
        self.next.nodes.insert(node, *key);
        Ok(NodeEvent::Admitted { node, key: *key })
    }

    fn retire(&mut self, node: NodeId, epoch: Epoch) -> Result<NodeEvent, ElectionLogError> {
        if !self.next.nodes.contains_key(&node) {
            return Err(ElectionLogError::NotAdmitted { node });
        }
        self.check_possible(Change::RetireNode)?;
        let decisions = &self.log.decisions;
        if decisions.progress(&self.pending, node, epoch).ended {
            return Err(ElectionLogError::EpochEnded { node, epoch: epoch.0 });
        }
        let EpochProgress { through, confirmed, .. } =
            decisions.retire(&mut self.pending, node, epoch);
        Ok(NodeEvent::Retired { node, epoch, through, confirmed })
    }

    fn open(
        &mut self,
        opens: UnixMinutes,
        waivers: &[String],
        at: UnixMinutes,
    ) -> Result<ElectionEvent, ElectionLogError> {
        self.check_possible(Change::Open)?;
        if self.next.scheme.is_none() {
            return Err(ElectionLogError::NoRoll);
        }
        if let Some(planned) = self.next.definition.opens.filter(|planned| opens < *planned) {
            return Err(ElectionLogError::Early { opens, planned });
        }
        // Even if the clock stepped back, no poll opens before the last block.
        let opens = opens.max(at);
        if let Some(closes) = self.next.window.closes.filter(|closes| *closes <= opens) {
            return Err(ElectionLogError::Times { opens, closes });
        }
        self.next.open_at(opens);
        Ok(ElectionEvent::Open {
            at,
            opens,
            closes: self.next.window.closes,
            registered: self.electorate().registered(),
            waivers: waivers.to_vec(),
            zero_report: self.next.report,
        })
    }

    fn begin_close(
        &mut self,
        closes: UnixMinutes,
        reason: Option<&str>,
        at: UnixMinutes,
    ) -> Result<ElectionEvent, ElectionLogError> {
        self.expect_state(State::Open, Change::Close)?;
        let planned = self.next.window.closes;
        let closes = planned.map_or(closes, |planned| planned.min(closes));
        if let Some(opens) = self.next.window.opens.filter(|opens| closes <= *opens) {
            return Err(ElectionLogError::Times { opens, closes });
        }
        if is_too_far_ahead(closes, at) {
            return Err(ElectionLogError::FarClosing { closes, at });
        }
        let early = planned.filter(|planned| closes < *planned);
        let reason = match (early, reason) {
            (None, _) => None,
            (Some(planned), None) => return Err(ElectionLogError::EarlyReason { closes, planned }),
            (Some(_), Some(reason)) => {
                check_text(TextPart::Reason, reason, 1..=REASON_LENGTH_MAX)?;
                Some(reason.to_owned())
            }
        };
        self.next.closing_at(closes);
        Ok(ElectionEvent::Closing { at, closes, reason })
    }

    fn certify(
        &mut self,
        witness_waiver: Option<&str>,
        at: UnixMinutes,
    ) -> Result<ElectionEvent, ElectionLogError> {
        self.check_possible(Change::Certify)?;
        if let Some(reason) = witness_waiver {
            check_text(TextPart::Reason, reason, 1..=REASON_LENGTH_MAX)?;
        }
        let results = certified_digest(&self.next.results(self.electorate()));
        self.next.state = State::Certified;
        let witness_waiver = witness_waiver.map(str::to_owned);
        Ok(ElectionEvent::Certified { at, results, witness_waiver })
    }

    pub(super) fn load(&mut self, load: &RollLoad) -> Result<RollEvent, ElectionLogError> {
        self.check_possible(match &load.content {
            // A poll opens with a roll: a later one would replace it.
            RollContent::Roll(_) => Change::ReplaceRoll,
            RollContent::Supplement(_) => Change::GiveRoll,
        })?;
        let mut event = RollEvent {
            manifest: load.manifest,
            parent: load.parent,
            replaces: load.replaces,
            scheme: load.scheme,
            loaded: 0,
            added: 0,
            revoked: 0,
            refused: 0,
        };
        match &load.content {
            RollContent::Roll(keys) => {
                match (load.replaces, self.next.manifests.first()) {
                    (None, Some(_)) => return Err(ElectionLogError::SecondRoll),
                    (replaces, root) if replaces != root.copied() => {
                        return Err(ElectionLogError::Replaces);
                    }
                    _ => {}
                }
                let mut electorate = Electorate::default();
                electorate.add_roll(Arc::clone(keys))?;
                self.pending.set_electorate(electorate);
                // Readers of the log still need the manifests of the replaced roll.
                self.next.replaced.append(&mut self.next.manifests);
                self.next.decided_before.clear();
                event.loaded = keys.len() as u64;
            }
            RollContent::Supplement(changes) => {
                if load.replaces.is_some() {
                    return Err(ElectionLogError::Replaces);
                }
                if load.parent != self.next.manifests.last().copied() {
                    let parent = load.parent.ok_or(ElectionLogError::NoRoll)?;
                    return Err(ElectionLogError::Parent { parent });
                }
                if self.next.scheme != Some(load.scheme) {
                    return Err(ElectionLogError::Scheme);
                }
                let mut electorate = self.electorate().clone();
                let applied = electorate.apply(changes);
                self.pending.set_electorate(electorate);
                (event.added, event.revoked, event.refused) =
                    (applied.added, applied.revoked, applied.refused);
            }
        }
        self.next.scheme = Some(load.scheme);
        self.next.manifests.push(load.manifest);
        self.next.decided_before.push(self.decided());
        Ok(event)
    }

    fn check_possible(&self, wanted: Change) -> Result<(), ElectionLogError> {
        if wanted.is_possible_in(self.next.state) {
            Ok(())
        } else {
            Err(ElectionLogError::State { state: self.next.state, wanted })
        }
    }

    /// For a change whose steps require a state each.
    pub(super) fn expect_state(
        &self,
        expected: State,
        wanted: Change,
    ) -> Result<(), ElectionLogError> {
        if self.next.state == expected {
            Ok(())
        } else {
            Err(ElectionLogError::State { state: self.next.state, wanted })
        }
    }
}
