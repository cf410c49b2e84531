//! What an authority states about blocks and leaders, and how it signs it.

use std::fmt::Write as _;

use super::AuthoritySet;
use super::proposal::BlockProposal;
use super::text::Lines;
use crate::id::{Digest, ElectionId};
use crate::log::merkle::{TreeHash, empty_root};
use crate::log::note::{KeyName, Note, NoteError, SigningKey};

/// The first line of a statement.
const FORMAT: &str = "votekit-statement/1";

/// The longest name of a rule.
const RULE_BYTES_MAX: usize = 40;

/// A leadership: a term and the authority that leads in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermLeader {
    /// The term, from 1.
    pub term: u64,
    /// The name of the leader.
    pub leader: KeyName,
}

/// A position of a log: the end of one of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPoint {
    /// The height of the block; 0 before the first.
    pub height: u64,
    /// The number of leaves up to its end.
    pub size: u64,
    /// The root of the tree over them.
    pub root: TreeHash,
}

impl LogPoint {
    /// The position before the first block.
    #[must_use]
    pub fn empty() -> Self {
        Self { height: 0, size: 0, root: empty_root() }
    }
}

/// A block that an authority has accepted, and the term in which it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcceptedBlock {
    /// The term.
    pub term: u64,
    /// The end of the block.
    pub point: LogPoint,
}

/// What a vote carries about one election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionVote {
    /// The election.
    pub law_id: ElectionId,
    /// The last block known to be certified.
    pub certified: LogPoint,
    /// The block accepted above it, if there is one.
    pub accepted: Option<AcceptedBlock>,
}

/// A promise to accept no block of an earlier leadership, with what was accepted so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The leadership that is voted for.
    pub leadership: TermLeader,
    /// One entry an election, in ascending order of their ids.
    pub elections: Vec<ElectionVote>,
}

/// An authority has made a proposed block itself, with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// The election.
    pub law_id: ElectionId,
    /// The leadership under which the block is proposed.
    pub leadership: TermLeader,
    /// The end of the block.
    pub point: LogPoint,
}

/// An authority has made another block, or a rule forbids the proposed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refuse {
    /// The election.
    pub law_id: ElectionId,
    /// The leadership under which the block is proposed.
    pub leadership: TermLeader,
    /// The height of the block.
    pub height: u64,
    /// SHA-256 of the leaves of the block, as stored.
    pub digest: Digest,
    /// The index in the log of the first leaf that differs.
    pub leaf: u64,
    /// The rule that it breaks: 1 to 40 of `a-z`, `0-9` and `-`.
    pub rule: String,
    /// SHA-256 of the leaf that this authority made, if it made one.
    pub own: Option<Digest>,
    /// SHA-256 of the proposed leaf, if there is one.
    pub theirs: Option<Digest>,
}

/// Why a leader is suspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuspectReason {
    /// A proposal of it was refused.
    Refused,
    /// It leaves a batch out.
    LeftOut,
    /// It proposes nothing although something is due.
    Idle,
    /// An operator asks for another leader.
    StepDown,
}

/// An authority asks for another leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// The leadership that is suspected.
    pub leadership: TermLeader,
    /// Why.
    pub reason: SuspectReason,
}

/// The content of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementBody {
    /// For a leader.
    Vote(Vote),
    /// Of a block.
    Accept(Accept),
    /// Of a block.
    Refuse(Refuse),
    /// Against a leader.
    Suspect(Suspect),
}

/// A statement of one authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The name of the authority.
    pub authority: KeyName,
    /// How many times its memory has been opened.
    pub incarnation: u64,
    /// What it states.
    pub body: StatementBody,
}

/// Why bytes are not a statement or a proposal of one of the authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// It is not a signed note, or its signature is not valid.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line is not what it must be.
    #[error("line {line} is not {field}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What belongs there.
        field: &'static str,
    },
    /// It is of another installation.
    #[error("it is of the base {base}")]
    Base {
        /// The base that it names.
        base: KeyName,
    },
    /// No such authority.
    #[error("{name} is not an authority of this installation")]
    Unknown {
        /// The name.
        name: KeyName,
    },
    /// It is signed once, and in the one form of its content.
    #[error("it is not in its canonical form")]
    Form,
}

impl SuspectReason {
    /// The token that stands in the statement.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::LeftOut => "left-out",
            Self::Idle => "idle",
            Self::StepDown => "step-down",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Refused, Self::LeftOut, Self::Idle, Self::StepDown]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

impl StatementBody {
    /// The token of the kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Vote(_) => "vote",
            Self::Accept(_) => "accept",
            Self::Refuse(_) => "refuse",
            Self::Suspect(_) => "suspect",
        }
    }

    fn write(&self, text: &mut String) {
        // Writing to a string does not fail.
        match self {
            Self::Vote(vote) => write_vote(text, vote),
            Self::Accept(accept) => {
                write_leadership(text, &accept.leadership);
                let _ = writeln!(text, "election {}", accept.law_id);
                write_point(text, &accept.point);
            }
            Self::Refuse(refuse) => write_refuse(text, refuse),
            Self::Suspect(suspect) => {
                write_leadership(text, &suspect.leadership);
                let _ = writeln!(text, "reason {}", suspect.reason.as_str());
            }
        }
    }

    fn read(kind: &str, lines: &mut Lines<'_>) -> Result<Self, StatementError> {
        let leadership = match kind {
            "vote" | "accept" | "refuse" | "suspect" => lines.leadership()?,
            _ => return Err(lines.wrong("a known kind")),
        };
        Ok(match kind {
            "vote" => Self::Vote(read_vote(lines, leadership)?),
            "accept" => {
                let law_id = lines.election()?;
                Self::Accept(Accept { law_id, leadership, point: read_point(lines)? })
            }
            "refuse" => Self::Refuse(read_refuse(lines, leadership)?),
            _ => {
                let text = lines.field("reason")?;
                let reason = SuspectReason::parse(text).ok_or(lines.wrong("reason"))?;
                Self::Suspect(Suspect { leadership, reason })
            }
        })
    }
}

impl Statement {
    pub(super) fn text(&self, base: &KeyName) -> String {
        let mut text = format!(
            "{FORMAT}\nbase {base}\nauthority {}\nincarnation {}\nkind {}\n",
            self.authority,
            self.incarnation,
            self.body.kind()
        );
        self.body.write(&mut text);
        text
    }

    fn parse_text(text: &str, base: &KeyName) -> Result<Self, StatementError> {
        let mut lines = Lines::new(text);
        if lines.next("the format")? != FORMAT {
            return Err(lines.wrong("the format"));
        }
        let named = lines.name_of("base")?;
        if named != *base {
            return Err(StatementError::Base { base: named });
        }
        let authority = lines.name_of("authority")?;
        let incarnation = lines.number_of("incarnation")?;
        let kind = lines.field("kind")?;
        let body = StatementBody::read(kind, &mut lines)?;
        lines.end()?;
        Ok(Self { authority, incarnation, body })
    }
}

fn write_leadership(text: &mut String, leadership: &TermLeader) {
    let _ = write!(text, "term {}\nleader {}\n", leadership.term, leadership.leader);
}

fn write_point(text: &mut String, point: &LogPoint) {
    let _ = write!(text, "height {}\nsize {}\nroot {}\n", point.height, point.size, point.root);
}

pub(super) fn read_point(lines: &mut Lines<'_>) -> Result<LogPoint, StatementError> {
    Ok(LogPoint {
        height: lines.number_of("height")?,
        size: lines.number_of("size")?,
        root: lines.root()?,
    })
}

fn write_vote(text: &mut String, vote: &Vote) {
    write_leadership(text, &vote.leadership);
    for ElectionVote { law_id, certified, accepted } in &vote.elections {
        let _ = writeln!(text, "election {law_id}");
        let _ =
            writeln!(text, "certified {} {} {}", certified.height, certified.size, certified.root);
        if let Some(AcceptedBlock { term, point }) = accepted {
            let _ =
                writeln!(text, "accepted {term} {} {} {}", point.height, point.size, point.root);
        }
    }
}

fn read_vote(lines: &mut Lines<'_>, leadership: TermLeader) -> Result<Vote, StatementError> {
    let mut elections: Vec<ElectionVote> = Vec::new();
    while lines.is_next("election") {
        let law_id = lines.election()?;
        if elections.last().is_some_and(|last| last.law_id >= law_id) {
            return Err(lines.wrong("an election with a higher id"));
        }
        let certified = lines.field("certified")?;
        let certified = parse_point(certified).ok_or(lines.wrong("certified"))?;
        let accepted = if lines.is_next("accepted") {
            let text = lines.field("accepted")?;
            let parsed = text.split_once(' ').and_then(|(term, point)| {
                let term = crate::log::parse_decimal(term.as_bytes())?;
                Some(AcceptedBlock { term, point: parse_point(point)? })
            });
            Some(parsed.ok_or(lines.wrong("accepted"))?)
        } else {
            None
        };
        elections.push(ElectionVote { law_id, certified, accepted });
    }
    Ok(Vote { leadership, elections })
}

fn parse_point(text: &str) -> Option<LogPoint> {
    let parts: Vec<&str> = text.split(' ').collect();
    let [height, size, root] = parts[..] else { return None };
    Some(LogPoint {
        height: crate::log::parse_decimal(height.as_bytes())?,
        size: crate::log::parse_decimal(size.as_bytes())?,
        root: TreeHash::from_hex(root.as_bytes()).ok()?,
    })
}

fn write_refuse(text: &mut String, refuse: &Refuse) {
    write_leadership(text, &refuse.leadership);
    let hex = |digest: &Option<Digest>| match digest {
        Some(digest) => digest.to_hex(),
        None => "none".to_owned(),
    };
    let _ = write!(
        text,
        "election {}\nheight {}\ndigest {}\nleaf {}\nrule {}\nown {}\ntheirs {}\n",
        refuse.law_id,
        refuse.height,
        refuse.digest.to_hex(),
        refuse.leaf,
        refuse.rule,
        hex(&refuse.own),
        hex(&refuse.theirs)
    );
}

fn read_refuse(lines: &mut Lines<'_>, leadership: TermLeader) -> Result<Refuse, StatementError> {
    let law_id = lines.election()?;
    let height = lines.number_of("height")?;
    let digest = lines.digest("digest")?;
    let leaf = lines.number_of("leaf")?;
    let rule = lines.field("rule")?.to_owned();
    let is_token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if rule.is_empty() || rule.len() > RULE_BYTES_MAX || !rule.bytes().all(is_token) {
        return Err(lines.wrong("rule"));
    }
    let mut optional = |field| {
        let text = lines.field(field)?;
        if text == "none" {
            return Ok(None);
        }
        Digest::from_hex(text.as_bytes()).map(Some).map_err(|_| lines.wrong(field))
    };
    let (own, theirs) = (optional("own")?, optional("theirs")?);
    Ok(Refuse { law_id, leadership, height, digest, leaf, rule, own, theirs })
}

/// The name of the key that signs the statements of an authority: `<base>/statement/<name>`.
pub(super) fn key_name_of(base: &KeyName, name: &KeyName) -> KeyName {
    format!("{base}/statement/{name}").parse().expect("both are key names")
}

/// The secret key under which an authority signs statements and proposals.
///
/// The seed is zeroed on drop and never printed.
#[derive(Debug)]
pub struct StatementKey {
    base: KeyName,
    name: KeyName,
    key: SigningKey,
}

impl StatementKey {
    /// Derives the key of an authority from an RFC 8032 seed.
    #[must_use]
    pub fn from_seed(base: &KeyName, name: &KeyName, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_seed(key_name_of(base, name), seed);
        Self { base: base.clone(), name: name.clone(), key }
    }

    /// The name of the authority.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        *self.key.verifier().public_key()
    }

    /// Signs a statement: the bytes of a signed note.
    #[must_use]
    pub fn sign_statement(&self, statement: &Statement) -> Vec<u8> {
        self.sign(statement.text(&self.base))
    }

    /// Signs a proposal: the bytes of a signed note.
    #[must_use]
    pub fn sign_proposal(&self, proposal: &BlockProposal) -> Vec<u8> {
        self.sign(proposal.text(&self.base))
    }

    fn sign(&self, text: String) -> Vec<u8> {
        let signature = self.key.sign(&text);
        let note = Note::new(text, vec![signature]).expect("the lines make a note");
        note.to_string().into_bytes()
    }
}

impl AuthoritySet {
    /// Verifies a statement: exactly one signature, by the statement key of the authority that it
    /// names, over its one form.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify_statement(&self, bytes: &[u8]) -> Result<Statement, StatementError> {
        let note = Note::parse(bytes)?;
        let statement = Statement::parse_text(note.text(), self.base())?;
        self.verify_note(&note, bytes, &statement.authority)?;
        if statement.text(self.base()) != note.text() {
            return Err(StatementError::Form);
        }
        Ok(statement)
    }

    /// Verifies a proposal: exactly one signature, by the statement key of its leader, over its one
    /// form.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify_proposal(&self, bytes: &[u8]) -> Result<BlockProposal, StatementError> {
        let note = Note::parse(bytes)?;
        let proposal = BlockProposal::parse_text(note.text(), self.base())?;
        self.verify_note(&note, bytes, &proposal.leadership.leader)?;
        if proposal.text(self.base()) != note.text() {
            return Err(StatementError::Form);
        }
        Ok(proposal)
    }

    fn verify_note(&self, note: &Note, bytes: &[u8], by: &KeyName) -> Result<(), StatementError> {
        let unknown = || StatementError::Unknown { name: by.clone() };
        let key = self.statement_key(by).ok_or_else(unknown)?;
        note.verify_strict(std::slice::from_ref(key))?;
        if note.signatures().len() != 1 || note.to_string().as_bytes() != bytes {
            return Err(StatementError::Form);
        }
        Ok(())
    }
}
