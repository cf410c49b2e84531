//! The leadership of a liar, and what the others answer it in rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use votekit_core::authority::{Statement, StatementBody, SuspectReason, TermLeader};
use votekit_core::id::ElectionId;
use votekit_core::log::note::KeyName;
use votekit_store::{Leadership, Ledger, RoundRow, RowId, RowKind};

use crate::folder::AuthorityFolder;

/// The length of the lease, and how often it is renewed: those of a node.
const LEASE_LENGTH: Duration = Duration::from_secs(2);
const RENEW_INTERVAL: Duration = Duration::from_millis(400);

/// How often a free lease is looked for: far more often than nodes do, so that the liar gets it.
const ACQUIRE_INTERVAL: Duration = Duration::from_millis(10);

/// How often rows are read.
const READ_INTERVAL: Duration = Duration::from_millis(100);

/// The maximum number of rows in one read.
const PAGE: usize = 1000;

/// The number of this process in its holder's name. The authority's node counts its starts from 1:
/// its leases are not the liar's.
const LIFE: u64 = 1_000_000;

/// The leader lease, renewed until it is released.
pub struct Leader {
    ledger: Arc<dyn Ledger>,
    holder: String,
    /// The term in which it leads.
    pub(crate) term: u64,
    renewing: JoinHandle<()>,
}

impl Leader {
    /// Takes the leadership as soon as no other authority has it.
    ///
    /// # Errors
    /// When the ledger fails, or another leads all the time.
    pub async fn acquire(ledger: Arc<dyn Ledger>, name: &KeyName, wait: Duration) -> Result<Self> {
        let holder = format!("{name}/{LIFE}");
        let until = Instant::now() + wait;
        let term = loop {
            match ledger.acquire_leadership(&holder, LEASE_LENGTH, 0).await? {
                Leadership::Leading { term } => break term,
                Leadership::Following { leader, .. } if Instant::now() >= until => {
                    bail!("{leader} has led all the time: stop it first")
                }
                Leadership::Following { .. } => tokio::time::sleep(ACQUIRE_INTERVAL).await,
            }
        };
        let renewing = tokio::spawn(renew(Arc::clone(&ledger), holder.clone(), term));
        Ok(Self { ledger, holder, term, renewing })
    }

    /// The name under which it holds the lease.
    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    /// Releases the lease, so that the others can continue.
    pub async fn release(self) {
        self.renewing.abort();
        // If the release fails, the lease expires.
        let _ = self.ledger.release_leadership(&self.holder).await;
    }
}

/// Renews the lease as long as its term lasts. Once the others have passed over this leader, it
/// does not lead again, because they need the lease.
async fn renew(ledger: Arc<dyn Ledger>, holder: String, term: u64) {
    loop {
        tokio::time::sleep(RENEW_INTERVAL).await;
        match ledger.acquire_leadership(&holder, LEASE_LENGTH, 0).await {
            Ok(Leadership::Leading { term: now }) if now == term => {}
            Ok(Leadership::Leading { .. }) => {
                // If the release fails, the lease expires.
                let _ = ledger.release_leadership(&holder).await;
                return;
            }
            Ok(Leadership::Following { .. }) => return,
            // A lost lease shows in the outcome of the proposal.
            Err(_) => {}
        }
    }
}

/// The rows of the others about one term and one height.
pub(crate) struct Answers<'a> {
    folder: &'a AuthorityFolder,
    law_id: &'a ElectionId,
    leadership: &'a TermLeader,
    /// The height of the false block; 0 before it is made.
    height: u64,
    /// The term of its proposal, if it is another one than the liar's.
    proposed_term: u64,
    after: RowId,
    /// By term, and by the authority that votes: the leader it votes for.
    votes: BTreeMap<u64, BTreeMap<KeyName, KeyName>>,
    /// Accepts, refusals and cosignatures of the election, at any height.
    about_blocks: Vec<(u64, &'static str, Value)>,
    /// By the term of the leader suspected.
    suspicions: Vec<(u64, Value)>,
    /// Rows that are not what their authority signed.
    invalid_rows: usize,
}

impl<'a> Answers<'a> {
    /// No answer yet.
    pub(crate) fn new(
        folder: &'a AuthorityFolder,
        law_id: &'a ElectionId,
        leadership: &'a TermLeader,
    ) -> Self {
        Self {
            folder,
            law_id,
            leadership,
            height: 0,
            proposed_term: leadership.term,
            after: RowId(0),
            votes: BTreeMap::new(),
            about_blocks: Vec::new(),
            suspicions: Vec::new(),
            invalid_rows: 0,
        }
    }

    /// The other authorities that voted for the liar.
    pub(crate) fn voters(&self) -> Vec<&KeyName> {
        let TermLeader { term, leader } = self.leadership;
        let votes = self.votes.get(term).into_iter().flatten();
        votes.filter(|(_, of)| *of == leader).map(|(by, _)| by).collect()
    }

    /// The last earlier term in which every other authority voted, and all of them for another
    /// authority.
    pub(crate) fn term_of_another(&self) -> Option<u64> {
        let TermLeader { term, leader } = self.leadership;
        let others = self.others();
        let led = |votes: &BTreeMap<KeyName, KeyName>| {
            votes.len() >= others && votes.values().all(|of| of != leader)
        };
        let last = self.votes.range(..*term).rev().find(|(_, votes)| led(votes));
        last.map(|(term, _)| *term)
    }

    /// Number of authorities other than the liar.
    pub(crate) fn others(&self) -> usize {
        self.folder.set.members().len() - 1
    }

    /// Whether every other authority has refused the false block.
    pub(crate) fn is_refused_by_all(&self) -> bool {
        let by = |value: &Value| value["authority"].as_str().map(str::to_owned);
        let refusing: BTreeSet<String> =
            self.of_kind("refused").into_iter().filter_map(by).collect();
        refusing.len() >= self.others()
    }

    /// The height and the term whose answers are described.
    pub(crate) fn expect(&mut self, height: u64, term: u64) {
        (self.height, self.proposed_term) = (height, term);
    }

    /// Reads rows until there is enough, or the time is over.
    ///
    /// # Errors
    /// When the ledger fails.
    pub(crate) async fn wait(
        &mut self,
        ledger: &dyn Ledger,
        timeout: Duration,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        let until = Instant::now() + timeout;
        loop {
            loop {
                let read = ledger.rows_after(self.after, PAGE).await?;
                if read.rows.is_empty() {
                    break;
                }
                for row in read.rows {
                    self.after = row.id;
                    self.take(&row);
                }
            }
            if is_enough(self) || Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(READ_INTERVAL).await;
        }
    }

    fn take(&mut self, row: &RoundRow) {
        if row.authority == self.folder.name().as_str() {
            return;
        }
        match row.kind {
            RowKind::Cosign if row.law_id.as_ref() == Some(self.law_id) => {
                // The text that it is over comes first.
                let note = String::from_utf8_lossy(&row.bytes);
                let line = note.lines().next_back().unwrap_or_default();
                let value = json!({ "authority": row.authority, "line": line });
                self.about_blocks.push((row.height, "cosigned", value));
            }
            RowKind::Vote | RowKind::Accept | RowKind::Refuse | RowKind::Suspect => {
                match self.folder.set.verify_statement(&row.bytes) {
                    Ok(statement) => self.take_statement(statement),
                    Err(_) => self.invalid_rows += 1,
                }
            }
            _ => {}
        }
    }

    fn take_statement(&mut self, statement: Statement) {
        let Statement { authority, body, .. } = statement;
        match body {
            StatementBody::Vote(vote) => {
                let TermLeader { term, leader } = vote.leadership;
                self.votes.entry(term).or_default().insert(authority, leader);
            }
            StatementBody::Accept(accept)
                if accept.leadership.leader == self.leadership.leader
                    && accept.law_id == *self.law_id =>
            {
                let value = json!({
                    "authority": authority.as_str(),
                    "term": accept.leadership.term,
                    "root": accept.point.root.to_hex(),
                });
                self.about_blocks.push((accept.point.height, "accepted", value));
            }
            StatementBody::Refuse(refuse)
                if refuse.leadership.leader == self.leadership.leader
                    && refuse.law_id == *self.law_id =>
            {
                let hex = |digest: Option<votekit_core::id::Digest>| digest.map(|one| one.to_hex());
                let value = json!({
                    "authority": authority.as_str(),
                    "term": refuse.leadership.term,
                    "digest": refuse.digest.to_hex(),
                    "leaf": refuse.leaf,
                    "rule": refuse.rule,
                    "own": hex(refuse.own),
                    "theirs": hex(refuse.theirs),
                });
                self.about_blocks.push((refuse.height, "refused", value));
            }
            StatementBody::Suspect(suspect)
                if suspect.leadership.leader == self.leadership.leader =>
            {
                let reason = match suspect.reason {
                    SuspectReason::Refused => "refused",
                    SuspectReason::LeftOut => "left-out",
                    SuspectReason::Idle => "idle",
                    _ => "step-down",
                };
                let value = json!({ "authority": authority.as_str(), "reason": reason });
                self.suspicions.push((suspect.leadership.term, value));
            }
            _ => {}
        }
    }

    /// The answers of a kind about the height of the false block.
    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        let here = self.about_blocks.iter().filter(|(height, ..)| *height == self.height);
        here.filter(|(_, found, _)| *found == kind).map(|(.., value)| value).collect()
    }

    /// Everything as JSON.
    pub(crate) fn describe(&self, lie: String, proposals: Vec<Value>, is_believed: bool) -> Value {
        let votes: Vec<&str> = self.voters().into_iter().map(KeyName::as_str).collect();
        let is_here = |term: u64| term == self.leadership.term || term == self.proposed_term;
        let suspected = self.suspicions.iter().filter(|(term, _)| is_here(*term));
        let suspected: Vec<&Value> = suspected.map(|(_, value)| value).collect();
        json!({
            "lie": lie,
            "liar": self.leadership.leader.as_str(),
            "term": self.leadership.term,
            "votes": votes,
            "proposals": proposals,
            "accepted": self.of_kind("accepted"),
            "refused": self.of_kind("refused"),
            "cosigned": self.of_kind("cosigned"),
            "suspected": suspected,
            "invalid_rows": self.invalid_rows,
            "believed": is_believed,
        })
    }
}
