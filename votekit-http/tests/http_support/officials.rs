//! Accounts of officials, put into the store with a known password, and signed in over HTTP.

use serde_json::{Value, json};
use votekit_core::id::Digest;
use votekit_store::{Account, AccountId, AccountRole, AccountState};
use zeroize::Zeroizing;

use super::{Answer, Bytes, Client, Served};

const PASSWORD: &str = "quatre mots sans rapport";

/// Argon2id of the password, at the costs of new hashes, under the salt `votekit-api-test`.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$dm90ZWtpdC1hcGktdGVzdA$e9VlrvxwfiGaT8m5pXIACjRpRCVUsg0bNDoatqHoXPc";

/// A recovery code, in place of a code of the authenticator app.
const RECOVERY_CODE: &str = "ABCDE-FGHJK";

/// The e-mail address of the account that [`official_token`] makes for a role.
pub fn email(role: AccountRole) -> String {
    format!("{role:?}@exemple.ca").to_lowercase()
}

/// Makes an active account with a role, and signs it in: the access token. Once for each role.
pub async fn official_token(served: &Served, role: AccountRole) -> String {
    let account = Account {
        id: AccountId([role as u8 + 1; 16]),
        email: email(role),
        role,
        state: AccountState::Active,
        password: Some(PASSWORD_HASH.to_owned()),
        totp: Some(Zeroizing::new(vec![7; 20])),
        totp_step: 0,
        recovery_codes: vec![Digest::of(RECOVERY_CODE.replace('-', "").as_bytes())],
        invitation: None,
        created: served.node.now().seconds(),
        version: 0,
    };
    served.node.accounts().add(&[account]).await.expect("added");
    let sign_in = json!({"email": email(role), "password": PASSWORD, "code": RECOVERY_CODE});
    let mut client = Client::connect(served.at.public).await;
    let headers = [("content-type", "application/json")];
    let path = "/api/v1/auth/login";
    let answer = client.send("POST", path, &headers, sign_in.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["access_token"].as_str().expect("a token").to_owned()
}

/// A signed-in official.
pub struct Official<'a> {
    served: &'a Served,
    pub token: String,
}

impl<'a> Official<'a> {
    pub async fn sign_in(served: &'a Served, role: AccountRole) -> Self {
        Self { served, token: official_token(served, role).await }
    }

    /// A call with a body of this type.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Answer {
        let token = format!("Bearer {}", self.token);
        let headers = [("authorization", token.as_str()), ("content-type", content_type)];
        Client::connect(self.served.at.public).await.send(method, path, &headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    pub async fn post(&self, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send("POST", path, "application/json", body).await
    }

    /// Uploads a file of a roll.
    pub async fn upload(&self, law: &str, file: &str, bytes: impl Into<Bytes>) -> Answer {
        let path = format!("/api/v1/elections/{law}/roll/{file}");
        self.send("PUT", &path, "application/octet-stream", bytes).await
    }
}
