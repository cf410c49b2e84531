//! The keys in a data folder: of the node, of its logs, of elections, of rolls.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::{NodeKey, NodePublicKey};
use votekit_core::credential::{Pepper, PepperId};
use votekit_core::envelope::RequestKey;
use votekit_core::id::ElectionId;
use votekit_files::sync_parent;
use zeroize::Zeroizing;

use super::DataFolder;
use super::error::{FileDamage, FolderError};
use super::permissions::check_private;
use super::private_file::{TOKEN, destroy, random, read_secret, write_secret};
use crate::node_name::NodeName;
use crate::node_record::NodeRecord;

/// The file of the embedded ledger. Once it exists, no key of the node is generated again.
const LEDGER: &str = votekit_store::embedded::FILE_NAME;

impl DataFolder {
    /// The ingest key, generated on first use.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn node_key(&self) -> Result<NodeKey, FolderError> {
        match &self.own {
            None => self.secret("node").map(|seed| NodeKey::from_seed(&seed)),
            Some(own) => node_key_at(&own.join("key")),
        }
    }

    /// The public keys of the named nodes in this folder.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn named_nodes(&self) -> Result<Vec<(NodeName, NodePublicKey)>, FolderError> {
        let path = self.path.join("nodes");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(FolderError::Io { path, source }),
        };
        let mut nodes = Vec::new();
        for entry in entries {
            let entry = entry.map_err(FolderError::io(&path))?;
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A node that is being created has no key yet.
            if entry.path().join("key").exists() {
                nodes.push((name, node_key_at(&entry.path().join("key"))?.public_key()));
            }
        }
        nodes.sort_unstable();
        Ok(nodes)
    }

    /// The record of this folder's node, by which it is admitted to an installation: of the named
    /// node, if a node with this name shares the folder, else of the folder's own node. Generates
    /// nothing.
    ///
    /// # Errors
    /// [`FolderError`], among others if the folder lacks the node's key.
    pub fn node_record(&self, name: &NodeName) -> Result<NodeRecord, FolderError> {
        let named = self.path.join("nodes").join(name.as_str()).join("key");
        let own = self.path.join("keys/node");
        let key = node_key_at(if named.exists() { &named } else { &own })?.public_key();
        Ok(NodeRecord { name: name.clone(), key, transport: self.transport_key()?.public_key() })
    }

    /// The seed of the log key, generated on first use.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn log_seed(&self) -> Result<Zeroizing<[u8; 32]>, FolderError> {
        self.secret("log")
    }

    /// The seed of the cosigner key, generated on first use.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn cosigner_seed(&self) -> Result<Zeroizing<[u8; 32]>, FolderError> {
        self.secret("cosigner")
    }

    /// The administrator's token: 64 hexadecimal digits, generated on first use.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn admin_token(&self) -> Result<Zeroizing<String>, FolderError> {
        self.secret(TOKEN).map(|bytes| Zeroizing::new(const_hex::encode(bytes.as_slice())))
    }

    /// The key from which the request ids of an election are derived. `None` if it was never
    /// generated, or was destroyed.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn request_key(&self, law_id: &ElectionId) -> Result<Option<RequestKey>, FolderError> {
        Ok(read_secret(&self.election_key("request", law_id))?
            .map(|bytes| RequestKey::from_bytes(*bytes)))
    }

    /// Generates the request key of a new election, or returns the existing one.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn make_request_key(&self, law_id: &ElectionId) -> Result<RequestKey, FolderError> {
        let path = self.election_key("request", law_id);
        if let Some(key) = self.request_key(law_id)? {
            // The run that wrote it may have been killed before the sync.
            sync_parent(&path).map_err(FolderError::io(&path))?;
            return Ok(key);
        }
        let bytes = random(&self.path)?;
        write_secret(&path, &bytes)?;
        Ok(RequestKey::from_bytes(*bytes))
    }

    /// Keeps the request key of an election that was encrypted to this node.
    ///
    /// # Errors
    /// [`FolderError`].
    pub(crate) fn keep_request_key(
        &self,
        law_id: &ElectionId,
        key: &[u8; 32],
    ) -> Result<(), FolderError> {
        write_secret(&self.election_key("request", law_id), key)
    }

    /// The ballot key of an election. `None` if it was never generated, or was destroyed.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn ballot_key(&self, law_id: &ElectionId) -> Result<Option<BallotSecretKey>, FolderError> {
        let path = self.election_key("ballot", law_id);
        Ok(read_secret(&path)?.map(|bytes| BallotSecretKey::from_bytes(*bytes)))
    }

    /// Generates the ballot key of a new election, or returns the existing one.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn make_ballot_key(&self, law_id: &ElectionId) -> Result<BallotSecretKey, FolderError> {
        let path = self.election_key("ballot", law_id);
        if let Some(key) = self.ballot_key(law_id)? {
            // The run that wrote it may have been killed before the sync.
            sync_parent(&path).map_err(FolderError::io(&path))?;
            return Ok(key);
        }
        let key = BallotSecretKey::from_seed(&*random(&self.path)?);
        write_secret(&path, key.expose_bytes())?;
        Ok(key)
    }

    /// Keeps the ballot key of an election that was encrypted to this authority.
    ///
    /// # Errors
    /// [`FolderError`].
    pub(crate) fn keep_ballot_key(
        &self,
        law_id: &ElectionId,
        key: &[u8; 32],
    ) -> Result<(), FolderError> {
        write_secret(&self.election_key("ballot", law_id), key)
    }

    /// Whether the ballot key of an election is here. The node that performs the purge destroys it.
    #[must_use]
    pub fn has_ballot_key(&self, law_id: &ElectionId) -> bool {
        self.election_key("ballot", law_id).exists()
    }

    /// Destroys the ballot key and the request key of an election: renames each file, overwrites it
    /// and removes it. If the process is killed meanwhile, the next opening of the folder removes
    /// the rest. Either key would link public data to who chose what.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn destroy_election_keys(&self, law_id: &ElectionId) -> Result<(), FolderError> {
        ["ballot", "request"].iter().try_for_each(|kind| destroy(&self.election_key(kind, law_id)))
    }

    /// Returns a pepper that was loaded with a roll.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn pepper(&self, id: &PepperId) -> Result<Option<Pepper>, FolderError> {
        Ok(read_secret(&self.path.join("keys/pepper").join(id.to_hex()))?
            .map(|bytes| Pepper::from_bytes(*bytes)))
    }

    /// Stores a pepper. Its bytes are taken from its file form.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn keep_pepper(&self, pepper: &Pepper) -> Result<(), FolderError> {
        let path = self.path.join("keys/pepper").join(pepper.id().to_hex());
        if path.exists() {
            return Ok(());
        }
        let text = pepper.to_file_text();
        let digits = text.trim_end().rsplit(' ').next().unwrap_or_default();
        let mut bytes = Zeroizing::new([0; 32]);
        const_hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| {
            FolderError::Damaged { path: path.clone(), damage: FileDamage::KeyForm }
        })?;
        write_secret(&path, &bytes)
    }

    /// Destroys a pepper that no kept roll uses any more.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn destroy_pepper(&self, id: &PepperId) -> Result<(), FolderError> {
        destroy(&self.path.join("keys/pepper").join(id.to_hex()))
    }

    pub(super) fn election_key(&self, kind: &str, law_id: &ElectionId) -> PathBuf {
        self.path.join("keys").join(kind).join(law_id.as_str())
    }

    pub(super) fn key_path(&self, name: &str) -> PathBuf {
        self.path.join("keys").join(name)
    }

    pub(super) fn secret(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, FolderError> {
        let path = self.key_path(name);
        if let Some(bytes) = read_secret(&path)? {
            return Ok(bytes);
        }
        // A key missing beside a ledger was lost: no log in that ledger would know a new one.
        if self.locks.is_empty() || self.path.join(LEDGER).exists() {
            return Err(FolderError::Damaged { path, damage: FileDamage::KeyMissing });
        }
        let bytes = random(&path)?;
        write_secret(&path, &bytes)?;
        Ok(bytes)
    }
}

/// Reads the administrator's token from the folder of a node, which may be running.
///
/// # Errors
/// [`FolderError`], among others if the folder has none.
pub fn read_admin_token(path: &Path) -> Result<Zeroizing<String>, FolderError> {
    if !DataFolder::is_one(path) {
        return Err(FolderError::NotOne { path: path.to_owned() });
    }
    check_private(&path.join("keys"))?;
    let path = path.join("keys/admin-token");
    let bytes = read_secret(&path)?.ok_or_else(|| FolderError::Damaged {
        path: path.clone(),
        damage: FileDamage::TokenMissing,
    })?;
    Ok(Zeroizing::new(const_hex::encode(bytes.as_slice())))
}

fn node_key_at(path: &Path) -> Result<NodeKey, FolderError> {
    let missing = || FolderError::Damaged { path: path.to_owned(), damage: FileDamage::KeyMissing };
    read_secret(path)?.map(|seed| NodeKey::from_seed(&seed)).ok_or_else(missing)
}
