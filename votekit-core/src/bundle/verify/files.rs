//! The files of a bundle: each is read once, checked against what proves it, and compared with the
//! index at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::leaves::{self, Ending};
use super::log::Log;
use super::rolls::Rolls;
use super::shards::Shards;
use super::{Options, Pin, ReadError, Verification};
use crate::bundle::index::first_difference;
use crate::bundle::write::derived;
use crate::bundle::{BundleFile, Failures, Index, IndexRow, Rule, Source, file};
use crate::election::Definition;
use crate::export::json;
use crate::id::Digest;
use crate::log::checkpoint::SignedCheckpoint;
use crate::log::leaf::Leaf;
use crate::log::note::KeyName;
use crate::log::policy::{Policy, VerifiedCheckpoint, VerifyError};
use crate::manifest::Manifest;

/// No honest file except the leaves is longer, in bytes.
const SMALL_FILE_LENGTH_MAX: u64 = 64 << 20;

/// The longest leaf with its line feed.
const LINE_LENGTH_MAX: u64 = Leaf::LENGTH_MAX as u64 + 1;

pub(super) fn verify(
    source: &dyn Source,
    options: &Options<'_>,
) -> Result<Verification, ReadError> {
    let listing = |source| ReadError { file: String::new(), source };
    let names = source.names().map_err(listing)?;
    let mut bundle = Bundle {
        source,
        names: names.into_iter().collect(),
        rows: BTreeMap::new(),
        failures: Failures::default(),
    };
    for (name, what) in source.irregular().map_err(listing)? {
        bundle.fail(&name.escape_debug().to_string(), Rule::FileKind, format_args!("{what}"));
    }
    let index = bundle.read_small(file::INDEX)?;
    let policy = bundle.read_small(file::POLICY)?;
    let checkpoint = bundle.read_small(file::CHECKPOINT)?;
    let (policy_used, authenticated) = bundle.check_policy(policy.as_deref(), options.pin.as_ref());
    let manifests = bundle.read_manifests()?;
    let shards = Shards::open(&options.shards)?;

    let signed = bundle.parse_checkpoint(checkpoint.as_deref());
    let leaders = policy_used
        .iter()
        .flat_map(Policy::authorities)
        .map(|witness| witness.name.to_string())
        .collect();
    let (capacity, seed) = table_size(signed.as_ref());
    let mut log = Log::new(Rolls::new(manifests, shards), leaders, capacity, seed, options.threads);
    let leaves_length_max = signed
        .as_ref()
        .map_or(u64::MAX, |signed| signed.unverified().size().saturating_mul(LINE_LENGTH_MAX));
    let ending = bundle.read_leaves(&mut log, options.threads, leaves_length_max)?;
    let root = ending.root;

    let checked = bundle.check_checkpoint(signed.as_ref(), policy_used.as_ref(), &ending, &log);
    let (verified, is_witnessed) = checked.unzip();
    bundle.check_manifests(&log);
    bundle.check_derived(&log, &ending)?;
    bundle.check_index(index.as_deref(), &log);
    let account = &log.account;
    let shards = log.rolls.shards();
    Ok(Verification {
        definition: account.definition().cloned(),
        state: account.state(),
        registered: account.registered(),
        report: account.report(),
        results: account.results(root),
        leaves: account.leaves(),
        root,
        origin: verified.as_ref().map(|verified| verified.checkpoint().origin().to_owned()),
        cosigned_by: verified
            .iter()
            .flat_map(|verified| verified.cosignatures())
            .map(|one| one.witness.to_string())
            .collect(),
        is_witnessed: is_witnessed.unwrap_or(false),
        witness_waiver: account.witness_waiver().map(str::to_owned),
        fingerprint: policy.as_deref().map(Digest::compute),
        manifests: account.manifests().to_vec(),
        shard_manifests: shards.map(Shards::manifests).unwrap_or_default(),
        shards_checked: shards.is_some_and(Shards::is_complete) && !account.manifests().is_empty(),
        authenticated,
        failures: bundle.failures,
    })
}

/// The capacity for the entries that a log of this size can have, at most 2^24 before any is read;
/// and a seed that cannot be chosen without changing the log.
fn table_size(signed: Option<&SignedCheckpoint>) -> (usize, u64) {
    let Some(checkpoint) = signed.map(SignedCheckpoint::unverified) else { return (0, 0) };
    let seed =
        checkpoint.root().as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    (usize::try_from(checkpoint.size().min(1 << 24)).unwrap_or(0), seed)
}

/// The bundle as read so far.
struct Bundle<'a> {
    source: &'a dyn Source,
    names: BTreeSet<String>,
    /// The index row of every file read.
    rows: BTreeMap<String, IndexRow>,
    failures: Failures,
}

impl Bundle<'_> {
    fn fail(&mut self, file: &str, rule: Rule, found: std::fmt::Arguments<'_>) {
        self.failures.add(file, None, rule, found);
    }

    fn open(&mut self, name: &str) -> Result<Option<Box<dyn Read + '_>>, ReadError> {
        if !self.names.contains(name) {
            self.fail(name, Rule::FileMissing, format_args!("the file is missing"));
            return Ok(None);
        }
        self.source
            .open(name)
            .map(Some)
            .map_err(|source| ReadError { file: name.to_owned(), source })
    }

    /// Reads a whole file. `None` if it is missing or too long.
    fn read_small(&mut self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let mut bytes = Vec::new();
        let Some(reader) = self.open(name)? else { return Ok(None) };
        let length = reader.take(SMALL_FILE_LENGTH_MAX + 1).read_to_end(&mut bytes);
        length.map_err(|source| ReadError { file: name.to_owned(), source })?;
        let size = bytes.len() as u64;
        if size > SMALL_FILE_LENGTH_MAX {
            self.fail(
                name,
                Rule::FileSize,
                format_args!("the file has more than {SMALL_FILE_LENGTH_MAX} bytes"),
            );
            return Ok(None);
        }
        self.note(name, size, Digest::compute(&bytes));
        Ok(Some(bytes))
    }

    fn note(&mut self, name: &str, size: u64, sha256: Digest) {
        self.rows.insert(name.to_owned(), IndexRow { file: name.to_owned(), size, sha256 });
    }

    /// Returns the policy to verify with, and whether the bundle's own policy is the pinned one. If
    /// the bytes of a policy are pinned, only they are used, or none if they do not parse.
    fn check_policy(&mut self, bytes: Option<&[u8]>, pin: Option<&Pin>) -> (Option<Policy>, bool) {
        let authenticated = match (pin, bytes) {
            (None, _) | (_, None) => false,
            (Some(Pin::Policy(pinned)), Some(bytes)) => pinned == bytes,
            (Some(Pin::Fingerprint(fingerprint)), Some(bytes)) => {
                *fingerprint == Digest::compute(bytes)
            }
        };
        if pin.is_some() && bytes.is_some() && !authenticated {
            self.fail(
                file::POLICY,
                Rule::PolicyPinned,
                format_args!("this is not the policy that was pinned"),
            );
        }
        let own = bytes.map(Policy::parse);
        if let Some(Err(error)) = &own {
            self.fail(file::POLICY, Rule::PolicyForm, format_args!("{error}"));
        }
        let used = match pin {
            // Never the bundle's own instead: the maker of the bundle chose it.
            Some(Pin::Policy(pinned)) => {
                let refused = |error| {
                    let what = format_args!("the pinned policy does not parse: {error}");
                    self.fail(file::POLICY, Rule::PolicyForm, what);
                };
                Policy::parse(pinned).map_err(refused).ok()
            }
            _ => own.and_then(Result::ok),
        };
        (used, authenticated)
    }

    /// Parses every manifest in the folder. The log later determines which of them belong there.
    fn read_manifests(&mut self) -> Result<BTreeMap<Digest, Manifest>, ReadError> {
        let names: Vec<String> =
            self.names.iter().filter(|name| manifest_digest(name).is_some()).cloned().collect();
        let mut manifests = BTreeMap::new();
        for name in names {
            let Some(bytes) = self.read_small(&name)? else { continue };
            let digest = Digest::compute(&bytes);
            if manifest_digest(&name) != Some(digest) {
                self.fail(&name, Rule::Manifest, format_args!("the file's SHA-256 is {digest}"));
            }
            match Manifest::parse(&bytes) {
                Ok(manifest) => drop(manifests.insert(digest, manifest)),
                Err(error) => self.fail(&name, Rule::Manifest, format_args!("{error}")),
            }
        }
        Ok(manifests)
    }

    fn check_manifests(&mut self, log: &Log<'_>) {
        let named: BTreeSet<String> = log.account.manifests().iter().map(file::manifest).collect();
        for name in &named {
            if !self.names.contains(name) {
                self.fail(
                    name,
                    Rule::Manifest,
                    format_args!("the log names this manifest, and it is missing"),
                );
            }
        }
        let known = [file::INDEX, file::README, file::LEAVES, file::CHECKPOINT, file::POLICY];
        let results = [file::RESULTS_JSON, file::RESULTS_CSV, file::RESULTS_NIST];
        for name in self.names.clone() {
            if !known.contains(&name.as_str())
                && !results.contains(&name.as_str())
                && !named.contains(&name)
            {
                let shown = name.escape_debug().to_string();
                self.fail(
                    &shown,
                    Rule::FileExtra,
                    format_args!("the file does not belong to the bundle"),
                );
            }
        }
    }

    fn parse_checkpoint(&mut self, bytes: Option<&[u8]>) -> Option<SignedCheckpoint> {
        let parsed = SignedCheckpoint::parse(bytes?);
        parsed
            .map_err(|error| self.fail(file::CHECKPOINT, Rule::Checkpoint, format_args!("{error}")))
            .ok()
    }

    /// Reads at most as many bytes as the leaves of the checkpoint can have: a longer file is not
    /// of this log.
    fn read_leaves(
        &mut self,
        log: &mut Log<'_>,
        threads: usize,
        length_max: u64,
    ) -> Result<Ending, ReadError> {
        let mut failures = std::mem::take(&mut self.failures);
        let read = match self.open(file::LEAVES)? {
            None => leaves::read(&mut std::io::empty(), 1, |_, _| {}),
            Some(reader) => {
                let mut reader = reader.take(length_max.saturating_add(1));
                leaves::read(&mut reader, threads, |item, root| log.take(item, root, &mut failures))
            }
        };
        let ending = read.map_err(|source| ReadError { file: file::LEAVES.to_owned(), source })?;
        if let Some((line, what)) = ending.fault {
            failures.add(file::LEAVES, Some(line), Rule::Leaf, format_args!("{what}"));
        }
        let is_too_long = ending.size > length_max;
        if is_too_long {
            let what = format_args!(
                "the file has more than the {length_max} bytes that the leaves of the checkpoint \
                 can have"
            );
            failures.add(file::LEAVES, None, Rule::FileSize, what);
        }
        log.finish(&mut failures);
        // `open` may have reported into the emptied list: append its failures.
        let opening = std::mem::replace(&mut self.failures, failures);
        for failure in opening.list() {
            self.failures.add(
                &failure.file,
                failure.line,
                failure.rule,
                format_args!("{}", failure.found),
            );
        }
        if self.names.contains(file::LEAVES) && !is_too_long {
            self.note(file::LEAVES, ending.size, ending.digest);
        }
        Ok(ending)
    }

    /// Verifies the signatures. Returns the checkpoint, and whether enough outside witnesses have
    /// cosigned it: a log that waives them is signed only by its authorities.
    fn check_signatures(
        &mut self,
        signed: &SignedCheckpoint,
        policy: &Policy,
        log: &Log<'_>,
    ) -> Option<(VerifiedCheckpoint, bool)> {
        let error = match policy.verify_checkpoint(signed) {
            Ok(verified) => return Some((verified, true)),
            Err(error) => error,
        };
        let unwitnessed = match error {
            VerifyError::NoQuorum { .. } => policy.verify_checkpoint_by_authorities(signed).ok(),
            _ => None,
        };
        match unwitnessed {
            Some(verified) if log.account.witness_waiver().is_some() => Some((verified, false)),
            Some(_) => {
                let quorum = policy.witness_quorum();
                let what = format_args!(
                    "a quorum of the authorities has cosigned, and fewer than {quorum} of the \
                     outside witnesses"
                );
                self.fail(file::CHECKPOINT, Rule::Checkpoint, what);
                None
            }
            None => {
                self.fail(file::CHECKPOINT, Rule::Checkpoint, format_args!("{error}"));
                None
            }
        }
    }

    fn check_checkpoint(
        &mut self,
        signed: Option<&SignedCheckpoint>,
        policy: Option<&Policy>,
        ending: &Ending,
        log: &Log<'_>,
    ) -> Option<(VerifiedCheckpoint, bool)> {
        let (signed, policy) = (signed?, policy?);
        let stated = signed.unverified();
        let verified = self.check_signatures(signed, policy, log);
        self.check_cosignatures(verified.as_ref().map(|(verified, _)| verified), log);
        if !policy.is_of_election(stated.origin()) {
            let what = format_args!(
                "it is not the policy of the log {}, in its one form",
                stated.origin().escape_debug()
            );
            self.fail(file::POLICY, Rule::PolicyForm, what);
        }
        if !origin_fits(stated.origin(), log) {
            let what = format_args!(
                "the origin {} does not fit the election",
                stated.origin().escape_debug()
            );
            self.fail(file::CHECKPOINT, Rule::Origin, what);
        }
        let leaves = log.account.leaves();
        if (stated.size(), stated.root()) != (leaves, ending.root) {
            // Blame the leaves if the checkpoint is signed, otherwise the checkpoint.
            let culprit = if verified.is_some() { file::LEAVES } else { file::CHECKPOINT };
            let what = format_args!(
                "{leaves} leaves with root {}, the checkpoint states {} with root {}",
                ending.root,
                stated.size(),
                stated.root()
            );
            self.fail(culprit, Rule::Root, what);
        }
        verified
    }

    /// A cosignature made before the last block was sealed cannot be about it.
    fn check_cosignatures(&mut self, verified: Option<&VerifiedCheckpoint>, log: &Log<'_>) {
        let Some(sealed_at) = log.account.updated_at() else { return };
        for cosignature in verified.iter().flat_map(|verified| verified.cosignatures()) {
            let at = cosignature.at;
            if at.0.saturating_add(60) < sealed_at.start().0 {
                let witness = &cosignature.witness;
                let what = format_args!(
                    "{witness} cosigned at {at}, the last block was sealed at {sealed_at}"
                );
                self.fail(file::CHECKPOINT, Rule::CosignatureTime, what);
            }
        }
    }

    /// Makes README and results again and compares them, and compares the certified digest with
    /// that of the results.
    fn check_derived(&mut self, log: &Log<'_>, ending: &Ending) -> Result<(), ReadError> {
        let expected = derived(&log.account, ending.root);
        let names = [file::README, file::RESULTS_JSON, file::RESULTS_CSV, file::RESULTS_NIST];
        for name in names {
            let Some(BundleFile { bytes: expected, .. }) =
                expected.iter().find(|file| file.name == name)
            else {
                if self.names.contains(name) && log.account.definition().is_some() {
                    self.read_small(name)?;
                    self.fail(
                        name,
                        Rule::FileExtra,
                        format_args!("no totals are opened, so there is no result to publish"),
                    );
                }
                continue;
            };
            let Some(found) = self.read_small(name)? else { continue };
            if let Some(position) = first_difference(&found, expected) {
                let what = format_args!(
                    "the file is not what follows from the log, first at byte {position}"
                );
                self.fail(name, Rule::Derived, what);
            }
        }
        if let Some(stated) = log.account.certified() {
            let digest =
                log.account.results(ending.root).map(|results| json::certified_digest(&results));
            if digest != Some(stated) {
                let what = format_args!(
                    "{stated} is certified, which is not the SHA-256 of the results as of the close"
                );
                self.fail(file::LEAVES, Rule::Certified, what);
            }
        }
        Ok(())
    }

    /// Compares the index with everything read. A file that failed no other check is not blamed for
    /// a wrong row in the index.
    fn check_index(&mut self, bytes: Option<&[u8]>, log: &Log<'_>) {
        let (Some(bytes), Some(definition)) = (bytes, log.account.definition()) else { return };
        self.rows.remove(file::INDEX);
        let expected = Index {
            law_id: definition.law_id.clone(),
            files: self.rows.values().cloned().collect(),
        };
        let Some(position) = first_difference(bytes, &expected.to_bytes()) else { return };
        let stated = match Index::parse(bytes) {
            Ok(stated) => stated,
            Err(error) => return self.fail(file::INDEX, Rule::Index, format_args!("{error}")),
        };
        let stated: BTreeMap<&str, &IndexRow> =
            stated.files.iter().map(|row| (row.file.as_str(), row)).collect();
        let mut blamed = false;
        for row in &expected.files {
            if stated.get(row.file.as_str()).is_none_or(|stated| *stated == row) {
                continue;
            }
            if self.failures.concern(&row.file) {
                blamed = true;
                self.fail(
                    &row.file,
                    Rule::FileChanged,
                    format_args!("{} bytes with SHA-256 {}, not as stated", row.size, row.sha256),
                );
            }
        }
        let only_files_blamed = blamed && stated.len() == expected.files.len();
        if !only_files_blamed {
            let what = format_args!(
                "it does not state the files that are there, first at byte {position}"
            );
            self.fail(file::INDEX, Rule::Index, what);
        }
    }
}

/// `manifests/<64 hexadecimal digits>.json`.
fn manifest_digest(name: &str) -> Option<Digest> {
    name.strip_prefix("manifests/")?.strip_suffix(".json")?.parse().ok()
}

/// Whether the origin ends as that of this election must. The policy has bound it to the
/// authorities' keys.
fn origin_fits(origin: &str, log: &Log<'_>) -> bool {
    let Some(definition) = log.account.definition() else { return false };
    let middle = if definition.binding { "/" } else { "/test/" };
    let suffix = format!("{middle}{}", definition.law_id);
    origin.strip_suffix(&suffix).is_some_and(|base| {
        // A base that itself ends in `/test` would let a test pass for a binding election.
        let misleads = definition.binding && Definition::is_test_base(base);
        !misleads && base.parse::<KeyName>().is_ok()
    })
}
