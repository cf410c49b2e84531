//! The outside witnesses of the installation, as the ledger shows them: for operators and for the
//! witnesses' operators.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::authority::{AuthoritySet, SetWitness};
use votekit_core::id::ElectionId;
use votekit_core::log::merkle::TreeHash;
use votekit_core::log::note::{KeyKind, KeyName, VerifierKey};
use votekit_store::WitnessLine;

use crate::election::cosigned_size;

/// An outside witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WitnessView {
    /// Its name.
    pub name: String,
    /// The verifier key of its cosignatures.
    pub key: String,
    /// The prefix of its addresses.
    pub url: String,
    /// The authority that feeds it.
    pub fed_by: String,
    /// The heads that it has cosigned, and the data about each log that it needs.
    pub elections: Vec<WitnessHead>,
}

/// One log, as an outside witness has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WitnessHead {
    /// The election.
    pub law_id: String,
    /// The origin of its log.
    pub origin: String,
    /// The verifier key of the log with which the witness is configured: that of the authority that
    /// sends heads to it.
    pub log_key: String,
    /// The leaves of the latest head that it has cosigned; 0 for none.
    pub cosigned_size: u64,
    /// How many leaves of the log it has not cosigned yet.
    pub behind: u64,
}

/// One log of the installation.
pub(super) struct LogSize<'a> {
    pub(super) law_id: &'a ElectionId,
    /// The origin of the log, and the name of its keys.
    pub(super) origin: &'a KeyName,
    pub(super) size: u64,
    pub(super) root: TreeHash,
    /// The last lines of the witnesses, not verified.
    pub(super) lines: Vec<WitnessLine>,
}

/// The view of each witness of the file of the authorities, in its order.
pub(super) fn witness_views(set: &AuthoritySet, logs: &[LogSize<'_>]) -> Vec<WitnessView> {
    let view = |witness: &SetWitness| WitnessView {
        name: witness.name.to_string(),
        key: witness.key.to_string(),
        url: witness.url.clone(),
        fed_by: witness.fed_by.to_string(),
        elections: logs.iter().map(|log| head(set, witness, log)).collect(),
    };
    set.witnesses().iter().map(view).collect()
}

fn head(set: &AuthoritySet, witness: &SetWitness, log: &LogSize<'_>) -> WitnessHead {
    let cosigned_size = cosigned_size(witness, log.origin, (log.size, log.root), &log.lines);
    let log_key = set.member(&witness.fed_by).and_then(|feeder| {
        VerifierKey::new(log.origin.clone(), KeyKind::Ed25519, &feeder.log).ok()
    });
    WitnessHead {
        law_id: log.law_id.to_string(),
        origin: log.origin.to_string(),
        // A set has usable keys, and one of its authorities sends heads to each witness.
        log_key: log_key.map(|key| key.to_string()).unwrap_or_default(),
        cosigned_size,
        behind: log.size.saturating_sub(cosigned_size),
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::authority::AuthorityMember;
    use votekit_core::instant::UnixSeconds;
    use votekit_core::log::checkpoint::{Checkpoint, Cosigner};
    use votekit_core::log::note::SigningKey;

    use super::*;

    fn name(text: &str) -> KeyName {
        text.parse().expect("a name")
    }

    fn public(seed: u8) -> [u8; 32] {
        *SigningKey::from_seed(name("any"), &[seed; 32]).verifier().public_key()
    }

    fn cosigner(number: u8) -> Cosigner {
        Cosigner::from_seed(name("witness.example"), &[200 + number; 32])
    }

    fn witness(number: u8, fed_by: &str) -> SetWitness {
        SetWitness {
            name: name(&format!("w{number}")),
            key: cosigner(number).verifier().clone(),
            url: "https://witness.example/".to_owned(),
            fed_by: name(fed_by),
        }
    }

    /// Two authorities, each of which feeds a witness.
    fn set() -> AuthoritySet {
        let member = |index: u8, text: &str| AuthorityMember {
            name: name(text),
            log: public(10 + index),
            cosigner: public(20 + index),
            statement: public(30 + index),
            transport: [40 + index; 32],
        };
        let members = vec![member(1, "a"), member(2, "b")];
        let set = AuthoritySet::new(name("votes.example"), 2, members).expect("authorities");
        set.with_witnesses(vec![witness(1, "a"), witness(2, "b")], 1).expect("witnesses")
    }

    #[test]
    fn each_witness_has_the_log_key_of_its_feeder_and_its_last_size() {
        let law_id: ElectionId = "L1".parse().expect("a law id");
        let origin = name("votes.example/L1");
        let root = TreeHash::from_bytes([1; 32]);
        let checkpoint = Checkpoint::new(&origin, 30, root);
        let line = cosigner(1).cosign(&checkpoint, UnixSeconds(1_763_712_000)).expect("a time");
        let line = WitnessLine {
            witness: "w1".to_owned(),
            height: 3,
            size: 30,
            root,
            line: line.to_string().into_bytes(),
        };
        let invented = WitnessLine { size: 40, ..line.clone() };
        let lines = vec![invented, line];
        let log = LogSize { law_id: &law_id, origin: &origin, size: 40, root, lines };
        let views = witness_views(&set(), &[log]);
        let heads: Vec<(u64, u64)> = views
            .iter()
            .map(|view| (view.elections[0].cosigned_size, view.elections[0].behind))
            .collect();
        assert_eq!(heads, [(30, 10), (0, 40)]);
        assert_eq!((views[1].name.as_str(), views[1].fed_by.as_str()), ("w2", "b"));
        let policy = set().policy(&law_id, true).expect("distinct key ids");
        let keys = views.iter().map(|view| view.elections[0].log_key.clone());
        assert!(keys.eq(policy.logs().iter().map(|log| log.key.to_string())));
    }
}
