//! The ballot key that officials made: it is installed before its election is created, which then
//! uses it instead of a key that the node generates.

use std::path::{Path, PathBuf};

use votekit_core::ballot::{BallotPublicKey, BallotSecretKey};
use votekit_core::id::ElectionId;
use votekit_core::key_file;

use crate::call_rule::CallRule;
use crate::data_folder::{DataFolder, check_private};
use crate::error::AdminError;
use crate::memory::stack_used;
use crate::node::Node;
use crate::regular_file::{self, RegularFileError};

/// The largest key file.
const FILE_BYTES_MAX: u64 = 4 << 10;

/// The field that names the file.
const FIELD: &str = "file";

impl Node {
    /// Installs the ballot key of an election that is about to be created, from a key file on this
    /// machine. With several authorities it is encrypted to each of them when the election is
    /// created. Installing it again changes nothing.
    ///
    /// # Errors
    /// [`AdminError`], among others [`AdminError::Exists`], and for a key of another election or
    /// another key of this election.
    pub async fn install_ballot_key(
        &self,
        law_id: &ElectionId,
        file: &Path,
    ) -> Result<BallotPublicKey, AdminError> {
        let _creating = self.context.creating.lock().await;
        self.check_readable(law_id)?;
        if self.context.election(law_id).is_some() {
            return Err(AdminError::Exists { law_id: law_id.clone() });
        }
        if self.context.leader_lease.term().is_none() {
            return Err(self.not_leading());
        }
        let elections = self.context.elections();
        let used: Vec<(ElectionId, BallotPublicKey)> = elections
            .iter()
            .map(|election| (election.law_id().clone(), election.definition.ballot_key))
            .collect();
        let (law, path) = (law_id.clone(), file.to_owned());
        self.on_files(move |folder| install(folder, &law, path, &used)).await
    }
}

fn install(
    folder: &DataFolder,
    law_id: &ElectionId,
    path: PathBuf,
    used: &[(ElectionId, BallotPublicKey)],
) -> Result<BallotPublicKey, AdminError> {
    stack_used();
    let refused = |rule| AdminError::Field { field: FIELD, rule };
    let key = read(&path)?;
    let public = key.public_key();
    // A purge destroys the key of one election, and must not leave it with another.
    if let Some((law_id, _)) = used.iter().find(|(_, used)| *used == public) {
        return Err(refused(CallRule::BallotKeyUsed { law_id: law_id.clone() }));
    }
    match folder.ballot_key(law_id)? {
        None => folder.keep_ballot_key(law_id, key.expose_bytes())?,
        Some(known) if known.public_key() == public => {}
        // The key may be that of a draft which other authorities have accepted already.
        Some(_) => return Err(refused(CallRule::OtherBallotKey)),
    }
    Ok(public)
}

fn read(path: &Path) -> Result<BallotSecretKey, AdminError> {
    let refused = |rule| AdminError::Field { field: FIELD, rule };
    let unread = |reason: String| refused(CallRule::FileUnread { reason });
    let bytes = regular_file::read(path, FILE_BYTES_MAX).map_err(|error| match error {
        RegularFileError::Io(error) => unread(error.to_string()),
        RegularFileError::NotRegular(found) => unread(format!("it is {found}")),
        RegularFileError::TooLarge => unread(format!("it has more than {FILE_BYTES_MAX} bytes")),
    })?;
    let bytes = zeroize::Zeroizing::new(bytes);
    check_private(path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let secret = key_file::parse(text).map_err(|error| refused(CallRule::KeyFile(error)))?;
    Ok(BallotSecretKey::from_bytes(*secret))
}
