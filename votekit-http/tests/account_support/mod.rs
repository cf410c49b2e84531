//! Accounts of a served node, as the command line and the pages make them, and their authenticator
//! app.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha1::Sha1;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_node::Node;
use votekit_store::{Account, AccountId, AccountRole, AccountState};
use zeroize::Zeroizing;

use crate::http_support::{Answer, Client, Served};

pub const PASSWORD: &str = "correct cheval pile agrafe";

const SECRET: &[u8] = b"12345678901234567890";

/// The recovery codes of every account.
pub const RECOVERY_CODES: [&str; 2] = ["ABCDE-FGHJK", "23456-789AB"];

/// The account of a role, active, with a second factor and two recovery codes.
pub fn account(email: &str, role: AccountRole) -> Account {
    let digest = Digest::compute(email.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_bytes()[..16]);
    let code = |code: &&str| Digest::compute(code.replace('-', "").as_bytes());
    Account {
        id: AccountId(id),
        email: email.to_owned(),
        role,
        state: AccountState::Active,
        password: Some(hashed(PASSWORD)),
        totp: Some(Zeroizing::new(SECRET.to_vec())),
        totp_step: 0,
        recovery_codes: RECOVERY_CODES.iter().map(code).collect(),
        invitation: None,
        created: UnixSeconds(1_800_000_000),
        version: 0,
    }
}

/// The hash of a password, at the present costs.
pub fn hashed(password: &str) -> String {
    let params = Params::new(19 * 1024, 2, 1, Some(32)).expect("in range");
    let (salt, mut hash) = ([7; 16], [0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), &salt, &mut hash)
        .expect("memory");
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}")
}

/// Adds the account of a role.
pub async fn add(node: &Node, email: &str, role: AccountRole) -> Account {
    let account = account(email, role);
    node.accounts().add(std::slice::from_ref(&account)).await.expect("added");
    account
}

/// Changes an account as it is stored now.
pub async fn change(node: &Node, email: &str, change: impl FnOnce(&mut Account)) {
    let stored = node.accounts().account_by_email(email).await.expect("read");
    let mut account = stored.expect("there");
    change(&mut account);
    node.accounts().update(&account).await.expect("changed");
}

/// The code of the app, some steps from now.
pub fn app_code(node: &Node, steps: i64) -> String {
    let step = (node.now().seconds().0 / 30).saturating_add_signed(steps);
    let mac = Hmac::<Sha1>::new_from_slice(SECRET).expect("any length of key");
    let mac = mac.chain_update(step.to_be_bytes()).finalize().into_bytes();
    let offset = usize::from(mac[19] & 15);
    let word = mac[offset..offset + 4].try_into().expect("four bytes");
    format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
}

/// Sends a JSON body, or none.
pub async fn send(
    served: &Served,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Answer {
    let mut headers = headers.to_vec();
    if body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    Client::connect(served.at.public).await.send(method, path, &headers, body).await
}

/// Calls with an access token.
pub async fn call(
    served: &Served,
    token: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    send(served, method, path, &[("authorization", &format!("Bearer {token}"))], body).await
}

/// Signs in through the interface.
pub async fn login(served: &Served, email: &str, password: &str, code: &str) -> Answer {
    let body = json!({"email": email, "password": password, "code": code});
    send(served, "POST", "/api/v1/auth/login", &[], Some(body)).await
}

/// Adds the account of a role, and signs it in: its access token.
pub async fn token_of(served: &Served, email: &str, role: AccountRole) -> String {
    add(&served.node, email, role).await;
    let answer = login(served, email, PASSWORD, &app_code(&served.node, 0)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().expect("a token").to_owned()
}
