//! How a vote is accepted: the checks, their order, and the answer to the voter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use votekit_core::credential::{AccessCode, CredentialHash, Nas};
use votekit_core::election::{ChoiceId, State, Timing, Window};
use votekit_core::envelope::{Envelope, VoteRequest};
use votekit_core::id::{ElectionId, RequestId};
use votekit_core::instant::{UnixMillis, UnixMinutes};
use votekit_store::Mark;
use zeroize::Zeroizing;

use crate::clock::Stepped;
use crate::config::Role;
use crate::context::NodeContext;
use crate::election::{ElectionHandle, IntakeError, Stored, Submission};
use crate::error::{ElectionFault, NotReady, SubmitError};
use crate::limits::throttle::{Origin, Turn};
use crate::metrics;
use crate::node::Node;
use crate::pending::{Issue, Known};
use crate::random::random_request_id;

impl Node {
    /// Takes a vote: checks it against the election, stamps it, and waits until it is durable. A
    /// vote with an origin came over the network, and passes admission first. A known request gets
    /// the same answer as the first time.
    ///
    /// The order of the checks keeps wrong and correct codes alike until only the code can refuse
    /// the vote: the checks before the turn of the attempt are the same for both.
    ///
    /// # Errors
    /// [`SubmitError`], which states whether anything was stored.
    pub async fn submit(
        &self,
        vote: &VoteRequest,
        idempotency_key: Option<&[u8]>,
        origin: Option<Origin>,
    ) -> Result<RequestId, SubmitError> {
        let credential = &vote.credential;
        let (election, received) = self.taking_votes(&credential.law_id, self.now())?;
        let hash = hash(&election, &credential.nas, &credential.code)?;
        let ballot = Ballot { hash, choice: &vote.choice, idempotency_key, received };
        self.take(&election, &ballot, origin).await
    }

    /// Takes a vote of a credential that [`Node::recognise`] has recognised, as [`Node::submit`]
    /// does, without another attempt in the throttle. It must have an idempotency key: 16 to 255
    /// bytes that others cannot guess.
    ///
    /// # Errors
    /// [`SubmitError`], which states whether anything was stored.
    pub async fn submit_recognised(
        &self,
        law_id: &ElectionId,
        hash: CredentialHash,
        choice: &ChoiceId,
        idempotency_key: &[u8],
    ) -> Result<RequestId, SubmitError> {
        let (election, received) = self.taking_votes(law_id, self.now())?;
        self.context.admission.admit_unseen(Instant::now())?;
        let idempotency_key = Some(idempotency_key);
        let ballot = Ballot { hash, choice, idempotency_key, received };
        self.admit_duplicate(&election, &ballot).await?;
        self.take(&election, &ballot, None).await
    }

    /// Refuses the duplicates of a recognised credential beyond a few a minute, as for votes from
    /// the network. A known request gets its answer instead.
    async fn admit_duplicate(
        &self,
        election: &ElectionHandle,
        ballot: &Ballot<'_>,
    ) -> Result<(), SubmitError> {
        let (_, mark) = envelope(election, ballot)?;
        let is_in_flight = !matches!(self.context.pending.known(&mark.request), Known::No);
        if is_in_flight || self.is_decided(election, &mark).await {
            return Ok(());
        }
        let NodeContext { admission, registry, .. } = &*self.context;
        admission.admit_duplicate(&**registry, election.law_id(), &mark)
    }

    async fn take(
        &self,
        election: &Arc<ElectionHandle>,
        ballot: &Ballot<'_>,
        origin: Option<Origin>,
    ) -> Result<RequestId, SubmitError> {
        let idempotency_key = ballot.idempotency_key;
        let (envelope, mark) = envelope(election, ballot)?;
        let request = envelope.request;
        let pass = election.writes.enter().ok_or_else(|| not_ready(NotReady::WritesFail))?;
        // Reserved before the turn, so that a full queue refuses wrong and correct codes alike.
        let permit = election.intake.try_reserve().map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(()) => {
                SubmitError::Busy { retry_after: Duration::from_secs(1) }
            }
            mpsc::error::TrySendError::Closed(()) => not_ready(NotReady::Stopping),
        })?;
        // Searched before the turn, so that nothing is awaited during the turn; the result is
        // returned after it.
        let mut removals = idempotency_key.map(|_| self.context.pending.removals(&request));
        let is_decided = removals.is_some() && self.is_decided(election, &mark).await;
        let turn = match origin {
            Some(origin) => Some(self.turn(origin).await?),
            None => None,
        };
        if is_decided {
            return Ok(request);
        }
        match self.context.pending.known(&request) {
            Known::No => {}
            Known::Stored => return Ok(request),
            Known::Storing(stored) => {
                drop((turn, permit));
                return outcome(election, request, stored.await);
            }
        }
        let mut pending_turn = match turn {
            Some(turn) if pass.is_probe() => {
                self.context.admission.admit_unseen(Instant::now())?;
                Some(turn)
            }
            Some(turn) => {
                let NodeContext { admission, throttle, registry, .. } = &*self.context;
                let about = (election.law_id(), &mark);
                admission.admit(turn, throttle, &**registry, about, Instant::now())?
            }
            None => None,
        };
        loop {
            match self.context.pending.issue(request, &mut pending_turn, removals) {
                Issue::Registered => break,
                // The request is not registered while the log is searched again.
                Issue::SearchAgain { removals: now } => {
                    removals = Some(now);
                    if self.is_decided(election, &mark).await {
                        return Ok(request);
                    }
                }
                // The same request was registered in between.
                Issue::Known(Known::Storing(stored)) => {
                    drop((pending_turn, permit));
                    return outcome(election, request, stored.await);
                }
                Issue::Known(_) => return Ok(request),
            }
        }
        let (reply, stored) = oneshot::channel();
        permit.send(Submission::Vote(envelope, reply));
        let stored = stored.await;
        // Kept until the outcome is known: meanwhile a probe blocks other votes.
        drop(pass);
        outcome(election, request, stored)
    }

    /// The election of a vote and its stamp, if this node takes votes for it now.
    pub(super) fn taking_votes(
        &self,
        law_id: &ElectionId,
        wall: UnixMillis,
    ) -> Result<(Arc<ElectionHandle>, UnixMinutes), SubmitError> {
        let Some(election) = self.context.election(law_id) else {
            let damaged = self.context.damaged(law_id);
            return Err(damaged.map_or(SubmitError::UnknownElection, |_| SubmitError::Halted));
        };
        if !self.context.has(Role::Ingest) {
            return Err(not_ready(NotReady::NoIngestRole));
        }
        if election.halted().is_some() {
            return Err(SubmitError::Halted);
        }
        let committed = election.committed();
        if committed.state() != State::Open || election.planned_close_has_passed(&committed, wall) {
            return Err(not_open(&election, committed.state() == State::Draft));
        }
        let received = match election.clock.read(wall.0) {
            Ok(time) => UnixMillis(time),
            Err(Stepped { by }) => {
                return Err(SubmitError::Clock { by: Duration::from_millis(by) });
            }
        };
        let window = Window { opens: committed.opens, closes: committed.closes };
        match window.timing(received.minutes()) {
            Timing::InTime => {}
            timing => return Err(not_open(&election, timing == Timing::Early)),
        }
        if !committed.admits_this_node {
            return Err(not_ready(NotReady::NotAdmitted));
        }
        election.note_stamp(received);
        Ok((election, received.minutes()))
    }

    /// Waits for the turn of an attempt.
    pub(super) async fn turn(&self, origin: Origin) -> Result<Turn, SubmitError> {
        self.context.throttle.turn(origin).await.map_err(|retry_after| {
            metrics::vote_refused(metrics::Refusal::BackOff);
            SubmitError::BackOff { retry_after }
        })
    }

    /// Whether the log has decided a request. The search waits while a block is applied, so
    /// first-time voters are spared it.
    async fn is_decided(&self, election: &ElectionHandle, mark: &Mark) -> bool {
        !self.context.registry.surely_unused(election.law_id(), mark)
            && election.has_decided(&mark.request)
    }
}

/// A vote of one election, hashed and stamped.
struct Ballot<'a> {
    hash: CredentialHash,
    choice: &'a ChoiceId,
    idempotency_key: Option<&'a [u8]>,
    received: UnixMinutes,
}

/// The hash of a credential, by the roll of its election.
pub(super) fn hash(
    election: &ElectionHandle,
    nas: &Nas,
    code: &AccessCode,
) -> Result<CredentialHash, SubmitError> {
    let hasher = election.hasher().ok_or_else(|| not_open(election, false))?;
    Ok(hasher.hash_parts(nas, code, election.law_id()))
}

/// The envelope of a vote, and its mark for the registry.
fn envelope(
    election: &ElectionHandle,
    ballot: &Ballot<'_>,
) -> Result<(Box<Zeroizing<Envelope>>, Mark), SubmitError> {
    let Ballot { hash, received, .. } = *ballot;
    let committed = election.committed();
    let choice = committed
        .results
        .definition
        .choice_index(ballot.choice)
        .ok_or(SubmitError::UnknownChoice)?;
    let hasher = election.hasher().ok_or_else(|| not_open(election, false))?;
    let request = match ballot.idempotency_key {
        Some(key) => {
            election.request_id(&hash, choice, key).ok_or_else(|| not_open(election, false))?
        }
        None => random_request_id()
            .map_err(|error| not_ready(NotReady::Randomness { reason: error.to_string() }))?,
    };
    let mark = Mark { key: hasher.scheme().registry_key(&hash), request };
    let envelope = Zeroizing::new(Envelope { request, hash, received, choice });
    Ok((Box::new(envelope), mark))
}

pub(super) fn not_open(election: &ElectionHandle, early: bool) -> SubmitError {
    let committed = election.committed();
    SubmitError::NotOpen {
        early,
        state: committed.state(),
        opens: committed.opens,
        closes: committed.closing_minute(),
    }
}

/// The answer to the voter of a request.
fn outcome(
    election: &ElectionHandle,
    request: RequestId,
    stored: Result<Stored, oneshot::error::RecvError>,
) -> Result<RequestId, SubmitError> {
    match stored {
        Ok(Ok(())) => Ok(request),
        Ok(Err(IntakeError::Finished)) => {
            let committed = election.committed();
            let state = committed.state().max(State::Closing);
            // Before the close is recorded, only the planned time is known.
            let is_recorded = committed.state() == state;
            let closes = committed.closing_minute().filter(|_| is_recorded);
            let opens = committed.opens;
            Err(SubmitError::NotOpen { early: false, state, opens, closes })
        }
        Ok(Err(IntakeError::Unavailable(error))) => Err(SubmitError::Unavailable(error)),
        Ok(Err(IntakeError::OutcomeUnknown)) | Err(_) => {
            Err(SubmitError::OutcomeUnknown { request })
        }
    }
}

fn not_ready(reason: NotReady) -> SubmitError {
    SubmitError::Unavailable(ElectionFault::NotReady(reason))
}
