//! `votekit leader`: asks for another leader.

use std::fmt;

use reqwest::Method;
use serde::Serialize;

use crate::admin_target::{self, RunningNodeArgs};
use crate::context::Context;
use crate::error::CommandError;

/// Ask several authorities for another leader
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    StepDown(StepDownArgs),
}

/// Ask the leader to step down, so that another authority leads
///
/// Given the address of the leader, it steps down at once. Given that of another authority, this
/// authority states that it wants another leader; the leader changes once a quorum has stated it.
/// No vote is lost, and sealing resumes within seconds. `votekit nodes` shows who leads.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit leader step-down --admin http://127.0.0.1:8081 --data node/")]
struct StepDownArgs {
    #[command(flatten)]
    target: RunningNodeArgs,
}

#[derive(Serialize)]
struct Requested {
    requested: bool,
}

impl fmt::Display for Requested {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("requested; `votekit nodes` shows who leads")
    }
}

/// Runs `votekit leader`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let Action::StepDown(StepDownArgs { target }) = args.action;
    admin_target::run(async {
        let path = "/api/v1/admin/leader/step-down";
        let answer = target.client()?.exchange(Method::POST, path, None::<&()>).await?;
        if answer.is_refusal() { Err(answer.refusal()) } else { Ok(()) }
    })?;
    context.output.result(&Requested { requested: true })
}
