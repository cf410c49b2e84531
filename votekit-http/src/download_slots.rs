//! Limits concurrent downloads of bundles: each of them reads a whole log twice.

use std::sync::Arc;

use parking_lot::Mutex;
use votekit_store::AccountId;

use crate::problem::Problem;

/// The maximum number of bundles that are made or sent at once.
const DOWNLOADS_MAX: usize = 2;

/// The accounts that are downloading a bundle from this node.
#[derive(Debug, Default)]
pub(crate) struct BundleDownloads(Mutex<Vec<AccountId>>);

/// The slot of one download; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct DownloadSlot {
    downloads: Arc<BundleDownloads>,
    account: AccountId,
}

impl BundleDownloads {
    /// Takes a slot for an account, which has at most one.
    ///
    /// # Errors
    /// [`Problem::TooManyDownloads`].
    pub(crate) fn take(self: &Arc<Self>, account: AccountId) -> Result<DownloadSlot, Problem> {
        let mut accounts = self.0.lock();
        if accounts.len() >= DOWNLOADS_MAX || accounts.contains(&account) {
            return Err(Problem::TooManyDownloads);
        }
        accounts.push(account);
        Ok(DownloadSlot { downloads: Arc::clone(self), account })
    }
}

impl Drop for DownloadSlot {
    fn drop(&mut self) {
        self.downloads.0.lock().retain(|account| *account != self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_downloads_one_bundle_and_two_do_at_once() {
        let downloads = Arc::new(BundleDownloads::default());
        let take = |number: u8| downloads.take(AccountId([number; 16]));
        let first = take(1).expect("free");
        assert!(matches!(take(1), Err(Problem::TooManyDownloads)));
        let second = take(2).expect("another account");
        assert!(matches!(take(3), Err(Problem::TooManyDownloads)));
        drop(first);
        let third = take(3).expect("given back");
        assert!(matches!(take(1), Err(Problem::TooManyDownloads)));
        drop((second, third));
        assert!(downloads.0.lock().is_empty());
    }
}
