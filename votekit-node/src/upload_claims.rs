//! Which uploaded files are in use: one upload at a time for each file, and none while all files of
//! an election are loaded or discarded.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use votekit_core::id::ElectionId;

/// The maximum number of files that are uploaded at once. Each may write as much as is written
/// between two syncs before it checks the free space again, together less than is left free.
const UPLOADS_MAX: usize = 15;

/// The claims of a node, by election and file; an empty name means all files.
#[derive(Debug, Default)]
pub(crate) struct UploadClaims(Mutex<BTreeSet<(ElectionId, String)>>);

/// The exclusive use of one file, or of all files of an election, until it is dropped.
#[derive(Debug)]
pub(crate) struct UploadClaim {
    claims: Arc<UploadClaims>,
    claimed: (ElectionId, String),
}

impl UploadClaims {
    /// Claims a file; `None` if it is in use, or too many others are.
    pub(crate) fn file(self: &Arc<Self>, law_id: &ElectionId, file: &str) -> Option<UploadClaim> {
        self.claim(law_id, file)
    }

    /// Claims all files of an election; `None` if a file is in use.
    pub(crate) fn all(self: &Arc<Self>, law_id: &ElectionId) -> Option<UploadClaim> {
        self.claim(law_id, "")
    }

    fn claim(self: &Arc<Self>, law_id: &ElectionId, file: &str) -> Option<UploadClaim> {
        let clashes = |(law, other): &(ElectionId, String)| {
            law == law_id && (other == file || other.is_empty() || file.is_empty())
        };
        let mut claims = self.0.lock();
        let is_full = !file.is_empty() && claims.len() >= UPLOADS_MAX;
        if is_full || claims.iter().any(clashes) {
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
    fn few_files_are_uploaded_at_once() {
        let claims = Arc::new(UploadClaims::default());
        let (one, other): (ElectionId, ElectionId) =
            ("L1".parse().expect("a law id"), "L2".parse().expect("a law id"));
        let mut held: Vec<_> =
            (0..UPLOADS_MAX).filter_map(|file| claims.file(&one, &file.to_string())).collect();
        assert_eq!(held.len(), UPLOADS_MAX);
        assert!(claims.file(&other, "a").is_none(), "whatever the election");
        let all = claims.all(&other).expect("a roll is loaded all the same");
        drop(all);
        held.pop();
        assert!(claims.file(&other, "a").is_some());
    }

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
