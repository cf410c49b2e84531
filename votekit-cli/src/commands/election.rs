//! `votekit election`: creates, opens, closes, certifies and shows elections.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use votekit_core::election::ResultsPolicy;
use votekit_core::id::ElectionId;
use votekit_core::instant::{UnixMinutes, UnixSeconds};
use votekit_node::address_range::AddressRange;
use votekit_node::config::Config;
use votekit_node::node::AdminError;
use votekit_node::{
    AmendElection, AnnulElection, ChoiceRequest, CloseElection, CreateElection, CreatedElection,
    ElectionView, OpenElection,
};

use crate::confirmation::{self, YesArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::office::{self, OfficeArgs};
use crate::output::plain;
use crate::records::Records;

/// Create, open, close, certify and show elections
///
/// An election is a draft when it is created; it is opened, closed and certified in this order, and
/// never goes back. Each step is written in the election's public log. Steps that cannot be undone
/// say what will happen and ask, unless --yes is given. The commands work on a running node
/// (--node) or in the data folder of a stopped one (--data).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Create(Box<CreateArgs>),
    Amend(Box<AmendArgs>),
    Open(OpenArgs),
    /// Close the poll: take no more votes, decide those taken, reconcile, publish the totals
    ///
    /// A close that is interrupted goes on when the command is given again, or when the node
    /// starts. It does not finish while anything is missing.
    Close(CloseArgs),
    /// Declare the result official
    Certify(StepArgs),
    /// Declare a closed or certified election void
    ///
    /// The public log keeps the reason. After that nothing follows but a purge.
    Annul(AnnulArgs),
    /// Destroy the stored votes and the ballot key of a certified election
    ///
    /// To be done when the contestation period is over: afterwards no recount is possible. The
    /// public log and its totals stay.
    Purge(StepArgs),
    /// List the elections
    ///
    /// Nothing is written, and a data folder may be in use by a running node.
    List(ListArgs),
    /// Show one election
    ///
    /// Nothing is written, and a data folder may be in use by a running node.
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
    law_id: ElectionId,

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

    /// Before the close, move the results only once N votes are new and as many newer ones are held
    /// back: fewer than 20 let readers learn what single voters chose [default: 20]
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
    law_id: ElectionId,

    /// Waive a rule of a binding election by name; written in the log. 'results' lets results show
    /// before the close
    #[arg(long = "waive", value_name = "RULE")]
    waivers: Vec<String>,

    /// When opening in the data folder of a stopped node: the node will be reached by TLS
    #[arg(long)]
    behind_tls_proxy: bool,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    office: OfficeArgs,
}

#[derive(Debug, clap::Args)]
struct CloseArgs {
    /// The election
    law_id: ElectionId,

    /// Close before the planned end, and why; the public log keeps the reason
    #[arg(long, value_name = "REASON")]
    early: Option<String>,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    office: OfficeArgs,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The election
    law_id: ElectionId,

    #[command(flatten)]
    office: OfficeArgs,
}

/// Change a draft: titles, descriptions, choices, times, results
///
/// What is not given stays. The id, whether the result binds, and the ballot key never change; the
/// public log keeps each version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit election amend L2025-001 --title-en 'Water Act' --closes 2036-11-22T20:00:00-05:00 --data node/")]
struct AmendArgs {
    /// The election
    law_id: ElectionId,

    /// The title in French
    #[arg(long, value_name = "TEXT")]
    title_fr: Option<String>,

    /// The title in English
    #[arg(long, value_name = "TEXT")]
    title_en: Option<String>,

    /// The description in French
    #[arg(long, value_name = "TEXT")]
    description_fr: Option<String>,

    /// The description in English
    #[arg(long, value_name = "TEXT")]
    description_en: Option<String>,

    /// A choice, as in create; all of them are given, in place of those there are
    #[arg(long = "choice", value_name = "CHOICE", value_parser = parse_choice)]
    choices: Vec<ChoiceRequest>,

    /// Who sees results when: live, after_vote or after_close
    #[arg(long, value_name = "POLICY", value_parser = parse_policy)]
    results: Option<ResultsPolicy>,

    /// Before the close, move the results only once N votes are new
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    publish_every: Option<u64>,

    /// When the poll opens, with the offset, such as 2026-11-21T08:00:00-05:00; none for no planned
    /// time
    #[arg(long, value_name = "TIME")]
    opens: Option<String>,

    /// When the poll closes, with the offset; none for no planned time
    #[arg(long, value_name = "TIME")]
    closes: Option<String>,

    #[command(flatten)]
    office: OfficeArgs,
}

#[derive(Debug, clap::Args)]
struct AnnulArgs {
    /// The election
    law_id: ElectionId,

    /// Why; the public log keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    office: OfficeArgs,
}

#[derive(Debug, clap::Args)]
struct StepArgs {
    /// The election
    law_id: ElectionId,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    office: OfficeArgs,
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

/// A new election, as printed: with its times as they were typed.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    created: CreatedElection,
    #[serde(skip)]
    opens: Option<String>,
    #[serde(skip)]
    closes: Option<String>,
}

/// Runs one action.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let shown = match args.action {
        Action::Create(args) => return create(*args, context),
        Action::Amend(args) => return amend(*args, context),
        Action::Open(args) => open(args, context),
        Action::Close(args) => close(args, context),
        Action::Certify(args) => certify(&args, context),
        Action::Annul(args) => annul(args, context),
        Action::Purge(args) => purge(&args, context),
        Action::Show(args) => {
            office::run(async { Records::open(&args.office)?.election(&args.law_id).await })
        }
        Action::List(args) => {
            let elections = office::run(async { Records::open(&args.office)?.elections().await })?;
            return context.output.result(&List(elections));
        }
    };
    context.output.result(&One(shown?))
}

/// The configuration of a node that works in the data folder and serves no voters: which proxy it
/// will be reached through is then unknown, and only whether there is one matters.
fn offline_config(behind_tls_proxy: bool) -> Config {
    let mut config = Config::default();
    if behind_tls_proxy {
        config.tls_proxies = vec![AddressRange::from(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    }
    config
}

fn create(args: CreateArgs, context: &Context) -> Result<(), CommandError> {
    let office = args.office.clone();
    let (opens, closes) = (args.opens.clone(), args.closes.clone());
    // How voters will reach the node is known when the poll opens.
    let config = offline_config(true);
    let created =
        office::within(&office, config, async |office| office.create(args.request()).await)?;
    print_created(created, opens, closes, context)
}

fn print_created(
    created: CreatedElection,
    opens: Option<String>,
    closes: Option<String>,
    context: &Context,
) -> Result<(), CommandError> {
    let warnings = created.warnings.clone();
    context.output.result(&Created { created, opens, closes })?;
    warnings.iter().for_each(|warning| context.output.warning(plain(warning)));
    Ok(())
}

fn amend(args: AmendArgs, context: &Context) -> Result<(), CommandError> {
    let AmendArgs { law_id, office, opens, closes, choices, .. } = args;
    let request = AmendElection {
        title_fr: args.title_fr,
        title_en: args.title_en,
        description_fr: args.description_fr,
        description_en: args.description_en,
        choices: (!choices.is_empty()).then_some(choices),
        results: args.results,
        publish_every: args.publish_every,
        opens: opens.clone(),
        closes: closes.clone(),
    };
    let created = office::within(&office, offline_config(true), async |office| {
        office.amend(&law_id, request).await
    })?;
    print_created(created, opens, closes, context)
}

fn open(args: OpenArgs, context: &Context) -> Result<ElectionView, CommandError> {
    confirm("opening a poll", &args.law_id, args.yes, &args.office, context, |view| {
        let end = match &view.closes {
            Some(closes) => format!("until {closes}"),
            None => "until it is closed".to_owned(),
        };
        Ok(format!(
            "The poll opens, and {} electors can vote {end}. After that the title, the choices ({}), the times and the roll cannot be changed, except by supplements to the roll.",
            view.registered,
            choices_of(view)
        ))
    })?;
    let config = offline_config(args.behind_tls_proxy);
    let request = OpenElection { waivers: args.waivers };
    office::within(&args.office, config, async |office| {
        office.open_poll(&args.law_id, request).await
    })
}

fn close(args: CloseArgs, context: &Context) -> Result<ElectionView, CommandError> {
    let reason = args.early.as_deref();
    confirm("closing a poll", &args.law_id, args.yes, &args.office, context, |view| {
        let mut statement = format!(
            "The poll closes: no more votes are taken, the {} votes received so far and those on their way are decided, and the totals are opened. A closed poll does not open again.",
            view.received
        );
        if let Some(planned) = planned_end(view) {
            let early = AdminError::EarlyClose { law_id: args.law_id.clone(), closes: planned };
            let reason = reason.ok_or(early)?;
            let remaining = in_words((planned.0 * 60).saturating_sub(clock().0));
            statement.push_str(&format!(
                "\nIts planned end is {planned}, in {remaining}: votes until then are cut off. The public log keeps the reason: {}",
                plain(reason)
            ));
        }
        Ok(statement)
    })?;
    let request = CloseElection { reason: args.early };
    office::within(&args.office, Config::default(), async |office| {
        office.close_poll(&args.law_id, request).await
    })
}

/// The planned end of an open poll, while it is to come.
fn planned_end(view: &ElectionView) -> Option<UnixMinutes> {
    let closes = UnixSeconds::from_rfc3339(view.closes.as_deref()?).ok()?;
    (view.state == "open" && clock() < closes).then(|| closes.minute_floor())
}

fn clock() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(since.as_secs())
}

/// A time to come, to the minute below an hour and else to the hour.
fn in_words(seconds: u64) -> String {
    match (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn certify(args: &StepArgs, context: &Context) -> Result<ElectionView, CommandError> {
    confirm("certifying a result", &args.law_id, args.yes, &args.office, context, |view| {
        Ok(format!(
            "The result is declared official, with {} accepted votes: its digest goes into the public log. It cannot be withdrawn. Has the recount confirmed the totals?",
            view.accepted
        ))
    })?;
    office::within(&args.office, Config::default(), async |office| {
        office.certify(&args.law_id).await
    })
}

fn annul(args: AnnulArgs, context: &Context) -> Result<ElectionView, CommandError> {
    confirm("annulling an election", &args.law_id, args.yes, &args.office, context, |view| {
        Ok(format!(
            "The election is declared void, with {} accepted votes. It cannot be taken back. The public log keeps the reason: {}",
            view.accepted,
            plain(&args.reason)
        ))
    })?;
    let request = AnnulElection { reason: args.reason };
    office::within(&args.office, Config::default(), async |office| {
        office.annul(&args.law_id, request).await
    })
}

fn purge(args: &StepArgs, context: &Context) -> Result<ElectionView, CommandError> {
    confirm("a purge", &args.law_id, args.yes, &args.office, context, |_| {
        Ok("The stored votes and the ballot key are destroyed, and no recount is possible after that. The public log and its totals stay.".to_owned())
    })?;
    let purged = office::within(&args.office, Config::default(), async |office| {
        office.purge(&args.law_id).await
    })?;
    context
        .output
        .note("the stored votes and the ballot key are destroyed; the log and its totals stay");
    Ok(purged)
}

/// Shows what a step will do to which election, and asks; with `--yes` goes on at once.
fn confirm(
    step: &str,
    law_id: &ElectionId,
    yes: YesArgs,
    office: &OfficeArgs,
    context: &Context,
    statement: impl FnOnce(&ElectionView) -> Result<String, CommandError>,
) -> Result<(), CommandError> {
    if !yes.must_ask(step)? {
        return Ok(());
    }
    let view = office::run(async { Records::open(office)?.election(law_id).await })?;
    let nature = if view.binding { "binding" } else { "not binding" };
    let (fr, en) = (plain(&view.title.fr), plain(&view.title.en));
    let heading = format!("{law_id}: {fr} / {en} ({}, {nature})", plain(&view.state));
    let statement = statement(&view)?;
    confirmation::ask(context, &format!("{heading}\n{statement}"), law_id.as_str())
}

fn choices_of(view: &ElectionView) -> String {
    view.choices.iter().map(|choice| plain(&choice.id)).collect::<Vec<_>>().join(", ")
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
        write_election(formatter, &self.0, None, None)
    }
}

impl fmt::Display for Created {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (opens, closes) = (self.opens.as_deref(), self.closes.as_deref());
        write_election(formatter, &self.created.election, opens, closes)
    }
}

/// A time as it was typed, and in UTC: a wrong offset shows when both are read aloud.
fn time(typed: Option<&str>, utc: Option<&str>) -> String {
    match (typed, utc) {
        (Some(typed), Some(utc)) if typed != utc => format!("{} ({})", plain(typed), plain(utc)),
        (_, Some(utc)) => plain(utc),
        (_, None) => "not set".to_owned(),
    }
}

fn write_election(
    formatter: &mut fmt::Formatter<'_>,
    view: &ElectionView,
    opens: Option<&str>,
    closes: Option<&str>,
) -> fmt::Result {
    let (fr, en) = (plain(&view.title.fr), plain(&view.title.en));
    writeln!(formatter, "{}: {fr} / {en}", plain(&view.law_id))?;
    writeln!(
        formatter,
        "  state        {}{}",
        plain(&view.state),
        if view.binding { " (binding)" } else { " (not binding)" }
    )?;
    writeln!(formatter, "  choices      {}", choices_of(view))?;
    writeln!(formatter, "  results      {}", plain(&view.results))?;
    writeln!(formatter, "  opens        {}", time(opens, view.opens.as_deref()))?;
    writeln!(formatter, "  closes       {}", time(closes, view.closes.as_deref()))?;
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
    writeln!(formatter, "  log          {} leaves, {}", view.log_size, plain(&view.origin))?;
    writeln!(formatter, "  fingerprint  {}", plain(&view.policy_fingerprint))
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
                plain(&view.law_id),
                plain(&view.state),
                view.registered,
                view.accepted,
                plain(&view.title.fr)
            )?;
        }
        Ok(())
    }
}
