//! The name of one of several nodes that share a data folder.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The name of a node among those that share its data folder: 1 to 40 of `a-z0-9-`. Its key, lock
/// snapshots and epochs are under `nodes/NAME`.
///
/// ```
/// use votekit_node::node_name::NodeName;
/// assert_eq!("ingest-1".parse::<NodeName>()?.as_str(), "ingest-1");
/// assert!("../keys".parse::<NodeName>().is_err());
/// # Ok::<(), votekit_node::node_name::NodeNameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeName(String);

/// The text is not a node name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a node is 1 to 40 of a-z, 0-9 and -, such as ingest-1")]
pub struct NodeNameError;

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=40).contains(&text.len()) && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NodeNameError)
        }
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;

    fn try_from(text: String) -> Result<Self, NodeNameError> {
        text.parse()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
