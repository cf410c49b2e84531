//! The changes of an election's state: open, close, certify, annul, purge.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::binding::BindingRule;
use votekit_core::election::{State, TextPart, check_text};
use votekit_core::election_log::{Change, ElectionLogError, LogEvent, REASON_LENGTH_MAX};
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixMinutes;

use crate::admin::election_access::{check_reason, check_state};
use crate::admin::election_requests::{
    AnnulElection, CertifyElection, CloseElection, OpenElection,
};
use crate::audit::{AuditEvent, AuditFields};
use crate::binding_rules::unmet_rules;
use crate::call_rule::CallRule;
use crate::election::{ElectionHandle, ElectionView, SealerCommand, read_witnessed};
use crate::error::AdminError;
use crate::node::Node;
use crate::recovery::document_copies::purge_everywhere;
use crate::recovery::election_keys;
use crate::roll_store;

/// How long a certification waits for outside witnesses, and how often it polls for their
/// cosignatures. The head of a closed log is pushed to them at once.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(10);
const WITNESS_POLL_INTERVAL: Duration = Duration::from_millis(250);

impl Node {
    /// Opens the poll, with the zero report. Refuses a binding election that does not meet all
    /// requirements.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn open(
        &self,
        law_id: &ElectionId,
        request: OpenElection,
    ) -> Result<ElectionView, AdminError> {
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        if let Some(unknown) =
            request.waivers.iter().find(|waiver| *waiver != BindingRule::RESULTS_WAIVER)
        {
            let rule = CallRule::NotWaivable { waiver: unknown.clone() };
            return Err(AdminError::Field { field: "waivers", rule });
        }
        // Before the requirements, which an open poll need not meet any more.
        check_state(&election, Change::Open)?;
        if election.definition.binding {
            if election.log().scheme().is_none() {
                return Err(ElectionLogError::NoRoll.into());
            }
            let missing = self.missing_for_binding(&election, &request.waivers).await?;
            if !missing.is_empty() {
                return Err(AdminError::NotSafe { missing });
            }
        }
        // Even if the clock was set back, the opening does not precede the stamps in the log.
        let now = self.now().max(election.latest_stamp()).minutes();
        let planned = election.committed().results.definition.opens;
        let opens = planned.map_or(now, |planned| planned.max(now));
        let mut waivers = request.waivers;
        waivers.dedup();
        let mut acts = vec![LogEvent::Open { opens, waivers }];
        // Nodes named in this folder have the same owner and are admitted at once; other nodes are
        // admitted one by one.
        let mut keys = self
            .on_files(|folder| {
                let mut keys = vec![folder.node_key()?.public_key()];
                keys.extend(folder.named_nodes()?.into_iter().map(|(_, key)| key));
                Ok(keys)
            })
            .await?;
        if self.context.authorities.is_some() {
            // An authority admits the nodes that an operator admitted, and not itself.
            let admitted = election_keys::node_records(&self.context).await?;
            keys = admitted.iter().map(|record| record.key).collect();
        }
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| election.log().node_key(key.node_id()).is_none());
        acts.extend(keys.into_iter().map(LogEvent::Admit));
        self.record(&election, acts).await?;
        Ok(ElectionView::from_handle(&election))
    }

    /// Requirements that a binding election does not meet yet, and that an opening with these
    /// waivers would refuse. None of an election that is not binding. Without a roll the rules on
    /// rolls are not checked.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn missing_to_open(
        &self,
        law_id: &ElectionId,
        waivers: &[String],
    ) -> Result<Vec<BindingRule>, AdminError> {
        let election = self.election_handle(law_id)?;
        if !election.definition.binding {
            return Ok(Vec::new());
        }
        self.missing_for_binding(&election, waivers).await
    }

    /// Requirements that a binding election does not meet. Without a roll the rules on rolls are
    /// not checked.
    pub(super) async fn missing_for_binding(
        &self,
        election: &Arc<ElectionHandle>,
        waivers: &[String],
    ) -> Result<Vec<BindingRule>, AdminError> {
        let is_confidential = self.context.config.is_confidential();
        let election = Arc::clone(election);
        let mut missing =
            self.on_files(move |folder| unmet_rules(folder, &election, is_confidential)).await?;
        missing.retain(|rule| !rule.is_waived(waivers));
        Ok(missing)
    }

    /// Closes the poll: stops accepting votes, decides the accepted votes, reconciles, opens the
    /// totals. Resumes an interrupted close.
    ///
    /// # Errors
    /// [`AdminError`], among others [`AdminError::EarlyClose`] before the planned end; the election
    /// then stays `closing` and nothing is lost.
    pub async fn close(&self, law_id: &ElectionId) -> Result<ElectionView, AdminError> {
        self.close_with(law_id, CloseElection::default()).await
    }

    /// [`Node::close`] with a reason, which a close before the planned end requires.
    ///
    /// # Errors
    /// As [`Node::close`].
    pub async fn close_with(
        &self,
        law_id: &ElectionId,
        request: CloseElection,
    ) -> Result<ElectionView, AdminError> {
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        let committed = election.committed();
        let is_early = |closes: &UnixMinutes| {
            committed.state() == State::Open && self.now().minutes() < *closes
        };
        let mut reason = None;
        if let Some(closes) = committed.closes.filter(is_early) {
            let Some(given) = request.reason else {
                return Err(AdminError::EarlyClose { law_id: law_id.clone(), closes });
            };
            check_reason(&given)?;
            reason = Some(given);
        }
        self.ask_sealer(&election, |reply| SealerCommand::Close { reason, reply }).await?;
        Ok(ElectionView::from_handle(&election))
    }

    /// Declares the result official: records the digest of the results as JSON in the log.
    ///
    /// # Errors
    /// [`AdminError`], among others [`AdminError::WitnessesMissing`].
    pub async fn certify(&self, law_id: &ElectionId) -> Result<ElectionView, AdminError> {
        self.certify_with(law_id, CertifyElection::default()).await
    }

    /// [`Node::certify`] with a reason to do without outside witnesses, which is required while too
    /// few of them have cosigned the head of the log. Without it the call waits a moment for them.
    ///
    /// # Errors
    /// As [`Node::certify`].
    pub async fn certify_with(
        &self,
        law_id: &ElectionId,
        request: CertifyElection,
    ) -> Result<ElectionView, AdminError> {
        if let Some(reason) = &request.witness_waiver {
            check_text(TextPart::Reason, reason, 1..=REASON_LENGTH_MAX).map_err(|error| {
                AdminError::Field { field: "witness_waiver", rule: error.into() }
            })?;
        }
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        check_state(&election, Change::Certify)?;
        let witness_waiver = self.needed_waiver(&election, request.witness_waiver).await?;
        let waived = witness_waiver.clone();
        self.record(&election, vec![LogEvent::Certify { witness_waiver }]).await?;
        if let Some(reason) = waived.as_deref() {
            let of_election = AuditFields::for_election(law_id);
            let fields = AuditFields { reason: Some(reason), ..of_election };
            self.context.audit.record(AuditEvent::WitnessesWaived, &fields);
        }
        Ok(ElectionView::from_handle(&election))
    }

    /// The waiver to record: none when enough outside witnesses have cosigned the head of a closed
    /// log, or when the policy asks for none.
    async fn needed_waiver(
        &self,
        election: &ElectionHandle,
        given: Option<String>,
    ) -> Result<Option<String>, AdminError> {
        let (law_id, policy) = (election.law_id(), &election.signer.policy);
        let quorum = policy.witness_quorum();
        if quorum == 0 {
            return Ok(None);
        }
        if self.context.leader_lease.term().is_none() {
            return Err(self.not_leading());
        }
        let (ledger, until) = (&*self.context.ledger, Instant::now() + WITNESS_TIMEOUT);
        loop {
            let committed = election.committed();
            let read = read_witnessed(ledger, policy, law_id, &committed.checkpoint).await?;
            if read.is_witnessed {
                return Ok(None);
            }
            if given.is_some() {
                return Ok(given);
            }
            if Instant::now() >= until {
                let missing = read.missing.iter().map(ToString::to_string).collect();
                return Err(AdminError::WitnessesMissing {
                    law_id: law_id.clone(),
                    quorum,
                    missing,
                });
            }
            tokio::time::sleep(WITNESS_POLL_INTERVAL).await;
        }
    }

    /// Declares an election void, with the reason in its log. Only a purge can follow.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn annul(
        &self,
        law_id: &ElectionId,
        request: AnnulElection,
    ) -> Result<ElectionView, AdminError> {
        check_reason(&request.reason)?;
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        check_state(&election, Change::Annul)?;
        self.record(&election, vec![LogEvent::Annul { reason: request.reason }]).await?;
        Ok(ElectionView::from_handle(&election))
    }

    /// Destroys the evidence and the ballot key of a certified or annulled election, and its
    /// members' key if it has one. The log and its totals stay. Returns the number of batches
    /// destroyed.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn purge(&self, law_id: &ElectionId) -> Result<u64, AdminError> {
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        check_state(&election, Change::Purge)?;
        if self.context.leader_lease.term().is_none() {
            return Err(self.not_leading());
        }
        // Recorded first, because missing evidence without a record in the log counts as damage.
        if !election.log().is_purged() {
            self.record(&election, vec![LogEvent::Purge]).await?;
        }
        let batches = self.context.ledger.purge_evidence(law_id).await?;
        if let Some(authority) = &self.context.authority {
            purge_everywhere(&self.context, authority, law_id).await?;
        }
        let law = law_id.clone();
        let manifests: Vec<_> = election.log().named_manifests().copied().collect();
        self.on_files(move |folder| {
            folder.destroy_election_keys(&law)?;
            manifests.iter().try_for_each(|digest| {
                roll_store::destroy_members_key(folder, digest).map_err(AdminError::from)
            })
        })
        .await?;
        election.forget_secrets();
        Ok(batches)
    }
}
