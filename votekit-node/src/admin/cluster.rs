//! Calls about the installation as a whole: nodes that join it, and the leader that is to step
//! down.

use votekit_core::authority::{AuthoritySet, SuspectReason};

use crate::audit::{AuditEvent, AuditFields};
use crate::call_rule::CallRule;
use crate::error::AdminError;
use crate::node::Node;
use crate::node_record::NodeRecord;
use crate::query::cluster_view::AdmittedNode;
use crate::recovery::election_keys;
use crate::seal::own_statements::suspicion;

impl Node {
    /// Admits a node with a data folder of its own to the installation: the keys that it needs are
    /// sealed to it, and the logs of elections that open later accept its batches. Admitting it
    /// again changes nothing.
    ///
    /// # Errors
    /// [`AdminError`], among others if the name or a key is another node's, or an authority's.
    pub async fn admit_record(&self, record: &NodeRecord) -> Result<AdmittedNode, AdminError> {
        // Two calls at once must not admit two nodes under one name.
        let _creating = self.context.creating.lock().await;
        if self.context.leader_lease.term().is_none() {
            return Err(self.not_leading());
        }
        if let Some(set) = self.on_files(|folder| Ok(folder.authorities()?)).await? {
            check_no_authority(&set, record)?;
        }
        let admitted = self.node_records().await?;
        if !admitted.contains(record) {
            check_distinct(&admitted, record)?;
            let line = record.to_string();
            self.context.ledger.put_node_record(record.name.as_str(), line.as_bytes()).await?;
            let admitted = Some(record.name.as_str());
            let fields = AuditFields { admitted, ..AuditFields::default() };
            self.context.audit.record(AuditEvent::NodeAdmitted, &fields);
        }
        for election in self.context.elections() {
            election_keys::share_with_node(&self.context, election.law_id(), record).await?;
        }
        Ok(AdmittedNode::from(record))
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
        let fields = promise.as_ref().map(AuditFields::of_leader).unwrap_or_default();
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

fn check_distinct(admitted: &[NodeRecord], record: &NodeRecord) -> Result<(), AdminError> {
    for other in admitted {
        let name = || other.name.clone();
        let (field, rule) = if other.name == record.name {
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
        let admitted = [record("a", 1, 2), record("b", 3, 4)];
        for (new, field) in [
            (record("c", 5, 6), None),
            (record("a", 5, 6), Some("name")),
            (record("c", 3, 6), Some("public_key")),
            (record("c", 5, 4), Some("transport_key")),
        ] {
            assert_eq!(refused_field(check_distinct(&admitted, &new)), field, "{new}");
        }
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
