//! `votekit serve --check`: tests everything that a start needs, before any log is read.

use std::fmt;

use serde::Serialize;
use serde_json::json;
use votekit_http::listener::Reserved;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;

use super::{Args, check_folder, config, serve_error};
use crate::admin_target;
use crate::context::Context;
use crate::error::CommandError;

/// The result if nothing is wrong.
#[derive(Serialize)]
struct Checked {
    ok: bool,
}

impl fmt::Display for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the node can start: configuration, data folder, addresses, TLS files and services are in order")
    }
}

/// Tests without starting anything. Reports every fault, one per line.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let mut faults = Vec::new();
    if let Err(fault) = admin_target::base_name(args.log_base.as_deref()) {
        faults.push(fault);
    }
    match config(args) {
        // Without a configuration nothing else can be tested.
        Err(fault) => faults.push(fault),
        Ok(config) => admin_target::runtime()?.block_on(check(args, &config, &mut faults)),
    }
    if faults.is_empty() {
        return context.output.result(&Checked { ok: true });
    }
    let line = |fault: &CommandError| match &fault.hint {
        Some(hint) => format!("{} (hint: {hint})", fault.message.trim_end()),
        None => fault.message.trim_end().to_owned(),
    };
    let lines: Vec<String> = faults.iter().map(line).collect();
    let details = faults
        .iter()
        .map(|fault| json!({ "message": fault.message.trim_end(), "hint": fault.hint }))
        .collect();
    Err(CommandError::configuration(lines.join("\n")).details(serde_json::Value::Array(details)))
}

async fn check(args: &Args, config: &Config, faults: &mut Vec<CommandError>) {
    let folder = check_folder(args).and_then(|()| {
        DataFolder::check_usable(&args.data, config.name.as_ref()).map_err(CommandError::from)
    });
    faults.extend(folder.err());
    match Reserved::try_of(config) {
        Ok(_) => {}
        Err(found) => faults.extend(found.into_iter().map(serve_error)),
    }
    #[cfg(feature = "services")]
    if let (Some(registry), Some(ballot_box), Some(ledger)) =
        (&config.registry, &config.ballot_box, &config.ledger)
    {
        use votekit_store::services::{self, ServiceAddresses};
        match ServiceAddresses::parse(registry, ballot_box, ledger) {
            Ok(addresses) => {
                faults
                    .extend(services::check(&addresses).await.into_iter().map(CommandError::from));
            }
            Err(error) => faults.push(error.into()),
        }
    }
}
