//! The topics that readers follow.

use std::fmt;

use votekit_core::id::ElectionId;

/// The topic of a channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// The elections and their states.
    Elections,
    /// The log of an election.
    Blocks(ElectionId),
    /// How many votes an election has received.
    Turnout(ElectionId),
    /// The same, with the counts by choice where everyone may see them.
    Results(ElectionId),
    /// The same under the policy `after_vote`, with the counts for readers who have voted. Readers
    /// name [`Topic::Results`]: no reader can name this variant.
    VoterResults(ElectionId),
    /// The ingest nodes of an election. For officials.
    Nodes(ElectionId),
}

impl Topic {
    /// Parses `elections`, or `blocks/`, `turnout/`, `results/` or `nodes/` and a law id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "elections" {
            return Some(Self::Elections);
        }
        let (name, law_id) = text.split_once('/')?;
        let topic = match name {
            "blocks" => Self::Blocks,
            "turnout" => Self::Turnout,
            "results" => Self::Results,
            "nodes" => Self::Nodes,
            _ => return None,
        };
        law_id.parse().ok().map(topic)
    }

    /// The election that the topic is about.
    pub(crate) fn law_id(&self) -> Option<&ElectionId> {
        match self {
            Self::Elections => None,
            Self::Blocks(law_id)
            | Self::Turnout(law_id)
            | Self::Results(law_id)
            | Self::VoterResults(law_id)
            | Self::Nodes(law_id) => Some(law_id),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elections => formatter.write_str("elections"),
            Self::Blocks(law_id) => write!(formatter, "blocks/{law_id}"),
            Self::Turnout(law_id) => write!(formatter, "turnout/{law_id}"),
            Self::Results(law_id) | Self::VoterResults(law_id) => {
                write!(formatter, "results/{law_id}")
            }
            Self::Nodes(law_id) => write!(formatter, "nodes/{law_id}"),
        }
    }
}
