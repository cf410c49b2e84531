//! The one-time link with which an account begins, and the account that waits for its holder.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use votekit_core::instant::UnixSeconds;
use votekit_store::{
    Account, AccountId, AccountRole, Accounts, EmailAddress, EngineError, Invitation,
};
use zeroize::Zeroizing;

/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Calls of one addition while its outcome is unknown.
const ATTEMPTS_MAX: u32 = 3;

/// A one-time link, through which the holder of an account chooses the password. The store has only
/// the digest of its token.
pub struct OneTimeLink {
    token: Zeroizing<String>,
    /// From then on it is void.
    pub expires: UnixSeconds,
}

impl fmt::Debug for OneTimeLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OneTimeLink(redacted)")
    }
}

impl OneTimeLink {
    /// How long a link is valid by default, in seconds: three days.
    pub const LIFETIME_SECONDS: u64 = 3 * 24 * 3600;

    /// Draws a link that is valid from now on, for a number of seconds.
    ///
    /// # Errors
    /// The system returned no random bytes.
    pub fn draw(now: UnixSeconds, seconds: u64) -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        getrandom::fill(bytes.as_mut_slice())?;
        let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        Ok(Self { token, expires: UnixSeconds(now.0.saturating_add(seconds)) })
    }

    /// The part of the link that the account stores.
    #[must_use]
    pub fn invitation(&self) -> Invitation {
        Invitation { token: Invitation::digest_of(&self.token), expires: self.expires }
    }

    /// The path of the link, on any node of this store, in a language of the pages (`fr`, `en`).
    #[must_use]
    pub fn path(&self, lang: &str) -> String {
        format!("/{lang}/accounts/invitation?token={}", *self.token)
    }
}

/// A new account, whose holder follows the link.
///
/// # Errors
/// The system returned no random bytes.
pub fn invited_account(
    email: &EmailAddress,
    role: AccountRole,
    link: &OneTimeLink,
    created: UnixSeconds,
) -> Result<Account, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(Account {
        invitation: Some(link.invitation()),
        ..Account::new(AccountId(id), email.as_str().to_owned(), role, created)
    })
}

/// Adds accounts, all of them or none. A call with an unknown outcome is repeated until the outcome
/// is known: otherwise the links would be lost.
///
/// # Errors
/// As [`Accounts::add`].
pub async fn add(accounts: &dyn Accounts, made: &[Account]) -> Result<(), EngineError> {
    let mut attempts = 1;
    loop {
        match accounts.add(made).await {
            Err(EngineError::OutcomeUnknown { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
            added => return added,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_random_and_its_token_stands_in_its_path_alone() {
        let now = UnixSeconds(1_000);
        let draw = || OneTimeLink::draw(now, 60).expect("random bytes");
        let (one, other) = (draw(), draw());
        assert_ne!(one.invitation().token, other.invitation().token);
        assert_eq!(one.invitation().expires, UnixSeconds(1_060));
        let path = one.path("en");
        let token = path.strip_prefix("/en/accounts/invitation?token=").expect("the path");
        assert_eq!(token.len(), 43, "32 bytes in base64url");
        assert_eq!(one.invitation().token, Invitation::digest_of(token));
        assert_eq!(format!("{one:?}"), "OneTimeLink(redacted)");
    }
}
