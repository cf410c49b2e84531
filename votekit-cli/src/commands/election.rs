//! `votekit election`: creates, opens, closes, certifies and shows elections.

use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;
use votekit_core::election::ResultsPolicy;
use votekit_core::id::LawId;
use votekit_node::address_range::AddressRange;
use votekit_node::config::Config;
use votekit_node::{ChoiceRequest, CreateElection, ElectionView, OpenElection};

use crate::context::Context;
use crate::error::CommandError;
use crate::office::{self, OfficeArgs};

/// Create, open, close, certify and show elections
///
/// An election is a draft when it is created; it is opened, closed and certified in this order, and
/// never goes back. Each step is written in the election's public log. The commands work on a
/// running node (--node) or in the data folder of a stopped one (--data).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Create(Box<CreateArgs>),
    Open(OpenArgs),
    /// Close the poll: take no more votes, decide those taken, reconcile, publish the totals
    ///
    /// A close that is interrupted goes on when the command is given again, or when the node
    /// starts. It does not finish while anything is missing.
    Close(OneArgs),
    /// Declare the result official
    Certify(OneArgs),
    /// Destroy the stored votes and the ballot key of a certified election
    ///
    /// To be done when the contestation period is over: afterwards no recount is possible. The
    /// public log and its totals stay.
    Purge(PurgeArgs),
    /// List the elections
    List(ListArgs),
    /// Show one election
    Show(OneArgs),
}

/// Create an election, as a draft
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit election create L2025-001 --title-fr 'Loi sur l’eau' --title-en 'Water Act' --data node/
  votekit election create MAIRE-2025 --title-fr Mairie --title-en Mayor \\
      --choice 'tremblay=Alice Tremblay' --choice 'roy=Jean Roy' --blank --results after_close \\
      --opens 2026-11-21T08:00:00-05:00 --closes 2026-11-22T08:00:00-05:00 --data node/")]
struct CreateArgs {
    /// The law put to the vote, which becomes the id of the election
    law_id: LawId,

    /// The title in French
    #[arg(long, value_name = "TEXT")]
    title_fr: String,

    /// The title in English
    #[arg(long, value_name = "TEXT")]
    title_en: String,

    /// The description in French
    #[arg(long, value_name = "TEXT", default_value = "")]
    description_fr: String,

    /// The description in English
    #[arg(long, value_name = "TEXT", default_value = "")]
    description_en: String,

    /// A choice: its id, or ID=LABEL, or ID=FRENCH|ENGLISH. Given once a choice; without any, the
    /// choices are oui and non
    #[arg(long = "choice", value_name = "CHOICE", value_parser = parse_choice)]
    choices: Vec<ChoiceRequest>,

    /// Let electors cast a blank vote, as the choice 'blanc'
    #[arg(long)]
    blank: bool,

    /// The result binds: the poll then opens only with a pepper, codes of 8 characters, a --base of
    /// your own, results after the close, and TLS
    #[arg(long)]
    binding: bool,

    /// Who sees results when: live, after_vote or after_close [default: live; after_close when
    /// binding]
    #[arg(long, value_name = "POLICY", value_parser = parse_policy)]
    results: Option<ResultsPolicy>,

    /// With live results: publish again once so many votes are new [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    publish_every: Option<u64>,

    /// When the poll opens, with the offset, such as 2026-11-21T08:00:00-05:00
    #[arg(long, value_name = "TIME")]
    opens: Option<String>,

    /// When the poll closes, with the offset
    #[arg(long, value_name = "TIME")]
    closes: Option<String>,

    #[command(flatten)]
    office: OfficeArgs,
}

/// Open the poll, with a zero report in the log
///
/// A binding election refuses to open without a pepper, results after the close, and TLS.
#[derive(Debug, clap::Args)]
struct OpenArgs {
    /// The election
    law_id: LawId,

    /// Waive a rule of a binding election by name; written in the log. 'results' lets results show
    /// before the close
    #[arg(long = "waive", value_name = "RULE")]
    waivers: Vec<String>,

    /// When opening in the data folder of a stopped node: the node will be reached by TLS
    #[arg(long)]
    behind_tls_proxy: bool,

    #[command(flatten)]
    office: OfficeArgs,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The election
    law_id: LawId,

    #[command(flatten)]
    office: OfficeArgs,
}

#[derive(Debug, clap::Args)]
struct PurgeArgs {
    /// The election
    law_id: LawId,

    /// Do not ask whether this is meant
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    office: OfficeArgs,
}

impl PurgeArgs {
    /// What is destroyed does not come back: who asks for it says so twice.
    fn confirm(&self) -> Result<(), CommandError> {
        if self.yes {
            return Ok(());
        }
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(CommandError::usage(
                "a purge cannot be undone, and nobody is there to be asked".to_owned(),
            )
            .hint("give --yes if it is meant"));
        }
        let failed = |error: io::Error| {
            CommandError::bad_input(format!("the answer cannot be read: {error}"))
        };
        let mut stderr = io::stderr();
        let question = format!(
            "the votes of {0} and its ballot key are destroyed, and no recount is possible after that; write {0} if that is meant: ",
            self.law_id
        );
        write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(failed)?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer).map_err(failed)?;
        if answer.trim() == self.law_id.as_str() {
            return Ok(());
        }
        Err(CommandError::bad_input("nothing was destroyed".to_owned()))
    }
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    office: OfficeArgs,
}

/// One election, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct One(ElectionView);

/// The list, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct List(Vec<ElectionView>);

/// Runs one action.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let config = Config::default();
    let shown = match args.action {
        Action::Create(args) => {
            let office = args.office.clone();
            office::within(&office, config, async |office| office.create(args.request()).await)
        }
        Action::Open(args) => {
            // The node that opens the poll here serves nobody: which proxy it will stand behind is
            // no matter.
            let tls_proxies = if args.behind_tls_proxy {
                vec![AddressRange::from(IpAddr::V4(Ipv4Addr::LOCALHOST))]
            } else {
                vec![]
            };
            let config = Config { tls_proxies, ..config };
            let request = OpenElection { waivers: args.waivers };
            office::within(&args.office, config, async |office| {
                office.open_poll(&args.law_id, request).await
            })
        }
        Action::Close(args) => office::within(&args.office, config, async |office| {
            office.close_poll(&args.law_id).await
        }),
        Action::Certify(args) => {
            office::within(&args.office, config, async |office| office.certify(&args.law_id).await)
        }
        Action::Purge(args) => {
            args.confirm()?;
            let purged = office::within(&args.office, config, async |office| {
                office.purge(&args.law_id).await
            })?;
            context.output.note(
                "the stored votes and the ballot key are destroyed; the log and its totals stay",
            );
            Ok(purged)
        }
        Action::Show(args) => {
            office::within(&args.office, config, async |office| office.election(&args.law_id).await)
        }
        Action::List(args) => {
            let elections =
                office::within(&args.office, config, async |office| office.elections().await)?;
            return context.output.result(&List(elections));
        }
    };
    context.output.result(&One(shown?))
}

impl CreateArgs {
    fn request(self) -> CreateElection {
        CreateElection {
            law_id: self.law_id.to_string(),
            title_fr: self.title_fr,
            title_en: self.title_en,
            description_fr: self.description_fr,
            description_en: self.description_en,
            choices: self.choices,
            blank: self.blank,
            binding: self.binding,
            results: self.results,
            publish_every: self.publish_every,
            opens: self.opens,
            closes: self.closes,
        }
    }
}

fn parse_choice(text: &str) -> Result<ChoiceRequest, String> {
    let Some((id, labels)) = text.split_once('=') else {
        return Ok(ChoiceRequest::Id(text.to_owned()));
    };
    let (fr, en) = labels.split_once('|').unwrap_or((labels, labels));
    Ok(ChoiceRequest::Labelled { id: id.to_owned(), fr: fr.to_owned(), en: en.to_owned() })
}

fn parse_policy(text: &str) -> Result<ResultsPolicy, String> {
    [ResultsPolicy::Live, ResultsPolicy::AfterVote, ResultsPolicy::AfterClose]
        .into_iter()
        .find(|policy| policy.as_str() == text)
        .ok_or_else(|| "the policies are live, after_vote and after_close".to_owned())
}

impl fmt::Display for One {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = &self.0;
        writeln!(formatter, "{}: {} / {}", view.law_id, view.title.fr, view.title.en)?;
        writeln!(
            formatter,
            "  state        {}{}",
            view.state,
            if view.binding { " (binding)" } else { " (not binding)" }
        )?;
        let choices: Vec<&str> = view.choices.iter().map(|choice| choice.id.as_str()).collect();
        writeln!(formatter, "  choices      {}", choices.join(", "))?;
        writeln!(formatter, "  results      {}", view.results)?;
        let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "not set".to_owned());
        writeln!(formatter, "  opens        {}", time(&view.opens))?;
        writeln!(formatter, "  closes       {}", time(&view.closes))?;
        writeln!(formatter, "  registered   {}", view.registered)?;
        writeln!(
            formatter,
            "  received     {} (accepted {}, duplicate {}, invalid {}, repeated {})",
            view.received,
            view.accepted,
            view.duplicate,
            view.invalid,
            // A request that came again and was decided once.
            view.received.saturating_sub(view.accepted + view.duplicate + view.invalid)
        )?;
        writeln!(formatter, "  log          {} leaves, {}", view.log_size, view.origin)?;
        writeln!(formatter, "  fingerprint  {}", view.policy_fingerprint)
    }
}

impl fmt::Display for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(formatter, "no elections");
        }
        for view in &self.0 {
            writeln!(
                formatter,
                "{:<20} {:<10} {:>9} registered {:>9} accepted  {}",
                view.law_id, view.state, view.registered, view.accepted, view.title.fr
            )?;
        }
        Ok(())
    }
}
