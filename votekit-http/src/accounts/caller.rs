//! Who makes a call.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use votekit_store::{Account, AccountId, AccountRole};
use zeroize::Zeroizing;

/// The account behind a token or a cookie: a request extension, added by the permission check.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The account.
    pub(crate) id: AccountId,
    /// Its e-mail address.
    pub(crate) email: String,
    /// Its role, as the store has it now.
    pub(crate) role: AccountRole,
    /// The key of the forms of a session; a call with a token has none, and sends no form.
    form_key: Option<Zeroizing<[u8; 32]>>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Caller").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Caller {
    /// The caller with an access token.
    pub(super) fn with_token(account: Account) -> Self {
        let Account { id, email, role, .. } = account;
        Self { id, email, role, form_key: None }
    }

    /// The caller with the cookie of a session. The key of its forms is derived from the value of
    /// the cookie, which no node stores. Therefore a form of one node is accepted by the others.
    pub(super) fn with_session(account: Account, session: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(b"votekit-account-form/1\n").chain_update(session);
        let form_key = Some(Zeroizing::new(hash.finalize().into()));
        Self { form_key, ..Self::with_token(account) }
    }

    /// The token of a form of this session; empty without a session. `form` names the form and its
    /// subject.
    pub(crate) fn form_token(&self, form: &str) -> String {
        let mac = self.mac(form).map(|mac| const_hex::encode(mac.finalize().into_bytes()));
        mac.unwrap_or_default()
    }

    /// Whether a token was made for this form of this session. Compares in constant time.
    pub(crate) fn admits(&self, form: &str, token: &str) -> bool {
        let mut bytes = [0; 32];
        const_hex::decode_to_slice(token, &mut bytes).is_ok()
            && self.mac(form).is_some_and(|mac| mac.verify_slice(&bytes).is_ok())
    }

    fn mac(&self, form: &str) -> Option<Hmac<Sha256>> {
        let key = self.form_key.as_ref()?;
        let mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).expect("any length of key");
        Some(mac.chain_update(form.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::instant::UnixSeconds;
    use votekit_store::AccountState;

    use super::*;

    fn account() -> Account {
        Account {
            state: AccountState::Active,
            ..Account::new(
                AccountId([7; 16]),
                "a@b.example".to_owned(),
                AccountRole::Auditor,
                UnixSeconds(0),
            )
        }
    }

    #[test]
    fn a_form_token_is_for_one_form_of_one_session() {
        let caller = Caller::with_session(account(), b"one session");
        let token = caller.form_token("open L1");
        assert!(caller.admits("open L1", &token));
        assert!(caller.clone().admits("open L1", &token));
        assert!(!caller.admits("open L2", &token));
        assert!(!Caller::with_session(account(), b"another").admits("open L1", &token));
        for wrong in ["", "00", &token[1..], &format!("{token}00"), &"0".repeat(64)] {
            assert!(!caller.admits("open L1", wrong), "{wrong}");
        }
    }

    #[test]
    fn a_caller_with_a_token_has_no_forms() {
        let caller = Caller::with_token(account());
        assert_eq!(caller.form_token("open L1"), "");
        assert!(!caller.admits("open L1", "") && !caller.admits("open L1", &"0".repeat(64)));
        assert_eq!(format!("{caller:?}"), "Caller { role: Auditor, .. }");
    }
}
