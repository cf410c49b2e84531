//! HTTP client for a node: sends JSON, receives JSON or a problem.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::CommandError;
use crate::output::plain;

/// Hint for a close before the planned end.
pub(crate) const EARLY_HINT: &str =
    "to close early, give the reason with --early REASON: the public log keeps it";

/// Hint for a certification without enough outside witnesses.
pub(crate) const WITNESSES_HINT: &str = "`votekit nodes` shows how far each witness has cosigned; to certify without them, give the \
     reason with --witness-waiver REASON: the public log keeps it";

/// Hint for rolls that do not fit together.
pub(crate) const ROLLS_HINT: &str = "`votekit roll list` shows the loaded rolls; `votekit roll \
                                     discard` removes a roll that no election uses, and `votekit \
                                     load --replace` replaces one until the election opens";

/// HTTP client for one node.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Zeroizing<String>>,
}

/// Problem details of a node's refusal (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// Stable code.
    pub(crate) code: String,
    /// Title of this kind of problem.
    pub(crate) title: String,
    /// Description of this occurrence.
    pub(crate) detail: Option<String>,
    /// All wrong fields.
    pub(crate) errors: Vec<ProblemField>,
    /// Request id, if one was issued.
    pub(crate) request_id: Option<String>,
}

/// A wrong field and the rule that it breaks.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ProblemField {
    pub(crate) field: String,
    pub(crate) rule: String,
}

/// A response: status, Retry-After and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Creates a client for the node at `url`, such as `http://127.0.0.1:8080`.
    pub(crate) fn new(url: &str) -> Result<Self, CommandError> {
        let bad = |rule: String| {
            CommandError::usage(format!("'{url}' is not the address of a node: {rule}"))
                .hint("such as http://127.0.0.1:8080")
        };
        let base = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(bad("expected http:// or https:// and a host".to_owned()));
        }
        // An error is ignored: another part of the tree may have installed the same provider.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Votes and tokens go only to the given address: redirects are not followed, and proxies
        // named in the environment are not used.
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(600))
            .build()
            .map_err(|error| {
                CommandError::configuration(format!("cannot create an HTTP client: {error}"))
            })?;
        Ok(Self { http, base, token: None })
    }

    /// Prepares the client for secrets: refuses to send them in clear to another machine.
    pub(crate) fn for_secrets(self) -> Result<Self, CommandError> {
        let host = self.base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost"
            || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        if self.base.scheme() == "https" || here {
            return Ok(self);
        }
        Err(CommandError::usage(format!(
            "{} would send secrets over the network unencrypted",
            self.base
        ))
        .hint("give the node's https:// address"))
    }

    /// Adds the administrator's token.
    pub(crate) fn with_token(mut self, token: Zeroizing<String>) -> Self {
        self.token = Some(token);
        self
    }

    /// Sends a request and parses the JSON of the response.
    pub(crate) async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, CommandError> {
        let answer = self.exchange(method, path, body).await?;
        if answer.is_refusal() { Err(answer.refusal()) } else { self.parse(&answer) }
    }

    /// Sends a request and returns the response, with any status.
    pub(crate) async fn exchange<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<Answer, CommandError> {
        let body = body.map(|body| serde_json::to_vec(body)).transpose();
        let body = body.map_err(|error| CommandError::internal(error.to_string()))?;
        self.send(method, path, &[], body).await
    }

    /// Parses the JSON of a response that is not a refusal.
    pub(crate) fn parse<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, CommandError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            CommandError::configuration(format!(
                "{} did not answer like a votekit node: {error}",
                self.base
            ))
        })
    }

    /// Sends a request and returns the response, with any status.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, CommandError> {
        let url =
            self.base.join(path).map_err(|error| CommandError::internal(error.to_string()))?;
        let mut request = self.http.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.as_str());
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let unreachable = |error: reqwest::Error| {
            CommandError::configuration(format!(
                "the node at {} cannot be reached: {}",
                self.base,
                causes(&error)
            ))
            .hint("check the address, and that the node is running")
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = response.bytes().await.map_err(unreachable)?.to_vec();
        Ok(Answer { status, retry_after, body })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Client({})", self.base)
    }
}

impl Answer {
    /// Whether the node refused the request.
    pub(crate) fn is_refusal(&self) -> bool {
        !(200..300).contains(&self.status)
    }

    /// Parses the problem details; empty if the body has none.
    pub(crate) fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Converts the node's refusal into this command's error.
    pub(crate) fn refusal(&self) -> CommandError {
        let problem = self.problem();
        let mut text = match (&problem.detail, problem.title.is_empty()) {
            (Some(detail), _) => plain(detail),
            (None, false) => plain(&problem.title),
            (None, true) => format!("the node answered {}", self.status),
        };
        for ProblemField { field, rule } in &problem.errors {
            text.push_str(&format!("\n  {}: {}", plain(field), plain(rule)));
        }
        match self.status {
            401 => CommandError::configuration(
                "the node requires the administrator's token of its data folder",
            )
            .hint(
                "votes, results and the log are at the public address; administration requires \
                 --data or --token-file of this node",
            ),
            404 if problem.code == "unknown-route" => {
                CommandError::bad_input("the node serves nothing at this address").hint(
                    "check which address of the node you gave: the one for administration is \
                     separate, and is printed when the node starts",
                )
            }
            409 if problem.code == "early-close" => CommandError::bad_input(text).hint(EARLY_HINT),
            409 if problem.code == "witnesses-missing" => {
                CommandError::bad_input(text).hint(WITNESSES_HINT)
            }
            404 | 409 if matches!(problem.code.as_str(), "roll-conflict" | "unknown-roll") => {
                CommandError::bad_input(text).hint(ROLLS_HINT)
            }
            400..=499 => CommandError::bad_input(text),
            _ => CommandError::configuration(text),
        }
    }
}

/// Describes an error by its innermost cause, since some libraries name only the outermost.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}
