//! Reads the data folder of an authority: its statement key, the set of authorities, ballot keys,
//! rolls.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use votekit_core::authority::{AuthoritySet, StatementKey};
use votekit_core::ballot::BallotSecretKey;
use votekit_core::election_log::RollContent;
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::key_file;
use votekit_core::log::note::KeyName;
use votekit_core::manifest::Manifest;

/// The data folder of an authority. Nothing is written into it.
pub struct AuthorityFolder {
    path: PathBuf,
    pub(crate) set: AuthoritySet,
    /// The statement key, under the name of the member that has it.
    pub(crate) key: StatementKey,
}

impl AuthorityFolder {
    /// Reads the set and the statement key.
    ///
    /// # Errors
    /// When a file is missing or malformed, or no member of the set has the key.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join("authorities");
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let set = AuthoritySet::parse(&bytes).with_context(|| file.display().to_string())?;
        let seed = read_key(&path.join("keys/statement"))?;
        let own = set.members().iter().find_map(|member| {
            let key = StatementKey::from_seed(set.base(), &member.name, &seed);
            (key.public() == member.statement).then_some(key)
        });
        let key = own.context("no authority of the file has this statement key")?;
        Ok(Self { path: path.to_owned(), set, key })
    }

    /// The name of the authority.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        self.key.name()
    }

    /// The ballot key of an election.
    ///
    /// # Errors
    /// When the file is missing or malformed.
    pub(crate) fn ballot_key(&self, law_id: &ElectionId) -> Result<BallotSecretKey> {
        let path = self.path.join("keys/ballot").join(law_id.as_str());
        read_key(&path).map(BallotSecretKey::from_bytes)
    }

    /// The content of a stored roll for one election; `None` if the roll has no row of it.
    ///
    /// # Errors
    /// When a file of the roll is missing, or differs from the manifest.
    pub(crate) fn roll(&self, digest: &Digest, law_id: &ElectionId) -> Result<Option<RollContent>> {
        let folder = self.path.join("rolls").join(digest.to_hex());
        let read = |name: &str| {
            let file = folder.join(name);
            fs::read(&file).with_context(|| format!("reading {}", file.display()))
        };
        let manifest = Manifest::parse(&read(Manifest::FILE_NAME)?)?;
        let body = manifest.body();
        if let Some(row) = body.changes.iter().find(|row| row.law_id == *law_id) {
            let changes = manifest.read_changes(row, &read(&row.file)?)?;
            return Ok(Some(RollContent::Supplement(Arc::new(Changes::from(&changes)))));
        }
        if manifest.law(law_id).is_none() {
            return Ok(None);
        }
        let mut keys = Vec::new();
        for row in body.shards.iter().filter(|row| row.law_id == *law_id) {
            keys.extend(manifest.read_shard(row, &read(&row.file)?)?);
        }
        Ok(Some(RollContent::Roll(Arc::new(KeyList::new(keys)?))))
    }
}

/// Reads a key file, and verifies its check.
fn read_key(path: &Path) -> Result<[u8; 32]> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let secret = key_file::parse(&text).with_context(|| path.display().to_string())?;
    Ok(*secret)
}
