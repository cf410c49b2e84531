//! The record by which an ingest node with a separate data folder is admitted to an installation.

use std::fmt;
use std::str::FromStr;

use votekit_core::authority::{AuthoritySet, NodeAdmission, StatementKey};
use votekit_core::ballot::BallotPublicKey;
use votekit_core::batch::NodePublicKey;

use crate::node_name::{NodeName, NodeNameError};

/// The first word of the line.
const KIND: &str = "node";

/// The name and the public keys of an ingest node, as one line: `node`, the name, and both keys as
/// 64 hexadecimal digits, separated by single spaces. `votekit node show` prints it.
///
/// ```
/// use votekit_node::node_record::NodeRecord;
/// assert!("node ingest-1 00 00".parse::<NodeRecord>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name: unique in the installation.
    pub name: NodeName,
    /// The key that verifies its batches.
    pub key: NodePublicKey,
    /// The key to which the keys of elections are sealed for it.
    pub transport: BallotPublicKey,
}

/// The state of a node: it was admitted by its record, and may have been retired since.
///
/// With several authorities, the ledger stores it as a note signed by an authority, so that another
/// writer of the ledger can neither admit nor retire a node. In the memory of an authority, and
/// with only one authority, it is a line without a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) record: NodeRecord,
    pub(crate) is_retired: bool,
}

/// The most admissions that are used: far more than an installation has. Further records of another
/// program cost nothing more.
const ADMISSIONS_MAX: usize = 1000;

/// Stands before the record of a node that was retired.
const RETIRED: &str = "retired ";

impl Admission {
    /// The maximum length of one: a note with the longest names.
    pub(crate) const BYTES_MAX: usize = 2048;

    /// Parses the line; `None` for anything else.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(bytes).ok()?;
        let (line, is_retired) = match line.strip_prefix(RETIRED) {
            Some(record) => (record, true),
            None => (line, false),
        };
        Some(Self { record: line.parse().ok()?, is_retired })
    }

    /// Parses a note that an authority of the installation has signed; `None` for anything else.
    pub(crate) fn parse_signed(bytes: &[u8], set: &AuthoritySet) -> Option<Self> {
        let signed = set.verify_admission(bytes).ok()?;
        let NodeAdmission { node, key, transport, is_retired, .. } = signed;
        let record = NodeRecord::new(node.parse().ok()?, key, transport).ok()?;
        Some(Self { record, is_retired })
    }

    /// The admissions in the memory of an authority.
    pub(crate) fn all_kept(stored: &[(String, Vec<u8>)]) -> Vec<Self> {
        Self::all(stored, Self::parse)
    }

    /// The admissions among the records in the ledger, in their order. Other records are left out:
    /// statuses of authorities, and records of other programs. With several authorities, a record
    /// that none of them has signed counts as a record of another program.
    pub(crate) fn all_in_ledger(
        stored: &[(String, Vec<u8>)],
        authorities: Option<&AuthoritySet>,
    ) -> Vec<Self> {
        match authorities {
            Some(set) => Self::all(stored, |bytes| Self::parse_signed(bytes, set)),
            None => Self::all_kept(stored),
        }
    }

    /// Adds the retirements that an authority has kept: they are final, so where the ledger shows
    /// such a node as admitted, or not at all, the ledger is older.
    pub(crate) fn with_kept_retirements(mut stored: Vec<Self>, kept: Vec<Self>) -> Vec<Self> {
        for retired in kept.into_iter().filter(|known| known.is_retired) {
            match stored.iter_mut().find(|known| known.record == retired.record) {
                Some(known) => known.is_retired = true,
                None => stored.push(retired),
            }
        }
        stored
    }

    /// The records of the nodes that are admitted: no record has the key of a node that was retired
    /// under any name.
    pub(crate) fn present(admissions: &[Self]) -> Vec<NodeRecord> {
        let is_retired = |key: &NodePublicKey| {
            admissions.iter().any(|known| known.is_retired && known.record.key == *key)
        };
        let present = admissions.iter().filter(|known| !is_retired(&known.record.key));
        present.map(|known| known.record.clone()).collect()
    }

    fn all(stored: &[(String, Vec<u8>)], parse: impl Fn(&[u8]) -> Option<Self>) -> Vec<Self> {
        let admission = |(name, bytes): &(String, Vec<u8>)| {
            parse(bytes).filter(|known| known.record.name.as_str() == name.as_str())
        };
        stored.iter().filter_map(admission).take(ADMISSIONS_MAX).collect()
    }

    /// The note, signed by an authority.
    pub(crate) fn signed_by(&self, key: &StatementKey) -> Vec<u8> {
        key.sign_admission(&NodeAdmission {
            authority: key.name().clone(),
            node: self.record.name.as_str().to_owned(),
            key: self.record.key,
            transport: self.record.transport,
            is_retired: self.is_retired,
        })
    }

    /// The line.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mark = if self.is_retired { RETIRED } else { "" };
        format!("{mark}{}", self.record).into_bytes()
    }
}

/// Why a text is not the record of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeRecordError {
    /// The line has four words.
    #[error("not `node <name> <node key> <transport key>`")]
    Form,
    /// The name is that of a node.
    #[error(transparent)]
    Name(#[from] NodeNameError),
    /// Signatures can be verified with the node key.
    #[error("node key not an Ed25519 key")]
    NodeKey,
    /// Keys can be encrypted to the transport key.
    #[error("transport key not an X25519 key")]
    TransportKey,
}

impl NodeRecord {
    /// Makes a record of usable keys.
    ///
    /// # Errors
    /// [`NodeRecordError`].
    pub fn new(
        name: NodeName,
        key: NodePublicKey,
        transport: BallotPublicKey,
    ) -> Result<Self, NodeRecordError> {
        if !key.is_usable() {
            return Err(NodeRecordError::NodeKey);
        }
        if !transport.is_usable() {
            return Err(NodeRecordError::TransportKey);
        }
        Ok(Self { name, key, transport })
    }
}

impl FromStr for NodeRecord {
    type Err = NodeRecordError;

    fn from_str(line: &str) -> Result<Self, NodeRecordError> {
        let words: Vec<&str> = line.split(' ').collect();
        let [KIND, name, key, transport] = words[..] else { return Err(NodeRecordError::Form) };
        let key = key.parse().map_err(|_| NodeRecordError::Form)?;
        let transport = transport.parse().map_err(|_| NodeRecordError::Form)?;
        Self::new(name.parse()?, key, transport)
    }
}

impl fmt::Display for NodeRecord {
    /// Writes the line, without a line feed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{KIND} {} {} {}", self.name, self.key, self.transport)
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::authority::AuthorityMember;
    use votekit_core::ballot::BallotSecretKey;
    use votekit_core::batch::NodeKey;
    use votekit_core::log::note::{KeyName, SigningKey};

    use super::*;

    fn record() -> NodeRecord {
        NodeRecord {
            name: "ingest-1".parse().expect("a name"),
            key: NodeKey::from_seed(&[1; 32]).public_key(),
            transport: BallotSecretKey::from_seed(&[2; 32]).public_key(),
        }
    }

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let line = record().to_string();
        assert_eq!(line.parse(), Ok(record()));
        assert_eq!(line.len(), "node ingest-1 ".len() + 64 + 1 + 64);
    }

    #[test]
    fn a_retired_node_differs_from_an_admitted_one() {
        for is_retired in [false, true] {
            let admission = Admission { record: record(), is_retired };
            assert_eq!(Admission::parse(&admission.to_bytes()), Some(admission.clone()));
            let is_record = String::from_utf8(admission.to_bytes()).expect("text").parse();
            assert_eq!(is_record.ok(), (!is_retired).then(record));
        }
        assert_eq!(Admission::parse(b"retired"), None);
        assert_eq!(Admission::parse(&[0xff]), None);
    }

    #[test]
    fn a_kept_retirement_counts_whatever_the_ledger_shows() {
        let renamed = NodeRecord { name: "other".parse().expect("a name"), ..record() };
        let admitted = Admission { record: record(), is_retired: false };
        let retired = Admission { record: record(), is_retired: true };
        let again = Admission { record: renamed, is_retired: false };
        for (stored, kept, count) in [
            (vec![], vec![], 0),
            (vec![admitted.clone()], vec![], 1),
            (vec![], vec![admitted.clone()], 0),
            (vec![admitted.clone()], vec![admitted.clone()], 1),
            (vec![admitted.clone()], vec![retired.clone()], 0),
            (vec![again.clone()], vec![], 1),
            (vec![again], vec![retired.clone()], 0),
        ] {
            let merged = Admission::with_kept_retirements(stored, kept);
            assert_eq!(Admission::present(&merged).len(), count, "{merged:?}");
        }
        assert_eq!(
            Admission::with_kept_retirements(vec![admitted], vec![retired.clone()]),
            [retired]
        );
    }

    #[test]
    fn records_that_are_no_admissions_are_left_out_and_their_number_is_bounded() {
        let stored = [
            ("authority/00".to_owned(), b"votekit-status/1\n".to_vec()),
            ("garbage".to_owned(), vec![0xff; 300]),
            ("ingest-1".to_owned(), record().to_string().into_bytes()),
            ("ingest-2".to_owned(), record().to_string().into_bytes()),
        ];
        let found = [Admission { record: record(), is_retired: false }];
        assert_eq!(Admission::all_in_ledger(&stored, None), found);
        let many: Vec<(String, Vec<u8>)> = (0..=ADMISSIONS_MAX)
            .map(|number| {
                let name: NodeName = format!("n{number}").parse().expect("a name");
                let record = NodeRecord { name: name.clone(), ..record() };
                (name.to_string(), record.to_string().into_bytes())
            })
            .collect();
        assert_eq!(Admission::all_kept(&many).len(), ADMISSIONS_MAX);
    }

    #[test]
    fn with_several_authorities_a_record_counts_once_one_of_them_has_signed_it() {
        let name: KeyName = "a1".parse().expect("a name");
        let key = |seed: u8| StatementKey::from_seed(&base(), &name, &[seed; 32]);
        let set = AuthoritySet::new(base(), 2, vec![member("a1", 3), member("a2", 7)]);
        let set = set.expect("authorities");
        for is_retired in [false, true] {
            let admission = Admission { record: record(), is_retired };
            let signed = admission.signed_by(&key(3));
            assert_eq!(Admission::parse_signed(&signed, &set), Some(admission.clone()));
            assert!(signed.len() < Admission::BYTES_MAX / 4);
            let text = String::from_utf8(signed.clone()).expect("text");
            let key_of_other = NodeKey::from_seed(&[9; 32]).public_key().to_hex();
            let changed = text.replacen(&record().key.to_hex(), &key_of_other, 1).into_bytes();
            for invented in [admission.to_bytes(), admission.signed_by(&key(4)), changed] {
                let stored = [("ingest-1".to_owned(), invented)];
                assert!(Admission::all_in_ledger(&stored, Some(&set)).is_empty());
            }
            // Under the name of another node it does not count.
            for (name, count) in [("ingest-1", 1), ("ingest-2", 0)] {
                let stored = [(name.to_owned(), signed.clone())];
                assert_eq!(Admission::all_in_ledger(&stored, Some(&set)).len(), count);
                assert!(Admission::all_in_ledger(&stored, None).is_empty(), "a line is expected");
            }
        }
    }

    fn base() -> KeyName {
        "votes.example.org".parse().expect("a name")
    }

    /// An authority whose keys are of this seed, and of those after it.
    fn member(name: &str, seed: u8) -> AuthorityMember {
        let name: KeyName = name.parse().expect("a name");
        let public = |seed: u8| *SigningKey::from_seed(base(), &[seed; 32]).verifier().public_key();
        AuthorityMember {
            statement: StatementKey::from_seed(&base(), &name, &[seed; 32]).public(),
            log: public(seed + 1),
            cosigner: public(seed + 2),
            transport: *BallotSecretKey::from_seed(&[seed + 3; 32]).public_key().as_bytes(),
            name,
        }
    }

    #[test]
    fn other_texts_and_unusable_keys_are_refused() {
        let line = record().to_string();
        for (text, expected) in [
            (String::new(), NodeRecordError::Form),
            (format!("{line}\n"), NodeRecordError::Form),
            (format!("{line} "), NodeRecordError::Form),
            (line.replace("node ", "authority "), NodeRecordError::Form),
            (line.replace("ingest-1", "Ingest 1"), NodeRecordError::Form),
            (line.replace("ingest-1", "Ingest"), NodeRecordError::Name(NodeNameError)),
            (line.replace(&record().key.to_hex(), &"0".repeat(64)), NodeRecordError::NodeKey),
            (
                line.replace(&record().transport.to_hex(), &"0".repeat(64)),
                NodeRecordError::TransportKey,
            ),
        ] {
            assert_eq!(text.parse::<NodeRecord>(), Err(expected), "{text}");
        }
        assert_eq!(line.to_uppercase().parse::<NodeRecord>(), Err(NodeRecordError::Form));
    }
}
