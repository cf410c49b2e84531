//! Why an administrative call was refused, or failed.

use votekit_core::binding::BindingRule;
use votekit_core::election::Definition;
use votekit_core::shard::ShardHead;
use votekit_node::data_folder::DataFolder;
use votekit_node::{AdminError, CallRule, MemberFault, MemberRule};

use crate::InWords;
use crate::logs::wrong_state;

impl InWords for AdminError {
    fn in_words(&self) -> String {
        match self {
            Self::UnknownElection { law_id } => format!("there is no election {law_id}"),
            Self::Exists { law_id } => format!("the election {law_id} already exists"),
            Self::State { state, wanted } => wrong_state(*state, *wanted),
            Self::Field { field, rule } => format!("{field}: {}", rule.in_words()),
            Self::Fields { errors } => joined(errors.iter().map(|fault| {
                let rule = fault.rule.in_words();
                format!("{}: {rule}", fault.field)
            })),
            Self::Members { faults } => joined(faults.iter().map(|fault| {
                let rule = fault.rule.in_words();
                format!("{}: {rule}", fault.field())
            })),
            Self::AccountsBusy => {
                "other calls keep changing the accounts of these members: repeat the call"
                    .to_owned()
            }
            Self::Refused(error) => error.in_words(),
            Self::NotSafe { missing } => {
                let missing = joined(missing.iter().map(InWords::in_words));
                format!("a binding election cannot open: {missing}")
            }
            Self::EarlyClose { law_id, closes } => format!(
                "the poll of {law_id} is planned to close at {closes}: closing it earlier requires \
                 a reason"
            ),
            Self::WitnessesMissing { law_id, quorum, missing } => format!(
                "{quorum} of the outside witnesses must have cosigned the closed log of {law_id}, \
                 and too few have; missing: {}. Wait for them, or give a reason to do without them",
                missing.join(", ")
            ),
            Self::CreatedWithoutRoll { law_id, source } => format!(
                "the election {law_id} was created as a draft, and its roll has not taken effect \
                 yet: {}",
                source.in_words()
            ),
            Self::Busy { law_id } => {
                format!("another administrative call on {law_id} is in progress")
            }
            Self::Halted { law_id, reason } => {
                format!("{law_id} is halted on this node ({reason}): start the node again")
            }
            Self::OutcomeUnknown => {
                "the outcome of this call is unknown because the node's task ended: check the \
                 election, then retry"
                    .to_owned()
            }
            Self::Stopping => "the node is stopping".to_owned(),
            Self::Folder(error) => error.in_words(),
            Self::Engine(error) => error.in_words(),
            Self::Election(error) => error.in_words(),
            Self::Setup(error) => error.in_words(),
            Self::Missing { .. }
            | Self::NotLeading { .. }
            | Self::NotAnAuthority
            | Self::NotEnded { .. }
            | Self::Answering { .. } => about_nodes(self),
            Self::Roll(_)
            | Self::SecondRoll { .. }
            | Self::ShortCodes { .. }
            | Self::NotLatest { .. }
            | Self::UnknownRoll { .. }
            | Self::RollInUse { .. }
            | Self::RollHasSupplement { .. }
            | Self::TooLong { .. }
            | Self::Loading => about_rolls(self),
        }
    }
}

/// A call that a node stands in the way of.
fn about_nodes(error: &AdminError) -> String {
    match error {
        AdminError::Missing { node, epoch, staged, sealed } => format!(
            "the close is waiting: node {node}, epoch {}: {} batches received, {} in the log",
            epoch.0, staged.0, sealed.0
        ),
        AdminError::NotEnded { node, name, epoch } => format!(
            "the close is waiting for node {}, epoch {}, which has not ended: start the node \
             again, or retire it if it is permanently lost",
            name.clone().unwrap_or_else(|| node.to_string()),
            epoch.0
        ),
        AdminError::Answering { node, epoch } => format!(
            "node {node} may still be answering voters, in epoch {}: wait until its lease has \
             expired",
            epoch.0
        ),
        AdminError::NotAnAuthority => "this node is not one of several authorities".to_owned(),
        AdminError::NotLeading { leader: Some(leader) } => {
            format!("this node does not lead: {leader} does")
        }
        _ => "this node does not lead".to_owned(),
    }
}

/// A call about a roll.
fn about_rolls(error: &AdminError) -> String {
    match error {
        AdminError::Roll(error) => error.in_words(),
        AdminError::SecondRoll { law_id, kept } => format!(
            "{law_id} already has another roll, with the manifest {kept}: a law has one roll; \
             later changes are loaded as supplements to it"
        ),
        AdminError::ShortCodes { law_id, length } => format!(
            "{law_id} is binding: access codes must have at least {} characters, and the shortest \
             of this supplement has {length}",
            Definition::BINDING_CODE_LENGTH_MIN
        ),
        AdminError::NotLatest { law_id, parent, last } => format!(
            "{law_id}: the supplement is based on the manifest {parent}, but {last} was loaded \
             after it"
        ),
        AdminError::UnknownRoll { manifest } => {
            format!("no roll with the manifest {manifest} is loaded")
        }
        AdminError::RollInUse { manifest, law_id } => {
            format!("the roll {manifest} is in use: the log of {law_id} names it")
        }
        AdminError::RollHasSupplement { manifest, supplement } => format!(
            "the supplement {supplement} follows the roll {manifest}: discard the supplement first"
        ),
        AdminError::TooLong { seconds } => format!(
            "reading the files of the roll took longer than {seconds} s and was aborted; nothing \
             was changed"
        ),
        _ => "another roll is being loaded: only one load runs at a time".to_owned(),
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join("; ")
}

impl InWords for BindingRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Pepper => {
                "its roll must be hashed under a pepper (votekit hashgen --pepper-file)"
            }
            Self::Results => {
                "results must be shown after the close only (or waive this rule: --waive results)"
            }
            Self::Confidential => {
                "votes must reach the node over TLS (--tls-cert and --tls-key, or --tls-proxy)"
            }
            Self::TestBase { base } => {
                return format!(
                    "its log must not have the name of a test, and this folder has {base}: load \
                     the roll into a new folder with another --log-base"
                );
            }
            Self::DefaultBase => {
                return format!(
                    "its log must be named after your organisation, and this folder has the \
                     default name {}: load the roll into a new folder with --log-base",
                    DataFolder::DEFAULT_BASE
                );
            }
            Self::ShortCodes { manifest, length } => {
                return format!(
                    "access codes must have at least {} characters; the shortest of manifest \
                     {manifest} has {length}",
                    Definition::BINDING_CODE_LENGTH_MIN
                );
            }
        };
        text.to_owned()
    }
}

impl InWords for CallRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Law(error) => return error.in_words(),
            Self::Choice(error) => return error.in_words(),
            Self::Time(error) => return error.in_words(),
            Self::Definition(error) => return error.in_words(),
            Self::OpensInPast { opens, now } => {
                return format!(
                    "the poll would open at {opens}, and it is {now} now: leave this out to open \
                     it by hand"
                );
            }
            Self::ClosesInPast { closes, now } => {
                return format!("the poll would close at {closes}, and it is {now} now");
            }
            Self::NotWaivable { waiver } => {
                return format!("'{waiver}' is not a rule that can be waived; 'results' is");
            }
            Self::SupplementReplaces => {
                "a supplement cannot replace a roll: load it without `replace`"
            }
            Self::AnsweringNode => "this is the node that answers this call, so it is not lost",
            Self::MembersBinding => {
                "an election of members with accounts cannot be binding: the person who runs the \
                 node can vote for any member"
            }
            Self::MembersUnsigned => {
                "this node takes only rolls that an official has signed: draw credentials offline \
                 (votekit roll members) and load their roll"
            }
            Self::MembersAuthorities => {
                "with several authorities, only one of them would have the key of such an \
                 election: draw credentials offline (votekit roll members) and load their roll"
            }
            Self::MemberCount => {
                return format!("an election has 1 to {} members", ShardHead::KEYS_MAX);
            }
            Self::NodeRecord(error) => return error.in_words(),
            Self::NodeNameTaken { name } => {
                return format!("another node is admitted as {name}: give this one another name");
            }
            Self::NodeKeyTaken { name } => {
                return format!("the node is admitted already, as {name}");
            }
            Self::NodeRetired { name } => {
                return format!(
                    "{name} was retired, which is final: admit new keys, under another name"
                );
            }
            Self::NodeNotAdmitted { name } => return format!("no node was admitted as {name}"),
            Self::NodeWithoutRecord => {
                "with several authorities, a node must first be admitted to the installation by \
                 its record (votekit node admit RECORD)"
            }
            Self::AuthorityKey { authority } => {
                return format!(
                    "it is a key of the authority {authority}: give the keys of the node"
                );
            }
            Self::FileUnread { reason } => {
                return format!("the node cannot read this file: {reason}");
            }
            Self::KeyFile(error) => return error.in_words(),
            Self::BallotKeyUsed { law_id } => {
                return format!(
                    "it is the ballot key of {law_id}: each election needs a separate ballot key"
                );
            }
            Self::OtherBallotKey => {
                "the data folder already contains another ballot key for this election"
            }
            Self::AddressCount { most } => {
                return format!(
                    "must have 1 to {most} e-mail addresses; for more members draw credentials \
                     offline with votekit roll members"
                );
            }
        };
        text.to_owned()
    }
}

impl InWords for MemberRule {
    fn in_words(&self) -> String {
        match self {
            Self::Email(error) => error.in_words(),
            Self::Repeated { first } => {
                format!("is the same address as {}[{first}]", MemberFault::LIST)
            }
            Self::Official => {
                "is the address of an official: a member needs another one".to_owned()
            }
            Self::Disabled => "is the address of an account that is disabled".to_owned(),
        }
    }
}
