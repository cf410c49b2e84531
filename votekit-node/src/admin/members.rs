//! Elections for the members of an association, who have accounts and no electoral roll.
//!
//! The node makes the roll itself, under a members' key that is generated for this election: the
//! hash of a member is a function of key, account and law. Apart from that the roll is like any
//! other: it is loaded, named in the log, replayed and verified by the same code.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use votekit_core::credential::{CredentialHasher, HashScheme, Pepper, RegistryKey};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::manifest::{FileRow, LawRow, Manifest, ManifestBody, PepperMarks, RollFacts};
use votekit_core::shard::{ShardFormat, ShardHead};
use votekit_store::AccountId;
use zeroize::Zeroizing;

use crate::admin::drafts::CreatedElection;
use crate::admin::election_requests::CreateElection;
use crate::call_rule::{CallRule, MemberFault};
use crate::data_folder::{DataFolder, FolderError, make_private_folder, write_whole};
use crate::error::{AdminError, NodeError};
use crate::node::Node;
use crate::roll_store::{self, KeptRolls};

/// `code_length_min` in the manifest. Members have no codes; the least length that a manifest may
/// state keeps such a roll out of every binding election.
const CODE_LENGTH: u32 = 4;

impl Node {
    /// Checks a request for an election of members, before accounts are made for it: the request
    /// itself, and whether this node could make a roll for its law. Changes nothing.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn check_members_election(&self, request: &CreateElection) -> Result<(), AdminError> {
        let law_id = self.check_creation(request)?;
        if request.binding {
            return Err(AdminError::Field { field: "binding", rule: CallRule::MembersBinding });
        }
        // The others could not check the roll, and no ingest node could hash a member.
        if self.context.authorities.is_some() {
            let rule = CallRule::MembersAuthorities;
            return Err(AdminError::Field { field: MemberFault::LIST, rule });
        }
        if self.context.leader_lease.term().is_none() {
            return Err(self.not_leading());
        }
        let law = law_id.clone();
        let (is_signed, kept) = self
            .on_files(move |folder| {
                let kept = KeptRolls::read(folder)?;
                let digest = kept.in_effect(&law).first().map(|manifest| manifest.digest());
                Ok((roll_store::requires_signatures(folder), digest))
            })
            .await?;
        if is_signed {
            let rule = CallRule::MembersUnsigned;
            return Err(AdminError::Field { field: MemberFault::LIST, rule });
        }
        kept.map_or(Ok(()), |kept| Err(AdminError::SecondRoll { law_id, kept }))
    }

    /// Creates an election as a draft, for members with these accounts. Generates its members' key,
    /// makes the roll and loads it. The election cannot be binding.
    ///
    /// # Errors
    /// [`AdminError`]; after a refusal nothing is left, neither roll nor key.
    pub async fn create_with_members(
        &self,
        request: CreateElection,
        members: &[AccountId],
    ) -> Result<CreatedElection, AdminError> {
        self.check_members_election(&request).await?;
        let law_id = self.check_creation(&request)?;
        let members: BTreeSet<AccountId> = members.iter().copied().collect();
        if members.is_empty() || members.len() > ShardHead::KEYS_MAX {
            let rule = CallRule::MemberCount;
            return Err(AdminError::Field { field: MemberFault::LIST, rule });
        }
        let law = law_id.clone();
        let roll = self.on_files(move |folder| MembersRoll::write(folder, &law, &members)).await?;
        let loaded = self.load(&roll.path, None).await;
        let path = roll.path.clone();
        let removed = self.on_files(move |_| Ok(remove(path)?)).await;
        let created = match (loaded, removed) {
            (Ok(_), Ok(())) => self.create(request).await,
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        if created.as_ref().is_err_and(|error| self.is_without_election(&law_id, error)) {
            self.take_back(&roll.manifest).await;
        }
        created
    }

    /// Whether a failure certainly left no election that needs the roll.
    fn is_without_election(&self, law_id: &ElectionId, error: &AdminError) -> bool {
        let is_refusal = error.is_refusal() || matches!(error, AdminError::Exists { .. });
        let is_unknown = matches!(error, AdminError::OutcomeUnknown);
        is_refusal || (!is_unknown && self.context.election(law_id).is_none())
    }

    /// Removes a members' roll whose election was not created, with its key. If the removal fails,
    /// `votekit roll list` lists the roll.
    async fn take_back(&self, manifest: &Manifest) {
        let removed = match self.discard_roll(&manifest.digest()).await {
            Err(AdminError::UnknownRoll { .. }) => {
                let marks = manifest.body().pepper;
                self.on_files(move |folder| match marks {
                    Some(marks) => Ok(folder.destroy_pepper(&marks.id)?),
                    None => Ok(()),
                })
                .await
            }
            removed => removed.map(drop),
        };
        if let Err(error) = removed {
            tracing::warn!(event = "roll_discard_failed", %error, "refused roll not removed");
        }
    }
}

/// The roll of one election of members, written to a folder from which it is loaded.
struct MembersRoll {
    path: PathBuf,
    manifest: Manifest,
}

impl MembersRoll {
    /// Generates the key and writes shard, manifest and, last, the key among those of the other
    /// rolls.
    fn write(
        folder: &DataFolder,
        law_id: &ElectionId,
        members: &BTreeSet<AccountId>,
    ) -> Result<Self, AdminError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(NodeError::from)?;
        let key = Pepper::from_bytes(*bytes);
        let head = ShardHead { law_id: law_id.clone(), shard: 1, shards: 1 };
        let shard = head.encode(ShardFormat::Json, &registry_keys(&key, law_id, members));
        let manifest = manifest(&key, &head, &shard, members)?;
        // No manifest's digest: it does not count as a stored roll.
        let path = folder.path().join("rolls").join(format!("members-{law_id}.unfinished"));
        remove(path.clone())?;
        make_private_folder(&path)?;
        for (name, bytes) in [
            (head.file_name(ShardFormat::Json).as_str(), shard.as_slice()),
            (Manifest::FILE_NAME, manifest.encode().as_slice()),
        ] {
            let file = path.join(name);
            write_whole(&file, bytes).map_err(|source| FolderError::Io { path: file, source })?;
        }
        folder.keep_pepper(&key)?;
        Ok(Self { path, manifest })
    }
}

/// T of each member, ascending.
fn registry_keys(
    key: &Pepper,
    law_id: &ElectionId,
    members: &BTreeSet<AccountId>,
) -> Vec<RegistryKey> {
    let hasher = CredentialHasher::for_members(key);
    let hashes = members.iter().filter_map(|account| hasher.member_hash(&account.0, law_id));
    let mut keys: Vec<_> = hashes.map(|hash| hasher.scheme().registry_key(&hash)).collect();
    keys.sort_unstable();
    keys
}

fn manifest(
    key: &Pepper,
    head: &ShardHead,
    shard: &[u8],
    members: &BTreeSet<AccountId>,
) -> Result<Manifest, AdminError> {
    let count = members.len() as u64;
    let law_id = head.law_id.clone();
    let accounts: Vec<u8> = members.iter().flat_map(|account| account.0).collect();
    let row = FileRow {
        file: head.file_name(ShardFormat::Json),
        law_id: law_id.clone(),
        shard: head.shard,
        count,
        sha256: Digest::compute(shard),
    };
    let body = ManifestBody {
        tool: Manifest::MEMBERS_TOOL.to_owned(),
        scheme: HashScheme::HmacSha256,
        pepper: Some(PepperMarks::new(key)),
        date: None,
        parent: None,
        roll: RollFacts {
            sha256: Digest::compute(&accounts),
            rows: count,
            duplicates: 0,
            rejects: 0,
            code_length_min: CODE_LENGTH,
        },
        laws: vec![LawRow { law_id, registered: count, shards: head.shards, revoked: 0 }],
        shards: vec![row],
        changes: vec![],
    };
    let path = PathBuf::from(Manifest::FILE_NAME);
    Ok(Manifest::new(body).map_err(|source| roll_store::RollError::Manifest { path, source })?)
}

/// Removes a folder of written files, if it is there.
fn remove(path: PathBuf) -> Result<(), FolderError> {
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FolderError::Io { path, source: error })
        }
        _ => Ok(()),
    }
}
