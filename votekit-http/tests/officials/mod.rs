//! Signed-in officials, and their calls. For tests with `account_support` and `http_support`.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use hyper::body::Bytes;
use serde_json::Value;
use votekit_store::AccountRole;

use crate::account_support::token_of;
use crate::http_support::{Answer, Client, Served};

/// The e-mail address of the official of a role.
pub fn email(role: AccountRole) -> String {
    format!("{role:?}@exemple.ca").to_lowercase()
}

/// Makes an active account with a role, and signs it in: the access token. Once for each role.
pub async fn official_token(served: &Served, role: AccountRole) -> String {
    token_of(served, &email(role), role).await
}

/// A signed-in official.
pub struct Official<'a> {
    served: &'a Served,
    pub token: String,
}

impl<'a> Official<'a> {
    pub async fn sign_in(served: &'a Served, role: AccountRole) -> Self {
        Self::with_token(served, official_token(served, role).await)
    }

    /// The holder of an access token.
    pub fn with_token(served: &'a Served, token: String) -> Self {
        Self { served, token }
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
