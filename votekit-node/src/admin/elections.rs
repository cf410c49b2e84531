//! Administrative operations on elections: create, load a roll, open, close, certify, purge.
//!
//! Long because each operation stands beside its checks: separate files would share all imports and
//! private helpers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;
use votekit_core::batch::NodePublicKey;
use votekit_core::binding::BindingRule;
use votekit_core::credential::HashScheme;
use votekit_core::election::{
    BLANK, Bilingual, Choice, ChoiceId, ChoiceIdError, Definition, ResultsPolicy, State, TextPart,
    check_text,
};
use votekit_core::election_log::{
    BlockMaker, Change, ElectionLog, ElectionLogError, LogEvent, REASON_LENGTH_MAX, RollContent,
};
use votekit_core::id::{ElectionId, NodeId};
use votekit_core::instant::{TimeError, UnixMillis, UnixMinutes, UnixSeconds};
use votekit_store::StagingId;

use crate::admin::supplement_report::{LiveBefore, SupplementReport};
use crate::audit::{AuditEvent, AuditFields};
use crate::binding_rules::unmet_rules;
use crate::call_rule::{CallRule, FieldFault};
use crate::data_folder::DataFolder;
use crate::election::SealerCommand;
use crate::election::snapshots::Snapshots;
use crate::election::{
    CheckpointSigner, Committed, ElectionHandle, ElectionSecrets, read_witnessed,
};
use crate::election::{ElectionView, EpochView, NodeView};
use crate::error::AdminError;
use crate::node::Node;
use crate::recovery::document_copies::purge_everywhere;
use crate::recovery::{Recovered, election_keys};
use crate::roll_store::{self, Kept, LoadProgress};
use crate::seal::endorse::{Endorsement, ProposedBlock};
use crate::seal::endorser::endorser;
use crate::seal::seal_queue::StagingMark;

/// Timeout for reading, checking and copying the files of a roll: eight million electors take
/// minutes from a slow disk.
const LOAD_TIME: Duration = Duration::from_secs(600);

/// How long a certification waits for outside witnesses, and how often it polls for their
/// cosignatures. The head of a closed log is pushed to them at once.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(10);
const WITNESS_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The most laws of loaded rolls that a warning names.
const WARNED_LAWS_MAX: usize = 10;

/// The default number of accepted votes that must be new before results are updated.
pub const PUBLISH_EVERY: u64 = 20;

/// A requested choice: only its id, or with its labels.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a list of ids, or of objects with id, fr and en")]
pub enum ChoiceRequest {
    /// Only the id. `oui`, `non` and `blanc` get their customary labels; any other choice is
    /// labelled by its id.
    Id(String),
    /// The id with its labels.
    Labelled {
        /// The id.
        id: String,
        /// The French label.
        fr: String,
        /// The English label.
        en: String,
    },
}

/// The definition of a new election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateElection {
    /// The law put to the vote.
    #[schema(pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)]
    pub law_id: String,
    /// The French title.
    #[schema(min_length = 1, max_length = 500)]
    pub title_fr: String,
    /// The English title.
    #[schema(min_length = 1, max_length = 500)]
    pub title_en: String,
    /// The French description.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description_fr: String,
    /// The English description.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description_en: String,
    /// The choices; `oui` and `non` when the field is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "some_choices")]
    #[schema(min_items = 1, max_items = 100)]
    pub choices: Vec<ChoiceRequest>,
    /// Whether a blank vote can be cast.
    #[serde(default)]
    pub blank: bool,
    /// Whether the result is binding.
    #[serde(default)]
    pub binding: bool,
    /// `live`, `after_vote` or `after_close`. The default is `live`, or `after_close` for a binding
    /// election.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub results: Option<ResultsPolicy>,
    /// Under `live` and `after_vote`: results are updated once this many accepted votes are new and
    /// as many newer votes are withheld. The default is 20. With 1 every vote updates them and
    /// reveals its choice to anyone who reads them before and after it: for demonstrations.
    #[serde(default)]
    pub publish_every: Option<u64>,
    /// The opening of the poll, in RFC 3339 with its offset.
    #[serde(default)]
    pub opens: Option<String>,
    /// The closing of the poll, in RFC 3339 with its offset.
    #[serde(default)]
    pub closes: Option<String>,
}

/// Options for opening an election.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenElection {
    /// Names of the waived rules of a binding election: `results`. Each waiver is recorded in the
    /// log.
    #[schema(value_type = Vec<Waiver>, max_items = 1)]
    pub waivers: Vec<String>,
}

/// Options for closing a poll.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloseElection {
    /// The reason for closing before the planned end; recorded in the log. Required then, ignored
    /// after the planned end.
    pub reason: Option<String>,
}

/// Options for certifying a result.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertifyElection {
    /// The reason for certifying before enough outside witnesses have cosigned; recorded in the
    /// log. Required then, ignored when none is missing.
    pub witness_waiver: Option<String>,
}

/// Changes to the definition of a draft. Fields that are not given keep their values.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AmendElection {
    /// The French title.
    pub title_fr: Option<String>,
    /// The English title.
    pub title_en: Option<String>,
    /// The French description.
    pub description_fr: Option<String>,
    /// The English description.
    pub description_en: Option<String>,
    /// All choices, in ballot order; they replace the existing ones.
    pub choices: Option<Vec<ChoiceRequest>>,
    /// `live`, `after_vote` or `after_close`.
    #[schema(value_type = Option<String>)]
    pub results: Option<ResultsPolicy>,
    /// The number of accepted votes that must be new before results move.
    pub publish_every: Option<u64>,
    /// The opening of the poll, in RFC 3339 with its offset; `none` for no planned time.
    pub opens: Option<String>,
    /// The closing of the poll, in RFC 3339 with its offset; `none` for no planned time.
    pub closes: Option<String>,
}

/// The reason for annulling an election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnulElection {
    /// The reason; recorded in the log.
    pub reason: String,
}

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

/// A rule of binding elections that can be waived.
// Used only by the documentation: waivers are read as text, so that a refusal names the reason.
#[allow(dead_code)]
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Waiver {
    /// That results are shown after the close only.
    Results,
}

/// The outcome of loading a roll, election by election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadReport {
    /// SHA-256 of the manifest.
    pub manifest: String,
    /// Whether credentials are hashed under a pepper.
    pub peppered: bool,
    /// Whether the pepper was not compared with the manifest: one of several authorities has no
    /// pepper. Absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_pepper: bool,
    /// The names of the officials whose signatures of the manifest were verified. Absent if this
    /// node requires no signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// One row for each law.
    pub laws: Vec<LoadedLaw>,
}

/// The outcome of loading a roll in one election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadedLaw {
    /// The law.
    pub law_id: String,
    /// Keys the manifest registers or adds.
    pub keys: u64,
    /// The outcome: `loaded`, `kept` until the election is created, or `unchanged`.
    pub outcome: LoadOutcome,
    /// Electors registered for the election now; 0 without an election.
    pub registered: u64,
    /// The changes of a supplement; absent for a roll, and for a supplement loaded earlier.
    #[serde(flatten)]
    pub changes: Option<SupplementReport>,
}

/// The outcome of loading a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadOutcome {
    /// The roll took effect now.
    Loaded,
    /// The roll is kept until the election is created.
    Kept,
    /// The roll had taken effect earlier: nothing changed.
    Unchanged,
}

impl LoadReport {
    /// The report on a roll that is kept in the data folder.
    pub(crate) fn new(kept: &Kept, laws: Vec<LoadedLaw>) -> Self {
        Self {
            manifest: kept.manifest.digest().to_hex(),
            peppered: kept.manifest.body().scheme == HashScheme::HmacSha256,
            without_pepper: kept.lacks_pepper,
            signed_by: kept.signed_by.clone(),
            laws,
        }
    }
}

impl CreateElection {
    /// Builds the requested definition, with the key its choices are encrypted to, or names every
    /// field that breaks a rule at this minute.
    fn definition(
        self,
        ballot_key: votekit_core::ballot::BallotPublicKey,
        now: UnixMinutes,
    ) -> Result<Definition, AdminError> {
        let mut choices = if self.choices.is_empty() {
            vec![ChoiceRequest::Id("oui".to_owned()), ChoiceRequest::Id("non".to_owned())]
        } else {
            self.choices
        };
        let has_blank = choices.iter().any(|choice| choice.id() == BLANK);
        if self.blank && !has_blank {
            choices.push(ChoiceRequest::Id(BLANK.to_owned()));
        }
        let default_policy =
            if self.binding { ResultsPolicy::AfterClose } else { ResultsPolicy::Live };
        let mut faults = Vec::new();
        let law_id = kept(&mut faults, "law_id", self.law_id.parse());
        let choices: Option<Vec<_>> = choices
            .into_iter()
            .map(|choice| kept(&mut faults, "choices", choice.choice()))
            .collect();
        let opens = planned(self.opens.as_deref(), UnixSeconds::minute_floor);
        let opens = kept(&mut faults, "opens", opens).flatten();
        let closes = planned(self.closes.as_deref(), UnixSeconds::minute_ceil);
        let closes = kept(&mut faults, "closes", closes).flatten();
        let choices_are_wrong = choices.is_none();
        let definition = Definition {
            // A placeholder for a wrong law id, so that the other fields are checked too.
            law_id: law_id.unwrap_or_else(|| "law".parse().expect("a law id")),
            title: Bilingual { fr: self.title_fr, en: self.title_en },
            description: Bilingual { fr: self.description_fr, en: self.description_en },
            choices: choices.unwrap_or_default(),
            binding: self.binding,
            results: self.results.unwrap_or(default_policy),
            publish_every: self.publish_every.unwrap_or(PUBLISH_EVERY),
            opens,
            closes,
            ballot_key,
        };
        faultless(definition, faults, choices_are_wrong, Amended { opens: true, now })
    }
}

impl AmendElection {
    /// Applies these changes to a definition, or names every field that breaks a rule at this
    /// minute.
    fn apply(self, mut definition: Definition, now: UnixMinutes) -> Result<Definition, AdminError> {
        let planned_before = definition.opens;
        let set = |place: &mut String, text: Option<String>| {
            if let Some(text) = text {
                *place = text;
            }
        };
        set(&mut definition.title.fr, self.title_fr);
        set(&mut definition.title.en, self.title_en);
        set(&mut definition.description.fr, self.description_fr);
        set(&mut definition.description.en, self.description_en);
        let mut faults = Vec::new();
        let mut choices_are_wrong = false;
        if let Some(choices) = self.choices {
            let choices: Option<Vec<_>> = choices
                .into_iter()
                .map(|choice| kept(&mut faults, "choices", choice.choice()))
                .collect();
            choices_are_wrong = choices.is_none();
            definition.choices = choices.unwrap_or_default();
        }
        definition.results = self.results.unwrap_or(definition.results);
        definition.publish_every = self.publish_every.unwrap_or(definition.publish_every);
        if let Some(opens) = self.opens {
            let opens = amended(&opens, UnixSeconds::minute_floor);
            definition.opens = kept(&mut faults, "opens", opens).flatten();
        }
        if let Some(closes) = self.closes {
            let closes = amended(&closes, UnixSeconds::minute_ceil);
            definition.closes = kept(&mut faults, "closes", closes).flatten();
        }
        // An opening that has passed since it was planned is not an error of this request.
        let opens = definition.opens != planned_before;
        faultless(definition, faults, choices_are_wrong, Amended { opens, now })
    }
}

/// The facts that decide whether a planned time is in the past.
struct Amended {
    /// Whether the request sets the opening.
    opens: bool,
    now: UnixMinutes,
}

/// Returns the definition if it breaks no rule, else every fault with its field.
fn faultless(
    definition: Definition,
    mut faults: Vec<FieldFault>,
    choices_are_wrong: bool,
    amended: Amended,
) -> Result<Definition, AdminError> {
    let broken = definition.faults();
    faults.extend(
        broken
            .into_iter()
            .filter(|(field, _)| !(choices_are_wrong && *field == "choices"))
            .map(|(field, error)| FieldFault { field, rule: error.into() }),
    );
    for past in past_times(&definition, &amended) {
        if !faults.iter().any(|fault| fault.field == past.field) {
            faults.push(past);
        }
    }
    if faults.is_empty() { Ok(definition) } else { Err(AdminError::Fields { errors: faults }) }
}

/// The planned times that are in the past: such a poll could never open, or would not open at the
/// time in its definition.
fn past_times(definition: &Definition, amended: &Amended) -> Vec<FieldFault> {
    let Amended { opens, now } = *amended;
    let opening = definition
        .opens
        .filter(|at| opens && *at < now)
        .map(|opens| FieldFault { field: "opens", rule: CallRule::OpensInPast { opens, now } });
    let closing = definition
        .closes
        .filter(|at| *at <= now)
        .map(|closes| FieldFault { field: "closes", rule: CallRule::ClosesInPast { closes, now } });
    opening.into_iter().chain(closing).collect()
}

/// Reads a list of choices. An empty list is a mistake: without the field, the default choices
/// apply.
fn some_choices<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ChoiceRequest>, D::Error> {
    let choices = Vec::<ChoiceRequest>::deserialize(deserializer)?;
    if choices.is_empty() {
        let error = "an election has 2 to 100 choices: leave this out for oui and non";
        return Err(D::Error::custom(error));
    }
    Ok(choices)
}

/// Returns the value of a field, or adds its error to `faults`.
fn kept<T, E: Into<CallRule>>(
    faults: &mut Vec<FieldFault>,
    field: &'static str,
    value: Result<T, E>,
) -> Option<T> {
    value.map_err(|error| faults.push(FieldFault { field, rule: error.into() })).ok()
}

impl ChoiceRequest {
    fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Labelled { id, .. } => id,
        }
    }

    fn choice(self) -> Result<Choice, ChoiceIdError> {
        let id: ChoiceId = self.id().parse()?;
        Ok(match self {
            Self::Id(_) => Choice::with_customary_labels(id),
            Self::Labelled { fr, en, .. } => Choice { id, fr, en },
        })
    }
}

/// Parses a planned time and rounds it to the minute.
fn planned(
    text: Option<&str>,
    round: fn(UnixSeconds) -> UnixMinutes,
) -> Result<Option<UnixMinutes>, TimeError> {
    text.map(|text| UnixSeconds::from_rfc3339(text).map(round)).transpose()
}

/// Parses an amended planned time, rounded to the minute; `none` removes it.
fn amended(
    text: &str,
    round: fn(UnixSeconds) -> UnixMinutes,
) -> Result<Option<UnixMinutes>, TimeError> {
    planned(Some(text).filter(|text| *text != "none"), round)
}

impl Node {
    /// Creates an election as a draft. Rolls loaded earlier take effect. All refusals happen before
    /// anything is written.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create(&self, request: CreateElection) -> Result<CreatedElection, AdminError> {
        // Checks the rules with a placeholder key, before a real key is made.
        let unkeyed = votekit_core::ballot::BallotPublicKey::from_bytes([9; 32]);
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
        let unkeyed = votekit_core::ballot::BallotPublicKey::from_bytes([9; 32]);
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
            sealed_through: StagingMark::of_head(sealed_through),
            takes_votes: false,
            not_after: None,
        };
        let checkpoint = match endorse.endorse(proposed).await? {
            Endorsement::Certified(head) => head.checkpoint,
            // Another node has created it meanwhile.
            Endorsement::Superseded { .. } => return Err(AdminError::Exists { law_id }),
            Endorsement::LeadershipLost { .. } => return Err(self.not_leading()),
        };
        self.context.audit.record(AuditEvent::ElectionCreated, &AuditFields::of_election(&law_id));
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
    async fn missing_for_binding(
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

    /// Admits an ingest node by its public key: its batches are accepted from then on. Admitting it
    /// again changes nothing.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn admit_node(
        &self,
        law_id: &ElectionId,
        key: NodePublicKey,
    ) -> Result<ElectionView, AdminError> {
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        check_state(&election, Change::GiveNode)?;
        if election.log().node_key(key.node_id()).is_none() {
            if self.context.authorities.is_some() {
                // The others accept no block with a node whose record no authority has signed.
                let records = election_keys::node_records(&self.context).await?;
                if !records.iter().any(|record| record.key == key) {
                    let rule = CallRule::NodeWithoutRecord;
                    return Err(AdminError::Field { field: "public_key", rule });
                }
            }
            self.record(&election, vec![LogEvent::Admit(key)]).await?;
        }
        Ok(ElectionView::from_handle(&election))
    }

    /// Returns the admitted ingest nodes of an election, each with its epochs.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn nodes(&self, law_id: &ElectionId) -> Result<Vec<NodeView>, AdminError> {
        let election = self.election_handle(law_id)?;
        let leases = self.context.ledger.leases(law_id).await?;
        let epochs = self.context.ledger.epochs(law_id).await?;
        let names = self.on_files(|folder| Ok(folder.named_nodes()?)).await?;
        let alone = !self.context.is_shared;
        let log = election.log();
        let nodes = log.nodes().map(|(node, key)| NodeView {
            node: node.to_string(),
            public_key: key.to_string(),
            name: names.iter().find(|(_, named)| named == key).map(|(name, _)| name.to_string()),
            answering: leases.iter().any(|lease| lease.node == node)
                || (alone && log.state() == State::Open),
            epochs: epochs
                .iter()
                .filter(|(owner, _)| *owner == node)
                .map(|(_, epoch)| {
                    let progress = log.decisions().epochs().progress(node, *epoch);
                    EpochView { epoch: epoch.0, sealed: progress.through.0, ended: progress.ended }
                })
                .collect(),
        });
        Ok(nodes.collect())
    }

    /// Retires an ingest node that is gone permanently: fences it, so that it answers no more
    /// voters, decides the batches that it confirmed, and voids its higher numbers in the log.
    /// Retiring it again changes nothing.
    ///
    /// # Errors
    /// [`AdminError`]; a second call completes the failed steps.
    pub async fn retire_node(
        &self,
        law_id: &ElectionId,
        node: NodeId,
    ) -> Result<ElectionView, AdminError> {
        let election = self.election_handle(law_id)?;
        let _busy = self.busy(&election)?;
        self.ask_sealer(&election, |reply| SealerCommand::Retire(node, reply)).await?;
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
            let of_election = AuditFields::of_election(law_id);
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

    /// Loads a hashed roll or supplement from a folder: checks every digest, count and signature,
    /// keeps it, and applies it to each existing election. Loading it again changes nothing and
    /// never unspends a credential.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn load(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
    ) -> Result<LoadReport, AdminError> {
        self.take_roll(folder, pepper, false).await
    }

    /// Loads a hashed roll that replaces the present roll of its laws, in elections that are
    /// drafts. Their logs keep both.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn replace_roll(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
    ) -> Result<LoadReport, AdminError> {
        self.take_roll(folder, pepper, true).await
    }

    async fn take_roll(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
        replace: bool,
    ) -> Result<LoadReport, AdminError> {
        let loading = Arc::clone(&self.context.loading);
        let loading = Arc::new(loading.try_lock_owned().map_err(|_| AdminError::Loading)?);
        // This node may not follow an election yet that another node created a moment ago: the roll
        // must not be kept as that of a future election.
        let left = match self.context.is_shared {
            true => self.take_up_elections().await?,
            false => Vec::new(),
        };
        let source = folder.to_owned();
        let offered = self.on_files(move |_| Ok(roll_store::offered_manifest(&source)?)).await?;
        let laws = &offered.body().laws;
        let is_offered = |law_id: &ElectionId| laws.iter().any(|row| row.law_id == *law_id);
        if let Some((_, error)) = left.into_iter().find(|(law_id, _)| is_offered(law_id)) {
            return Err(error.into());
        }
        laws.iter().try_for_each(|row| self.check_readable(&row.law_id))?;
        let replaced = self.check_offered(&offered, replace).await?;
        let kept = self.keep_roll(folder, pepper, &loading).await?;
        let _creating = self.context.creating.lock().await;
        let loaded = self.load_kept(&kept).await;
        let digest = kept.manifest.digest();
        if let Err(error) = &loaded
            && kept.is_new
            && error.is_refusal()
            && self.use_of(&digest).await.is_none()
        {
            // A refused roll is removed. If the removal fails, the roll is listed as kept.
            let discard = move |folder: &DataFolder| Ok(roll_store::discard(folder, &digest)?);
            if let Err(error) = self.on_files(discard).await {
                tracing::warn!(event = "roll_discard_failed", %error, "refused roll not removed");
            }
        }
        if loaded.is_ok() && !replaced.is_empty() {
            self.on_files(move |folder| Ok(roll_store::note_replaced(folder, &digest, &replaced)?))
                .await?;
        }
        loaded
    }

    async fn load_kept(&self, kept: &Kept) -> Result<LoadReport, AdminError> {
        let manifest = &kept.manifest;
        self.context.ledger.put_manifest(&manifest.encode()).await?;
        let mut laws = Vec::new();
        for row in &manifest.body().laws {
            let content = match manifest.is_supplement() {
                true => {
                    let (digest, law_id) = (manifest.digest(), row.law_id.clone());
                    self.on_files(move |folder| Ok(roll_store::content(folder, &digest, &law_id)?))
                        .await?
                }
                false => None,
            };
            let content = content.as_ref();
            let (outcome, registered, changes) = match self.context.election(&row.law_id) {
                None => (LoadOutcome::Kept, 0, content.and_then(SupplementReport::planned)),
                Some(election) => {
                    let before = match content {
                        Some(RollContent::Supplement(changes)) => {
                            Some(LiveBefore::new(changes, election.log().electorate()))
                        }
                        _ => None,
                    };
                    let follows = self.context.authority.is_some()
                        && self.context.leader_lease.term().is_none();
                    let outcome = if follows && !election.log().has_manifest(&manifest.digest()) {
                        // The leader records it; this authority has it for its check.
                        LoadOutcome::Kept
                    } else {
                        match self.prepare_roll(election.law_id(), manifest).await? {
                            Some(roll) => self.take_effect(&election, roll).await?,
                            None => LoadOutcome::Unchanged,
                        }
                    };
                    let changes = before
                        .filter(|_| outcome == LoadOutcome::Loaded)
                        .map(|before| before.compare(election.log().electorate()));
                    (outcome, election.committed().results.registered, changes)
                }
            };
            laws.push(LoadedLaw {
                law_id: row.law_id.to_string(),
                keys: row.registered,
                outcome,
                registered,
                changes,
            });
        }
        Ok(LoadReport::new(kept, laws))
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

    /// Refuses calls on an election whose log cannot be read.
    pub(crate) fn check_readable(&self, law_id: &ElectionId) -> Result<(), AdminError> {
        let damaged = self.context.damaged(law_id);
        let halted = damaged.map(|damaged| AdminError::Halted {
            law_id: law_id.clone(),
            reason: damaged.reason().to_owned(),
        });
        halted.map_or(Ok(()), Err)
    }

    pub(crate) fn election_handle(
        &self,
        law_id: &ElectionId,
    ) -> Result<Arc<ElectionHandle>, AdminError> {
        self.check_readable(law_id)?;
        self.context
            .election(law_id)
            .ok_or_else(|| AdminError::UnknownElection { law_id: law_id.clone() })
    }

    /// Allows one administrative call at a time on an election, and none on an election that is
    /// halted here.
    fn busy(
        &self,
        election: &Arc<ElectionHandle>,
    ) -> Result<tokio::sync::OwnedMutexGuard<()>, AdminError> {
        if let Some(reason) = election.halted() {
            return Err(halted(election, reason));
        }
        let busy = || AdminError::Busy { law_id: election.law_id().clone() };
        Arc::clone(&election.admin).try_lock_owned().map_err(|_| busy())
    }

    pub(crate) async fn record(
        &self,
        election: &ElectionHandle,
        acts: Vec<LogEvent>,
    ) -> Result<(), AdminError> {
        self.ask_sealer(election, |reply| SealerCommand::Record(acts, reply)).await
    }

    /// Sends a command to the sealer of an election and waits for its reply. If the sealer ends
    /// meanwhile, the outcome is unknown.
    async fn ask_sealer(
        &self,
        election: &ElectionHandle,
        command: impl FnOnce(oneshot::Sender<Result<(), AdminError>>) -> SealerCommand,
    ) -> Result<(), AdminError> {
        let (reply, done) = oneshot::channel();
        if election.sealer.send(command(reply)).await.is_err() {
            let halted = election.halted().map(|reason| halted(election, reason));
            return Err(halted.unwrap_or(AdminError::Stopping));
        }
        done.await.unwrap_or(Err(AdminError::OutcomeUnknown))
    }

    /// Runs work on files of the data folder on a blocking thread: the other threads serve voters.
    pub(crate) async fn on_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DataFolder) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let context = Arc::clone(&self.context);
        let done = tokio::task::spawn_blocking(move || work(&context.folder)).await;
        // The work panicked; its progress is unknown.
        done.unwrap_or(Err(AdminError::OutcomeUnknown))
    }

    /// Reads, checks and keeps a roll on a blocking thread, and aborts when reading its files takes
    /// too long. No other roll is loaded until that thread has ended.
    async fn keep_roll(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
        loading: &Arc<tokio::sync::OwnedMutexGuard<()>>,
    ) -> Result<Kept, AdminError> {
        let (source, pepper) = (folder.to_owned(), pepper.map(Path::to_owned));
        let need = self.context.pepper_need();
        let progress = Arc::new(LoadProgress::default());
        let (reading, loading) = (Arc::clone(&progress), Arc::clone(loading));
        let keep = self.on_files(move |folder| {
            let kept = roll_store::keep(folder, &source, (pepper.as_deref(), need), &reading);
            drop(loading);
            Ok(kept?)
        });
        let mut keep = std::pin::pin!(keep);
        match tokio::time::timeout(LOAD_TIME, &mut keep).await {
            Ok(kept) => kept,
            Err(_) if progress.give_up() => {
                Err(AdminError::TooLong { seconds: LOAD_TIME.as_secs() })
            }
            // Already read and checked: only the pepper and the rename are left.
            Err(_) => keep.await,
        }
    }

    pub(crate) fn not_leading(&self) -> AdminError {
        AdminError::NotLeading { leader: self.context.leader_lease.other_leader() }
    }
}

/// Refuses a change that the state of an election does not allow, before the other conditions of
/// the change are checked.
fn check_state(election: &ElectionHandle, wanted: Change) -> Result<(), AdminError> {
    let state = election.committed().state();
    if wanted.is_possible_in(state) { Ok(()) } else { Err(AdminError::State { state, wanted }) }
}

fn halted(election: &ElectionHandle, reason: &str) -> AdminError {
    AdminError::Halted { law_id: election.law_id().clone(), reason: reason.to_owned() }
}

/// Checks a reason: one line of text, public in the log.
fn check_reason(reason: &str) -> Result<(), AdminError> {
    check_text(TextPart::Reason, reason, 1..=REASON_LENGTH_MAX)
        .map_err(|error| AdminError::Field { field: "reason", rule: error.into() })
}
