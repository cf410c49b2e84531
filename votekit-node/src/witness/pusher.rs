//! Pushes the heads of all logs to one outside witness, and stores its cosignatures.
//!
//! Only heads that were appended are pushed, the latest of each log, at most one in
//! [`REQUEST_INTERVAL`]; the heads of closed elections at once. This module stores nothing: the
//! ledger, or the answer of the witness, shows which head it has cosigned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::authority::SetWitness;
use votekit_core::election::State;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixSeconds;
use votekit_core::log::checkpoint::{CheckpointError, SignedCheckpoint};
use votekit_core::log::witness::{
    AddCheckpoint, AnswerError, WitnessCosignature, read_cosignature, read_known_size,
};
use votekit_store::retry::until_definite;
use votekit_store::{EngineError, WitnessLine};

use super::client::{Answer, Client, ClientError};
use crate::config::Role;
use crate::context::Owner;
use crate::election::{Committed, ElectionHandle, cosigned_size, read_cosigned};
use crate::error::NodeError;
use crate::metrics;
use crate::node::Node;
use crate::query::ReadError;

/// The pause between two searches for a head to push.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The shortest time between two requests to a witness, except for heads of closed elections.
const REQUEST_INTERVAL: Duration = Duration::from_secs(10);

/// The longest pause after failures in a row.
const BACK_OFF_MAX: Duration = Duration::from_secs(300);

/// Requests for one head: the witness answers the first with the size that it knows, if that size
/// is another.
const REQUESTS_PER_HEAD: usize = 3;

/// How often the cosignatures in the ledger are read again: the ledger may have been restored from
/// an older copy.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// How often the gauges are set.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// How much older than its block a cosignature may be, as in a bundle.
const CLOCK_TOLERANCE: u64 = 60;

/// Starts a task for each outside witness that this authority feeds.
pub(crate) fn start(node: &Node) -> Result<(), NodeError> {
    let context = &node.context;
    let Some(set) = context.witness_set.as_ref().filter(|_| context.has(Role::Seal)) else {
        return Ok(());
    };
    let own = context.folder.authority()?;
    for witness in set.witnesses().iter().filter(|witness| witness.fed_by == own) {
        let pusher = Pusher::new(node.clone(), witness.clone());
        context.spawn(Owner::Node, pusher.run());
    }
    Ok(())
}

/// Feeds one witness.
struct Pusher {
    node: Node,
    witness: SetWitness,
    logs: BTreeMap<ElectionId, PushState>,
    /// When the next request that is not urgent may be sent.
    next_request: Instant,
    reported_at: Option<Instant>,
}

/// The known state of a witness for one log.
#[derive(Debug, Clone, Copy, Default)]
struct PushState {
    /// The size that the witness has cosigned last, as far as known.
    known: u64,
    /// The size of the last head whose cosignature is in the ledger, as verified.
    stored: u64,
    /// When the ledger was asked for it.
    read_at: Option<Instant>,
    /// Failures in a row.
    failures: u32,
    retry_at: Option<Instant>,
    tried_at: Option<Instant>,
    /// The size of the head that was pushed last.
    tried_size: u64,
}

impl PushState {
    /// Records a failure. Returns the pause until the next try.
    fn fail(&mut self) -> Duration {
        let doubled = REQUEST_INTERVAL.saturating_mul(1 << self.failures.min(10));
        let pause = doubled.min(BACK_OFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(Instant::now() + pause);
        pause
    }

    fn succeed(&mut self, size: u64) {
        (self.known, self.stored) = (size, size);
        (self.failures, self.retry_at) = (0, None);
    }
}

/// Why a head was not cosigned.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("it answered {status}: {reason}")]
    Refused { status: u16, reason: String },
    #[error("it has cosigned {known} leaves, and the log here has {size}")]
    Ahead { known: u64, size: u64 },
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("its clock is behind: it cosigned at {at}, and the block was sealed at {sealed_at}")]
    Clock { at: UnixSeconds, sealed_at: UnixSeconds },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl PushError {
    /// Whether the witness has seen another log under this name: a fork, or a ledger restored from
    /// a copy that is older than the cosigned head.
    fn is_contradiction(&self) -> bool {
        matches!(self, Self::Refused { status: 422, .. } | Self::Ahead { .. })
    }
}

impl Pusher {
    fn new(node: Node, witness: SetWitness) -> Self {
        let next_request = Instant::now();
        Self { node, witness, logs: BTreeMap::new(), next_request, reported_at: None }
    }

    /// Sends heads to the witness as long as the node runs.
    async fn run(mut self) {
        let client = match Client::new(self.witness.submission_url()) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(
                    event = "witness_client_failed",
                    alarm = true,
                    witness = %self.witness.name,
                    %error,
                    "outside witness not fed"
                );
                return;
            }
        };
        loop {
            while let Some(election) = self.next_due().await {
                self.push(&client, &election).await;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether this process acts for its authority: of several processes of a single authority only
    /// the leader does, and an authority that signs nothing more does not.
    fn may_sign(&self) -> bool {
        let context = &self.node.context;
        match &context.authority {
            Some(authority) => !authority.is_rolled_back(),
            None => context.leader_lease.term().is_some(),
        }
    }

    /// The log whose head is to be pushed now: a closed log first, then the log that has waited
    /// longest.
    async fn next_due(&mut self) -> Option<Arc<ElectionHandle>> {
        if !self.may_sign() {
            return None;
        }
        let (now, next_request) = (Instant::now(), self.next_request);
        let is_report = self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        if is_report {
            self.reported_at = Some(now);
        }
        // By whether it can wait, and the time of its last push.
        let mut due: BTreeMap<(bool, Option<Instant>), Arc<ElectionHandle>> = BTreeMap::new();
        for election in self.node.context.elections() {
            if election.halted().is_some() {
                continue;
            }
            let Some(state) = self.state(&election).await else { continue };
            let committed = election.committed();
            let behind = committed.size().saturating_sub(state.stored);
            if is_report {
                metrics::witness_behind(self.witness.name.as_str(), election.law_id(), behind);
            }
            let is_urgent = committed.state() >= State::Closed;
            // Earlier failures do not delay the first push of a final head.
            let is_first = is_urgent && state.tried_size != committed.size();
            let waits = !is_first && state.retry_at.is_some_and(|at| at > now);
            if behind == 0 || waits || (!is_urgent && now < next_request) {
                continue;
            }
            due.entry((!is_urgent, state.tried_at)).or_insert(election);
        }
        due.into_values().next()
    }

    /// The known state of a log. At first, and from time to time, the lines that this witness has
    /// signed are read from the ledger. `None` if they cannot be read.
    async fn state(&mut self, election: &ElectionHandle) -> Option<PushState> {
        let law_id = election.law_id();
        let before = self.logs.get(law_id).copied().unwrap_or_default();
        if before.read_at.is_some_and(|at| at.elapsed() < RECHECK_INTERVAL) {
            return Some(before);
        }
        let head = {
            let committed = election.committed();
            (committed.size(), committed.tree.root())
        };
        let (ledger, names) = (&*self.node.context.ledger, [self.witness.name.to_string()]);
        let lines = match read_cosigned(ledger, law_id, head, &names).await {
            Ok(lines) => lines,
            Err(error) => {
                tracing::debug!(
                    event = "witness_lines_not_read",
                    %law_id,
                    %error,
                    "lines of outside witnesses not read"
                );
                return None;
            }
        };
        let size = cosigned_size(&self.witness, &election.signer.origin, head, &lines);
        let (known, read_at) = (before.known.max(size), Some(Instant::now()));
        let state = PushState { known, stored: size, read_at, ..before };
        self.logs.insert(law_id.clone(), state);
        Some(state)
    }

    /// Pushes the head of a log, and records the outcome.
    async fn push(&mut self, client: &Client, election: &Arc<ElectionHandle>) {
        let law_id = election.law_id();
        let committed = election.committed();
        let size = committed.size();
        let known = self.logs.get(law_id).map_or(0, |state| state.known);
        if committed.state() < State::Closed {
            // Many closed elections whose heads the witness refuses do not delay an open election.
            self.next_request = Instant::now() + REQUEST_INTERVAL;
        }
        let pushed = self.request(client, election, &committed, known).await;
        let witness = self.witness.name.as_str();
        let state = self.logs.entry(law_id.clone()).or_default();
        let had_failed = state.failures > 0;
        if committed.state() >= State::Closed && state.tried_size != size {
            // Its next retries begin with the shortest pause, after any earlier failures.
            state.failures = 0;
        }
        (state.tried_at, state.tried_size) = (Some(Instant::now()), size);
        metrics::witness_request(pushed.is_ok());
        match pushed {
            Ok(()) => {
                if had_failed {
                    tracing::info!(
                        event = "witness_recovered",
                        %law_id,
                        witness,
                        "outside witness cosigns again"
                    );
                }
                state.succeed(size);
                metrics::witness_behind(witness, law_id, 0);
                election.witnessed.forget();
                tracing::debug!(event = "witness_cosigned", %law_id, witness, size, "head cosigned");
            }
            Err(error) => {
                let retry_seconds = state.fail().as_secs();
                if error.is_contradiction() && state.failures == 1 {
                    tracing::error!(
                        event = "witness_contradicts",
                        alarm = true,
                        %law_id,
                        witness,
                        size,
                        %error,
                        "outside witness has cosigned another log, or a longer one"
                    );
                }
                tracing::warn!(
                    event = "witness_push_failed",
                    %law_id,
                    witness,
                    size,
                    retry_seconds,
                    %error,
                    "head not cosigned by an outside witness, retrying"
                );
            }
        }
    }

    /// Sends `add-checkpoint` for a head, and stores the cosignature.
    async fn request(
        &self,
        client: &Client,
        election: &ElectionHandle,
        committed: &Committed,
        known: u64,
    ) -> Result<(), PushError> {
        // The text that the authorities have cosigned, signed with the log key of this authority.
        let checkpoint = SignedCheckpoint::parse(&committed.checkpoint)?.unverified().clone();
        let signature = election.signer.log_signature(&checkpoint)?;
        let signed = SignedCheckpoint::new(checkpoint, signature, [])?;
        let size = signed.unverified().size();
        let mut old_size = known;
        for _ in 0..REQUESTS_PER_HEAD {
            if old_size > size {
                return Err(PushError::Ahead { known: old_size, size });
            }
            let proof = self.node.consistency_path(election, committed, old_size).await?;
            let body = AddCheckpoint { old_size, proof, checkpoint: signed.clone() };
            let answer = client.post(body.to_string()).await?;
            match (answer.status, read_known_size(&answer.body)) {
                (200, _) => {
                    let checkpoint = signed.unverified();
                    let found = read_cosignature(&answer.body, checkpoint, &self.witness.key)?;
                    return self.store(election, committed, found).await;
                }
                (409, Some(other)) if other != old_size => old_size = other,
                _ => return Err(refused(&answer)),
            }
        }
        Err(PushError::Refused { status: 409, reason: "the size changes each time".to_owned() })
    }

    async fn store(
        &self,
        election: &ElectionHandle,
        committed: &Committed,
        found: WitnessCosignature,
    ) -> Result<(), PushError> {
        let WitnessCosignature { line, at } = found;
        let sealed_at = committed.results.updated_at.start();
        // A bundle with an older cosignature is refused.
        if at.0.saturating_add(CLOCK_TOLERANCE) < sealed_at.0 {
            return Err(PushError::Clock { at, sealed_at });
        }
        let stored = WitnessLine {
            witness: self.witness.name.as_str().to_owned(),
            height: committed.height,
            size: committed.size(),
            root: committed.tree.root(),
            line: line.to_string().into_bytes(),
        };
        let ledger = &self.node.context.ledger;
        let law_id = election.law_id();
        until_definite("put_witness_line", || ledger.put_witness_line(law_id, &stored)).await?;
        Ok(())
    }
}

/// The refusal of a witness, with the beginning of its reason.
fn refused(answer: &Answer) -> PushError {
    const REASON_MAX: usize = 200;
    let text = String::from_utf8_lossy(&answer.body);
    let first = text.lines().next().unwrap_or_default();
    let reason = first.chars().filter(|one| !one.is_control()).take(REASON_MAX).collect();
    PushError::Refused { status: answer.status, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_after_failures_double_up_to_a_limit() {
        let mut state = PushState::default();
        let pauses: Vec<u64> = (0..7).map(|_| state.fail().as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
        state.succeed(7);
        assert_eq!((state.known, state.stored, state.failures), (7, 7, 0));
        assert_eq!((state.fail().as_secs(), state.retry_at.is_some()), (10, true));
    }

    #[test]
    fn the_reason_of_a_refusal_is_one_line_of_text() {
        let answer = |body: &str| Answer { status: 403, body: body.as_bytes().to_vec() };
        let reason = |body: &str| refused(&answer(body)).to_string();
        assert_eq!(reason("no key\nmore\n"), "it answered 403: no key");
        assert_eq!(reason("\u{1b}[31mred"), "it answered 403: [31mred");
        assert_eq!(reason(&"x".repeat(500)).len(), "it answered 403: ".len() + 200);
    }
}
