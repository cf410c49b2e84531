//! Commands of chromedriver beyond WebDriver: the DevTools protocol and the console.

use anyhow::{Context as _, Result};
use fantoccini::Client;
use fantoccini::wd::WebDriverCompatibleCommand;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::{ParseError, Url};

/// A command at a path of the session.
#[derive(Debug)]
struct SessionCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for SessionCommand {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// A message in the console of a page.
#[derive(Debug, Deserialize)]
struct ConsoleMessage {
    level: String,
    message: String,
    source: String,
}

/// Runs a command of the DevTools protocol.
pub(crate) async fn run(client: &Client, command: &str, parameters: Value) -> Result<Value> {
    let body = json!({ "cmd": command, "params": parameters });
    let command_ran = client.issue_cmd(SessionCommand { path: "goog/cdp/execute", body }).await;
    command_ran.with_context(|| command.to_owned())
}

/// The errors in the console since the last call: of scripts, and of what the page's own policy
/// blocks. A refusal of the node, which Chromium reports as an error of the network, is none.
pub(crate) async fn console_errors(client: &Client) -> Result<Vec<String>> {
    let body = json!({ "type": "browser" });
    let messages = client.issue_cmd(SessionCommand { path: "se/log", body }).await?;
    let messages: Vec<ConsoleMessage> = serde_json::from_value(messages)?;
    let errors = messages.into_iter().filter(|it| it.level == "SEVERE" && it.source != "network");
    Ok(errors.map(|error| error.message).collect())
}
