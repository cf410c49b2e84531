//! The state that the calls about accounts share: the store, the clock, the keys, the slots for
//! hashes.

use std::sync::Arc;

use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_node::Node;
use votekit_node::config::ThrottleConfig;
use votekit_node::limits::throttle::Throttle;
use votekit_store::{Account, AccountId, AccountState, Accounts, NewSession, SessionKind};

use super::faults::store_failed;
use super::hashing_pool::HashingPool;
use super::token_keys::TokenKeys;
use crate::problem::Problem;

/// The most pairs of address prefix and e-mail address that are remembered.
const THROTTLE_PAIRS_MAX: usize = 100_000;

/// The most accounts whose wrong codes are remembered.
const SECOND_FACTORS_MAX: usize = 10_000;

/// The accounts of a node.
pub(crate) struct AccountService {
    pub(super) store: Arc<dyn Accounts>,
    node: Node,
    /// The base of the node's logs: a token of another installation is refused.
    pub(super) issuer: String,
    /// Whether clients reach the node over TLS.
    pub(super) is_confidential: bool,
    pub(super) hashing: HashingPool,
    /// Separate from the throttle of the votes, so that a flood of sign-ins evicts none of its
    /// pairs.
    pub(super) throttle: Arc<Throttle>,
    /// Wrong codes after the right password, by account, from all networks together.
    pub(super) second_factors: Arc<Throttle>,
    pub(super) keys: TokenKeys,
}

/// How long a session lasts, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionTimes {
    /// Without use.
    pub(super) idle: u64,
    /// In all.
    pub(super) all: u64,
}

impl SessionTimes {
    /// When a session ends that is used now.
    pub(super) fn idle_until(self, now: UnixSeconds) -> UnixSeconds {
        UnixSeconds(now.0.saturating_add(self.idle))
    }
}

impl AccountService {
    /// The accounts of this node's store.
    pub(crate) fn new(node: &Node) -> Arc<Self> {
        let (config, store) = (node.config(), Arc::clone(node.accounts()));
        let pairs_max = config.throttle.pairs_max.min(THROTTLE_PAIRS_MAX);
        let throttle = Throttle::new(&ThrottleConfig { pairs_max, ..config.throttle.clone() });
        let second_factors = Throttle::new(&ThrottleConfig {
            pairs_max: config.throttle.pairs_max.min(SECOND_FACTORS_MAX),
            // More than one network has: its holder is delayed there first, and reads of it.
            wrong_free: config.throttle.wrong_free.saturating_mul(2),
            ..config.throttle.clone()
        });
        Arc::new(Self {
            issuer: node.log_base().map(|base| base.as_str().to_owned()).unwrap_or_default(),
            is_confidential: config.is_confidential(),
            hashing: HashingPool::new(),
            throttle,
            second_factors,
            keys: TokenKeys::new(Arc::clone(&store)),
            node: node.clone(),
            store,
        })
    }

    /// The time by the node's clock.
    pub(super) fn now(&self) -> UnixSeconds {
        self.node.now().seconds()
    }

    /// An account that may be used now.
    pub(super) async fn active(&self, id: AccountId) -> Result<Option<Account>, Problem> {
        let account = self.store.account(id).await.map_err(store_failed)?;
        Ok(account.filter(|account| account.state == AccountState::Active))
    }

    /// Accounts in the order of their e-mail addresses, after `after`: at most `limit`.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn list(&self, after: &str, limit: usize) -> Result<Vec<Account>, Problem> {
        self.store.accounts(after, limit).await.map_err(store_failed)
    }

    /// Begins a session whose token has this digest.
    pub(super) async fn begin_session(
        &self,
        token: Digest,
        account: AccountId,
        kind: SessionKind,
        times: SessionTimes,
    ) -> Result<(), Problem> {
        let now = self.now();
        let expires = UnixSeconds(now.0.saturating_add(times.all));
        let idle_until = times.idle_until(now);
        let session = NewSession { token, account, kind, expires, idle_until };
        self.store.begin_session(&session).await.map_err(store_failed)
    }
}
