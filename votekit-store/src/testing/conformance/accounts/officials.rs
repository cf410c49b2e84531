//! Sample accounts.

use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use zeroize::Zeroizing;

use crate::testing::conformance::samples::request;
use crate::{Account, AccountId, AccountRole, AccountState, Invitation};

pub(super) fn id(number: u32) -> AccountId {
    AccountId(*request(number).as_bytes())
}

/// An invited official.
pub(super) fn invited(number: u32) -> Account {
    Account {
        invitation: Some(Invitation {
            token: Invitation::digest_of(&format!("token {number}")),
            expires: UnixSeconds(1_000),
        }),
        ..Account::new(
            id(number),
            format!("official-{number}@example.org"),
            AccountRole::Observer,
            UnixSeconds(100),
        )
    }
}

/// The same official after the first sign-in, with a value in every field.
pub(super) fn active(number: u32) -> Account {
    Account {
        email: format!("am\u{e9}lie+{number}@example.org"),
        role: AccountRole::Administrator,
        state: AccountState::Active,
        password: Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()),
        totp: Some(Zeroizing::new(vec![0, 1, 0xff])),
        totp_step: i64::MAX as u64,
        recovery_codes: vec![Digest::compute(b"first"), Digest::compute(b"second")],
        ..invited(number)
    }
}
