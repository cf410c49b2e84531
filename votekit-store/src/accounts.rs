//! Accounts of officials and members, their sessions, and the keys that sign their tokens. Kept
//! apart from the ledger: no row joins an account and a vote.

mod names;
pub(crate) mod stored;

use std::fmt;

use async_trait::async_trait;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixSeconds;
use zeroize::Zeroizing;

use crate::EngineError;
pub use votekit_core::email::{EmailAddress, EmailError};

/// The id of an account: 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub [u8; 16]);

/// The permissions of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountRole {
    /// Creates elections, changes their state, and invites other officials.
    Administrator,
    /// Reads everything that officials see; changes nothing.
    Auditor,
    /// Reads the elections, their states and their turnout.
    Observer,
    /// A member of an association, who votes in elections that are not binding.
    Voter,
}

/// The state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountState {
    /// Its holder has not used the one-time link yet.
    Invited,
    /// Its holder may sign in.
    Active,
    /// Its holder may not sign in, and no session or token of it counts.
    Disabled,
}

/// A one-time link that lets the holder of an account choose a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    /// SHA-256 of the link's token: [`Invitation::digest_of`].
    pub token: Digest,
    /// The link is invalid from this time on.
    pub expires: UnixSeconds,
}

impl Invitation {
    /// The digest under which a token is stored: SHA-256 of its text, as it stands in the link.
    #[must_use]
    pub fn digest_of(token: &str) -> Digest {
        Digest::compute(token.as_bytes())
    }
}

/// An account of an official or a member.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The e-mail address, in lower case: at most 254 bytes. One account has it.
    pub email: String,
    /// The role.
    pub role: AccountRole,
    /// The state.
    pub state: AccountState,
    /// The password, hashed with Argon2id (PHC string format); `None` until its holder chooses a
    /// password.
    pub password: Option<String>,
    /// The secret of the second factor (RFC 6238, SHA-1, 6 digits, 30 s), if it is set up.
    pub totp: Option<Zeroizing<Vec<u8>>>,
    /// The last time step whose code was used: a code counts once.
    pub totp_step: u64,
    /// SHA-256 of each recovery code that is not used up.
    pub recovery_codes: Vec<Digest>,
    /// The outstanding one-time link, if there is one; it may have expired.
    pub invitation: Option<Invitation>,
    /// When the account was made.
    pub created: UnixSeconds,
    /// Number of changes so far: an update names the version that it changes.
    pub version: u64,
}

impl Account {
    /// An invited account without a link: no one can sign in to it yet.
    #[must_use]
    pub fn new(id: AccountId, email: String, role: AccountRole, created: UnixSeconds) -> Self {
        Self {
            id,
            email,
            role,
            state: AccountState::Invited,
            password: None,
            totp: None,
            totp_step: 0,
            recovery_codes: Vec::new(),
            invitation: None,
            created,
            version: 0,
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How a session is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// The pages, by cookie. Its token stays the same.
    Pages,
    /// The interface for programs, by refresh tokens. Each is used once.
    Refresh,
}

/// A session to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// SHA-256 of its token. The token itself is stored nowhere.
    pub token: Digest,
    /// The account.
    pub account: AccountId,
    /// How it is used.
    pub kind: SessionKind,
    /// The session is invalid from this time on, even if it is used.
    pub expires: UnixSeconds,
    /// The session is invalid from this time on, unless it is used before.
    pub idle_until: UnixSeconds,
}

/// The outcome of presenting a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It was the current token of its session, and is replaced.
    Rotated(AccountId),
    /// It had been used before: the session is ended, with every token of it.
    Reused(AccountId),
    /// No session has it, or its session has expired or ended.
    Unknown,
}

/// A public key that verifies the tokens of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// Its id, as in the header of a token: at most 64 bytes.
    pub id: String,
    /// The Ed25519 public key.
    pub public: [u8; 32],
    /// No token signed with this key is valid from this time on.
    pub expires: UnixSeconds,
}

/// Stores accounts, their sessions, and the public keys of the nodes' tokens.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Adds accounts, all of them or none. Refused as
    /// [`Conflict::AccountExists`](crate::Conflict::AccountExists) if a stored account has the id
    /// or the e-mail address of one of them. Repeating the call, as after an unknown outcome,
    /// succeeds.
    async fn add(&self, accounts: &[Account]) -> Result<(), EngineError>;

    /// Replaces the account of this id, if its version is still `account.version`, and raises the
    /// version by one. Otherwise [`Conflict::AccountChanged`](crate::Conflict::AccountChanged), and
    /// [`Conflict::AccountExists`](crate::Conflict::AccountExists) if another account has the
    /// e-mail address. Repeating the call is refused, even if the first call succeeded: when two
    /// callers use the same one-time code, only one of them may succeed. After an unknown outcome,
    /// read the account.
    async fn update(&self, account: &Account) -> Result<(), EngineError>;

    /// An account by its id.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, EngineError>;

    /// An account by its e-mail address, in lower case.
    async fn account_by_email(&self, email: &str) -> Result<Option<Account>, EngineError>;

    /// An account by the digest of its one-time link, valid or not.
    async fn account_by_invitation(&self, token: &Digest) -> Result<Option<Account>, EngineError>;

    /// Accounts in the order of their e-mail addresses, after `after`: at most `limit`.
    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>, EngineError>;

    /// Begins a session. Repeating the call changes nothing.
    async fn begin_session(&self, session: &NewSession) -> Result<(), EngineError>;

    /// The account of a session of the pages that is valid now. The use extends the session: it
    /// stays valid until `idle_until` at least, but never past its expiry.
    async fn use_session(
        &self,
        token: &Digest,
        now: UnixSeconds,
        idle_until: UnixSeconds,
    ) -> Result<Option<AccountId>, EngineError>;

    /// Replaces the refresh token of a session by `next`. The session then stays valid until
    /// `idle_until` at least, but never past its expiry. A token that was replaced before ends the
    /// session. Repeating a call is the exception: with the same `next`, while that is the current
    /// token, the result is the same.
    async fn rotate(
        &self,
        token: &Digest,
        next: &Digest,
        now: UnixSeconds,
        idle_until: UnixSeconds,
    ) -> Result<Rotation, EngineError>;

    /// The account of the refresh session to which this token belongs, current or replaced, if the
    /// session is valid now. Changes nothing.
    async fn refresh_session(
        &self,
        token: &Digest,
        now: UnixSeconds,
    ) -> Result<Option<AccountId>, EngineError>;

    /// Ends the session that has this token, of either kind. Without one, nothing changes.
    async fn end_session(&self, token: &Digest) -> Result<(), EngineError>;

    /// Ends every session of an account.
    async fn end_sessions(&self, account: AccountId) -> Result<(), EngineError>;

    /// Removes sessions and keys that have expired. Returns how many.
    async fn remove_expired(&self, now: UnixSeconds) -> Result<u64, EngineError>;

    /// Publishes the key of a node's tokens to the nodes on the same engine. Replaces a key of the
    /// same id.
    async fn publish_token_key(&self, key: &TokenKey) -> Result<(), EngineError>;

    /// The published keys that have not expired, in the order of their ids.
    async fn token_keys(&self, now: UnixSeconds) -> Result<Vec<TokenKey>, EngineError>;

    /// Records which account created an election. The first record stays.
    async fn record_creator(
        &self,
        law_id: &ElectionId,
        account: AccountId,
    ) -> Result<(), EngineError>;

    /// The creators of elections, in the order of the elections' ids.
    async fn creators(&self) -> Result<Vec<(ElectionId, AccountId)>, EngineError>;
}
