//! The small part of an election's state: everything except the electorate, the decided requests
//! and the epochs. It takes kilobytes, so a proposal copies it and changes the copy.

use std::collections::BTreeMap;

use crate::batch::NodePublicKey;
use crate::credential::HashScheme;
use crate::election::{Definition, State, Window};
use crate::electorate::Electorate;
use crate::id::{Digest, NodeId};
use crate::instant::UnixMinutes;
use crate::log::merkle::{TreeBuilder, TreeHash, empty_root};
use crate::reconcile::Report;
use crate::results::Results;
use crate::tally::Tally;

/// The small part of an election's state; see the module.
#[derive(Debug, Clone)]
pub(super) struct LogState {
    pub(super) definition: Definition,
    pub(super) state: State,
    pub(super) window: Window,
    pub(super) opened: Option<UnixMinutes>,
    pub(super) closed: Option<UnixMinutes>,
    pub(super) scheme: Option<HashScheme>,
    pub(super) manifests: Vec<Digest>,
    /// Manifests of rolls, and of their supplements, that another roll has replaced.
    pub(super) replaced: Vec<Digest>,
    /// Number of requests decided when each manifest took effect.
    pub(super) decided_before: Vec<usize>,
    pub(super) nodes: BTreeMap<NodeId, NodePublicKey>,
    pub(super) report: Report,
    pub(super) tally: Tally,
    /// The published sums: under `live` those last opened, else those that may be shown.
    pub(super) published: Tally,
    /// The next sums to publish, once `publish_every` newer votes are held back.
    pub(super) candidate: Option<Tally>,
    pub(super) tree: TreeBuilder,
    pub(super) root: TreeHash,
    pub(super) height: u64,
    pub(super) updated_at: UnixMinutes,
    /// Whether the log states that evidence and keys are destroyed.
    pub(super) purged: bool,
    /// Set once a block was replayed without its evidence.
    pub(super) evidence_missing: bool,
    /// Set once a block was followed: the electorate is counted and not held.
    pub(super) followed: bool,
}

impl LogState {
    /// The state before the first block.
    pub(super) fn draft(definition: Definition) -> Self {
        let tally = Tally::new(definition.choices.len());
        Self {
            state: State::Draft,
            window: Window { opens: None, closes: definition.closes },
            opened: None,
            closed: None,
            scheme: None,
            manifests: Vec::new(),
            replaced: Vec::new(),
            decided_before: Vec::new(),
            nodes: BTreeMap::new(),
            report: Report::default(),
            published: tally.clone(),
            candidate: None,
            tally,
            tree: TreeBuilder::new(),
            root: empty_root(),
            height: 0,
            updated_at: UnixMinutes(0),
            purged: false,
            evidence_missing: false,
            followed: false,
            definition,
        }
    }

    pub(super) fn replace_definition(&mut self, definition: Definition) {
        self.window.closes = definition.closes;
        self.tally = Tally::new(definition.choices.len());
        self.published = self.tally.clone();
        self.definition = definition;
    }

    pub(super) fn open_at(&mut self, opens: UnixMinutes) {
        self.state = State::Open;
        self.opened = Some(opens);
        self.window.opens = Some(opens);
    }

    pub(super) fn closing_at(&mut self, closes: UnixMinutes) {
        self.state = State::Closing;
        self.closed = Some(closes);
        self.window.closes = Some(closes);
    }

    /// The results that may be shown: the sums last published; after the close, all votes.
    pub(super) fn results(&self, electorate: &Electorate) -> Results {
        Results {
            definition: self.definition.clone(),
            state: self.state,
            opened: self.opened,
            closed: self.closed,
            registered: electorate.registered(),
            report: self.report,
            counts: self.published.counts().clone(),
            log_size: self.tree.size(),
            log_root: Digest::from_bytes(*self.root.as_bytes()),
            updated_at: self.updated_at,
        }
    }
}
