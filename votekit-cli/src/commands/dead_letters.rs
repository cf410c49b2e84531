//! `votekit dead-letters`: batches that the ballot box put aside.

use std::fmt;

use serde::Serialize;
use votekit_store::services::rabbitmq::dead_letters::{DeadContent, DeadLetter, DeadLetters};
use votekit_store::services::url::{Service, ServiceAddress};

use crate::context::Context;
use crate::error::CommandError;
use crate::office;

/// Show batches that the ballot box put aside, and have them tried again
///
/// A message that was taken and given back more than 20 times, because whoever took it died or
/// stood still each time, is put aside as a dead letter, so that others can pass. The votes in it
/// are undecided: no election closes while one lies there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(ListArgs),
    Drive(DriveArgs),
}

/// List what was put aside, the oldest first. It stays where it is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit dead-letters list --ballot-box 'amqp://votekit@rabbitmq.example.ca/votekit?password_file=amqp.password'")]
struct ListArgs {
    #[command(flatten)]
    place: Place,
}

/// Send what was put aside on its way again: to validation, and out of the dead letters once it is
/// durable there
///
/// A batch may come twice to staging that way, which counts its votes once. Barriers of a close are
/// dropped. What is no batch is refused by validation and told to the reviewers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit dead-letters drive --ballot-box 'amqp://votekit@rabbitmq.example.ca/votekit?password_file=amqp.password'")]
struct DriveArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The ballot box: amqp:// or amqps://, with the same ?prefix= and ?queues= as the nodes
    #[arg(long, value_name = "URL", env = "VOTEKIT_BALLOT_BOX", hide_env_values = true)]
    ballot_box: String,
}

/// What was found, and whether it was sent on its way.
#[derive(Serialize)]
struct Report {
    driven: bool,
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

/// Lists or drives.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let (place, driven) = match args.action {
        Action::List(args) => (args.place, false),
        Action::Drive(args) => (args.place, true),
    };
    let address = ServiceAddress::parse(Service::RabbitMq, &place.ballot_box)?;
    let letters = office::run(async {
        let dead_letters = DeadLetters::open(&address).await?;
        Ok(if driven { dead_letters.drive().await? } else { dead_letters.list().await? })
    })?;
    context.output.result(&Report { driven, dead_letters: letters.iter().map(row).collect() })
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
                "; from {}, {}, put aside {} times",
                row.queue, row.reason, row.deaths
            )?;
            match row.first_death {
                Some(seconds) => writeln!(formatter, ", first at {seconds} (unix seconds)")?,
                None => writeln!(formatter)?,
            }
        }
        let count = self.dead_letters.len();
        writeln!(
            formatter,
            "{count} dead letters{}",
            if self.driven { " sent on their way again" } else { "" }
        )
    }
}
