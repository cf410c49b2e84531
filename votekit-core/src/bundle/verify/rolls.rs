//! Rolls and supplements: their chain, their manifests and, if the shards are given, every
//! registered key.

use std::collections::BTreeMap;

use super::Line;
use super::shards::Shards;
use crate::bundle::Rule;
use crate::credential::HashScheme;
use crate::decision::Entry;
use crate::election::{Definition, State};
use crate::id::{Digest, ElectionId};
use crate::log::leaf::RollEvent;
use crate::manifest::Manifest;

/// The rolls of the log so far.
pub(super) struct Rolls<'a> {
    law_id: Option<ElectionId>,
    /// The manifests of the bundle that parse.
    manifests: BTreeMap<Digest, Manifest>,
    shards: Option<Shards<'a>>,
    /// The first manifest in effect.
    root: Option<Digest>,
    latest: Option<Digest>,
    scheme: Option<HashScheme>,
    /// The shortest access code of the first roll in which it is too short for a binding election.
    short_code: Option<u32>,
}

impl<'a> Rolls<'a> {
    pub(super) fn new(manifests: BTreeMap<Digest, Manifest>, shards: Option<Shards<'a>>) -> Self {
        Self {
            law_id: None,
            manifests,
            shards,
            root: None,
            latest: None,
            scheme: None,
            short_code: None,
        }
    }

    pub(super) fn set_law(&mut self, law_id: ElectionId) {
        self.law_id.get_or_insert(law_id);
    }

    pub(super) fn is_peppered(&self) -> bool {
        self.scheme == Some(HashScheme::HmacSha256)
    }

    pub(super) fn shards(&self) -> Option<&Shards<'a>> {
        self.shards.as_ref()
    }

    pub(super) fn short_code(&self) -> Option<u32> {
        self.short_code
    }

    pub(super) fn take(&mut self, roll: &RollEvent, state: Option<State>, line: &mut Line<'_>) {
        let mut fail = |found: std::fmt::Arguments<'_>| line.fail(Rule::RollChain, found);
        let allowed = match roll.parent {
            None => matches!(state, Some(State::Draft)),
            Some(_) => matches!(state, Some(State::Draft | State::Open)),
        };
        if !allowed {
            fail(format_args!("a roll after the opening, or a supplement after the closing"));
        }
        let follows = match (roll.parent, roll.replaces) {
            (None, replaces) => replaces == self.root,
            (parent, None) => parent == self.latest,
            (Some(_), Some(_)) => false,
        };
        if !follows {
            fail(format_args!("the roll does not follow the one before it in the log"));
        }
        if roll.parent.is_none() {
            // A new first roll: earlier rolls have no effect any more.
            (self.root, self.scheme, self.short_code) = (Some(roll.manifest), None, None);
        }
        if self.scheme.is_some_and(|scheme| scheme != roll.scheme) {
            fail(format_args!("the roll is hashed by another scheme than the one before it"));
        }
        self.scheme.get_or_insert(roll.scheme);
        self.latest = Some(roll.manifest);
        // A manifest that is missing or does not parse has been reported as a file.
        if let Some(manifest) = self.manifests.get(&roll.manifest) {
            check_manifest(roll, manifest, self.law_id.as_ref(), line);
            let length = Some(manifest.body().roll.code_length_min)
                .filter(|length| Definition::is_too_short_to_bind(*length));
            self.short_code = self.short_code.or(length);
        }
        if let (Some(shards), Some(law_id)) = (&mut self.shards, &self.law_id) {
            shards.load(roll, law_id, line);
        }
    }

    pub(super) fn take_entry(&mut self, entry: &Entry, line: &mut Line<'_>) {
        if let (Some(shards), Some(scheme)) = (&mut self.shards, self.scheme) {
            shards.check(entry, scheme, line);
        }
    }
}

fn check_manifest(
    roll: &RollEvent,
    manifest: &Manifest,
    law_id: Option<&ElectionId>,
    line: &mut Line<'_>,
) {
    let body = manifest.body();
    if body.scheme != roll.scheme || body.parent != roll.parent {
        line.fail(Rule::RollCounts, format_args!("scheme or parent is not that of the manifest"));
    }
    let Some(row) = law_id.and_then(|law_id| manifest.law(law_id)) else {
        line.fail(Rule::RollCounts, format_args!("the manifest has no row for this law"));
        return;
    };
    let agrees = if manifest.is_supplement() {
        roll.loaded == 0
            && roll.added <= row.registered
            && roll.revoked.checked_add(roll.refused) == Some(row.revoked)
    } else {
        roll.loaded == row.registered && [roll.added, roll.revoked, roll.refused] == [0; 3]
    };
    if !agrees {
        let what = format_args!(
            "loaded {}, added {}, revoked {}, refused {}; the manifest has {} keys and {} revocations",
            roll.loaded, roll.added, roll.revoked, roll.refused, row.registered, row.revoked
        );
        line.fail(Rule::RollCounts, what);
    }
}
