//! The rules that the fields of an administrative call break, as codes with parameters. The edges
//! make the sentences; `Display` is for logs.

use std::fmt;

use votekit_core::election::{ChoiceIdError, DefinitionError};
use votekit_core::email::EmailError;
use votekit_core::id::{ElectionId, IdError};
use votekit_core::instant::{TimeError, UnixMinutes};
use votekit_core::key_file::KeyFileError;
use votekit_core::log::note::KeyName;
use votekit_core::shard::ShardHead;

use crate::node_name::NodeName;
use crate::node_record::NodeRecordError;

/// A wrong field of a call, and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct FieldFault {
    /// The field.
    pub field: &'static str,
    /// The rule.
    pub rule: CallRule,
}

/// The rule that a field of a call breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
// Exhaustive: votekit-http has a sentence for each variant.
pub enum CallRule {
    /// A law id is well formed.
    #[error(transparent)]
    Law(#[from] IdError),
    /// A choice id is well formed.
    #[error(transparent)]
    Choice(#[from] ChoiceIdError),
    /// A time is well formed.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The definition obeys its rules.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The planned opening is not in the past.
    #[error("opening {opens} is before {now}")]
    OpensInPast {
        /// The planned opening.
        opens: UnixMinutes,
        /// The time of the node.
        now: UnixMinutes,
    },
    /// The planned closing is in the future.
    #[error("closing {closes} is before {now}")]
    ClosesInPast {
        /// The planned closing.
        closes: UnixMinutes,
        /// The time of the node.
        now: UnixMinutes,
    },
    /// Only the rule on results can be waived.
    #[error("'{waiver}' cannot be waived")]
    NotWaivable {
        /// The rule that was to be waived.
        waiver: String,
    },
    /// Only a roll replaces a roll.
    #[error("a supplement cannot replace a roll")]
    SupplementReplaces,
    /// The node that answers is not lost.
    #[error("this node answers the call")]
    AnsweringNode,
    /// An election of members is not binding.
    #[error("an election of members cannot be binding")]
    MembersBinding,
    /// No official has signed a roll that the node makes.
    #[error("rolls must be signed by an official")]
    MembersUnsigned,
    /// The members' key is of one data folder: several authorities have one each.
    #[error("no election of members with several authorities")]
    MembersAuthorities,
    /// The members of an election fit into one shard.
    #[error("not 1 to {} members", ShardHead::KEYS_MAX)]
    MemberCount,
    /// A record of a node has usable keys.
    #[error(transparent)]
    NodeRecord(#[from] NodeRecordError),
    /// A name denotes one node.
    #[error("another node is admitted as {name}")]
    NodeNameTaken {
        /// The name.
        name: NodeName,
    },
    /// A node has one name.
    #[error("the node is admitted as {name}")]
    NodeKeyTaken {
        /// Its name.
        name: NodeName,
    },
    /// A node that was retired is not admitted again.
    #[error("{name} was retired")]
    NodeRetired {
        /// The name.
        name: NodeName,
    },
    /// Only a node that was admitted by its record is retired from the installation.
    #[error("node {name} not admitted")]
    NodeNotAdmitted {
        /// The name.
        name: NodeName,
    },
    /// With several authorities, a node needs a record.
    #[error("the node has no admitted record")]
    NodeWithoutRecord,
    /// The key of an ingest node is not a key of an authority.
    #[error("key of the authority {authority}")]
    AuthorityKey {
        /// The name of the authority.
        authority: KeyName,
    },
    /// A file on the node's machine can be read.
    #[error("file unreadable: {reason}")]
    FileUnread {
        /// The reason.
        reason: String,
    },
    /// A key file is whole.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A ballot key is for one election.
    #[error("ballot key of {law_id}")]
    BallotKeyUsed {
        /// The other election.
        law_id: ElectionId,
    },
    /// An election has one ballot key.
    #[error("the election has another ballot key")]
    OtherBallotKey,
    /// One call names a limited number of members.
    #[error("not 1 to {most} addresses")]
    AddressCount {
        /// The most addresses.
        most: usize,
    },
}

/// The fault of an address in a list of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFault {
    /// Its index in the list, from 0.
    pub index: usize,
    /// The rule that it breaks.
    pub rule: MemberRule,
}

impl MemberFault {
    /// The name of the list in a call.
    pub const LIST: &'static str = "eligible_voters";

    /// The name of the address in a call: the list with the index.
    #[must_use]
    pub fn field(&self) -> String {
        format!("{}[{}]", Self::LIST, self.index)
    }

    /// The index of the address with this name.
    #[must_use]
    pub fn index_of(field: &str) -> Option<usize> {
        field.strip_prefix(Self::LIST)?.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
    }
}

impl fmt::Display for MemberFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field(), self.rule)
    }
}

/// The rule that an address in a list of members breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum MemberRule {
    /// It is an e-mail address.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// It is in the list once.
    #[error("same address as {}[{first}]", MemberFault::LIST)]
    Repeated {
        /// The index of the first occurrence.
        first: usize,
    },
    /// It is not an official's.
    #[error("address of an official")]
    Official,
    /// Its account is not disabled.
    #[error("address of a disabled account")]
    Disabled,
}
