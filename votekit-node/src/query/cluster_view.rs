//! The authorities of the installation, as this node sees them in the rows of the ledger: for
//! operators.
//!
//! Nothing is decided from this view. It shows what the rows prove, and rows of blocks that are in
//! the log are removed, so an authority may have certified more than is shown. The view also shows
//! the status that each authority reports of itself every few seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::authority::{
    AuthoritySet, AuthorityStatus, ElectionVote, Refuse, Statement, StatementBody, Suspect,
    TermLeader, Vote,
};
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixSeconds;
use votekit_core::log::note::KeyName;
use votekit_store::{RoundRow, RowId, RowKind};

use super::status_view::{StatusView, height_of, status_view};
use super::witness_view::{LogSize, WitnessView, witness_views};
use crate::election::read_cosigned;
use crate::error::AdminError;
use crate::node::Node;
use crate::node_record::{Admission, NodeRecord};
use crate::status_report;

/// Rows read in one call.
const ROWS_PER_READ: usize = 256;

/// The authorities, the elections that this node halted, and the nodes that are admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterView {
    /// The name of the authority that answers; `null` if the node is not an authority.
    pub own: Option<String>,
    /// SHA-256 of the file of the authorities; `null` if this node has none: then it is the only
    /// authority, or follows it.
    pub fingerprint: Option<String>,
    /// How many authorities must accept and cosign a block.
    pub quorum: u64,
    /// The authorities, in the order of their file.
    pub authorities: Vec<AuthorityView>,
    /// The number of statements in the ledger that differ from those that their authority signed.
    pub invalid_rows: u64,
    /// Whether the authority that answers signs nothing more: the ledger contains statements of
    /// this authority that its memory lacks.
    #[serde(default)]
    pub rolled_back: bool,
    /// Elections that a fault halted on the node that answers.
    pub halted: Vec<HaltedElection>,
    /// The nodes that were admitted by their record.
    pub nodes: Vec<AdmittedNode>,
    /// The outside witnesses, in the order of the file of the authorities.
    #[serde(default)]
    pub witnesses: Vec<WitnessView>,
}

/// One authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorityView {
    /// Its name.
    pub name: String,
    /// Its part in the present term.
    pub role: AuthorityRole,
    /// The highest term in which a statement of it was read.
    pub term: Option<u64>,
    /// How many times its memory has been opened, by its latest statement.
    pub incarnation: Option<u64>,
    /// Its statements about each election.
    pub elections: Vec<AuthorityElection>,
    /// The leaders that it suspects, with the latest term last.
    pub suspects: Vec<SuspectView>,
    /// The status that it reported last; `null` if the ledger has no report that it signed.
    #[serde(default)]
    pub status: Option<StatusView>,
}

/// The part of an authority in the present term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityRole {
    /// It proposes blocks: a quorum has voted for it.
    Leader,
    /// It has the lease of the term, and no quorum has voted for it yet.
    Candidate,
    /// It has voted for the leader of the term.
    Follower,
    /// No vote of it in this term was read.
    Unknown,
}

/// The statements of an authority about one election.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorityElection {
    /// The election.
    pub law_id: String,
    /// The highest block that it is known to have certified. It may have certified a later block.
    pub certified_height: u64,
    /// The highest block that it has accepted, if a row of it is there.
    pub accepted_height: Option<u64>,
    /// How many blocks of the log it may be behind.
    pub lag: u64,
    /// The blocks that it refused.
    pub refusals: Vec<RefusalView>,
}

/// A block that an authority refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalView {
    /// The height of the block.
    pub height: u64,
    /// The index in the log of the first leaf that differs.
    pub leaf: u64,
    /// The rule that it breaks.
    pub rule: String,
    /// The leader that proposed it.
    pub leader: String,
}

/// A leader that an authority suspects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuspectView {
    /// The term.
    pub term: u64,
    /// The leader.
    pub leader: String,
    /// `refused`, `left-out`, `idle` or `step-down`.
    pub reason: String,
}

/// An election that a fault halted on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HaltedElection {
    /// The election.
    pub law_id: String,
    /// The reason.
    pub reason: String,
}

/// A node that was admitted by its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdmittedNode {
    /// Its name.
    pub name: String,
    /// Its id, which follows from its public key.
    pub node: String,
    /// Its public key, in hexadecimal digits.
    pub public_key: String,
    /// The key to which the keys of elections are sealed for it, in hexadecimal digits.
    pub transport_key: String,
}

impl AuthorityRole {
    /// The name of the role.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Candidate => "candidate",
            Self::Follower => "follower",
            Self::Unknown => "unknown",
        }
    }
}

impl From<&NodeRecord> for AdmittedNode {
    fn from(record: &NodeRecord) -> Self {
        Self {
            name: record.name.to_string(),
            node: record.key.node_id().to_string(),
            public_key: record.key.to_hex(),
            transport_key: record.transport.to_hex(),
        }
    }
}

/// The authorities that cosigned the present head of each log.
pub(crate) type HeadCosigners = BTreeMap<ElectionId, Vec<KeyName>>;

/// The statements in the rows of rounds, read row by row: the ledger may contain any number of
/// rows, most of them possibly written by another program.
#[derive(Debug, Default)]
pub(crate) struct RowsSeen {
    seen: BTreeMap<KeyName, Seen>,
    invalid_rows: u64,
}

impl RowsSeen {
    /// Adds a row. Only the content of a verified statement is kept.
    pub(crate) fn add(&mut self, set: &AuthoritySet, row: &RoundRow) {
        if !is_statement(row) {
            return;
        }
        match set.verify_statement(&row.bytes) {
            Ok(statement) if statement.authority.as_str() == row.authority => {
                self.seen.entry(statement.authority.clone()).or_default().apply(statement);
            }
            _ => self.invalid_rows += 1,
        }
    }
}

/// Computes the view of several authorities from the statements in the ledger. `heads` has the
/// height of each log, `leadership` the present term and its leader as far as the caller knows
/// them: the votes may know a later one.
pub(crate) fn from_rows(
    set: &AuthoritySet,
    rows: RowsSeen,
    heads: &[(ElectionId, u64)],
    leadership: Option<&TermLeader>,
    cosigners: &HeadCosigners,
) -> ClusterView {
    let RowsSeen { mut seen, invalid_rows } = rows;
    for (law_id, height) in heads {
        // A cosigner of the head has made that block itself.
        for name in cosigners.get(law_id).into_iter().flatten() {
            if let Some(election) = seen.entry(name.clone()).or_default().election(law_id) {
                election.certify(*height);
            }
        }
    }
    let voted = seen.values().filter_map(|seen| seen.vote.as_ref()).map(|vote| &vote.leadership);
    let present = voted.chain(leadership).max_by_key(|leadership| leadership.term).cloned();
    let votes = |leadership: &TermLeader| {
        let is_vote = |seen: &&Seen| seen.votes_for(leadership);
        seen.values().filter(is_vote).count()
    };
    let is_led = present.as_ref().is_some_and(|present| votes(present) >= set.quorum());
    let authorities = set
        .members()
        .iter()
        .map(|member| {
            let role = role(&member.name, seen.get(&member.name), present.as_ref(), is_led);
            view(&member.name, seen.get(&member.name), role, heads)
        })
        .collect();
    ClusterView {
        fingerprint: Some(set.fingerprint().to_hex()),
        quorum: set.quorum() as u64,
        authorities,
        invalid_rows,
        ..ClusterView::default()
    }
}

/// The view of an installation with one authority, whose log is the log in the ledger.
fn sole_authority_view(
    name: &KeyName,
    term: Option<u64>,
    heads: &[(ElectionId, u64)],
) -> ClusterView {
    let elections = heads
        .iter()
        .map(|(law_id, height)| AuthorityElection {
            law_id: law_id.to_string(),
            certified_height: *height,
            accepted_height: None,
            lag: 0,
            refusals: Vec::new(),
        })
        .collect();
    let authority = AuthorityView {
        name: name.to_string(),
        role: if term.is_some() { AuthorityRole::Leader } else { AuthorityRole::Follower },
        term,
        incarnation: None,
        elections,
        suspects: Vec::new(),
        status: None,
    };
    ClusterView { quorum: 1, authorities: vec![authority], ..ClusterView::default() }
}

fn is_statement(row: &RoundRow) -> bool {
    matches!(row.kind, RowKind::Vote | RowKind::Accept | RowKind::Refuse | RowKind::Suspect)
}

/// The content of the verified statements of one authority.
#[derive(Debug, Default)]
struct Seen {
    incarnation: Option<u64>,
    term: Option<u64>,
    /// The vote of the highest term.
    vote: Option<Vote>,
    elections: BTreeMap<ElectionId, ElectionSeen>,
    suspects: Vec<Suspect>,
}

#[derive(Debug, Default)]
struct ElectionSeen {
    certified: u64,
    accepted: Option<u64>,
    refusals: Vec<Refuse>,
}

impl ElectionSeen {
    fn certify(&mut self, height: u64) {
        self.certified = self.certified.max(height);
    }

    /// An authority accepts a block only if it has certified the one before.
    fn accept(&mut self, height: u64) {
        self.accepted = self.accepted.max(Some(height));
        self.certify(height.saturating_sub(1));
    }
}

/// The maximum number of refusals of one election, and of suspicions, that are shown of one
/// authority, the last ones.
const SHOWN_MAX: usize = 100;

/// The maximum number of elections about which statements of one authority are shown. A lying
/// authority can name any number.
const ELECTIONS_MAX: usize = 10_000;

/// Appends to a list of which only the last elements are kept.
fn push_last<T>(list: &mut Vec<T>, element: T) {
    if list.len() >= SHOWN_MAX {
        list.remove(0);
    }
    list.push(element);
}

impl Seen {
    fn election(&mut self, law_id: &ElectionId) -> Option<&mut ElectionSeen> {
        if self.elections.len() >= ELECTIONS_MAX && !self.elections.contains_key(law_id) {
            return None;
        }
        Some(self.elections.entry(law_id.clone()).or_default())
    }

    fn votes_for(&self, leadership: &TermLeader) -> bool {
        self.vote.as_ref().is_some_and(|vote| vote.leadership == *leadership)
    }

    fn apply(&mut self, statement: Statement) {
        self.incarnation = self.incarnation.max(Some(statement.incarnation));
        match statement.body {
            StatementBody::Vote(vote) => self.apply_vote(vote),
            StatementBody::Accept(accept) => {
                self.term = self.term.max(Some(accept.leadership.term));
                if let Some(election) = self.election(&accept.law_id) {
                    election.accept(accept.point.height);
                }
            }
            StatementBody::Refuse(refuse) => {
                self.term = self.term.max(Some(refuse.leadership.term));
                if let Some(election) = self.election(&refuse.law_id) {
                    push_last(&mut election.refusals, refuse);
                }
            }
            StatementBody::Suspect(suspect) => push_last(&mut self.suspects, suspect),
            _ => {}
        }
    }

    fn apply_vote(&mut self, vote: Vote) {
        self.term = self.term.max(Some(vote.leadership.term));
        for ElectionVote { law_id, certified, accepted } in &vote.elections {
            let Some(election) = self.election(law_id) else { continue };
            election.certify(certified.height);
            if let Some(accepted) = accepted {
                election.accept(accepted.point.height);
            }
        }
        let known = self.vote.as_ref().map(|vote| vote.leadership.term);
        if known.is_none_or(|known| known < vote.leadership.term) {
            self.vote = Some(vote);
        }
    }
}

fn role(
    name: &KeyName,
    seen: Option<&Seen>,
    present: Option<&TermLeader>,
    is_led: bool,
) -> AuthorityRole {
    match present {
        Some(present) if present.leader == *name && is_led => AuthorityRole::Leader,
        Some(present) if present.leader == *name => AuthorityRole::Candidate,
        Some(present) if seen.is_some_and(|seen| seen.votes_for(present)) => {
            AuthorityRole::Follower
        }
        _ => AuthorityRole::Unknown,
    }
}

fn view(
    name: &KeyName,
    seen: Option<&Seen>,
    role: AuthorityRole,
    heads: &[(ElectionId, u64)],
) -> AuthorityView {
    let elections = seen.into_iter().flat_map(|seen| &seen.elections);
    let suspects = seen.into_iter().flat_map(|seen| &seen.suspects);
    let mut suspects: Vec<SuspectView> = suspects.map(suspect_view).collect();
    suspects.sort_by_key(|suspect| suspect.term);
    AuthorityView {
        name: name.to_string(),
        role,
        term: seen.and_then(|seen| seen.term),
        incarnation: seen.and_then(|seen| seen.incarnation),
        elections: elections.map(|(law_id, seen)| election_view(law_id, seen, heads)).collect(),
        suspects,
        status: None,
    }
}

/// Adds the statuses of the authorities to a view. `now` is the time on the ledger's clock.
pub(crate) fn add_statuses(
    view: &mut ClusterView,
    statuses: &[AuthorityStatus],
    heads: &[(ElectionId, u64)],
    now: UnixSeconds,
) {
    for authority in &mut view.authorities {
        let status = statuses.iter().find(|of| of.authority.as_str() == authority.name);
        authority.status = status.map(|status| status_view(status, heads, now));
    }
}

fn election_view(
    law_id: &ElectionId,
    seen: &ElectionSeen,
    heads: &[(ElectionId, u64)],
) -> AuthorityElection {
    let head = height_of(heads, law_id);
    AuthorityElection {
        law_id: law_id.to_string(),
        certified_height: seen.certified,
        accepted_height: seen.accepted,
        lag: head.saturating_sub(seen.certified),
        refusals: seen.refusals.iter().map(refusal_view).collect(),
    }
}

fn refusal_view(refuse: &Refuse) -> RefusalView {
    RefusalView {
        height: refuse.height,
        leaf: refuse.leaf,
        rule: refuse.rule.clone(),
        leader: refuse.leadership.leader.to_string(),
    }
}

fn suspect_view(suspect: &Suspect) -> SuspectView {
    SuspectView {
        term: suspect.leadership.term,
        leader: suspect.leadership.leader.to_string(),
        reason: suspect.reason.to_string(),
    }
}

/// The records of nodes that were admitted and not retired among those in the ledger, in the order
/// of their names. Other records are left out: statuses of authorities, and records of other
/// programs.
fn admitted(stored: &[(String, Vec<u8>)], set: Option<&AuthoritySet>) -> Vec<NodeRecord> {
    let admissions = Admission::all_in_ledger(stored, set).into_iter();
    let mut records: Vec<NodeRecord> =
        admissions.filter(|known| !known.is_retired).map(|known| known.record).collect();
    records.sort_by(|one, other| one.name.cmp(&other.name));
    records
}

impl Node {
    /// The authorities of the installation as the ledger shows them, the elections that are halted
    /// on this node, and the nodes that were admitted by their record.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn cluster_view(&self) -> Result<ClusterView, AdminError> {
        let (set, own) =
            self.on_files(|folder| Ok((folder.authorities()?, folder.authority()?))).await?;
        let positions = self.context.ledger.positions().await?;
        let heads: Vec<(ElectionId, u64)> =
            positions.into_iter().map(|position| (position.law_id, position.height)).collect();
        let term = self.context.leader_lease.term();
        let records = self.context.ledger.node_records().await?;
        let witnesses = self.witness_views(set.as_ref()).await?;
        let view = match set {
            None => sole_authority_view(&own, term, &heads),
            Some(set) => {
                let rows = self.rows_seen(&set).await?;
                let leadership = term.map(|term| TermLeader { term, leader: own.clone() });
                let cosigners = self.head_cosigners();
                let mut view = from_rows(&set, rows, &heads, leadership.as_ref(), &cosigners);
                let now = self.context.ledger.clock().await?.seconds();
                let statuses = status_report::verified(&set, &records);
                add_statuses(&mut view, &statuses, &heads, now);
                view
            }
        };
        let is_listed = view.authorities.iter().any(|authority| authority.name == own.as_str());
        let own = (is_listed && self.context.decides()).then(|| own.to_string());
        let nodes = admitted(&records, self.context.authorities.as_deref());
        let nodes = nodes.iter().map(AdmittedNode::from).collect();
        let authority = self.context.authority.as_ref();
        let rolled_back = authority.is_some_and(|authority| authority.is_rolled_back());
        let halted = self.halted_elections();
        Ok(ClusterView { own, rolled_back, halted, nodes, witnesses, ..view })
    }

    /// The outside witnesses, and how far each of them has cosigned the logs of this node.
    async fn witness_views(
        &self,
        set: Option<&AuthoritySet>,
    ) -> Result<Vec<WitnessView>, AdminError> {
        let Some(set) = set.filter(|set| !set.witnesses().is_empty()) else {
            return Ok(Vec::new());
        };
        let names: Vec<String> =
            set.witnesses().iter().map(|witness| witness.name.to_string()).collect();
        let elections = self.context.elections();
        let mut logs = Vec::with_capacity(elections.len());
        for election in &elections {
            let (law_id, committed) = (election.law_id(), election.committed());
            let head = (committed.size(), committed.tree.root());
            logs.push(LogSize {
                law_id,
                origin: &election.signer.origin,
                size: head.0,
                root: head.1,
                lines: read_cosigned(&*self.context.ledger, law_id, head, &names).await?,
            });
        }
        Ok(witness_views(set, &logs))
    }

    async fn rows_seen(&self, set: &AuthoritySet) -> Result<RowsSeen, AdminError> {
        let (mut after, mut rows) = (RowId(0), RowsSeen::default());
        loop {
            let read = self.context.ledger.rows_after(after, ROWS_PER_READ).await?;
            let Some(through) = read.through() else { return Ok(rows) };
            after = through;
            read.rows.iter().for_each(|row| rows.add(set, row));
            rows.invalid_rows += read.damaged.len() as u64;
        }
    }

    fn head_cosigners(&self) -> HeadCosigners {
        let mut cosigners = HeadCosigners::new();
        for election in self.context.elections() {
            let committed = election.committed();
            // This node has verified the checkpoint before it followed it.
            let policy = &election.signer.policy;
            let Ok(verified) = policy.verify_strict_by_authorities(&committed.checkpoint) else {
                continue;
            };
            let name = |name: &[u8]| std::str::from_utf8(name).ok()?.parse::<KeyName>().ok();
            let names = verified
                .cosignatures()
                .iter()
                .filter_map(|cosignature| name(cosignature.witness.as_bytes()))
                .collect();
            cosigners.insert(election.law_id().clone(), names);
        }
        cosigners
    }

    fn halted_elections(&self) -> Vec<HaltedElection> {
        let elections = self.elections().into_iter().filter(|view| view.is_halted());
        let reason = |law_id: &str| self.context.halted(&law_id.parse().ok()?);
        elections
            .map(|view| HaltedElection {
                reason: reason(&view.law_id).unwrap_or_default(),
                law_id: view.law_id,
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "cluster_view_test.rs"]
mod tests;
