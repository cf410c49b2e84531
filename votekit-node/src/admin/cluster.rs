//! Calls about the installation as a whole: nodes that join it, and the leader that is to step
//! down.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::authority::{AuthoritySet, SuspectReason};
use votekit_core::election::State;
use votekit_store::memory::AuthorityMemory;

use crate::audit::{AuditEvent, AuditFields};
use crate::call_rule::CallRule;
use crate::error::AdminError;
use crate::node::Node;
use crate::node_name::NodeName;
use crate::node_record::{Admission, NodeRecord};
use crate::query::cluster_view::AdmittedNode;
use crate::recovery::election_keys;
use crate::seal::own_statements::suspicion;

/// A node that was retired from the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetiredNode {
    /// The node.
    #[serde(flatten)]
    pub node: AdmittedNode,
    /// The elections in whose logs its epochs were ended.
    pub elections: Vec<String>,
}

impl Node {
    /// Admits a node with a separate data folder to the installation: the keys that it needs are
    /// encrypted to it, and the logs of elections that open later accept its batches. Admitting it
    /// again changes nothing.
    ///
    /// # Errors
    /// [`AdminError`], among others if the name or a key is another node's, or an authority's, and
    /// if the node was retired.
    pub async fn admit_record(&self, record: &NodeRecord) -> Result<AdmittedNode, AdminError> {
        // Two calls at once must not admit two nodes under one name.
        let _creating = self.context.creating.lock().await;
        if self.context.leader_lease.term().is_none() {
            return Err(self.not_leading());
        }
        if let Some(set) = self.on_files(|folder| Ok(folder.authorities()?)).await? {
            check_no_authority(&set, record)?;
        }
        let others = election_keys::admissions(&self.context).await?;
        let admission = Admission { record: record.clone(), is_retired: false };
        if !others.contains(&admission) {
            check_distinct(&others, record)?;
            election_keys::put_admission(&self.context, &admission).await?;
            // Copied at once, not when copies are compared: the ledger may lose the record before
            // that.
            self.keep_admission(&admission).await?;
            let admitted = Some(record.name.as_str());
            let fields = AuditFields { admitted, ..AuditFields::default() };
            self.context.audit.record(AuditEvent::NodeAdmitted, &fields);
        }
        for election in self.context.elections() {
            election_keys::share_with_node(&self.context, election.law_id(), record).await?;
        }
        Ok(AdmittedNode::from(record))
    }

    /// Retires a node that was admitted by its record from the installation: it begins no more
    /// epochs, and elections that open later do not admit it. In each election that takes votes, or
    /// is closing, its epochs are fenced, its published batches are sealed, and its higher numbers
    /// are void. Retiring it again completes failed steps.
    ///
    /// # Errors
    /// [`AdminError`], among others [`AdminError::Answering`] while it still answers voters.
    pub async fn retire_record(&self, name: &NodeName) -> Result<RetiredNode, AdminError> {
        let record = self.mark_retired(name).await?;
        let node = record.key.node_id();
        let mut elections = Vec::new();
        for election in self.context.elections() {
            let state = election.committed().state();
            if !matches!(state, State::Open | State::Closing)
                || election.log().node_key(node).is_none()
            {
                continue;
            }
            self.retire_node(election.law_id(), node).await?;
            elections.push(election.law_id().to_string());
        }
        Ok(RetiredNode { node: AdmittedNode::from(&record), elections })
    }

    /// Done first, so that the node begins no epoch after its present epochs are fenced.
    async fn mark_retired(&self, name: &NodeName) -> Result<NodeRecord, AdminError> {
        let _creating = self.context.creating.lock().await;
        if self.context.leader_lease.term().is_none() {
            return Err(self.not_leading());
        }
        let admissions = election_keys::admissions(&self.context).await?;
        let Some(known) = admissions.into_iter().find(|known| known.record.name == *name) else {
            let rule = CallRule::NodeNotAdmitted { name: name.clone() };
            return Err(AdminError::Field { field: "name", rule });
        };
        let retired = Admission { is_retired: true, record: known.record.clone() };
        // Stored even if the node is known to be retired: the ledger may show an earlier record.
        election_keys::put_admission(&self.context, &retired).await?;
        // Copied at once, like the admission, and even if only the ledger has the record.
        self.keep_admission(&retired).await?;
        if !known.is_retired {
            let fields = AuditFields { admitted: Some(name.as_str()), ..AuditFields::default() };
            self.context.audit.record(AuditEvent::NodeRetired, &fields);
        }
        Ok(known.record)
    }

    /// Keeps a copy of a node's record in the memory of this authority.
    async fn keep_admission(&self, admission: &Admission) -> Result<(), AdminError> {
        let Some(authority) = &self.context.authority else { return Ok(()) };
        let admission = admission.clone();
        let keep = move |memory: &AuthorityMemory| {
            let kept = Admission::all_kept(&memory.node_records()?);
            // A retirement is final, even if the ledger has lost it.
            if !admission.is_retired && kept.iter().any(|known| known.record == admission.record) {
                return Ok(());
            }
            memory.keep_node_record(admission.record.name.as_str(), &admission.to_bytes())
        };
        authority.durable(keep).await?;
        Ok(())
    }

    /// Asks for another leader: this authority suspects the present one, with the reason that an
    /// operator wants it. The leader changes once a quorum has asked, or at once if the present
    /// leader is asked itself.
    ///
    /// # Errors
    /// [`AdminError`], among others [`AdminError::NotAnAuthority`].
    pub async fn request_step_down(&self) -> Result<(), AdminError> {
        let authority = self.context.authority.as_ref().ok_or(AdminError::NotAnAuthority)?;
        let promise = authority.promise();
        let fields = promise.as_ref().map(AuditFields::for_leader).unwrap_or_default();
        self.context.audit.record(AuditEvent::StepDownRequested, &fields);
        if self.context.leader_lease.term().is_some() {
            self.context.leader_lease.step_down();
            return Ok(());
        }
        let Some(leadership) = promise else { return Ok(()) };
        if authority.is_rolled_back() {
            return Ok(());
        }
        let reason = SuspectReason::Stepdown;
        let row = suspicion(&self.context, authority, &leadership, reason).await?;
        let _stored = self.context.ledger.put_row(&row, None).await?;
        Ok(())
    }
}

fn check_no_authority(set: &AuthoritySet, record: &NodeRecord) -> Result<(), AdminError> {
    for member in set.members() {
        let keys = [member.log, member.cosigner, member.statement, member.transport];
        for (field, key) in
            [("public_key", record.key.as_bytes()), ("transport_key", record.transport.as_bytes())]
        {
            if keys.contains(key) {
                let rule = CallRule::AuthorityKey { authority: member.name.clone() };
                return Err(AdminError::Field { field, rule });
            }
        }
    }
    Ok(())
}

fn check_distinct(admitted: &[Admission], record: &NodeRecord) -> Result<(), AdminError> {
    for Admission { record: other, is_retired } in admitted {
        let name = || other.name.clone();
        let (field, rule) = if *is_retired && other == record {
            // A ledger that was restored from an older copy shows the node as admitted. Because a
            // retired node is never admitted again, such a ledger is known to be the older state.
            ("name", CallRule::NodeRetired { name: name() })
        } else if other.name == record.name {
            ("name", CallRule::NodeNameTaken { name: name() })
        } else if other.key == record.key {
            ("public_key", CallRule::NodeKeyTaken { name: name() })
        } else if other.transport == record.transport {
            ("transport_key", CallRule::NodeKeyTaken { name: name() })
        } else {
            continue;
        };
        return Err(AdminError::Field { field, rule });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use votekit_core::authority::{AuthorityMember, StatementKey};
    use votekit_core::ballot::BallotSecretKey;
    use votekit_core::batch::NodeKey;
    use votekit_core::log::note::{KeyName, SigningKey};

    use super::*;

    fn record(name: &str, key: u8, transport: u8) -> NodeRecord {
        NodeRecord {
            name: name.parse().expect("a name"),
            key: NodeKey::from_seed(&[key; 32]).public_key(),
            transport: BallotSecretKey::from_seed(&[transport; 32]).public_key(),
        }
    }

    fn refused_field(checked: Result<(), AdminError>) -> Option<&'static str> {
        match checked {
            Ok(()) => None,
            Err(AdminError::Field { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn names_and_keys_of_nodes_are_unique() {
        let admission = |record, is_retired| Admission { record, is_retired };
        let admitted = [admission(record("a", 1, 2), false), admission(record("b", 3, 4), true)];
        for (new, field) in [
            (record("c", 5, 6), None),
            (record("b", 3, 4), Some("name")),
            (record("a", 5, 6), Some("name")),
            (record("c", 3, 6), Some("public_key")),
            (record("c", 5, 4), Some("transport_key")),
        ] {
            assert_eq!(refused_field(check_distinct(&admitted, &new)), field, "{new}");
        }
        let again = check_distinct(&admitted, &record("b", 3, 4));
        let Err(AdminError::Field { rule, .. }) = again else { panic!("{again:?}") };
        assert_eq!(rule, CallRule::NodeRetired { name: "b".parse().expect("a name") });
    }

    #[test]
    fn the_keys_of_an_authority_are_no_nodes() {
        let name = |text: &str| text.parse::<KeyName>().expect("a name");
        let log = SigningKey::from_seed(name("l"), &[1; 32]);
        let cosigner = SigningKey::from_seed(name("c"), &[2; 32]);
        let statement = StatementKey::from_seed(&name("base"), &name("a"), &[3; 32]);
        let member = AuthorityMember {
            name: name("a"),
            log: *log.verifier().public_key(),
            cosigner: *cosigner.verifier().public_key(),
            statement: statement.public(),
            transport: *record("n", 9, 4).transport.as_bytes(),
        };
        let set = AuthoritySet::new(name("base"), 1, vec![member]).expect("authorities");
        for (new, field) in [
            (record("n", 5, 6), None),
            (record("n", 1, 6), Some("public_key")),
            (record("n", 3, 6), Some("public_key")),
            (record("n", 5, 4), Some("transport_key")),
        ] {
            assert_eq!(refused_field(check_no_authority(&set, &new)), field, "{new}");
        }
    }
}
