//! The verifier: checks everything about a bundle that can be checked offline, in one pass over its
//! leaves.
//!
//! ```text
//! leaves.jsonl ─▶ chunks of 4,096 lines ─▶ leaf hashes, parsing (other threads)
//!      │                                          └─▶ merged in order ─▶ Log: every rule ─▶ root
//!      └─▶ SHA-256 ─▶ index, derived files
//! ```
//!
//! It lists every failure, not only the first. Memory is about 60 bytes per entry of the log; the
//! shards, if given, take 36 bytes more per elector.

mod batches;
mod entries;
mod leaves;
mod shards;
mod rolls;
mod totals;
mod log;
mod files;

use std::{fmt, io};

use super::{Failures, Rule, Source, Verdict, file};
use crate::election::{Definition, State};
use crate::id::Digest;
use crate::log::merkle::TreeHash;
use crate::reconcile::Report;
use crate::results::Results;

/// The trusted input of the verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pin {
    /// The bytes of the policy, from elsewhere.
    Policy(Vec<u8>),
    /// The SHA-256 of the policy's bytes, from elsewhere.
    Fingerprint(Digest),
}

/// The options of a verification. Start with [`Options::default`] and set what differs.
#[non_exhaustive]
pub struct Options<'a> {
    /// The trusted input. Without a pin a bundle can be consistent, but not authenticated.
    pub pin: Option<Pin>,
    /// Folders with a manifest and its shards or change files, to check that every hash was
    /// registered. Empty to skip that check.
    pub shards: Vec<&'a dyn Source>,
    /// Threads to use, including the calling one. With 0 or 1 no thread is started, for targets
    /// without threads.
    pub threads: usize,
}

impl Default for Options<'_> {
    /// Nothing pinned, no shards, two threads.
    fn default() -> Self {
        Self { pin: None, shards: Vec::new(), threads: 2 }
    }
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// The definition of the election, if the log states one.
    pub definition: Option<Definition>,
    /// The state of the election.
    pub state: Option<State>,
    /// Electors registered.
    pub registered: u64,
    /// Counts of what was received, by outcome.
    pub report: Report,
    /// The results, once totals are opened.
    pub results: Option<Results>,
    /// Leaves of the log.
    pub leaves: u64,
    /// The computed root over them.
    pub root: TreeHash,
    /// The log's origin, if the checkpoint verifies.
    pub origin: Option<String>,
    /// The authorities and outside witnesses that cosigned it.
    pub cosigned_by: Vec<String>,
    /// Whether as many outside witnesses have cosigned as the policy asks for; true if it asks for
    /// none. Where they have not, that is a failure unless the log waives it.
    pub is_witnessed: bool,
    /// Why the result was certified before enough outside witnesses had cosigned, as the log states
    /// it. A waiver is no failure: a person should know of it.
    pub witness_waiver: Option<String>,
    /// SHA-256 of the bundle's policy.
    pub fingerprint: Option<Digest>,
    /// The manifests of rolls and supplements, in the order in which the log names them.
    pub manifests: Vec<Digest>,
    /// The manifests of the folders in [`Options::shards`], sorted.
    pub shard_manifests: Vec<Digest>,
    /// Whether each accepted hash was looked up in shards: they were given, and those of every
    /// manifest that the log names were found and read.
    pub shards_checked: bool,
    /// Whether the policy is the pinned one. Says nothing about failures: use
    /// [`Verification::verdict`] to decide.
    pub authenticated: bool,
    /// All failures.
    pub failures: Failures,
}

impl Verification {
    /// Whether the given folders of shards do not match the log: a manifest that the log names has
    /// no folder, or the log does not name the manifest of a folder. Failures of
    /// [`Rule::Electorate`] are then no evidence against the bundle. False if no folder was given.
    #[must_use]
    pub fn has_other_shards(&self) -> bool {
        let (named, given) = (&self.manifests, &self.shard_manifests);
        let is_same = named.iter().all(|manifest| given.contains(manifest))
            && given.iter().all(|manifest| named.contains(manifest));
        !given.is_empty() && !is_same
    }

    /// Whether no failure was found and the policy was pinned: the bundle proves its result.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.failures.is_empty() && self.authenticated
    }

    /// The verdict on the bundle.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.failures.is_empty(), self.authenticated) {
            (true, true) => Verdict::Proven,
            (true, false) => Verdict::Consistent,
            (false, _) => Verdict::Failed,
        }
    }
}

/// A listed file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{file} unreadable: {source}")]
#[non_exhaustive]
pub struct ReadError {
    /// The file; empty when the files cannot be listed.
    pub file: String,
    /// The cause; a [`ManifestError`](crate::manifest::ManifestError) inside if a folder of shards
    /// has no valid manifest.
    pub source: io::Error,
}

/// Verifies a bundle.
///
/// # Errors
/// [`ReadError`] when a file cannot be read. Faults in what was read are in
/// [`Verification::failures`].
///
/// ```
/// use votekit_core::bundle::{MemorySource, Rule, verify::{Options, verify}};
/// let empty = MemorySource::new();
/// let verification = verify(&empty, &Options::default())?;
/// assert_eq!(verification.failures.list()[0].rule, Rule::FileMissing);
/// assert!(!verification.is_proven());
/// # Ok::<(), votekit_core::bundle::verify::ReadError>(())
/// ```
pub fn verify(source: &dyn Source, options: &Options<'_>) -> Result<Verification, ReadError> {
    files::verify(source, options)
}

/// Where the rules report a failure: one line of `leaves.jsonl`.
struct Line<'a> {
    failures: &'a mut Failures,
    /// The line number, from 1.
    number: u64,
}

impl Line<'_> {
    fn fail(&mut self, rule: Rule, found: fmt::Arguments<'_>) {
        self.failures.add(file::LEAVES, Some(self.number), rule, found);
    }
}

#[cfg(test)]
#[path = "verify_test.rs"]
mod tests;
