//! Calls to a node from a test, one at a time.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::poll::{Elector, LAW};

/// A client with its own connections. Each thread of a test has one.
pub(crate) struct Http {
    runtime: Runtime,
    client: Client,
}

/// A response: status and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Http {
    pub(crate) fn new() -> Self {
        // Another thread of the test may have installed the same provider already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, client: Client::new() }
    }

    /// Sends a request. An error means that no complete answer was received.
    pub(crate) fn send(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        self.runtime.block_on(async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok(Answer { status, body: response.text().await? })
        })
    }

    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url)
    }

    #[track_caller]
    pub(crate) fn get(&self, url: &str) -> Answer {
        self.send(self.request(Method::GET, url)).expect("an answer")
    }

    /// Casts a vote under a key, which is padded to the minimum length. With `wait` above 0 seconds
    /// the answer contains the decision.
    pub(crate) fn vote(
        &self,
        node: &str,
        elector: &Elector,
        vote: &str,
        key: &str,
        wait: u32,
    ) -> Result<Answer, reqwest::Error> {
        let body = json!({ "nas": elector.nas, "code": elector.code, "law_id": LAW, "vote": vote });
        let mut request = self.request(Method::POST, &format!("{node}/api/v1/vote"));
        if wait > 0 {
            request = request.header("prefer", format!("wait={wait}"));
        }
        self.send(
            request
                .header("content-type", "application/json")
                .header("idempotency-key", format!("{key:->16}"))
                .body(body.to_string()),
        )
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.body))
    }

    /// Request id of a taken vote.
    #[track_caller]
    pub(crate) fn request_id(&self) -> String {
        self.json()["request_id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id: {} {}", self.status, self.body))
            .to_owned()
    }
}
