//! The statements of an authority to the others: vote, accept, refuse, suspect.

use std::fmt;
use std::fmt::Write as _;

use super::point::{AcceptedBlock, LogPoint, TermLeader};
use super::set::AuthoritySet;
use super::text::{Fields, StatementError, StatementRule};
use crate::id::{Digest, ElectionId};
use crate::log::note::KeyName;

/// The first line.
const FORMAT: &str = "votekit-statement/1";

/// One statement of one authority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    /// The authority that states it.
    pub authority: KeyName,
    /// The number of times that the authority's memory had been opened, from 1. A number lower than
    /// one seen earlier shows that the memory was restored from an older copy.
    pub incarnation: u64,
    /// The statement itself.
    pub body: StatementBody,
}

/// The kinds of statements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StatementBody {
    /// Promises to follow a leader in its term, and reports the authority's certified and accepted
    /// blocks.
    Vote(Vote),
    /// The authority has recomputed a proposed block, byte for byte, and keeps it.
    Accept(Accept),
    /// The authority's own bytes differ from the proposed block, or a guard forbids the block.
    Refuse(Refuse),
    /// The authority asks for another leader.
    Suspect(Suspect),
}

impl StatementBody {
    /// The kind's name in the text.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Vote(_) => "vote",
            Self::Accept(_) => "accept",
            Self::Refuse(_) => "refuse",
            Self::Suspect(_) => "suspect",
        }
    }

    /// The term and leader that it is about.
    #[must_use]
    pub const fn leadership(&self) -> &TermLeader {
        match self {
            Self::Vote(vote) => &vote.leadership,
            Self::Accept(accept) => &accept.leadership,
            Self::Refuse(refuse) => &refuse.leadership,
            Self::Suspect(suspect) => &suspect.leadership,
        }
    }
}

/// The promise to follow a leader in its term, and no leader of an earlier term.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// The term and the leader voted for.
    pub leadership: TermLeader,
    /// The authority's certified and accepted blocks of each election, ascending by law id, each
    /// election once.
    pub elections: Vec<ElectionVote>,
}

/// The certified and accepted blocks of an authority in one election when it votes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElectionVote {
    /// The election.
    pub law_id: ElectionId,
    /// The end of the log after the last block that the authority knows to be certified.
    pub certified: LogPoint,
    /// The block that it has accepted above `certified`, if any, in a term before the vote's.
    pub accepted: Option<AcceptedBlock>,
}

/// The acceptance of a proposed block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Accept {
    /// The election.
    pub law_id: ElectionId,
    /// The term and the leader of the proposal.
    pub leadership: TermLeader,
    /// The end of the log after the block.
    pub point: LogPoint,
}

/// The refusal of a proposed block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refuse {
    /// The election.
    pub law_id: ElectionId,
    /// The term and the leader of the proposal.
    pub leadership: TermLeader,
    /// The height of the block.
    pub height: u64,
    /// The proposal's digest of the block's leaf bytes.
    pub digest: Digest,
    /// The index in the log of the first leaf concerned.
    pub leaf: u64,
    /// The name of the rule that the block breaks: 1 to 40 of `a-z0-9-`.
    pub rule: String,
    /// SHA-256 of the leaf that this authority makes at that index, if it makes one.
    pub own: Option<Digest>,
    /// SHA-256 of the leaf proposed at that index, if there is one.
    pub theirs: Option<Digest>,
}

impl Refuse {
    /// The longest name of a rule.
    pub const RULE_LENGTH_MAX: usize = 40;
}

/// The wish for another leader.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suspect {
    /// The term and the leader suspected.
    pub leadership: TermLeader,
    /// The reason.
    pub reason: SuspectReason,
}

/// Why an authority wants another leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuspectReason {
    /// It refused a block of the term.
    Refused,
    /// A batch was left out of the blocks for too long.
    LeftOut,
    /// Nothing was proposed for too long while something was due.
    Idle,
    /// The leader was asked to step down.
    Stepdown,
}

impl SuspectReason {
    const ALL: [Self; 4] = [Self::Refused, Self::LeftOut, Self::Idle, Self::Stepdown];

    /// The reason's name in the text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::LeftOut => "left-out",
            Self::Idle => "idle",
            Self::Stepdown => "step-down",
        }
    }
}

impl fmt::Display for SuspectReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Statement {
    /// The text that is signed, with its final line feed.
    #[must_use]
    pub fn text(&self, base: &KeyName) -> String {
        let (body, TermLeader { term, leader }) = (&self.body, self.body.leadership());
        let mut text = format!(
            "{FORMAT}\nbase {base}\nauthority {}\nincarnation {}\nkind {}\nterm {term}\n\
             leader {leader}\n",
            self.authority,
            self.incarnation,
            body.kind(),
        );
        match body {
            StatementBody::Vote(vote) => vote.elections.iter().for_each(|one| one.write(&mut text)),
            StatementBody::Accept(accept) => accept.write(&mut text),
            StatementBody::Refuse(refuse) => refuse.write(&mut text),
            StatementBody::Suspect(suspect) => write_field(&mut text, "reason", suspect.reason),
        }
        text
    }

    /// Parses a signed text of this installation. Verifies no signature.
    pub(super) fn parse_text(text: &str, set: &AuthoritySet) -> Result<Self, StatementError> {
        let mut fields = Fields::open(text, FORMAT, set)?;
        let authority = fields.member("authority")?;
        let incarnation = fields.number("incarnation", 1)?;
        let kind = fields.value("kind")?;
        if !["vote", "accept", "refuse", "suspect"].contains(&kind) {
            return Err(fields.malformed(StatementRule::Kind));
        }
        let leadership = fields.leadership()?;
        let body = match kind {
            "vote" => StatementBody::Vote(Vote::read(leadership, &mut fields)?),
            "accept" => StatementBody::Accept(Accept::read(leadership, &mut fields)?),
            "refuse" => StatementBody::Refuse(Refuse::read(leadership, &mut fields)?),
            _ => StatementBody::Suspect(Suspect::read(leadership, &mut fields)?),
        };
        fields.end()?;
        Ok(Self { authority, incarnation, body })
    }
}

impl Vote {
    fn read(leadership: TermLeader, fields: &mut Fields<'_>) -> Result<Self, StatementError> {
        let mut elections: Vec<ElectionVote> = Vec::new();
        while fields.is_next("election") {
            let law_id: ElectionId = fields.id("election")?;
            if elections.last().is_some_and(|before| before.law_id >= law_id) {
                return Err(fields.malformed(StatementRule::ElectionOrder));
            }
            let certified = fields.point("certified")?;
            let accepted = match fields.is_next("accepted") {
                true => Some(fields.accepted("accepted")?),
                false => None,
            };
            if let Some(AcceptedBlock { term, point }) = accepted {
                if point.height <= certified.height {
                    return Err(fields.malformed(StatementRule::AcceptedHeight));
                }
                if term >= leadership.term {
                    return Err(fields.malformed(StatementRule::AcceptedTerm));
                }
            }
            elections.push(ElectionVote { law_id, certified, accepted });
        }
        Ok(Self { leadership, elections })
    }
}

impl ElectionVote {
    fn write(&self, text: &mut String) {
        write_field(text, "election", &self.law_id);
        write_field(text, "certified", self.certified);
        if let Some(accepted) = self.accepted {
            write_field(text, "accepted", accepted);
        }
    }
}

impl Accept {
    fn read(leadership: TermLeader, fields: &mut Fields<'_>) -> Result<Self, StatementError> {
        let law_id = fields.id("election")?;
        let height = fields.number("height", 1)?;
        let point =
            LogPoint { height, size: fields.number("size", height)?, root: fields.id("root")? };
        Ok(Self { law_id, leadership, point })
    }

    fn write(&self, text: &mut String) {
        write_field(text, "election", &self.law_id);
        write_field(text, "height", self.point.height);
        write_field(text, "size", self.point.size);
        write_field(text, "root", self.point.root);
    }
}

impl Refuse {
    fn read(leadership: TermLeader, fields: &mut Fields<'_>) -> Result<Self, StatementError> {
        Ok(Self {
            law_id: fields.id("election")?,
            leadership,
            height: fields.number("height", 1)?,
            digest: fields.id("digest")?,
            leaf: fields.number("leaf", 0)?,
            rule: read_rule_name(fields)?,
            own: fields.optional_digest("own")?,
            theirs: fields.optional_digest("theirs")?,
        })
    }

    fn write(&self, text: &mut String) {
        let digest_or_none =
            |digest: Option<Digest>| digest.map_or_else(|| "none".to_owned(), |one| one.to_hex());
        write_field(text, "election", &self.law_id);
        write_field(text, "height", self.height);
        write_field(text, "digest", self.digest);
        write_field(text, "leaf", self.leaf);
        write_field(text, "rule", &self.rule);
        write_field(text, "own", digest_or_none(self.own));
        write_field(text, "theirs", digest_or_none(self.theirs));
    }
}

impl Suspect {
    fn read(leadership: TermLeader, fields: &mut Fields<'_>) -> Result<Self, StatementError> {
        let value = fields.value("reason")?;
        let reason = SuspectReason::ALL.into_iter().find(|reason| reason.name() == value);
        match reason {
            Some(reason) => Ok(Self { leadership, reason }),
            None => Err(fields.malformed(StatementRule::Reason)),
        }
    }
}

fn read_rule_name(fields: &mut Fields<'_>) -> Result<String, StatementError> {
    let name = fields.value("rule")?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=Refuse::RULE_LENGTH_MAX).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(name.to_owned());
    }
    Err(fields.malformed(StatementRule::RuleName))
}

fn write_field(text: &mut String, name: &str, value: impl fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{name} {value}");
}

#[cfg(test)]
#[path = "statement_test.rs"]
mod tests;
