//! The electors of an election according to its log: who is registered, who is revoked, and by
//! which request each credential was first used.
//!
//! A shared registry is compared with this, and rebuilt from it. Needs only the log and the kept
//! rolls: no key, no evidence, no running node.

use std::sync::Arc;

use votekit_core::credential::{HashScheme, RegistryKey};
use votekit_core::decision::{Decision, Entry};
use votekit_core::election_log::RollContent;
use votekit_core::electorate::{Elector, Electorate};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::leaf::Leaf;
use votekit_store::{FirstUse, KnownElectors, RollOrigin};

use crate::archive::Archive;
use crate::error::NodeError;
use crate::roll_store;

/// The electors of one election.
#[derive(Debug)]
pub struct LogElectors {
    /// The lists of electors, in the order in which they took effect.
    pub electors: Vec<KnownElectors>,
    /// The manifests, in the same order.
    pub origins: Vec<RollOrigin>,
    /// The number of registered credentials: added, less revoked.
    pub registered: u64,
    /// The number of accepted votes.
    pub accepted: u64,
}

impl LogElectors {
    /// Reads the log of an election from its first leaf.
    ///
    /// # Errors
    /// [`NodeError`] if the log or a kept roll cannot be read.
    pub fn read(archive: &Archive, law_id: &ElectionId) -> Result<Self, NodeError> {
        let mut reader = Reader {
            archive,
            law_id,
            electorate: Electorate::default(),
            uses: Vec::new(),
            origins: Vec::new(),
            scheme: None,
        };
        archive.for_each_leaf(law_id, |leaf| reader.take(leaf))?;
        Ok(reader.finish())
    }

    /// Every credential with its first use.
    pub fn credentials(&self) -> impl Iterator<Item = (RegistryKey, FirstUse)> {
        self.electors
            .iter()
            .flat_map(|list| list.keys.keys().iter().copied().zip(list.uses.iter().copied()))
    }

    /// The manifests.
    #[must_use]
    pub fn manifests(&self) -> Vec<Digest> {
        self.origins.iter().map(|origin| origin.manifest).collect()
    }
}

struct Reader<'a> {
    archive: &'a Archive,
    law_id: &'a ElectionId,
    electorate: Electorate,
    /// Indexed by elector.
    uses: Vec<FirstUse>,
    origins: Vec<RollOrigin>,
    scheme: Option<HashScheme>,
}

impl Reader<'_> {
    fn take(&mut self, leaf: &[u8]) -> Result<(), NodeError> {
        match Leaf::parse(leaf).map_err(|error| self.damaged(&error.to_string()))? {
            Leaf::Roll(event) => {
                if event.replaces.is_some() {
                    (self.electorate, self.uses) = (Electorate::default(), Vec::new());
                    self.origins.clear();
                }
                self.take_roll(&event.manifest)
            }
            Leaf::Entry(entry) => self.take_entry(&entry),
            _ => Ok(()),
        }
    }

    fn take_roll(&mut self, digest: &Digest) -> Result<(), NodeError> {
        let folder = self.archive.folder();
        let manifest = roll_store::manifest(folder, digest)?;
        match roll_store::content(folder, digest, self.law_id)? {
            None => {
                return Err(self.damaged("a roll that took effect has no row for this election"));
            }
            Some(RollContent::Roll(keys)) => {
                self.electorate.add_roll(keys).map_err(|error| self.damaged(&error.to_string()))?;
            }
            Some(RollContent::Supplement(changes)) => {
                self.electorate.apply(&changes);
            }
        }
        let electors = self.electorate.lists().map(|(_, keys)| keys.len()).sum();
        // An elector's number is its position across all lists, in their order.
        self.uses.resize(electors, FirstUse::UNUSED);
        self.scheme = Some(manifest.body().scheme);
        self.origins.push(RollOrigin::from_manifest(&manifest));
        Ok(())
    }

    fn take_entry(&mut self, entry: &Entry) -> Result<(), NodeError> {
        let Decision::Accepted { hash } = &entry.decision else { return Ok(()) };
        let scheme = self.scheme.ok_or_else(|| self.damaged("entries follow a roll"))?;
        let found = self.electorate.find(&scheme.registry_key(hash));
        let Elector(elector) = found.ok_or_else(|| {
            self.damaged("a vote was accepted whose credential is not on any roll")
        })?;
        self.electorate.record_attempt(Elector(elector));
        self.uses[elector as usize] = FirstUse::by(&entry.request);
        Ok(())
    }

    fn finish(mut self) -> LogElectors {
        for Elector(elector) in self.electorate.revoked() {
            self.uses[elector as usize] = FirstUse::REVOKED;
        }
        let known = |(Elector(first), keys): (Elector, &Arc<votekit_core::electorate::KeyList>)| {
            let first = first as usize;
            KnownElectors {
                keys: Arc::clone(keys),
                uses: self.uses[first..first + keys.len()].to_vec(),
            }
        };
        LogElectors {
            electors: self.electorate.lists().map(known).collect(),
            origins: self.origins,
            registered: self.electorate.registered(),
            accepted: self.electorate.voted(),
        }
    }

    fn damaged(&self, rule: &str) -> NodeError {
        NodeError::Undecodable { law_id: self.law_id.clone(), reason: rule.to_owned() }
    }
}
