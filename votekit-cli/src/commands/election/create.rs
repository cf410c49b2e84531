//! `votekit election create`.

use std::path::PathBuf;

use votekit_core::election::ResultsPolicy;
use votekit_core::id::ElectionId;
use votekit_node::{ChoiceRequest, CreateElection};

use super::members::MemberFile;
use super::{Created, offline_config, parse_choice, parse_policy, print_created};
use crate::admin_target::{self, AdminTarget, AdminTargetArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::interruption;
use crate::invitation_links::LinkArgs;

/// Create an election as a draft
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit election create L2025-001 --title-fr 'Loi sur l’eau' --title-en 'Water Act' --data node/
  votekit election create MAIRE-2025 --title-fr Mairie --title-en Mayor \\
      --choice 'tremblay=Alice Tremblay' --choice 'roy=Jean Roy' --blank --results after_close \\
      --opens 2026-11-21T08:00:00-05:00 --closes 2026-11-22T08:00:00-05:00 --data node/
  votekit election create LOGO-2026 --title-fr 'Choix du logo' --title-en 'Choice of a logo' \\
      --choice feuille --choice iris --members members.csv --csv links.csv \\
      --url https://vote.example.org --data node/
  votekit election create L2025-001 --title-fr 'Loi sur l’eau' --title-en 'Water Act' \\
      --ballot-key L2025-001.key --data node/

A file of members:
  email
  alice@example.org
  bob@example.org")]
pub(super) struct CreateArgs {
    /// Law put to the vote; it becomes the id of the election
    law_id: ElectionId,

    /// Title in French
    #[arg(long, value_name = "TEXT")]
    title_fr: String,

    /// Title in English
    #[arg(long, value_name = "TEXT")]
    title_en: String,

    /// Description in French
    #[arg(long, value_name = "TEXT", default_value = "")]
    description_fr: String,

    /// Description in English
    #[arg(long, value_name = "TEXT", default_value = "")]
    description_en: String,

    /// Choice, as ID, ID=LABEL or ID=FRENCH|ENGLISH; may be repeated [default: oui and non]
    #[arg(long = "choice", value_name = "CHOICE", value_parser = parse_choice)]
    choices: Vec<ChoiceRequest>,

    /// Add a blank vote, as the choice 'blanc'
    #[arg(long)]
    blank: bool,

    /// Make the result binding: the poll then opens only with a pepper, codes of at least 8
    /// characters, your own --log-base, results after the close, and TLS
    #[arg(long)]
    binding: bool,

    /// Who sees results, and when: live, after_vote or after_close [default: live; after_close when
    /// binding]
    #[arg(long, value_name = "POLICY", value_parser = parse_policy)]
    results: Option<ResultsPolicy>,

    /// Before the close, update the results only when N accepted votes are new and N newer ones are
    /// not included yet; below 20, readers can learn how single voters chose [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    publish_every: Option<u64>,

    /// Opening time with UTC offset, such as 2026-11-21T08:00:00-05:00
    #[arg(long, value_name = "TIME")]
    opens: Option<String>,

    /// Closing time with UTC offset
    #[arg(long, value_name = "TIME")]
    closes: Option<String>,

    /// Make it an election of the members of an association, who sign in with accounts: a CSV file
    /// with their addresses in the column email. Members without a password get a one-time link.
    /// Such elections are never binding
    #[arg(long, value_name = "FILE", conflicts_with = "binding")]
    members: Option<PathBuf>,

    /// Ballot key that officials made with `votekit ballot-key generate`, for this election only;
    /// without it the node makes one. The file is on the machine of the node, and private to its
    /// account
    #[arg(long, value_name = "FILE")]
    ballot_key: Option<PathBuf>,

    #[command(flatten)]
    links: LinkArgs,

    #[command(flatten)]
    target: AdminTargetArgs,
}

pub(super) fn run(args: CreateArgs, context: &Context) -> Result<(), CommandError> {
    let (opens, closes) = (args.opens.clone(), args.closes.clone());
    let created = match args.members.clone() {
        Some(path) => create_with_members(args, &MemberFile::read(&path)?, context)?,
        None if args.links.is_given() => {
            return Err(CommandError::usage(
                "--url and --csv need --members, whose links they describe",
            ));
        }
        None => create(args, context)?,
    };
    print_created(&Created { opens, closes, ..created }, context)
}

fn create(args: CreateArgs, context: &Context) -> Result<Created, CommandError> {
    let target = args.target.clone();
    // How voters will reach the node is known only when the poll opens.
    let config = offline_config(true);
    let created = admin_target::with_target(&target, config, async |target| {
        args.install_ballot_key(target, context).await?;
        target.create(args.request()).await
    })?;
    Ok(Created { created, invitations: None, opens: None, closes: None })
}

fn create_with_members(
    args: CreateArgs,
    members: &MemberFile,
    context: &Context,
) -> Result<Created, CommandError> {
    let (target, links) = (args.target.clone(), args.links.clone());
    links.warn(context);
    interruption::sweep_when_interrupted()?;
    let file = links.create()?;
    let config = offline_config(true);
    let created = admin_target::with_target(&target, config, async |target| {
        args.install_ballot_key(target, context).await?;
        target.create_with_members(args.request(), &members.emails).await
    })?;
    let created = created.map_err(|faults| members.refused(&faults))?;
    let invited = created.invitations.into_iter().map(|link| links.invited_member(link)).collect();
    let invitations = Some(links.fill(file, invited)?);
    Ok(Created { created: created.created, invitations, opens: None, closes: None })
}

impl CreateArgs {
    /// Hands the node the ballot key, if one was given. A creation that is refused can be repeated.
    async fn install_ballot_key(
        &self,
        target: &AdminTarget,
        context: &Context,
    ) -> Result<(), CommandError> {
        if let Some(file) = &self.ballot_key {
            let public_key = target.install_ballot_key(&self.law_id, file).await?;
            context.output.note(format_args!(
                "the ballot key of {} is {public_key}: compare it with the one that officials noted",
                self.law_id
            ));
        }
        Ok(())
    }

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
