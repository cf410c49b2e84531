//! Which uploaded files are in use: one upload at a time for each file, and none while all files of
//! an election are loaded or discarded.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use votekit_core::id::ElectionId;

/// The claims of a node, by election and file; an empty name stands for all files.
#[derive(Debug, Default)]
pub(crate) struct UploadClaims(Mutex<BTreeSet<(ElectionId, String)>>);

/// The exclusive use of one file, or of all files of an election, until it is dropped.
#[derive(Debug)]
pub(crate) struct UploadClaim {
    claims: Arc<UploadClaims>,
    claimed: (ElectionId, String),
}

impl UploadClaims {
    /// Claims a file; `None` if it is in use.
    pub(crate) fn file(self: &Arc<Self>, law_id: &ElectionId, file: &str) -> Option<UploadClaim> {
        self.claim(law_id, file)
    }

    /// Claims all files of an election; `None` if one of them is in use.
    pub(crate) fn all(self: &Arc<Self>, law_id: &ElectionId) -> Option<UploadClaim> {
        self.claim(law_id, "")
    }

    fn claim(self: &Arc<Self>, law_id: &ElectionId, file: &str) -> Option<UploadClaim> {
        let clashes = |(law, other): &(ElectionId, String)| {
            law == law_id && (other == file || other.is_empty() || file.is_empty())
        };
        let mut claims = self.0.lock();
        if claims.iter().any(clashes) {
            return None;
        }
        let claimed = (law_id.clone(), file.to_owned());
        claims.insert(claimed.clone());
        Some(UploadClaim { claims: Arc::clone(self), claimed })
    }
}

impl UploadClaim {
    /// The election of the files.
    pub(crate) fn law_id(&self) -> &ElectionId {
        &self.claimed.0
    }
}

impl Drop for UploadClaim {
    fn drop(&mut self) {
        self.claims.0.lock().remove(&self.claimed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_claimed_once_and_not_while_all_are() {
        let claims = Arc::new(UploadClaims::default());
        let law = |text: &str| text.parse::<ElectionId>().expect("a law id");
        let (one, other) = (law("L1"), law("L2"));
        let first = claims.file(&one, "a").expect("free");
        assert!(claims.file(&one, "a").is_none() && claims.all(&one).is_none());
        let second = claims.file(&one, "b").expect("another file");
        let elsewhere = claims.all(&other).expect("another election");
        drop((first, second));
        let all = claims.all(&one).expect("free again");
        assert!(claims.file(&one, "a").is_none() && claims.all(&one).is_none());
        assert_eq!(all.law_id(), &one);
        drop((all, elsewhere));
        assert!(claims.file(&one, "a").is_some() && claims.all(&other).is_some());
    }
}
