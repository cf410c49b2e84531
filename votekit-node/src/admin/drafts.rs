//! Elections that are not open yet: their creation, the changes of their definition, and the
//! warnings for their officials.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::ballot::BallotPublicKey;
use votekit_core::election::{Definition, ResultsPolicy};
use votekit_core::election_log::{BlockMaker, Change, ElectionLog, LogEvent};
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixMillis;
use votekit_store::StagingId;

use crate::admin::election_access::check_state;
use crate::admin::election_requests::{AmendElection, CreateElection, PUBLISH_EVERY};
use crate::audit::{AuditEvent, AuditFields};
use crate::election::snapshots::Snapshots;
use crate::election::{CheckpointSigner, Committed, ElectionHandle, ElectionSecrets, ElectionView};
use crate::error::AdminError;
use crate::node::Node;
use crate::recovery::{Recovered, election_keys};
use crate::seal::endorse::{Endorsement, ProposedBlock};
use crate::seal::endorser::endorser;
use crate::seal::seal_queue::StagingMark;

/// The most laws of loaded rolls that a warning names.
const WARNED_LAWS_MAX: usize = 10;

/// A new election, with warnings for its officials.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedElection {
    /// The election.
    #[serde(flatten)]
    pub election: ElectionView,
    /// The secrets that its settings reveal, and the reasons why it cannot open yet, one sentence
    /// each. Empty if there is nothing to report.
    pub warnings: Vec<String>,
}

impl Node {
    /// Creates an election as a draft. Rolls loaded earlier take effect. All refusals happen before
    /// anything is written.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create(&self, request: CreateElection) -> Result<CreatedElection, AdminError> {
        // Checks the rules with a placeholder key, before a real key is made.
        let unkeyed = BallotPublicKey::from_bytes([9; 32]);
        let checked_at = self.now().minutes();
        let planned = request.clone().definition(unkeyed, checked_at)?;
        let law_id = planned.law_id.clone();
        let _creating = self.context.creating.lock().await;
        self.check_readable(&law_id)?;
        if self.context.election(&law_id).is_some() {
            return Err(AdminError::Exists { law_id });
        }
        let now = self.now();
        let rolls = self.prepare_rolls(&law_id).await?;
        let term = self.context.leader_lease.term().ok_or_else(|| self.not_leading())?;
        let law = law_id.clone();
        let made = self.on_files(move |folder| Ok(ElectionSecrets::make(folder, &law)?));
        let (secrets, ballot_key) = made.await?;
        election_keys::share(&self.context, &law_id, &secrets).await?;
        let definition = request.definition(ballot_key, checked_at)?;
        let election = self.begin(definition, secrets, term, now).await?;
        for roll in rolls {
            self.take_effect(&election, roll).await.map_err(|error| {
                let source = Box::new(error);
                AdminError::CreatedWithoutRoll { law_id: law_id.clone(), source }
            })?;
        }
        let warnings = self.warnings(&election).await?;
        Ok(CreatedElection { election: ElectionView::from_handle(&election), warnings })
    }

    /// Checks a request by the rules of [`Node::create`], and changes nothing. Returns the law.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn check_creation(&self, request: &CreateElection) -> Result<ElectionId, AdminError> {
        let unkeyed = BallotPublicKey::from_bytes([9; 32]);
        let planned = request.clone().definition(unkeyed, self.now().minutes())?;
        self.check_readable(&planned.law_id)?;
        match self.context.election(&planned.law_id) {
            Some(_) => Err(AdminError::Exists { law_id: planned.law_id }),
            None => Ok(planned.law_id),
        }
    }

    /// Changes the definition of a draft. Its law, whether it is binding, and its ballot key cannot
    /// change.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn amend(
        &self,
        law_id: &ElectionId,
        request: AmendElection,
    ) -> Result<CreatedElection, AdminError> {
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        check_state(&election, Change::Amend)?;
        let before = election.committed().results.definition.clone();
        let definition = request.apply(before.clone(), self.now().minutes())?;
        if definition != before {
            self.record(&election, vec![LogEvent::Amend { definition: Box::new(definition) }])
                .await?;
        }
        let warnings = self.warnings(&election).await?;
        Ok(CreatedElection { election: ElectionView::from_handle(&election), warnings })
    }

    /// Writes the first block of an election's log, and registers the election with this node.
    async fn begin(
        &self,
        definition: Definition,
        secrets: ElectionSecrets,
        term: u64,
        now: UnixMillis,
    ) -> Result<Arc<ElectionHandle>, AdminError> {
        let law_id = definition.law_id.clone();
        let (law, binding) = (law_id.clone(), definition.binding);
        let (signer, node) = self
            .on_files(move |folder| {
                let signer = CheckpointSigner::new(folder, &law, binding)?;
                Ok((signer, folder.node_key()?.node_id()))
            })
            .await?;
        let leader = signer.authority.as_str().to_owned();
        let maker = BlockMaker { term, leader, at: now.minutes() };
        let (log, block) = ElectionLog::begin(definition, &maker);
        let sealed_through = StagingId(0);
        let signer = Arc::new(signer);
        let endorse = endorser(&self.context, Arc::clone(&signer), law_id.clone());
        let proposed = ProposedBlock {
            block,
            batches: Vec::new(),
            term,
            sealed_through: StagingMark::from_head(sealed_through),
            takes_votes: false,
            not_after: None,
        };
        let checkpoint = match endorse.endorse(proposed).await? {
            Endorsement::Certified(head) => head.checkpoint,
            // Another node has created it meanwhile.
            Endorsement::Superseded { .. } => return Err(AdminError::Exists { law_id }),
            Endorsement::LeadershipLost { .. } => return Err(self.not_leading()),
        };
        self.context.audit.record(AuditEvent::ElectionCreated, &AuditFields::for_election(&law_id));
        let committed = Committed::new(&log, node, checkpoint, sealed_through);
        let snapshots = Snapshots::new(
            self.context.folder.snapshot_path(&law_id),
            self.context.config.snapshot_leaves,
            None,
        );
        let recovered = Recovered {
            committed,
            secrets: Some(secrets),
            signer,
            hasher: None,
            earlier_epochs: vec![],
            staged_at_start: StagingId(0),
            snapshots,
            scrub: None,
        };
        Ok(self.add_election(log, recovered)?)
    }

    /// Warnings about a new election for officials, before they open it.
    async fn warnings(&self, election: &Arc<ElectionHandle>) -> Result<Vec<String>, AdminError> {
        let committed = election.committed();
        let definition = &committed.results.definition;
        let mut warnings = Vec::new();
        if definition.results != ResultsPolicy::AfterClose
            && definition.publish_every < PUBLISH_EVERY
        {
            let (policy, every) = (definition.results.as_str(), definition.publish_every);
            let votes = if every == 1 {
                "each vote changes".to_owned()
            } else {
                format!("{every} votes change")
            };
            warnings.push(format!(
                "with results {policy} and publish_every {every}, {votes} the results, and a \
                 reader who compares them before and after learns what these voters chose: use it \
                 for demonstrations only; the default is {PUBLISH_EVERY}"
            ));
        }
        let has_roll = election.log().last_manifest().is_some();
        if !has_roll {
            warnings.push(self.warning_without_roll(&definition.law_id).await?);
        }
        if definition.binding {
            let missing = self.missing_for_binding(election, &[]).await?;
            let warning = |rule| format!("this binding election cannot be opened yet: {rule}");
            warnings.extend(missing.iter().map(warning));
        }
        Ok(warnings)
    }

    /// The warning about an election of a law that no loaded roll has: the draft remains, so that a
    /// mistyped id is noticed here.
    async fn warning_without_roll(&self, law_id: &ElectionId) -> Result<String, AdminError> {
        let rolls = self.rolls().await?;
        let laws: BTreeSet<&str> =
            rolls.iter().flat_map(|roll| &roll.laws).map(|law| law.law_id.as_str()).collect();
        let loaded = match laws.len() {
            0 => "no roll is loaded".to_owned(),
            count => {
                let named: Vec<&str> = laws.into_iter().take(WARNED_LAWS_MAX).collect();
                let more = match count - named.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("the loaded rolls have {}{more}", named.join(", "))
            }
        };
        Ok(format!(
            "no loaded roll has the law {law_id}, so no elector is registered: is the id right, \
             with its capitals? A draft cannot be deleted; {loaded}"
        ))
    }
}
