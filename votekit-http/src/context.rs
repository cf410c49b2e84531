//! The context of every handler: the node, the live updates, the rates, the administrator's token.

use std::sync::Arc;

use axum::http::HeaderMap;
use parking_lot::RwLock;
use votekit_node::Node;

use crate::guard::admin_token::TokenDigest;
use crate::guard::client_address::AddressRate;
use crate::live::hub::LiveHub;

/// The path for votes.
pub(crate) const VOTE_PATH: &str = "/api/v1/vote";

/// The context of every handler.
pub(crate) struct Api {
    pub(crate) node: Node,
    pub(crate) live: Arc<LiveHub>,
    pub(crate) vote_rate: AddressRate,
    pub(crate) read_rate: AddressRate,
    admin_token: RwLock<TokenDigest>,
}

impl Api {
    /// Creates the interface of a node with this administrator's token.
    pub(crate) fn new(node: Node, admin_token: &[u8]) -> Arc<Self> {
        let config = node.config();
        let vote_rate = AddressRate::per_second(config.rate_limit_per_address());
        let read_rate = AddressRate::per_second(config.read_limit_per_address_per_second);
        let admin_token = RwLock::new(TokenDigest::new(admin_token));
        let live = LiveHub::new(node.clone());
        Arc::new(Self { node, live, vote_rate, read_rate, admin_token })
    }

    /// Replaces the administrator's token.
    pub(crate) fn set_admin_token(&self, token: &[u8]) {
        *self.admin_token.write() = TokenDigest::new(token);
    }

    /// Whether a request carries the administrator's token.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        self.admin_token.read().admits(headers)
    }

    /// Evicts the rates of quiet addresses. Called every few seconds.
    pub(crate) fn forget_quiet(&self) {
        self.vote_rate.forget_quiet();
        self.read_rate.forget_quiet();
        self.node.forget_quiet();
    }
}
