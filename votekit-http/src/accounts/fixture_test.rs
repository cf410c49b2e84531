//! A node with accounts, for the tests of this room.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use votekit_node::Node;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::limits::throttle::Prefix;
use votekit_store::{Account, AccountRole, AccountState};

use super::totp::{TotpSecret, code_for_test};
use super::{AccountService, Caller, NewCredentials, RecoveryCode, SignInAttempt};
use crate::problem::Problem;

pub(super) const EMAIL: &str = "jeanne@exemple.ca";
pub(super) const PASSWORD: &str = "correct cheval pile agrafe";

/// A node with its accounts.
pub(super) struct Fixture {
    pub(super) node: Node,
    pub(super) accounts: Arc<AccountService>,
    _folder: tempfile::TempDir,
}

/// An official who has followed the link.
pub(super) struct Official {
    pub(super) secret: TotpSecret,
    pub(super) codes: Vec<RecoveryCode>,
}

impl Fixture {
    pub(super) async fn open() -> Self {
        Self::open_with(Config::default()).await
    }

    pub(super) async fn open_with(config: Config) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataFolder::open(folder.path(), None).expect("a data folder");
        let node = Node::start(data, config).await.expect("a node");
        let accounts = AccountService::new(&node);
        Self { node, accounts, _folder: folder }
    }

    /// Invites an account and follows its link.
    pub(super) async fn official(&self, role: AccountRole) -> Official {
        let token = self.invite(EMAIL, role).await;
        let account = self.accounts.invited(&token).await.expect("valid");
        let offer = self.accounts.offer_second_factor(&account).expect("random bytes");
        let secret = TotpSecret::from_base32(&offer.secret).expect("base 32");
        let code = self.code(&secret, -1);
        let choice = NewCredentials { password: PASSWORD, totp_secret: &offer.secret, code: &code };
        let codes = self.accounts.accept_invitation(&token, choice).await.expect("accepted");
        Official { secret, codes }
    }

    pub(super) async fn invite(&self, email: &str, role: AccountRole) -> String {
        let link = self.accounts.invite(email, role).await.expect("invited");
        let path = link.path("fr");
        path.strip_prefix("/fr/accounts/invitation?token=").expect("the path").to_owned()
    }

    /// The code of the app, some steps from now.
    pub(super) fn code(&self, secret: &TotpSecret, steps: i64) -> String {
        let step = (self.node.now().seconds().0 / 30).saturating_add_signed(steps);
        code_for_test(secret.as_bytes(), step)
    }

    pub(super) async fn sign_in(&self, password: &str, code: &str) -> Result<Account, Problem> {
        self.sign_in_from("192.0.2.1", EMAIL, password, code).await
    }

    pub(super) async fn sign_in_from(
        &self,
        address: &str,
        email: &str,
        password: &str,
        code: &str,
    ) -> Result<Account, Problem> {
        let attempt = SignInAttempt { email, password, code, from_officials_network: true };
        self.accounts.sign_in(attempt, self.prefix(address)).await
    }

    pub(super) fn prefix(&self, address: &str) -> Prefix {
        let address: IpAddr = address.parse().expect("an address");
        self.node.throttle().prefix(address)
    }

    /// How many hashes the sign-ins have begun so far.
    pub(super) fn hashes(&self) -> u64 {
        self.accounts.hashing.begun.load(Ordering::Relaxed)
    }

    pub(super) async fn stored(&self) -> Account {
        let account = self.node.accounts().account_by_email(EMAIL).await.expect("read");
        account.expect("there")
    }

    pub(super) async fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        self.accounts.page_session(headers).await.expect("read")
    }

    pub(super) async fn disable(&self) {
        let disabled = Account { state: AccountState::Disabled, ..self.stored().await };
        self.node.accounts().update(&disabled).await.expect("disabled");
    }

    pub(super) async fn end(self) {
        let Self { node, accounts, .. } = self;
        drop(accounts);
        node.shutdown().await;
    }
}

pub(super) fn code<T>(result: Result<T, Problem>) -> &'static str {
    result.map_or_else(|problem| problem.kind().code, |_| "done")
}

pub(super) fn fields<T>(result: Result<T, Problem>) -> Vec<String> {
    match result {
        Err(Problem::Malformed { errors }) => {
            errors.into_iter().map(|error| error.field.into_owned()).collect()
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

pub(super) fn with_token(token: &str) -> HeaderMap {
    let value = HeaderValue::try_from(format!("Bearer {token}")).expect("visible ASCII");
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

/// The request that sends a cookie back.
pub(super) fn sent_back(set: &HeaderValue) -> HeaderMap {
    let pair = set.to_str().expect("visible ASCII").split(';').next().expect("a pair");
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).expect("visible ASCII"))])
}
