//! Closing an election and retiring a node: both require that nothing is in flight.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use votekit_core::election::State;
use votekit_core::election_log::{BlockContent, ElectionLogError, LogEvent};
use votekit_core::id::{Epoch, NodeId, Sequence};
use votekit_core::instant::{UnixMillis, UnixMinutes};
use votekit_store::{EngineError, Lease};

use crate::election::{LEASE_LENGTH, Submission};
use crate::error::AdminError;
use crate::ingest::intake::CLOCK_MARGIN;
use crate::seal::sealer::Sealer;

/// How long a close waits for other nodes to end their epochs before it returns what it waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the ledger may take to store the closing. Other nodes get leases until then, so the
/// closing time includes it. A ledger that was unavailable for longer refuses the closing, and the
/// official closes again.
const RECORDING: Duration = Duration::from_secs(2);

/// Poll interval of a wait.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Sealer {
    /// Closes the election, or resumes an earlier close where it stopped: records the closing,
    /// publishes what was taken, seals everything, reconciles, opens the totals.
    pub(crate) async fn close(&mut self, reason: Option<String>) -> Result<(), AdminError> {
        match self.state() {
            State::Open => {
                let (closes, not_after) = self.closing_time().await?;
                self.record_in_time(vec![LogEvent::Closing { closes, reason }], not_after).await?;
            }
            State::Closing => {}
            state => return Err(AdminError::State { state, wanted: "closed" }),
        }
        let (reply, finished) = oneshot::channel();
        if self.cell.intake.send(Submission::Finish(reply)).await.is_err() {
            return Err(AdminError::OutcomeUnknown);
        }
        // From here on the closing is recorded, whatever the outcome of the rest.
        finished.await.map_err(|_| AdminError::OutcomeUnknown)??;
        self.complete(PATIENCE).await
    }

    /// Resumes a close that was begun. What it still waits for is returned only by an explicit
    /// close.
    pub(crate) async fn close_again(&mut self) -> Result<(), EngineError> {
        match self.complete(Duration::ZERO).await {
            Ok(()) => Ok(()),
            Err(AdminError::Engine(error @ EngineError::Conflict(_))) => Err(error),
            Err(error) => {
                tracing::debug!(
                    event = "close_delayed",
                    law_id = %self.cell.law_id(),
                    %error,
                    "close not completed, retrying"
                );
                Ok(())
            }
        }
    }

    /// Chooses the effective closing time and the deadline for storing it. The closing is not
    /// before the last moment at which any node may have answered a voter.
    async fn closing_time(&self) -> Result<(UnixMinutes, Option<UnixMillis>), AdminError> {
        let not_after = if self.shared.is_shared {
            Some(UnixMillis(self.shared.ledger.clock().await?.0 + millis(RECORDING)))
        } else {
            None
        };
        // A vote answered a moment ago was in time, and its stamp is a whole minute: hence the next
        // minute below.
        let mut latest = self.shared.now();
        if not_after.is_some() {
            latest.0 += millis(RECORDING);
        }
        if self.shared.config.name.is_some() {
            // Other nodes answer until their leases run out, and a lease may be given in the last
            // moment before the closing is stored. Their clocks also differ from this one.
            latest.0 += millis(LEASE_LENGTH) + millis(CLOCK_MARGIN);
        }
        let committed = self.cell.committed().results.updated_at;
        let closes = latest.minutes().max(self.cell.latest_stamp().minutes()).max(committed).next();
        Ok((closes, not_after))
    }

    /// Waits until nothing is in flight, then closes.
    async fn complete(&mut self, patience: Duration) -> Result<(), AdminError> {
        let until = Instant::now() + patience;
        loop {
            match self.nothing_missing().await {
                Ok(()) => break,
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        let void = self.void_epochs().await?;
        if !void.is_empty() {
            self.record(void).await?;
        }
        self.record_block(None, |log, maker| log.propose(&BlockContent::Close, maker)).await
    }

    /// Checks that no node answers voters any more, that everything answered is in the log, and
    /// that every epoch in the log has ended. The log alone cannot show it: it does not know of
    /// batches that never reached it.
    async fn nothing_missing(&mut self) -> Result<(), AdminError> {
        let law_id = self.cell.law_id().clone();
        if let Some(lease) =
            self.shared.ledger.leases(&law_id).await?.first().filter(|_| self.shared.is_shared)
        {
            return Err(AdminError::Answering { node: lease.node, epoch: lease.epoch });
        }
        // After this every confirmed batch is staged or refused; `drain` seals the staged ones.
        self.shared.ballot_box.settle().await?;
        self.drain().await?;
        for (node, epoch) in self.shared.ledger.epochs(&law_id).await? {
            self.check_sealed(node, epoch).await?;
        }
        let open = self.cell.log().decisions().epochs().open().next();
        let Some((node, epoch)) = open else { return Ok(()) };
        let key = self.cell.log().node_key(node).cloned();
        let named = self.shared.folder.named_nodes()?;
        let name = named
            .iter()
            .find(|(_, named)| Some(named) == key.as_ref())
            .map(|(name, _)| name.to_string());
        Err(AdminError::NotEnded { node, name, epoch })
    }

    /// Retirements of the epochs that were given out and have no batch: their node ended before its
    /// first one. The log then accounts for every epoch.
    async fn void_epochs(&self) -> Result<Vec<LogEvent>, AdminError> {
        let law_id = self.cell.law_id();
        let mut void = Vec::new();
        for (node, epoch) in self.shared.ledger.epochs(law_id).await? {
            let staged = self.shared.ledger.staged_through(law_id, node, epoch).await?;
            let log = self.cell.log();
            let ended = log.decisions().epochs().progress(node, epoch).ended;
            if staged.is_none() && !ended && log.node_key(node).is_some() {
                void.push(LogEvent::Retire { node, epoch });
            }
        }
        Ok(void)
    }

    async fn check_sealed(&self, node: NodeId, epoch: Epoch) -> Result<(), AdminError> {
        let staged = self
            .shared
            .ledger
            .staged_through(self.cell.law_id(), node, epoch)
            .await?
            .unwrap_or(Sequence(0));
        let progress = self.cell.log().decisions().epochs().progress(node, epoch);
        // Batches staged after the retirement are void.
        if staged == progress.through || (progress.ended && staged > progress.through) {
            return Ok(());
        }
        Err(AdminError::Missing { node, epoch, staged, sealed: progress.through })
    }

    /// Ends every epoch of a node that is permanently gone: it gets no more leases, its published
    /// batches are sealed, and its numbers above them are void.
    pub(crate) async fn retire(&mut self, node: NodeId) -> Result<(), AdminError> {
        if !matches!(self.state(), State::Open | State::Closing) {
            return Err(AdminError::State { state: self.state(), wanted: "freed of a node" });
        }
        if self.cell.log().node_key(node).is_none() {
            return Err(ElectionLogError::NotAdmitted { node }.into());
        }
        if node == self.node {
            return Err(AdminError::Field {
                field: "node",
                rule: "this is the node you are asking: it is not gone".to_owned(),
            });
        }
        let law_id = self.cell.law_id().clone();
        // The epochs of this moment: all of them are fenced. A node that comes back meanwhile
        // begins a new epoch, in which its voters are answered.
        let mut epochs: BTreeSet<Epoch> = self
            .cell
            .log()
            .decisions()
            .epochs()
            .open()
            .filter(|(owner, _)| *owner == node)
            .map(|(_, epoch)| epoch)
            .collect();
        epochs.extend(
            self.shared
                .ledger
                .epochs(&law_id)
                .await?
                .into_iter()
                .filter(|(owner, _)| *owner == node)
                .map(|(_, epoch)| epoch),
        );
        self.shared.ledger.fence(&law_id, node).await?;
        let until = Instant::now() + PATIENCE;
        let lasts = |lease: &&Lease| lease.node == node && epochs.contains(&lease.epoch);
        while let Some(lease) = self.shared.ledger.leases(&law_id).await?.iter().find(lasts) {
            if Instant::now() >= until {
                return Err(AdminError::Answering { node, epoch: lease.epoch });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.shared.ballot_box.settle().await?;
        self.drain().await?;
        let mut acts = Vec::new();
        for epoch in epochs {
            self.check_sealed(node, epoch).await?;
            if !self.cell.log().decisions().epochs().progress(node, epoch).ended {
                acts.push(LogEvent::Retire { node, epoch });
            }
        }
        if acts.is_empty() { Ok(()) } else { self.record(acts).await }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
