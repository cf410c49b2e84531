//! The record by which an ingest node with a data folder of its own is admitted to an installation.

use std::fmt;
use std::str::FromStr;

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

/// What the ledger holds of a node: it was admitted by its record, and may have been retired since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) record: NodeRecord,
    pub(crate) is_retired: bool,
}

/// The most admissions that are used: far more than an installation has. Whatever another program
/// writes beside them costs no more.
const ADMISSIONS_MAX: usize = 1000;

/// Stands before the record of a node that was retired.
const RETIRED: &str = "retired ";

impl Admission {
    /// Reads what the ledger holds under the name of a node; `None` for anything else.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(bytes).ok()?;
        let (line, is_retired) = match line.strip_prefix(RETIRED) {
            Some(record) => (record, true),
            None => (line, false),
        };
        Some(Self { record: line.parse().ok()?, is_retired })
    }

    /// The admissions among the records in the ledger, in their order. Others are left out:
    /// statuses of authorities, and what another program wrote.
    pub(crate) fn all(stored: &[(String, Vec<u8>)]) -> Vec<Self> {
        let admission = |(name, bytes): &(String, Vec<u8>)| {
            Self::parse(bytes).filter(|known| known.record.name.as_str() == name.as_str())
        };
        stored.iter().filter_map(admission).take(ADMISSIONS_MAX).collect()
    }

    /// What the ledger is to hold.
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
    #[error(
        "a record is one line `node <name> <node key> <transport key>`, its keys as 64 lower-case \
         hexadecimal digits"
    )]
    Form,
    /// The name is that of a node.
    #[error(transparent)]
    Name(#[from] NodeNameError),
    /// Signatures can be verified with the node key.
    #[error("the node key is not a usable Ed25519 key")]
    NodeKey,
    /// Keys can be encrypted to the transport key.
    #[error("the transport key is not a usable X25519 key")]
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
    use votekit_core::ballot::BallotSecretKey;
    use votekit_core::batch::NodeKey;

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
    fn records_that_are_no_admissions_are_left_out_and_their_number_is_bounded() {
        let stored = [
            ("authority/00".to_owned(), b"votekit-status/1\n".to_vec()),
            ("garbage".to_owned(), vec![0xff; 300]),
            ("ingest-1".to_owned(), record().to_string().into_bytes()),
            ("ingest-2".to_owned(), record().to_string().into_bytes()),
        ];
        assert_eq!(Admission::all(&stored), [Admission { record: record(), is_retired: false }]);
        let many: Vec<(String, Vec<u8>)> = (0..=ADMISSIONS_MAX)
            .map(|number| {
                let name: NodeName = format!("n{number}").parse().expect("a name");
                let record = NodeRecord { name: name.clone(), ..record() };
                (name.to_string(), record.to_string().into_bytes())
            })
            .collect();
        assert_eq!(Admission::all(&many).len(), ADMISSIONS_MAX);
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
