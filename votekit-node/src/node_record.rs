//! The record of an ingest node with a data folder of its own, which an operator admits.

use std::fmt;

use votekit_core::batch::NodePublicKey;

use crate::node_name::NodeName;

/// The public keys of an ingest node, with its name.
///
/// As text: `node <name> <node key> <transport key>`, the keys as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name.
    pub name: NodeName,
    /// The key that signs its batches.
    pub key: NodePublicKey,
    /// The key to which the request keys of elections are sealed.
    pub transport: [u8; 32],
}

impl NodeRecord {
    /// Parses the text of a record; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.trim_end_matches('\n').split(' ').collect();
        let ["node", name, key, transport] = parts[..] else { return None };
        let transport = NodePublicKey::from_hex(transport.as_bytes()).ok()?;
        let key = NodePublicKey::from_hex(key.as_bytes()).ok().filter(NodePublicKey::is_usable)?;
        Some(Self { name: name.parse().ok()?, key, transport: *transport.as_bytes() })
    }
}

impl fmt::Display for NodeRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = NodePublicKey::from_bytes(self.transport);
        write!(formatter, "node {} {} {transport}", self.name, self.key)
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::batch::NodeKey;

    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let record = NodeRecord {
            name: "ingest-1".parse().expect("a name"),
            key: NodeKey::from_seed(&[1; 32]).public_key(),
            transport: [7; 32],
        };
        assert_eq!(NodeRecord::parse(&record.to_string()), Some(record.clone()));
        let text = record.to_string();
        for bad in ["", "node", "node a b c", &text[1..], &format!("{text} x")] {
            assert_eq!(NodeRecord::parse(bad), None, "{bad}");
        }
    }
}
