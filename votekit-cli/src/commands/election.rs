//! `votekit election`: creates, opens, closes, certifies and shows elections.

mod members;
mod create;
mod kept_pepper;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use votekit_core::election::{ResultsPolicy, State};
use votekit_core::election_log::Change;
use votekit_core::id::ElectionId;
use votekit_core::instant::{UnixMinutes, UnixSeconds};
use votekit_node::AdminError;
use votekit_node::address_range::AddressRange;
use votekit_node::config::Config;
use votekit_node::{
    AmendElection, AnnulElection, CertifyElection, ChoiceRequest, CloseElection, CreatedElection,
    ElectionView, OpenElection,
};

use crate::admin_target::{self, AdminTargetArgs, ElectionArgs};
use crate::argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::invitation_links::Report;
use crate::output::plain;
use crate::prompt::{self, YesArgs};
use crate::records::Records;

/// Create, open, close, certify and show elections
///
/// An election starts as a draft; it is opened, closed and certified, in this order, and never goes
/// back. Each step is written to the election's public log. Steps that cannot be undone describe
/// their effect and ask for confirmation, unless --yes is given. The commands work on a running
/// node (--node) or in the data folder of a stopped one (--data).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Create(Box<create::CreateArgs>),
    Amend(Box<AmendArgs>),
    Open(OpenArgs),
    /// Close the poll: decide the votes received, reconcile, and publish the totals
    ///
    /// No more votes are taken. An interrupted close resumes when the command is given again, or
    /// when the node starts. It does not finish while anything is missing.
    Close(CloseArgs),
    /// Declare the result official
    ///
    /// Where the authorities have named outside witnesses, the closed log must have been cosigned
    /// by enough of them. The command waits a moment for them, then names those that are missing.
    Certify(CertifyArgs),
    /// Declare a closed or certified election void
    ///
    /// The reason is kept in the public log. Only a purge can follow.
    Annul(AnnulArgs),
    /// Destroy the stored votes and the ballot key of a certified election
    ///
    /// Do this after the contestation period: no recount is possible afterwards. The public log and
    /// its totals are kept.
    Purge(StepArgs),
    /// List the elections
    ///
    /// Nothing is written; a running node may be using the data folder.
    List(ListArgs),
    /// Show one election
    ///
    /// Nothing is written; a running node may be using the data folder.
    Show(ElectionArgs),
}

/// Open the poll, and write a zero report to the log
///
/// A binding election refuses to open without a pepper, results after the close, and TLS.
#[derive(Debug, clap::Args)]
struct OpenArgs {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    law_id: ElectionId,

    /// Waive a rule of a binding election, by name; recorded in the log. 'results' allows results
    /// before the close
    #[arg(long = "waive", value_name = "RULE")]
    waivers: Vec<String>,

    /// With the data folder of a stopped node: confirm that voters will reach the node by TLS
    #[arg(long)]
    behind_tls_proxy: bool,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    target: AdminTargetArgs,
}

#[derive(Debug, clap::Args)]
struct CloseArgs {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    law_id: ElectionId,

    /// Close before the planned end, for this reason; it is kept in the public log
    #[arg(long, value_name = "REASON")]
    early: Option<String>,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    target: AdminTargetArgs,
}

#[derive(Debug, clap::Args)]
struct CertifyArgs {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    law_id: ElectionId,

    /// Certify although outside witnesses are missing, for this reason; it is kept in the public
    /// log
    #[arg(long, value_name = "REASON")]
    witness_waiver: Option<String>,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    target: AdminTargetArgs,
}

/// Change a draft: titles, descriptions, choices, times, results
///
/// Options that are omitted change nothing. The id, whether the result is binding, and the ballot
/// key never change; the public log keeps each version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit election amend L2025-001 --title-en 'Water Act' --closes 2036-11-22T20:00:00-05:00 --data node/")]
struct AmendArgs {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    law_id: ElectionId,

    /// Title in French
    #[arg(long, value_name = "TEXT")]
    title_fr: Option<String>,

    /// Title in English
    #[arg(long, value_name = "TEXT")]
    title_en: Option<String>,

    /// Description in French
    #[arg(long, value_name = "TEXT")]
    description_fr: Option<String>,

    /// Description in English
    #[arg(long, value_name = "TEXT")]
    description_en: Option<String>,

    /// Choice, as in create; the given choices replace all earlier ones
    #[arg(long = "choice", value_name = "CHOICE", value_parser = parse_choice)]
    choices: Vec<ChoiceRequest>,

    /// Who sees results, and when: live, after_vote or after_close
    #[arg(long, value_name = "POLICY", value_parser = parse_policy)]
    results: Option<ResultsPolicy>,

    /// Before the close, update the results only when N votes are new
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    publish_every: Option<u64>,

    /// Opening time with UTC offset, such as 2026-11-21T08:00:00-05:00; 'none' for no planned time
    #[arg(long, value_name = "TIME")]
    opens: Option<String>,

    /// Closing time with UTC offset; 'none' for no planned time
    #[arg(long, value_name = "TIME")]
    closes: Option<String>,

    #[command(flatten)]
    target: AdminTargetArgs,
}

#[derive(Debug, clap::Args)]
struct AnnulArgs {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    law_id: ElectionId,

    /// Reason, kept in the public log
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    target: AdminTargetArgs,
}

#[derive(Debug, clap::Args)]
struct StepArgs {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    law_id: ElectionId,

    #[command(flatten)]
    yes: YesArgs,

    #[command(flatten)]
    target: AdminTargetArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    target: AdminTargetArgs,
}

/// One election, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct ElectionOutput(ElectionView);

/// The list, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct List(Vec<ElectionView>);

/// A created election, printed with its times as typed.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    created: CreatedElection,
    /// The links of its members, if it is an election of members.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitations: Option<Report>,
    #[serde(skip)]
    opens: Option<String>,
    #[serde(skip)]
    closes: Option<String>,
}

/// Runs `votekit election`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let shown = match args.action {
        Action::Create(args) => return create::run(*args, context),
        Action::Amend(args) => return amend(*args, context),
        Action::Open(args) => open(args, context),
        Action::Close(args) => close(args, context),
        Action::Certify(args) => certify(args, context),
        Action::Annul(args) => annul(args, context),
        Action::Purge(args) => purge(&args, context),
        Action::Show(args) => {
            admin_target::run(async { Records::open(&args.target)?.election(&args.law_id).await })
        }
        Action::List(args) => {
            let elections =
                admin_target::run(async { Records::open(&args.target)?.elections().await })?;
            return context.output.result(&List(elections));
        }
    };
    context.output.result(&ElectionOutput(shown?))
}

/// Configuration of a node that works in the data folder and serves no voters. Only whether there
/// will be a TLS proxy matters; its address is unknown.
fn offline_config(behind_tls_proxy: bool) -> Config {
    let mut config = Config::default();
    if behind_tls_proxy {
        config.tls_proxies = vec![AddressRange::from(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    }
    config
}

fn print_created(created: &Created, context: &Context) -> Result<(), CommandError> {
    context.output.result(created)?;
    let warnings = &created.created.warnings;
    warnings.iter().for_each(|warning| context.output.warning(plain(warning)));
    Ok(())
}

fn amend(args: AmendArgs, context: &Context) -> Result<(), CommandError> {
    let AmendArgs { law_id, target, opens, closes, choices, .. } = args;
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
    let created = admin_target::with_target(&target, offline_config(true), async |target| {
        target.amend(&law_id, request).await
    })?;
    print_created(&Created { created, invitations: None, opens, closes }, context)
}

fn open(args: OpenArgs, context: &Context) -> Result<ElectionView, CommandError> {
    confirm(&OPEN, &args.law_id, args.yes, &args.target, context, |view| {
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
    admin_target::with_target(&args.target, config, async |target| {
        target.open_poll(&args.law_id, request).await
    })
}

fn close(args: CloseArgs, context: &Context) -> Result<ElectionView, CommandError> {
    let reason = args.early.as_deref();
    confirm(&CLOSE, &args.law_id, args.yes, &args.target, context, |view| {
        let mut statement = format!(
            "The poll closes: no more votes are taken, the {} votes received so far and those in \
             flight are decided, and the totals are opened. A closed poll does not open again.",
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
    admin_target::with_target(&args.target, Config::default(), async |target| {
        target.close_poll(&args.law_id, request).await
    })
}

/// The planned end of an open poll, if it lies in the future.
fn planned_end(view: &ElectionView) -> Option<UnixMinutes> {
    let closes = UnixSeconds::from_rfc3339(view.closes.as_deref()?).ok()?;
    (view.state == "open" && clock() < closes).then(|| closes.minute_floor())
}

fn clock() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(since.as_secs())
}

/// Formats a remaining time: to the minute below one day, else to the hour.
fn in_words(seconds: u64) -> String {
    match (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn certify(args: CertifyArgs, context: &Context) -> Result<ElectionView, CommandError> {
    confirm(&CERTIFY, &args.law_id, args.yes, &args.target, context, |view| {
        let mut statement = format!(
            "The result is declared official, with {} accepted votes: its digest goes into the public log. It cannot be withdrawn. Has the recount confirmed the totals?",
            view.accepted
        );
        if let Some(reason) = &args.witness_waiver {
            statement.push_str(&format!(
                "\nIf too few outside witnesses have cosigned the log, it goes without them. The public log then keeps the reason: {}",
                plain(reason)
            ));
        }
        Ok(statement)
    })?;
    let request = CertifyElection { witness_waiver: args.witness_waiver };
    admin_target::with_target(&args.target, Config::default(), async |target| {
        target.certify(&args.law_id, request).await
    })
}

fn annul(args: AnnulArgs, context: &Context) -> Result<ElectionView, CommandError> {
    confirm(&ANNUL, &args.law_id, args.yes, &args.target, context, |view| {
        Ok(format!(
            "The election is declared void, with {} accepted votes. This cannot be undone. The \
             public log keeps the reason: {}",
            view.accepted,
            plain(&args.reason)
        ))
    })?;
    let request = AnnulElection { reason: args.reason };
    admin_target::with_target(&args.target, Config::default(), async |target| {
        target.annul(&args.law_id, request).await
    })
}

fn purge(args: &StepArgs, context: &Context) -> Result<ElectionView, CommandError> {
    confirm(&PURGE, &args.law_id, args.yes, &args.target, context, |_| {
        Ok("The stored votes and the ballot key are destroyed, and no recount is possible after that. The public log and its totals stay.".to_owned())
    })?;
    let purged = admin_target::with_target(&args.target, Config::default(), async |target| {
        target.purge(&args.law_id).await
    })?;
    context
        .output
        .note("the stored votes and the ballot key are destroyed; the log and its totals stay");
    kept_pepper::note(args.target.data(), &args.law_id, context);
    Ok(purged)
}

/// A step that cannot be undone.
struct Step {
    name: &'static str,
    change: Change,
}

const OPEN: Step = Step { name: "opening a poll", change: Change::Open };
const CLOSE: Step = Step { name: "closing a poll", change: Change::Close };
const CERTIFY: Step = Step { name: "certifying a result", change: Change::Certify };
const ANNUL: Step = Step { name: "annulling an election", change: Change::Annul };
const PURGE: Step = Step { name: "a purge", change: Change::Purge };

impl Step {
    /// Refuses a state in which the step is not possible. Of a state without a name here, such as
    /// `halted`, the node decides.
    fn check(&self, state: &str) -> Result<(), AdminError> {
        match State::ALL.into_iter().find(|known| known.to_string() == state) {
            Some(state) if !self.change.is_possible_in(state) => {
                Err(AdminError::State { state, wanted: self.change })
            }
            _ => Ok(()),
        }
    }
}

/// Shows the effect of a step and its election, and asks for confirmation; `--yes` skips this.
/// Steps that the node would refuse are refused before the question.
fn confirm(
    step: &Step,
    law_id: &ElectionId,
    yes: YesArgs,
    target: &AdminTargetArgs,
    context: &Context,
    statement: impl FnOnce(&ElectionView) -> Result<String, CommandError>,
) -> Result<(), CommandError> {
    if !yes.must_confirm(step.name)? {
        return Ok(());
    }
    let view = admin_target::run(async { Records::open(target)?.election(law_id).await })?;
    step.check(&view.state)?;
    let nature = if view.binding { "binding" } else { "not binding" };
    let (fr, en) = (plain(&view.title.fr), plain(&view.title.en));
    let heading = format!("{law_id}: {fr} / {en} ({}, {nature})", plain(&view.state));
    let statement = statement(&view)?;
    prompt::confirm(context, &format!("{heading}\n{statement}"), law_id.as_str())
}

fn choices_of(view: &ElectionView) -> String {
    view.choices.iter().map(|choice| plain(&choice.id)).collect::<Vec<_>>().join(", ")
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

impl fmt::Display for ElectionOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_election(formatter, &self.0, None, None)
    }
}

impl fmt::Display for Created {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (opens, closes) = (self.opens.as_deref(), self.closes.as_deref());
        write_election(formatter, &self.created.election, opens, closes)?;
        self.invitations.as_ref().map_or(Ok(()), |report| fmt::Display::fmt(report, formatter))
    }
}

/// Formats a time as typed and in UTC, so that a wrong offset is noticed.
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
        // Replays: requests that arrived again and were decided once.
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
