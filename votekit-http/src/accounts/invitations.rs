//! Invitations: an account begins with a one-time link, through which its holder chooses the
//! password and sets up the second factor.

use votekit_core::instant::UnixSeconds;
use votekit_messages::InWords as _;
use votekit_node::accounts::{OneTimeLink, invited_account};
use votekit_store::{
    Account, AccountRole, AccountState, Conflict, EmailAddress, EmailError, EngineError,
};
use zeroize::Zeroizing;

use super::faults::{hash_failed, random_failed, store_failed};
use super::opaque;
use super::password::Password;
use super::recovery::{self, RecoveryCode};
use super::service::AccountService;
use super::totp::{self, TotpSecret};
use crate::problem::{FieldProblem, Problem};

/// A new second factor, as the page of a link shows it. Nothing of it is stored: the form returns
/// the secret together with the first code.
pub(crate) struct SecondFactorOffer {
    /// The secret, in base 32.
    pub(crate) secret: Zeroizing<String>,
    /// The address that an authenticator app opens.
    pub(crate) uri: Zeroizing<String>,
}

/// The values that the holder of an account chooses.
#[derive(Clone, Copy)]
pub(crate) struct NewCredentials<'a> {
    pub(crate) password: &'a str,
    /// The secret of [`SecondFactorOffer`]; empty for a member who wants no second factor.
    pub(crate) totp_secret: &'a str,
    /// The code that the app shows for it.
    pub(crate) code: &'a str,
}

impl AccountService {
    /// Creates an account, whose holder follows the link. An invited account whose link was not
    /// followed gets a new link, and the earlier link is void.
    ///
    /// # Errors
    /// [`Problem::AccountExists`], a wrong address, or the store is not available.
    pub(crate) async fn invite(
        &self,
        email: &str,
        role: AccountRole,
    ) -> Result<OneTimeLink, Problem> {
        let wrong = |error: EmailError| Problem::field("email", error.in_words());
        let email: EmailAddress = email.parse().map_err(wrong)?;
        let now = self.now();
        let link = self.draw_link()?;
        let known = self.store.account_by_email(email.as_str()).await.map_err(store_failed)?;
        match known {
            None => {
                let account = invited_account(&email, role, &link, now).map_err(random_failed)?;
                self.store.add(&[account]).await.map_err(store_failed)?;
            }
            Some(known) if known.state == AccountState::Invited && known.role == role => {
                let changed = Account { invitation: Some(link.invitation()), ..known };
                self.store.update(&changed).await.map_err(store_failed)?;
            }
            Some(_) => return Err(Problem::AccountExists),
        }
        Ok(link)
    }

    /// Draws a link that is valid from now on.
    pub(super) fn draw_link(&self) -> Result<OneTimeLink, Problem> {
        OneTimeLink::draw(self.now(), OneTimeLink::LIFETIME_SECONDS).map_err(random_failed)
    }

    /// The account of a link that is valid now.
    ///
    /// # Errors
    /// [`Problem::InvitationVoid`], or the store is not available.
    pub(crate) async fn invited(&self, token: &str) -> Result<Account, Problem> {
        let digest = opaque::digest_of(token.as_bytes()).ok_or(Problem::InvitationVoid)?;
        let now = self.now();
        let account = self.store.account_by_invitation(&digest).await.map_err(store_failed)?;
        let is_valid = |account: &Account| {
            account.state != AccountState::Disabled
                && account.invitation.is_some_and(|link| link.token == digest && now < link.expires)
        };
        account.filter(is_valid).ok_or(Problem::InvitationVoid)
    }

    /// Generates a second factor for an account that is setting up its credentials.
    ///
    /// # Errors
    /// The system returned no random bytes.
    pub(crate) fn offer_second_factor(
        &self,
        account: &Account,
    ) -> Result<SecondFactorOffer, Problem> {
        let secret = TotpSecret::random().map_err(random_failed)?;
        let uri = secret.uri(&self.issuer, &account.email);
        Ok(SecondFactorOffer { secret: secret.to_base32(), uri })
    }

    /// Sets password and second factor of the account of a link, and ends its earlier sessions.
    /// Returns the recovery codes, to be shown once; a member without a second factor has none.
    ///
    /// # Errors
    /// [`Problem::InvitationVoid`]; the fields `password` and `code` with the rules that they
    /// break; or a fault.
    pub(crate) async fn accept_invitation(
        &self,
        token: &str,
        choice: NewCredentials<'_>,
    ) -> Result<Vec<RecoveryCode>, Problem> {
        let account = self.invited(token).await?;
        let password = Password::typed(choice.password);
        let (factor, errors) = check(&account, &password, &choice, self.now());
        if !errors.is_empty() {
            return Err(Problem::Malformed { errors });
        }
        let hash = self.hashing.run(move || password.hash()).await.map_err(hash_failed)?;
        let codes = match factor {
            Some(_) => recovery_codes()?,
            None => Vec::new(),
        };
        let (totp, totp_step) = factor.map_or((None, account.totp_step), |(secret, step)| {
            (Some(Zeroizing::new(secret.as_bytes().to_vec())), step)
        });
        // Before the change: after it an error would lose the codes.
        self.store.end_sessions(account.id).await.map_err(store_failed)?;
        let changed = Account {
            state: AccountState::Active,
            password: Some(hash),
            totp,
            totp_step,
            recovery_codes: codes.iter().map(RecoveryCode::digest).collect(),
            invitation: None,
            ..account
        };
        self.store_credentials(&changed).await?;
        let account = const_hex::encode(changed.id.0);
        tracing::info!(event = "account_activated", account, "invitation accepted");
        Ok(codes)
    }
}

impl AccountService {
    /// Stores new credentials: the link was followed twice at once if the account has changed.
    async fn store_credentials(&self, changed: &Account) -> Result<(), Problem> {
        self.store_hash(changed).await.map_err(|error| match error.conflict() {
            Some(Conflict::AccountChanged) => Problem::InvitationVoid,
            _ => store_failed(error),
        })
    }

    /// Stores an account with a new hash. Under an unknown outcome the account is read: the salt of
    /// the hash proves that the change was made.
    pub(super) async fn store_hash(&self, changed: &Account) -> Result<(), EngineError> {
        let error = match self.store.update(changed).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if matches!(error, EngineError::OutcomeUnknown { .. }) {
            let stored = self.store.account(changed.id).await?;
            if stored.is_some_and(|stored| stored.password == changed.password) {
                return Ok(());
            }
        }
        Err(error)
    }
}

/// The second factor with the step of its first code, and every rule that the choice breaks.
fn check(
    account: &Account,
    password: &Password,
    choice: &NewCredentials<'_>,
    now: UnixSeconds,
) -> (Option<(TotpSecret, u64)>, Vec<FieldProblem>) {
    let mut errors = Vec::new();
    let mut refuse = |field: &'static str, rule: &str| {
        errors.push(FieldProblem { field: field.into(), rule: rule.to_owned() });
    };
    if let Err(fault) = password.check(&account.email) {
        refuse("password", fault.rule());
    }
    let is_member = account.role == AccountRole::Voter;
    if is_member && choice.totp_secret.is_empty() && choice.code.is_empty() {
        return (None, errors);
    }
    let digits: String = choice.code.chars().filter(|character| *character != ' ').collect();
    let factor = TotpSecret::from_base32(choice.totp_secret).and_then(|secret| {
        let step = totp::accepted_step(secret.as_bytes(), &digits, now, 0)?;
        Some((secret, step))
    });
    if factor.is_none() {
        refuse("code", "is not the code that the authenticator app shows now for this secret");
    }
    (factor, errors)
}

fn recovery_codes() -> Result<Vec<RecoveryCode>, Problem> {
    (0..recovery::COUNT).map(|_| RecoveryCode::random().map_err(random_failed)).collect()
}

#[cfg(test)]
#[path = "invitations_test.rs"]
mod tests;
