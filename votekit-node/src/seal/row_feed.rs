//! Reads the rows of all rounds from the ledger, verifies them, and adds them to the board.
//!
//! One task a node: it queries when the ledger notifies of a change, and from time to time as a
//! safety net. A row that does not verify is dropped with an alarm: anyone who can write to the
//! ledger can insert such a row, and none of them blocks a round. Whether a row counts depends on
//! its signature, not on its position among other rows of the same key; each row is verified once,
//! also when all rows are read again.
//!
//! Rows are read in order. While many rows are unread, the newest are read in parallel, so that a
//! flood of rows does not delay the rows written after it. Positions are not trusted: after a leap
//! of the positions, and while own statements have no effect, all rows are read again to find rows
//! at lower positions.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use votekit_core::authority::{Statement, StatementBody};
use votekit_core::id::Digest;
use votekit_store::log_summary::LogSummary;
use votekit_store::{Changes, EngineError, RoundRow, RowId, RowKind, RowsRead};

use crate::audit::{AuditEvent, AuditFields};
use crate::authority::{AuthorityContext, Board, ProposalRow};
use crate::context::NodeContext;
use crate::metrics;
use crate::seal::own_statements::{self, StalledStatements};
use crate::seal::{draft, leader_lease};

/// Rows read in one call.
const ROWS_PER_READ: usize = 256;

/// How long the task waits for a notification before it reads anyway, while this authority waits
/// for the statements of others, and otherwise.
const SLOW_POLL_INTERVAL: Duration = Duration::from_millis(500);
const REST_POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The interval after which all rows are read again to find those that were left out: with each
/// block a lying authority can cause rows to be left out.
const REREAD_INTERVAL: Duration = Duration::from_secs(1);

/// How often the newest rows are read while there are many to read.
const NEWEST_INTERVAL: Duration = Duration::from_millis(100);

/// The maximum distance between two consecutive rows for a reader that has read all rows. An
/// installation has fewer rows than that in its lifetime.
const POSITION_STEP_MAX: u64 = 1 << 32;

/// The pause after a failed read.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Reads rows as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>, authority: Arc<AuthorityContext>) {
    let mut changes = context.ledger.changes();
    // The previous process may have ended between signing a statement and sending it.
    let mut cursor = Cursor::resending();
    let mut begun = Instant::now();
    let mut refused = RefusedRows::default();
    let mut stalled = StalledStatements::default();
    let (mut newest, mut has_leapt) = (Instant::now(), false);
    loop {
        let seen = changes.borrow_and_update().rows;
        let is_due = begun.elapsed() >= REREAD_INTERVAL;
        if authority.take_rows_rolled_back() {
            cursor = Cursor::resending();
        } else if is_due && ((has_leapt && cursor.is_complete) || authority.board.take_incomplete())
        {
            (cursor, begun) = (Cursor::default(), Instant::now());
        }
        if cursor.resends {
            cursor.resends = !resend(&context, &authority).await;
        }
        if stalled.resend(&context, &authority).await && cursor.is_complete {
            (cursor, begun) = (Cursor::default(), Instant::now());
        }
        match read(&context, &authority, &mut cursor, &mut refused).await {
            Ok(Progress::Idle) => authority.note_rows_read(cursor.after, true),
            Ok(progress) => {
                authority.note_rows_read(cursor.after, progress == Progress::Read);
                leader_lease::count_rows(&context, &authority).await;
                draft::start_draft_tasks(&context, &authority);
                has_leapt |= cursor.has_leapt;
                if progress == Progress::More {
                    if newest.elapsed() >= NEWEST_INTERVAL {
                        read_newest(&context, &authority, &mut refused).await;
                        newest = Instant::now();
                    }
                    continue;
                }
            }
            Err(error) => {
                authority.note_rows_read(cursor.after, false);
                tracing::debug!(event = "round_rows_not_read", %error, "rows of rounds not read");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        tokio::select! {
            () = wait_for_rows(&mut changes, seen) => {}
            () = authority.rows_wanted() => {}
            () = tokio::time::sleep(poll_interval(&context, &authority)) => {}
        }
    }
}

fn poll_interval(context: &NodeContext, authority: &AuthorityContext) -> Duration {
    let waits = authority.has_open_round() || context.leader_lease.candidate_term().is_some();
    if waits { SLOW_POLL_INTERVAL } else { REST_POLL_INTERVAL }
}

/// Waits until rows are stored after those that were `seen`.
async fn wait_for_rows(changes: &mut watch::Receiver<Changes>, seen: u64) {
    let waited = changes.wait_for(|changes| changes.rows != seen).await.map(drop);
    waited.expect("the sender lives as long as the engine");
}

/// Sends own statements again that the ledger may lack. Returns whether that is done.
async fn resend(context: &NodeContext, authority: &AuthorityContext) -> bool {
    let resent = own_statements::resend(context, authority).await;
    if let Err(error) = &resent {
        tracing::error!(
            event = "statements_not_resent",
            alarm = true,
            %error,
            "earlier statements of this authority not sent again, retrying"
        );
    }
    resent.is_ok()
}

/// Whether rows were read, and whether there are more.
#[derive(PartialEq, Eq)]
enum Progress {
    Idle,
    Read,
    More,
}

/// The progress of reading the rows.
#[derive(Debug, Default)]
struct Cursor {
    after: RowId,
    /// The digest of the row there; `None` at the beginning, and where the row is damaged.
    digest: Option<Digest>,
    /// The last term in which a vote of this authority was read.
    voted: Option<u64>,
    /// Whether the last row was reached once.
    is_complete: bool,
    /// Whether a row was far behind the one before.
    has_leapt: bool,
    /// Whether own statements are to be sent again.
    resends: bool,
}

/// The present state of the row that was read last.
#[derive(Debug, PartialEq, Eq)]
enum LastRow {
    /// It is where it was.
    Stays,
    /// It was removed, or the ledger has lost it.
    Gone,
    /// The ledger was restored from an older copy: the position has another row, or no row has it
    /// yet.
    RolledBack,
}

impl Cursor {
    /// The beginning, before which own statements are sent again.
    fn resending() -> Self {
        Self { resends: true, ..Self::default() }
    }

    /// Compares the last row that was read with the row that the ledger has at its position now.
    fn last_row(&self, read: &RowsRead) -> LastRow {
        match (self.digest, read.after) {
            _ if read.last < self.after => LastRow::RolledBack,
            (Some(known), Some(found)) if known != found => LastRow::RolledBack,
            (Some(_), None) => LastRow::Gone,
            _ => LastRow::Stays,
        }
    }

    /// Whether the distance of a row from the last read row is larger than between two stored rows.
    fn leaps_to(&self, row: RowId) -> bool {
        self.is_complete && row.0.saturating_sub(self.after.0) > POSITION_STEP_MAX
    }

    /// Advances past a row that was read, with the digest of its statement.
    fn pass(&mut self, row: RowId, stated: Digest) {
        (self.after, self.digest) = (row, Some(stated));
    }

    /// Advances past all rows up to a position, whose row is damaged.
    fn pass_damaged(&mut self, through: RowId) {
        if self.after < through {
            (self.after, self.digest) = (through, None);
        }
    }
}

/// The number of last refused rows that are remembered.
const REFUSED_MAX: usize = 4096;

/// The rows that were refused last: when all rows are read again, these are neither verified nor
/// reported again.
#[derive(Debug, Default)]
struct RefusedRows {
    known: BTreeSet<Digest>,
    order: VecDeque<Digest>,
}

impl RefusedRows {
    /// The digest of everything on which the verification of a row depends: its key, and the digest
    /// of its statement.
    fn digest_of(row: &RoundRow, stated: &Digest) -> Digest {
        let RoundRow { kind, authority, law_id, height, term, .. } = row;
        let law_id = law_id.as_ref().map_or("", |law_id| law_id.as_str());
        let (kind, stated) = (kind.as_str(), stated.to_hex());
        // Only the last field can contain a line feed.
        let key = format!("{law_id}\n{kind}\n{height}\n{term}\n{stated}\n{authority}");
        Digest::compute(key.as_bytes())
    }

    fn holds(&self, row: &Digest) -> bool {
        self.known.contains(row)
    }

    fn add(&mut self, row: Digest) {
        if !self.known.insert(row) {
            return;
        }
        self.order.push_back(row);
        if self.order.len() > REFUSED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// Limits the log lines about a flood of such rows: anyone who can write to the ledger can insert
/// millions.
static ROWS_REFUSED: LogSummary = LogSummary::new();

/// The longest reason of a refusal that is reported, in characters. It may quote the row.
const REASON_MAX: usize = 300;

fn report_refused(context: &NodeContext, reason: &str) {
    metrics::round_row_refused();
    let Some(count) = ROWS_REFUSED.due(Instant::now()) else { return };
    let reason: String = reason.chars().take(REASON_MAX).collect();
    tracing::error!(
        event = "round_row_refused",
        alarm = true,
        reason,
        count,
        "a row of a round is not what its authority signed"
    );
    let fields = AuditFields { reason: Some(&reason), ..AuditFields::default() };
    context.audit.record(AuditEvent::RoundRowRefused, &fields);
}

/// Reads the rows after the cursor.
async fn read(
    context: &NodeContext,
    authority: &AuthorityContext,
    cursor: &mut Cursor,
    refused: &mut RefusedRows,
) -> Result<Progress, EngineError> {
    let read = context.ledger.rows_after(cursor.after, ROWS_PER_READ).await?;
    match cursor.last_row(&read) {
        LastRow::Stays => {}
        // Rows that no round needs are removed. Reading the remaining rows again costs little, and
        // finds the rows that a ledger restored from an older copy has at positions that were read
        // before.
        LastRow::Gone => {
            *cursor = Cursor::default();
            return Ok(Progress::More);
        }
        // All rows are read again; the statements on the board are still valid.
        LastRow::RolledBack => {
            tracing::error!(
                event = "ledger_rolled_back",
                alarm = true,
                rows_read = cursor.after.0,
                rows_stored = read.last.0,
                "the ledger lacks rows that this authority has read: it was restored from an older \
                 copy"
            );
            context.audit.record(AuditEvent::LedgerRolledBack, &AuditFields::default());
            authority.note_rollback_of_all();
            authority.note_rows_rolled_back();
            return Ok(Progress::More);
        }
    }
    let (through, last) = (read.through(), read.last);
    let is_empty = through.is_none();
    if through.is_some_and(|through| cursor.leaps_to(through)) {
        cursor.has_leapt = true;
        report_leap(cursor.after, last);
    }
    for damaged in &read.damaged {
        report_refused(context, &damaged.reason);
    }
    for row in read.rows {
        let stated = row.digest();
        cursor.pass(row.id, stated);
        let voted = process_row(context, authority, refused, row, &stated).await;
        cursor.voted = cursor.voted.max(voted);
    }
    if let Some(through) = through {
        cursor.pass_damaged(through);
    }
    if !is_empty && cursor.after < last {
        return Ok(Progress::More);
    }
    if !std::mem::replace(&mut cursor.is_complete, true) {
        // The last vote of an authority is never removed: a ledger without it has lost rows.
        let promised = authority.promise().map(|promise| promise.term);
        cursor.resends |= cursor.voted < promised;
    }
    Ok(if is_empty { Progress::Idle } else { Progress::Read })
}

/// Reads the newest rows, and skips the rows between them and the last read row. They are read in
/// order again later.
async fn read_newest(
    context: &NodeContext,
    authority: &AuthorityContext,
    refused: &mut RefusedRows,
) {
    match context.ledger.newest_rows(ROWS_PER_READ).await {
        Ok(read) => {
            for row in read.rows {
                let stated = row.digest();
                process_row(context, authority, refused, row, &stated).await;
            }
        }
        Err(error) => {
            tracing::debug!(event = "round_rows_not_read", %error, "newest rows not read");
        }
    }
}

/// Adds a row to the board, unless it was refused before or does not verify. Returns the term of a
/// vote of this authority.
async fn process_row(
    context: &NodeContext,
    authority: &AuthorityContext,
    refused: &mut RefusedRows,
    row: RoundRow,
    stated: &Digest,
) -> Option<u64> {
    let digest = RefusedRows::digest_of(&row, stated);
    if refused.holds(&digest) {
        return None;
    }
    check_own_statement(context, authority, &row).await;
    let is_own_vote = row.kind == RowKind::Vote && row.authority == authority.name.as_str();
    let term = row.term;
    match add_to_board(authority, &authority.board, row) {
        Ok(()) => is_own_vote.then_some(term),
        Err(reason) => {
            refused.add(digest);
            report_refused(context, &reason);
            None
        }
    }
}

fn report_leap(after: RowId, last: RowId) {
    tracing::error!(
        event = "round_rows_leap",
        alarm = true,
        rows_read = after.0,
        rows_stored = last.0,
        "the ledger gives rows positions that no rows of this installation reach"
    );
}

/// Compares the statements of this authority in the ledger with its memory, before it signs any.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn check_own_statements(context: &NodeContext) -> Result<(), EngineError> {
    let Some(authority) = &context.authority else { return Ok(()) };
    let mut after = RowId(0);
    loop {
        let read = context.ledger.rows_after(after, ROWS_PER_READ).await?;
        let Some(through) = read.through() else { return Ok(()) };
        after = through;
        for row in &read.rows {
            check_own_statement(context, authority, row).await;
        }
    }
}

/// Checks whether a statement of this authority is missing from its memory: then the memory was
/// restored from an older copy, or its keys are used elsewhere, and it signs nothing more. A
/// cosignature line does not name its block, but an accept precedes each cosignature.
async fn check_own_statement(context: &NodeContext, authority: &AuthorityContext, row: &RoundRow) {
    let is_statement = !matches!(row.kind, RowKind::Proposal | RowKind::Cosign);
    if row.authority != authority.name.as_str() || !is_statement || authority.is_rolled_back() {
        return;
    }
    // Anyone who writes to the ledger can insert a row that this authority never signed.
    let Ok(statement) = authority.set.verify_statement(&row.bytes) else { return };
    if statement.authority != authority.name
        || !is_keyed(&statement.body, row.kind, row.law_id.as_ref(), row.height, row.term)
    {
        return;
    }
    let RoundRow { kind, law_id, height, term, bytes, .. } = row.clone();
    let compared = authority
        .durable(move |memory| {
            memory.is_rolled_back(kind.as_str(), law_id.as_ref(), height, term, &bytes)
        })
        .await;
    match compared {
        Ok(false) => {}
        Ok(true) => {
            if authority.note_rolled_back() {
                tracing::error!(
                    event = "rolled_back",
                    alarm = true,
                    authority = %authority.name,
                    kind = row.kind.as_str(),
                    term = row.term,
                    height = row.height,
                    "the ledger holds a statement of this authority that its memory does not: it \
                     signs nothing more, renew it (votekit authority renew)"
                );
                let (law_id, kind) = (row.law_id.as_ref(), row.kind.as_str());
                let (term, height) = (Some(row.term), Some(row.height));
                let reason = Some(kind);
                let fields = AuditFields { law_id, term, height, reason, ..Default::default() };
                context.audit.record(AuditEvent::RolledBack, &fields);
            }
            context.leader_lease.step_down();
        }
        Err(error) => tracing::error!(
            event = "own_statement_not_compared",
            alarm = true,
            %error,
            "a statement of this authority was not compared with its memory"
        ),
    }
}

/// Verifies a row and adds it to the board. Returns the reason if it is not valid.
fn add_to_board(authority: &AuthorityContext, board: &Board, row: RoundRow) -> Result<(), String> {
    let RoundRow { kind, authority: by, law_id, height, term, bytes, leaves, .. } = row;
    let name = by.parse().map_err(|error| format!("{by}: {error}"))?;
    if authority.set.member(&name).is_none() {
        return Err(format!("{by} is not an authority of this installation"));
    }
    match kind {
        RowKind::Proposal => {
            let proposal = authority.set.verify_proposal(&bytes).map_err(|e| e.to_string())?;
            if proposal.leadership.leader != name
                || proposal.leadership.term != term
                || Some(&proposal.law_id) != law_id.as_ref()
                || proposal.point.height != height
            {
                return Err(format!("the proposal of {by} is stored under another key"));
            }
            if Digest::compute(&leaves) != proposal.digest {
                return Err(format!("the block of the proposal of {by} was changed"));
            }
            board.add_proposal(ProposalRow::new(proposal, bytes, leaves));
        }
        RowKind::Cosign => {
            let law_id = law_id.ok_or("a cosignature names its election")?;
            let cosigned = authority.set.verify_cosigned(&bytes, &law_id, &name);
            let cosigned = cosigned.map_err(|e| format!("the cosignature of {by}: {e}"))?;
            board.add_cosigned(name, &law_id, height, cosigned);
        }
        RowKind::Vote | RowKind::Accept | RowKind::Refuse | RowKind::Suspect => {
            let statement = authority.set.verify_statement(&bytes).map_err(|e| e.to_string())?;
            let Statement { authority: signer, body, .. } = statement;
            if signer != name || !is_keyed(&body, kind, law_id.as_ref(), height, term) {
                return Err(format!("the statement of {by} is stored under another key"));
            }
            board.add_statement(&signer, body);
        }
        _ => {}
    }
    Ok(())
}

/// Whether a statement is stored under its own key.
fn is_keyed(
    body: &StatementBody,
    kind: RowKind,
    law_id: Option<&votekit_core::id::ElectionId>,
    height: u64,
    term: u64,
) -> bool {
    match (body, kind) {
        (StatementBody::Vote(vote), RowKind::Vote) => vote.leadership.term == term,
        (StatementBody::Suspect(suspect), RowKind::Suspect) => suspect.leadership.term == term,
        (StatementBody::Accept(accept), RowKind::Accept) => {
            Some(&accept.law_id) == law_id
                && accept.point.height == height
                && accept.leadership.term == term
        }
        (StatementBody::Refuse(refuse), RowKind::Refuse) => {
            Some(&refuse.law_id) == law_id
                && refuse.height == height
                && refuse.leadership.term == term
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_read_before_shows_what_became_of_the_ledger() {
        let row = RoundRow {
            id: RowId(7),
            kind: RowKind::Vote,
            authority: "a1".into(),
            law_id: None,
            height: 0,
            term: 3,
            bytes: b"a vote".to_vec(),
            leaves: Vec::new(),
        };
        let read = |last, after| RowsRead { last: RowId(last), after, ..RowsRead::default() };
        let (known, other) = (Some(row.digest()), Some(Digest::compute(b"another")));
        let mut cursor = Cursor::default();
        assert_eq!(cursor.last_row(&read(0, None)), LastRow::Stays, "nothing was read yet");
        cursor.pass(row.id, row.digest());
        assert_eq!(cursor.after, RowId(7));
        assert_eq!(cursor.last_row(&read(7, known)), LastRow::Stays);
        assert_eq!(cursor.last_row(&read(9, known)), LastRow::Stays, "more rows");
        assert_eq!(cursor.last_row(&read(9, None)), LastRow::Gone);
        assert_eq!(cursor.last_row(&read(9, other)), LastRow::RolledBack);
        assert_eq!(cursor.last_row(&read(6, None)), LastRow::RolledBack);
        cursor.pass_damaged(RowId(7));
        assert_eq!(cursor.digest, Some(row.digest()), "no damaged row behind it");
        cursor.pass_damaged(RowId(8));
        assert_eq!(cursor.last_row(&read(9, other)), LastRow::Stays, "nothing is known of it");
    }

    #[test]
    fn a_leap_of_positions_is_noticed_by_a_reader_that_has_read_all() {
        let far = RowId(POSITION_STEP_MAX + 8);
        let mut cursor = Cursor { after: RowId(7), ..Cursor::default() };
        assert!(!cursor.leaps_to(far), "earlier rows may have been removed");
        cursor.is_complete = true;
        assert!(cursor.leaps_to(far) && cursor.leaps_to(RowId(u64::MAX)));
        assert!(!cursor.leaps_to(RowId(far.0 - 1)) && !cursor.leaps_to(RowId(3)));
    }

    #[test]
    fn a_refused_row_is_remembered_by_its_key_and_its_bytes() {
        let row = RoundRow {
            id: RowId(7),
            kind: RowKind::Accept,
            authority: "a1".into(),
            law_id: Some("L1".parse().expect("a law id")),
            height: 2,
            term: 3,
            bytes: b"an accept".to_vec(),
            leaves: Vec::new(),
        };
        let digest_of = |row: &RoundRow| RefusedRows::digest_of(row, &row.digest());
        let digest = digest_of(&row);
        let mut refused = RefusedRows::default();
        refused.add(digest);
        refused.add(digest);
        assert!(refused.holds(&digest_of(&RoundRow { id: RowId(9), ..row.clone() })));
        // Under the key that its bytes state, the row is verified again.
        for moved in [
            RoundRow { kind: RowKind::Vote, ..row.clone() },
            RoundRow { authority: "a2".into(), ..row.clone() },
            RoundRow { law_id: None, ..row.clone() },
            RoundRow { height: 3, ..row.clone() },
            RoundRow { term: 2, ..row.clone() },
            RoundRow { bytes: b"another".to_vec(), ..row },
        ] {
            assert!(!refused.holds(&digest_of(&moved)), "{moved:?}");
        }
        for number in 0..REFUSED_MAX as u64 {
            refused.add(Digest::compute(&number.to_be_bytes()));
        }
        assert!(!refused.holds(&digest), "the last ones are kept");
        assert_eq!((refused.known.len(), refused.order.len()), (REFUSED_MAX, REFUSED_MAX));
    }
}
