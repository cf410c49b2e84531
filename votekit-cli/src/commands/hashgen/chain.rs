//! The chain that a supplement builds on: the roll and the files of earlier supplements, each
//! checked against its manifest.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use votekit_core::credential::CredentialHasher;
use votekit_core::id::Digest;
use votekit_core::manifest::{Manifest, RollFacts};
use votekit_core::roll::parallel::ScopedThreads;
use votekit_core::roll::{GatheredRoll, LiveCredentials, RollRules, RowLocation};
use votekit_messages::InWords as _;

use super::{Args, read};
use crate::error::CommandError;
use crate::table_error::BadRows;

/// Manifests from the roll to the parent of the supplement, in this order.
pub(super) struct Chain(Vec<Manifest>);

/// A roll or a file of changes, with its rows and digest.
pub(super) struct ReadRoll {
    pub(super) name: String,
    pub(super) rows: GatheredRoll,
    pub(super) digest: Digest,
}

/// The files of a chain, matched with its manifests.
pub(super) struct PriorFiles {
    roll: ReadRoll,
    /// Additions and revocations of each earlier supplement; a file that it did not have is empty.
    supplements: Vec<(ReadRoll, ReadRoll)>,
}

/// Reads a manifest, given its path or its folder.
pub(super) fn read_manifest(path: &Path) -> Result<Manifest, CommandError> {
    let path = if path.is_dir() { path.join(Manifest::FILE_NAME) } else { path.to_owned() };
    let bytes = fs::read(&path).map_err(|error| CommandError::reading(&path, &error))?;
    Manifest::parse(&bytes).map_err(|error| {
        CommandError::bad_input(format!("{}: {}", path.display(), error.in_words()))
    })
}

impl Chain {
    /// Finds the ancestors of a manifest, among those named on the command line and in the folders
    /// beside it.
    pub(super) fn find(
        parent: Manifest,
        path: &Path,
        named: &[PathBuf],
    ) -> Result<Self, CommandError> {
        let mut known =
            named.iter().map(|path| read_manifest(path)).collect::<Result<Vec<_>, _>>()?;
        let mut chain = vec![parent];
        while let Some(wanted) = chain.last().and_then(|manifest| manifest.body().parent) {
            if known.iter().all(|manifest| manifest.digest() != wanted) {
                known.extend(manifest_beside(path, &wanted));
            }
            let found = known.iter().position(|manifest| manifest.digest() == wanted);
            let index = found.ok_or_else(|| {
                CommandError::bad_input(format!(
                    "{} supplements the manifest {wanted}, which was not found; nothing was \
                     written",
                    path.display()
                ))
                .hint(
                    "give each earlier manifest with --prior-manifest, or keep its folder beside \
                     that one",
                )
            })?;
            chain.push(known.swap_remove(index));
        }
        chain.reverse();
        Ok(Self(chain))
    }

    /// The manifest of the roll.
    pub(super) fn root(&self) -> &Manifest {
        &self.0[0]
    }

    /// Reads the roll and the earlier files. Refuses a file that differs from the hashed file.
    pub(super) fn read_files(
        &self,
        args: &Args,
        roll: &Path,
        hasher: &CredentialHasher,
        threads: ScopedThreads,
    ) -> Result<PriorFiles, CommandError> {
        let read_all = |paths: &[PathBuf]| -> Result<VecDeque<ReadRoll>, CommandError> {
            paths
                .iter()
                .map(|path| read_roll(path, &RollRules::default(), hasher, threads))
                .collect()
        };
        let (mut adds, mut revokes) = (read_all(&args.prior_adds)?, read_all(&args.prior_revokes)?);
        let mut supplements = Vec::new();
        for manifest in &self.0[1..] {
            supplements.push(files_of(manifest, &mut adds, &mut revokes)?);
        }
        if let Some(surplus) = adds.front().or(revokes.front()) {
            return Err(CommandError::bad_input(format!(
                "{} does not belong to any earlier supplement; nothing was written",
                surplus.name
            ))
            .hint(
                "give --prior-add and --prior-revoke for each earlier supplement, in their order",
            ));
        }
        Ok(PriorFiles { roll: self.read_root(args, roll, hasher, threads)?, supplements })
    }

    /// Reads the roll by the rules it was hashed with: its laws, with or without check digits.
    fn read_root(
        &self,
        args: &Args,
        path: &Path,
        hasher: &CredentialHasher,
        threads: ScopedThreads,
    ) -> Result<ReadRoll, CommandError> {
        let body = self.root().body();
        let laws = body.laws.iter().map(|law| law.law_id.clone()).collect();
        // Standard input can be read only once.
        let tries: &[bool] = match path.as_os_str() == "-" {
            true => &[args.check_digit],
            false => &[args.check_digit, !args.check_digit],
        };
        let mut rules = RollRules::default();
        rules.laws = laws;
        for check_digit in tries {
            rules.check_digit = *check_digit;
            let roll = read_roll(path, &rules, hasher, threads)?;
            if roll.digest != body.roll.sha256 {
                return Err(CommandError::bad_input(format!(
                    "{} is not the roll that was hashed: its SHA-256 is {}, the manifest states {}; \
                     nothing was written",
                    roll.name, roll.digest, body.roll.sha256
                ))
                .hint("give the unchanged file that hashgen read with --roll"));
            }
            let registered = roll.rows.registered(&threads);
            if body.laws.iter().all(|law| registered.get(&law.law_id) == Some(&law.registered)) {
                return Ok(roll);
            }
        }
        Err(CommandError::bad_input(format!(
            "{}: the roll does not have as many electors as the manifest states; nothing was written",
            path.display()
        ))
        .hint("if it was hashed with --check-digit, give it here too"))
    }
}

/// Finds the manifest with this digest in the folders beside the folder of `path`.
fn manifest_beside(path: &Path, wanted: &Digest) -> Option<Manifest> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    let folder =
        fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let beside = fs::read_dir(folder.ok()?.parent()?).ok()?;
    let manifests = beside.flatten().map(|entry| entry.path().join(Manifest::FILE_NAME));
    let mut bytes = manifests.filter_map(|path| fs::read(path).ok());
    let found = bytes.find(|bytes| Digest::compute(bytes) == *wanted)?;
    Manifest::parse(&found).ok()
}

/// Takes the files of one earlier supplement from the front of the lists: additions, revocations or
/// both, whichever match the digest that its manifest states.
fn files_of(
    manifest: &Manifest,
    adds: &mut VecDeque<ReadRoll>,
    revokes: &mut VecDeque<ReadRoll>,
) -> Result<(ReadRoll, ReadRoll), CommandError> {
    let (add, revoke) =
        (adds.front().map(|file| file.digest), revokes.front().map(|file| file.digest));
    let stated = manifest.body().roll.sha256;
    let fits = |add, revoke| RollFacts::supplement_digest(add, revoke) == stated;
    let (takes_add, takes_revoke) = match (add, revoke) {
        (Some(_), Some(_)) if fits(add, revoke) => (true, true),
        (Some(_), _) if fits(add, None) => (true, false),
        (_, Some(_)) if fits(None, revoke) => (false, true),
        _ => {
            return Err(CommandError::bad_input(format!(
                "the files given are not those of the earlier supplement {}; nothing was written",
                manifest.digest()
            ))
            .hint(
                "give the unchanged files of each earlier supplement with --prior-add and \
                 --prior-revoke, in their order",
            ));
        }
    };
    let take = |takes: bool, files: &mut VecDeque<ReadRoll>| {
        takes.then(|| files.pop_front()).flatten().unwrap_or_else(ReadRoll::absent)
    };
    Ok((take(takes_add, adds), take(takes_revoke, revokes)))
}

impl ReadRoll {
    /// An empty file, in place of a file that was not given.
    pub(super) fn absent() -> Self {
        let (name, rows) = (String::new(), GatheredRoll::default());
        Self { name, rows, digest: Digest::compute(b"") }
    }
}

/// Reads and hashes a roll.
pub(super) fn read_roll(
    path: &Path,
    rules: &RollRules,
    hasher: &CredentialHasher,
    threads: ScopedThreads,
) -> Result<ReadRoll, CommandError> {
    let mut source = read::Source::open(path, false)?;
    let file = read::hash(&mut source, rules, hasher, threads)?;
    Ok(ReadRoll { name: source.name().to_owned(), rows: file.rows, digest: file.sha256 })
}

impl PriorFiles {
    /// The rows of the roll.
    pub(super) fn roll(&self) -> &GatheredRoll {
        &self.roll.rows
    }

    /// The credentials of the electors named in the new files, before the new changes.
    pub(super) fn live(
        &self,
        add: &GatheredRoll,
        revoke: &GatheredRoll,
    ) -> Result<LiveCredentials, CommandError> {
        let files: Vec<_> =
            self.supplements.iter().flat_map(|(add, revoke)| [add, revoke]).collect();
        let bad: Vec<_> =
            files.iter().map(|file| (file.name.as_str(), file.rows.faults())).collect();
        let hint = "give the files of the earlier supplement as they were hashed";
        BadRows { files: &bad, outcome: "nothing was written", hint }.refuse()?;
        let named: Vec<&GatheredRoll> =
            [add, revoke].into_iter().chain(files.iter().map(|file| &file.rows)).collect();
        let mut live = LiveCredentials::from_roll(&self.roll.rows, &named);
        for (add, revoke) in &self.supplements {
            live.apply(&add.rows, &revoke.rows);
        }
        Ok(live)
    }

    /// Names the file and line of an earlier row, for messages.
    pub(super) fn location(&self, location: RowLocation) -> String {
        // File 0 is the roll; then the additions and the revocations of each supplement alternate.
        let name = match location.file.checked_sub(1) {
            None => &self.roll.name,
            Some(file) => match self.supplements.get(file / 2) {
                Some((add, _)) if file % 2 == 0 => &add.name,
                Some((_, revoke)) => &revoke.name,
                None => &self.roll.name,
            },
        };
        format!("{name} line {}", location.line)
    }
}
