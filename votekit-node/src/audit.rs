//! Audit events: the actions for which authorities, officials and operators may have to account
//! later, one JSON object a line. `docs/audit-events.md` is the schema.
//!
//! Events have the tracing target [`AUDIT_TARGET`]. [`crate::logging`] writes them to the file of
//! the setting `audit_log`, without waiting for it; without that setting they are not written. No
//! event contains a credential, a choice, a request id or an address.

use votekit_core::authority::{LogPoint, TermLeader};
use votekit_core::election_log::LogEvent;
use votekit_core::id::ElectionId;

use crate::logging::AUDIT_TARGET;

/// The kinds of events. The names are those of the corresponding log events, if there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuditEvent {
    LeaderVotedFor,
    LeaderElected,
    LeaderSteppedDown,
    LeaderSuspected,
    LeaderPassedOver,
    StepDownRequested,
    ProposalRefused,
    BlockCertified,
    BlockAppliedDespiteGuard,
    RoundRowRefused,
    LedgerRolledBack,
    LedgerRestored,
    Fork,
    RolledBack,
    ElectionCreated,
    ElectionAmended,
    RollLoaded,
    ElectionStateChanged,
    ElectionPurged,
    ElectionHalted,
    WitnessesWaived,
    NodeAdmitted,
    AuthoritySilent,
    AuthorityHeard,
    ClockDiffers,
    ClockAgrees,
    NodeRetired,
}

impl AuditEvent {
    /// The value of the field `event`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LeaderVotedFor => "leader_voted_for",
            Self::LeaderElected => "leader_elected",
            Self::LeaderSteppedDown => "leader_stepped_down",
            Self::LeaderSuspected => "leader_suspected",
            Self::LeaderPassedOver => "leader_passed_over",
            Self::StepDownRequested => "step_down_requested",
            Self::ProposalRefused => "proposal_refused",
            Self::BlockCertified => "block_certified",
            Self::BlockAppliedDespiteGuard => "block_applied_despite_guard",
            Self::RoundRowRefused => "round_row_refused",
            Self::LedgerRolledBack => "ledger_rolled_back",
            Self::LedgerRestored => "ledger_restored",
            Self::Fork => "fork",
            Self::RolledBack => "rolled_back",
            Self::ElectionCreated => "election_created",
            Self::ElectionAmended => "election_amended",
            Self::RollLoaded => "roll_loaded",
            Self::ElectionStateChanged => "election_state_changed",
            Self::ElectionPurged => "election_purged",
            Self::ElectionHalted => "election_halted",
            Self::WitnessesWaived => "witnesses_waived",
            Self::NodeAdmitted => "node_admitted",
            Self::AuthoritySilent => "authority_silent",
            Self::AuthorityHeard => "authority_heard",
            Self::ClockDiffers => "clock_differs",
            Self::ClockAgrees => "clock_agrees",
            Self::NodeRetired => "node_retired",
        }
    }
}

/// The fields of an event. A field that is `None` is not written.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditFields<'a> {
    pub(crate) law_id: Option<&'a ElectionId>,
    pub(crate) term: Option<u64>,
    /// The name of an authority.
    pub(crate) leader: Option<&'a str>,
    pub(crate) height: Option<u64>,
    /// The end of the log after `height`: its size and root are written with it.
    pub(crate) point: Option<LogPoint>,
    /// The index of a leaf in the log.
    pub(crate) leaf: Option<u64>,
    pub(crate) rule: Option<&'a str>,
    /// The state of an election.
    pub(crate) state: Option<&'a str>,
    /// The node that an act is about.
    pub(crate) admitted: Option<&'a str>,
    /// The other authority that the event concerns.
    pub(crate) about: Option<&'a str>,
    /// The digest of the manifest of a roll.
    pub(crate) manifest: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
}

impl<'a> AuditFields<'a> {
    /// The fields of an event about a leader.
    pub(crate) fn for_leader(leadership: &'a TermLeader) -> Self {
        Self {
            term: Some(leadership.term),
            leader: Some(leadership.leader.as_str()),
            ..Self::default()
        }
    }

    /// The fields of an event about an election.
    pub(crate) fn for_election(law_id: &'a ElectionId) -> Self {
        Self { law_id: Some(law_id), ..Self::default() }
    }
}

/// Writes the audit events of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditLog {
    /// The name of the node, if it has one.
    node: Option<String>,
    /// The name of the authority, if there are several and this node is one of them.
    authority: Option<String>,
    /// How often the authority has been started.
    incarnation: Option<u64>,
}

impl AuditLog {
    /// The events of a node. With `authority`, its name and incarnation as an authority, the node
    /// is one of several authorities.
    pub(crate) fn new(node: Option<String>, authority: Option<(String, u64)>) -> Self {
        let (authority, incarnation) = authority.unzip();
        Self { node, authority, incarnation }
    }

    /// Records an event. Never waits and never fails.
    pub(crate) fn record(&self, event: AuditEvent, fields: &AuditFields<'_>) {
        // The fields stand in the order of docs/audit-events.md. The time and the target are added
        // by the writer.
        tracing::info!(
            target: AUDIT_TARGET,
            event = event.name(),
            authority = self.authority,
            node = self.node,
            incarnation = self.incarnation,
            law_id = fields.law_id.map(ElectionId::as_str),
            term = fields.term,
            leader = fields.leader,
            height = fields.height.or(fields.point.map(|point| point.height)),
            size = fields.point.map(|point| point.size),
            root = fields.point.map(|point| point.root.to_string()),
            leaf = fields.leaf,
            rule = fields.rule,
            state = fields.state,
            admitted = fields.admitted,
            about = fields.about,
            manifest = fields.manifest,
            reason = fields.reason,
        );
    }

    /// Records acts of officials and operators that this node has put into the log. A change of the
    /// state of an election is recorded by every node that applies it.
    pub(crate) fn record_acts(&self, law_id: &ElectionId, acts: &[LogEvent]) {
        let of_election = || AuditFields::for_election(law_id);
        let mut last_retired = None;
        for act in acts {
            match act {
                LogEvent::Amend { .. } => {
                    self.record(AuditEvent::ElectionAmended, &of_election());
                }
                LogEvent::Load(load) => {
                    let manifest = load.manifest.to_hex();
                    let fields = AuditFields { manifest: Some(&manifest), ..of_election() };
                    self.record(AuditEvent::RollLoaded, &fields);
                }
                LogEvent::Admit(key) => {
                    let node = key.node_id().to_string();
                    let fields = AuditFields { admitted: Some(&node), ..of_election() };
                    self.record(AuditEvent::NodeAdmitted, &fields);
                }
                // One act for each epoch of the node, one after another.
                LogEvent::Retire { node, .. } if last_retired != Some(*node) => {
                    last_retired = Some(*node);
                    let node = node.to_string();
                    let fields = AuditFields { admitted: Some(&node), ..of_election() };
                    self.record(AuditEvent::NodeRetired, &fields);
                }
                LogEvent::Purge => self.record(AuditEvent::ElectionPurged, &of_election()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::batch::NodeKey;
    use votekit_core::id::{Epoch, NodeId};

    use super::*;

    const PAGE: &str = include_str!("../../docs/audit-events.md");

    const ALL: [AuditEvent; 27] = [
        AuditEvent::LeaderVotedFor,
        AuditEvent::LeaderElected,
        AuditEvent::LeaderSteppedDown,
        AuditEvent::LeaderSuspected,
        AuditEvent::LeaderPassedOver,
        AuditEvent::StepDownRequested,
        AuditEvent::ProposalRefused,
        AuditEvent::BlockCertified,
        AuditEvent::BlockAppliedDespiteGuard,
        AuditEvent::RoundRowRefused,
        AuditEvent::LedgerRolledBack,
        AuditEvent::LedgerRestored,
        AuditEvent::Fork,
        AuditEvent::RolledBack,
        AuditEvent::ElectionCreated,
        AuditEvent::ElectionAmended,
        AuditEvent::RollLoaded,
        AuditEvent::ElectionStateChanged,
        AuditEvent::ElectionPurged,
        AuditEvent::ElectionHalted,
        AuditEvent::WitnessesWaived,
        AuditEvent::NodeAdmitted,
        AuditEvent::AuthoritySilent,
        AuditEvent::AuthorityHeard,
        AuditEvent::ClockDiffers,
        AuditEvent::ClockAgrees,
        AuditEvent::NodeRetired,
    ];

    #[test]
    fn the_page_has_a_row_and_an_example_of_each_event() {
        for event in ALL {
            let name = event.name();
            assert!(PAGE.contains(&format!("| `{name}` |")), "no row of {name}");
            assert!(PAGE.contains(&format!("\"event\":\"{name}\"")), "no example of {name}");
        }
        let examples = PAGE.lines().filter(|line| line.starts_with("{\"timestamp\"")).count();
        assert_eq!(examples, ALL.len());
    }

    #[test]
    fn an_event_is_one_line_with_the_fields_that_it_has() {
        let lines = crate::logging::capture::audit_lines(|| {
            let audit = AuditLog::new(Some("node-1".into()), Some(("quebec".into(), 7)));
            let law_id: ElectionId = "L2025-001".parse().expect("a law id");
            let of_election = AuditFields::for_election(&law_id);
            let fields = AuditFields { state: Some("open"), height: Some(3), ..of_election };
            audit.record(AuditEvent::ElectionStateChanged, &fields);
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let (_time, rest) = line.split_once("\"level\"").expect("a level");
        assert_eq!(
            rest,
            ":\"INFO\",\"event\":\"election_state_changed\",\"authority\":\"quebec\",\
             \"node\":\"node-1\",\"incarnation\":7,\"law_id\":\"L2025-001\",\"height\":3,\
             \"state\":\"open\",\"target\":\"votekit::audit\"}"
        );
    }

    #[test]
    fn an_act_in_the_log_is_one_event() {
        let node = NodeId::from_bytes([7; 8]);
        let retire = |epoch| LogEvent::Retire { node, epoch: Epoch(epoch) };
        let key = NodeKey::from_seed(&[1; 32]).public_key();
        let acts = [
            LogEvent::Admit(key),
            retire(1),
            retire(2),
            LogEvent::Certify { witness_waiver: None },
            LogEvent::Purge,
        ];
        let lines = crate::logging::capture::audit_lines(|| {
            let law_id: ElectionId = "L2025-001".parse().expect("a law id");
            AuditLog::default().record_acts(&law_id, &acts);
        });
        let events = ["node_admitted", "node_retired", "election_purged"];
        assert_eq!(lines.len(), events.len(), "a new state is recorded where it is applied");
        for (line, event) in lines.iter().zip(events) {
            assert!(line.contains(&format!("\"event\":\"{event}\"")), "{line}");
            assert!(line.contains("\"law_id\":\"L2025-001\""), "{line}");
        }
        assert!(lines[0].contains(&format!("\"admitted\":\"{}\"", key.node_id())), "{lines:?}");
        assert!(lines[1].contains(&format!("\"admitted\":\"{node}\"")), "{lines:?}");
    }
}
