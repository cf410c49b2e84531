//! `votekit dead-letters`: lists and requeues the dead letters of the ballot box.

use std::fmt;

use serde::Serialize;
use votekit_store::services::rabbitmq::dead_letters::{DeadContent, DeadLetter, DeadLetters};
use votekit_store::services::url::{Service, ServiceAddress};

use crate::admin_target;
use crate::context::Context;
use crate::error::CommandError;

/// List the dead letters of the ballot box, and requeue them
///
/// A message that was delivered and returned more than 20 times, because its consumer died or
/// stalled each time, becomes a dead letter, so that others can pass. The votes in it are
/// undecided: no election closes while a dead letter remains.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(ListArgs),
    Requeue(RequeueArgs),
}

/// List the dead letters, oldest first, without removing them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit dead-letters list --ballot-box 'amqp://votekit@rabbitmq.example.ca/votekit?password_file=amqp.password'")]
struct ListArgs {
    #[command(flatten)]
    broker: BallotBoxArgs,
}

/// Requeue the dead letters for validation
///
/// Each one is removed from the dead letters once it is durable in the queue. A batch may thus
/// reach staging twice; its votes are counted once. Barriers of a close are dropped. A message that
/// is not a batch is refused by validation and reported to the reviewers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit dead-letters requeue --ballot-box 'amqp://votekit@rabbitmq.example.ca/votekit?password_file=amqp.password'")]
struct RequeueArgs {
    #[command(flatten)]
    broker: BallotBoxArgs,
}

#[derive(Debug, clap::Args)]
struct BallotBoxArgs {
    /// Ballot box URL, amqp:// or amqps://, with the same ?prefix= and ?queues= as the nodes
    #[arg(long, value_name = "URL", env = "VOTEKIT_BALLOT_BOX", hide_env_values = true)]
    ballot_box: String,
}

/// The dead letters found, and whether they were requeued.
#[derive(Serialize)]
struct Report {
    requeued: bool,
    dead_letters: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    /// `batch`, `barrier` or `unreadable`.
    content: &'static str,
    law_id: Option<String>,
    batch: Option<String>,
    votes: Option<usize>,
    digest: String,
    queue: String,
    reason: String,
    deaths: u64,
    first_death: Option<u64>,
}

/// Runs `votekit dead-letters`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let (broker, requeued) = match args.action {
        Action::List(args) => (args.broker, false),
        Action::Requeue(args) => (args.broker, true),
    };
    let address = ServiceAddress::parse(Service::RabbitMq, &broker.ballot_box)?;
    let letters = admin_target::run(async {
        let dead_letters = DeadLetters::open(&address).await?;
        Ok(if requeued { dead_letters.requeue().await? } else { dead_letters.list().await? })
    })?;
    context.output.result(&Report { requeued, dead_letters: letters.iter().map(row).collect() })
}

fn row(letter: &DeadLetter) -> Row {
    let (content, law_id, batch, votes) = match &letter.content {
        DeadContent::Batch { law_id, number, count } => {
            ("batch", Some(law_id.to_string()), Some(number.to_string()), Some(*count))
        }
        DeadContent::Barrier => ("barrier", None, None, None),
        _ => ("unreadable", None, None, None),
    };
    Row {
        content,
        law_id,
        batch,
        votes,
        digest: letter.digest.to_string(),
        queue: letter.queue.clone(),
        reason: letter.reason.clone(),
        deaths: letter.deaths,
        first_death: letter.first_death.map(|seconds| seconds.0),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.dead_letters {
            match (&row.batch, &row.law_id, row.votes) {
                (Some(batch), Some(law_id), Some(votes)) => {
                    write!(formatter, "{batch} of {law_id}, {votes} votes")?
                }
                _ => write!(formatter, "{} {}", row.content, row.digest)?,
            }
            write!(
                formatter,
                "; from {}, {}, dead-lettered {} times",
                row.queue, row.reason, row.deaths
            )?;
            match row.first_death {
                Some(seconds) => writeln!(formatter, ", first at {seconds} (unix seconds)")?,
                None => writeln!(formatter)?,
            }
        }
        let count = self.dead_letters.len();
        writeln!(formatter, "{count} dead letters{}", if self.requeued { " requeued" } else { "" })
    }
}
