//! The context of every handler: the node, the live updates, the rates, the administrator's token,
//! the sessions of voters, the accounts, the downloads of bundles.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::http::{Extensions, HeaderMap, Method};
use parking_lot::RwLock;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixSeconds;
use votekit_node::Node;
use votekit_node::limits::throttle::Prefix;

use crate::accounts::AccountService;
use crate::download_slots::BundleDownloads;
use crate::guard::bearer_token::TokenDigest;
use crate::guard::client_address::AddressRate;
use crate::live::hub::LiveHub;
use crate::problem::Problem;
use crate::sessions::Sessions;
use crate::support_code::SupportCodes;

/// The path for votes.
pub(crate) const VOTE_PATH: &str = "/api/v1/vote";

/// The path for the session of a voter.
pub(crate) const SESSION_PATH: &str = "/api/v1/session";

/// The start of the path for the vote of a signed-in voter; the law follows.
const VOTES_PATH: &str = "/api/v1/votes/";

/// The address prefix of a vote or a sign-in, of a voter or with an account, or of a change of a
/// password: an extension of its request.
#[derive(Clone, Copy)]
pub(crate) struct ClientPrefix(pub(crate) Prefix);

/// Whether a request is an attempt to vote, or to sign in: such requests have a separate rate, and
/// the handler gets the prefix of their address for the throttle. On the pages sign-in is a `POST`
/// to `/{lang}/vote/{law_id}`, casting one to `/{lang}/vote/{law_id}/cast`.
pub(crate) fn is_attempt(method: &Method, path: &str) -> bool {
    if *method == Method::PUT {
        let law = path.strip_prefix(VOTES_PATH);
        return law.is_some_and(|law| !law.is_empty() && !law.contains('/'));
    }
    if *method != Method::POST {
        return false;
    }
    if path == SESSION_PATH {
        return true;
    }
    let mut parts = path.split('/').skip(1);
    let is_page = matches!(parts.next(), Some("fr" | "en")) && parts.next() == Some("vote");
    path == VOTE_PATH
        || (is_page
            && parts.next().is_some()
            && matches!((parts.next(), parts.next()), (None | Some("cast"), None)))
}

/// Signing in with an account.
pub(crate) const LOGIN_PATH: &str = "/api/v1/auth/login";

/// Replacing a refresh token.
pub(crate) const REFRESH_PATH: &str = "/api/v1/auth/refresh";

/// Changing the password of the account that calls.
pub(crate) const PASSWORD_PATH: &str = "/api/v1/auth/password";

/// Whether a request hashes a password, or writes a session: such requests have a separate rate,
/// and their handlers get the prefix for the throttle. The rate is not that of the votes, because a
/// password takes tens of milliseconds of a processor, and a vote less than one millisecond; and
/// neither officials nor voters behind one address must use up the share of the other group.
pub(crate) fn is_sign_in(method: &Method, path: &str) -> bool {
    if *method == Method::PUT {
        return path == PASSWORD_PATH;
    }
    let page = path.strip_prefix("/fr/").or_else(|| path.strip_prefix("/en/"));
    *method == Method::POST
        && (matches!(path, LOGIN_PATH | REFRESH_PATH)
            || matches!(page, Some("accounts/sign-in" | "accounts/invitation")))
}

/// The context of every handler.
pub(crate) struct Api {
    pub(crate) node: Node,
    pub(crate) live: Arc<LiveHub>,
    pub(crate) vote_rate: AddressRate,
    pub(crate) read_rate: AddressRate,
    pub(crate) sign_in_rate: AddressRate,
    pub(crate) sessions: Sessions,
    pub(crate) support: SupportCodes,
    pub(crate) accounts: Arc<AccountService>,
    pub(crate) downloads: Arc<BundleDownloads>,
    admin_token: RwLock<TokenDigest>,
}

impl Api {
    /// Creates the interface of a node with this administrator's token.
    pub(crate) fn new(node: Node, admin_token: &[u8]) -> Arc<Self> {
        let config = node.config();
        let vote_rate = AddressRate::per_second(config.rate_limit_per_address());
        let read_rate = AddressRate::per_second(config.read_limit_per_address_per_second);
        let sign_in_rate = AddressRate::per_second(config.sign_in_limit_per_address());
        let admin_token = RwLock::new(TokenDigest::new(admin_token));
        // The keys belong to this process anyway; the base is a second binding.
        let base = node.log_base().map(|base| base.as_str().to_owned()).unwrap_or_default();
        let sessions = Sessions::new(base, config.is_confidential());
        let live = LiveHub::new(node.clone());
        let support = SupportCodes::new();
        let accounts = AccountService::new(&node);
        Arc::new(Self {
            node,
            live,
            vote_rate,
            read_rate,
            sign_in_rate,
            sessions,
            support,
            accounts,
            downloads: Arc::default(),
            admin_token,
        })
    }

    /// The time by the node's clock.
    pub(crate) fn now(&self) -> UnixSeconds {
        self.node.now().seconds()
    }

    /// Replaces the administrator's token.
    pub(crate) fn set_admin_token(&self, token: &[u8]) {
        *self.admin_token.write() = TokenDigest::new(token);
    }

    /// The address prefix of an attempt, which the gate has determined; tests call the router
    /// without a gate.
    pub(crate) fn client_prefix(&self, extensions: &Extensions) -> Prefix {
        let known = extensions.get::<ClientPrefix>().map(|client| client.0);
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        known.unwrap_or_else(|| self.node.throttle().prefix(unknown))
    }

    /// Why something about an election cannot be read here: there is no such election, or a fault
    /// halted it and its log cannot be read.
    pub(crate) fn unreadable(&self, law: &ElectionId) -> Problem {
        match self.node.election(law) {
            Some(_) => Problem::UnreadableLog,
            None => Problem::UnknownElection,
        }
    }

    /// Whether a request has the administrator's token.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        self.admin_token.read().admits(headers)
    }

    /// Evicts the rates of quiet addresses. Called every few seconds.
    pub(crate) fn forget_quiet(&self) {
        self.vote_rate.forget_quiet();
        self.read_rate.forget_quiet();
        self.sign_in_rate.forget_quiet();
        self.node.forget_quiet();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_votes_and_sign_ins() {
        for path in [VOTE_PATH, "/fr/vote/L1", "/en/vote/L1/cast"] {
            assert!(is_attempt(&Method::POST, path), "{path}");
            assert!(!is_attempt(&Method::GET, path), "{path}");
        }
        assert!(is_attempt(&Method::POST, SESSION_PATH));
        assert!(!is_attempt(&Method::DELETE, SESSION_PATH));
        assert!(is_attempt(&Method::PUT, "/api/v1/votes/L1"));
        for path in ["/api/v1/votes/", "/api/v1/votes/L1/x", "/api/v1/vote", "/fr/vote/L1"] {
            assert!(!is_attempt(&Method::PUT, path), "{path}");
        }
        for path in [
            "/api/v1/votes/L1",
            "/fr/vote/L1/ballot",
            "/de/vote/L1",
            "/fr/vote",
            "/fr/vote/L1/cast/x",
            "/fr/sign-out",
            "/fr/session/extend",
            "/fr/receipts/check",
            "/api/v1/vote/x",
            "/",
            "",
        ] {
            assert!(!is_attempt(&Method::POST, path), "{path}");
        }
    }

    #[test]
    fn sign_ins_are_the_calls_that_hash_a_password_or_write_a_session() {
        for path in [
            LOGIN_PATH,
            REFRESH_PATH,
            "/fr/accounts/sign-in",
            "/en/accounts/sign-in",
            "/en/accounts/invitation",
        ] {
            assert!(is_sign_in(&Method::POST, path), "{path}");
            assert!(!is_sign_in(&Method::GET, path), "{path}");
            assert!(!is_attempt(&Method::POST, path), "{path}");
        }
        assert!(is_sign_in(&Method::PUT, PASSWORD_PATH));
        assert!(!is_sign_in(&Method::POST, PASSWORD_PATH) && !is_sign_in(&Method::PUT, LOGIN_PATH));
        for path in [VOTE_PATH, "/api/v1/accounts", "/fr/vote/L1", "/de/accounts/sign-in", "/fr/"] {
            assert!(!is_sign_in(&Method::POST, path), "{path}");
        }
    }
}
