//! The leadership of a liar, and what the others answer it in rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use votekit_core::authority::{Statement, StatementBody, SuspectReason, TermLeader};
use votekit_core::id::ElectionId;
use votekit_core::log::note::KeyName;
use votekit_store::{Leadership, Ledger, RoundRow, RowId, RowKind};

use crate::folder::Folder;

/// The length of the lease, and how often it is renewed: those of a node.
const LEASE_LENGTH: Duration = Duration::from_secs(2);
const RENEW_INTERVAL: Duration = Duration::from_millis(400);

/// How often a free lease is looked for: far more often than nodes do, so that the liar gets it.
const ACQUIRE_INTERVAL: Duration = Duration::from_millis(10);

/// How often rows are read.
const READ_INTERVAL: Duration = Duration::from_millis(100);

/// The most rows read at once.
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
        let renewing = tokio::spawn(renew(Arc::clone(&ledger), holder.clone()));
        Ok(Self { ledger, holder, term, renewing })
    }

    /// The name under which it holds the lease.
    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    /// Gives the lease back, so that the others can go on.
    pub async fn release(self) {
        self.renewing.abort();
        // What is not released runs out.
        let _ = self.ledger.release_leadership(&self.holder).await;
    }
}

async fn renew(ledger: Arc<dyn Ledger>, holder: String) {
    loop {
        tokio::time::sleep(RENEW_INTERVAL).await;
        // A lost lease shows in the outcome of the proposal.
        let _ = ledger.acquire_leadership(&holder, LEASE_LENGTH, 0).await;
    }
}

/// The rows of the others about one term and one height.
pub(crate) struct Answers<'a> {
    folder: &'a Folder,
    law_id: &'a ElectionId,
    leadership: &'a TermLeader,
    /// The height of the false block; 0 before it is made.
    height: u64,
    after: RowId,
    votes: Vec<KeyName>,
    /// Accepts, refusals and cosignatures of the election, at any height.
    about_blocks: Vec<(u64, &'static str, Value)>,
    suspicions: Vec<Value>,
    /// Rows that are not what their authority signed.
    invalid_rows: usize,
}

impl<'a> Answers<'a> {
    /// No answer yet.
    pub(crate) fn new(
        folder: &'a Folder,
        law_id: &'a ElectionId,
        leadership: &'a TermLeader,
    ) -> Self {
        Self {
            folder,
            law_id,
            leadership,
            height: 0,
            after: RowId(0),
            votes: Vec::new(),
            about_blocks: Vec::new(),
            suspicions: Vec::new(),
            invalid_rows: 0,
        }
    }

    /// The number of other authorities that voted for the liar.
    pub(crate) fn votes(&self) -> usize {
        self.votes.len()
    }

    /// The number of other authorities that refused the false block.
    pub(crate) fn refusals(&self) -> usize {
        self.of_kind("refused").len()
    }

    /// The height whose answers are described.
    pub(crate) fn expect_height(&mut self, height: u64) {
        self.height = height;
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
        if row.authority == self.folder.key.name().as_str() {
            return;
        }
        match row.kind {
            RowKind::Cosign if row.law_id.as_ref() == Some(self.law_id) => {
                let line = String::from_utf8_lossy(&row.bytes);
                let value = json!({ "authority": row.authority, "line": line.trim_end() });
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
            StatementBody::Vote(vote) if vote.leadership == *self.leadership => {
                self.votes.push(authority);
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
            StatementBody::Suspect(suspect) if suspect.leadership == *self.leadership => {
                let reason = match suspect.reason {
                    SuspectReason::Refused => "refused",
                    SuspectReason::LeftOut => "left-out",
                    SuspectReason::Idle => "idle",
                    _ => "step-down",
                };
                let value = json!({ "authority": authority.as_str(), "reason": reason });
                self.suspicions.push(value);
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
        let votes: Vec<&str> = self.votes.iter().map(KeyName::as_str).collect();
        json!({
            "lie": lie,
            "liar": self.leadership.leader.as_str(),
            "term": self.leadership.term,
            "votes": votes,
            "proposals": proposals,
            "accepted": self.of_kind("accepted"),
            "refused": self.of_kind("refused"),
            "cosigned": self.of_kind("cosigned"),
            "suspected": self.suspicions,
            "invalid_rows": self.invalid_rows,
            "believed": is_believed,
        })
    }
}
