//! The statement of an authority about an ingest node: operators admitted it, or retired it.
//!
//! The ledger stores it as the record of the node. It is signed, so another writer of the ledger
//! can withhold it or restore an earlier admission, but cannot forge an admission.

use super::set::AuthoritySet;
use super::text::{Fields, StatementError, StatementRule};
use crate::ballot::BallotPublicKey;
use crate::batch::NodePublicKey;
use crate::log::note::KeyName;

/// The first line.
const FORMAT: &str = "votekit-admission/1";

/// The admission of one ingest node to an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAdmission {
    /// The authority whose operator admitted or retired the node.
    pub authority: KeyName,
    /// The name of the node: 1 to 40 of `a-z0-9-`.
    pub node: String,
    /// The key that verifies its batches.
    pub key: NodePublicKey,
    /// The key to which the keys of elections are encrypted for it.
    pub transport: BallotPublicKey,
    /// Whether it has been retired since, which is final.
    pub is_retired: bool,
}

impl NodeAdmission {
    /// The longest name of a node.
    pub const NAME_LENGTH_MAX: usize = 40;

    /// The text that is signed, with its final line feed.
    #[must_use]
    pub fn text(&self, base: &KeyName) -> String {
        let Self { authority, node, key, transport, is_retired } = self;
        let retired = if *is_retired { "yes" } else { "no" };
        format!(
            "{FORMAT}\nbase {base}\nauthority {authority}\nnode {node}\nkey {key}\n\
             transport {transport}\nretired {retired}\n"
        )
    }

    /// Parses a signed text of this installation. Verifies no signature.
    pub(super) fn parse_text(text: &str, set: &AuthoritySet) -> Result<Self, StatementError> {
        let mut fields = Fields::open(text, FORMAT, set)?;
        let authority = fields.member("authority")?;
        let node = fields.value("node")?.to_owned();
        let is_known =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=Self::NAME_LENGTH_MAX).contains(&node.len()) || !node.bytes().all(is_known) {
            return Err(fields.malformed(StatementRule::NodeName));
        }
        let key = fields.id("key")?;
        let transport = fields.id("transport")?;
        let is_retired = fields.flag("retired")?;
        fields.end()?;
        Ok(Self { authority, node, key, transport, is_retired })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::sample::SampleAuthority;
    use crate::authority::vectors;
    use crate::id::IdError;

    fn parse(text: &str) -> Result<NodeAdmission, StatementError> {
        NodeAdmission::parse_text(text, &vectors::set())
    }

    fn text() -> String {
        vectors::admission().text(vectors::set().base())
    }

    #[test]
    fn an_admission_is_read_as_it_is_written() {
        let longest = "a".repeat(NodeAdmission::NAME_LENGTH_MAX);
        for (node, is_retired) in [("ingest-1", false), ("0", true), (longest.as_str(), false)] {
            let node = node.to_owned();
            let admission = NodeAdmission { node, is_retired, ..vectors::admission() };
            assert_eq!(parse(&admission.text(vectors::set().base())), Ok(admission));
        }
    }

    #[test]
    fn each_rule_of_an_admission_is_enforced() {
        let key = vectors::admission().key.to_hex();
        let transport = vectors::admission().transport.to_hex();
        let (long, capitals) = ("a".repeat(41), key.to_uppercase());
        let hex = || StatementRule::Id(IdError::Hex { expected: 64 });
        for (from, to, line, rule) in [
            ("votekit-admission/1", "votekit-status/1", 1, StatementRule::Format(FORMAT)),
            ("ingest-1", "", 4, StatementRule::NodeName),
            ("ingest-1", "Ingest", 4, StatementRule::NodeName),
            ("ingest-1", "ingest 1", 4, StatementRule::NodeName),
            ("ingest-1", long.as_str(), 4, StatementRule::NodeName),
            (key.as_str(), capitals.as_str(), 5, hex()),
            (key.as_str(), &key[1..], 5, hex()),
            (transport.as_str(), "none", 6, hex()),
            ("retired no", "retired false", 7, StatementRule::Flag),
            ("retired no\n", "retired no\nmore 1\n", 8, StatementRule::Trailing),
        ] {
            assert!(text().contains(from), "{from:?}");
            let fault = StatementError::Malformed { line, rule };
            assert_eq!(parse(&text().replacen(from, to, 1)), Err(fault), "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn an_admission_counts_only_under_the_key_of_the_authority_it_names() {
        let set = vectors::set();
        let key = |number| SampleAuthority::new(number).statement_key();
        let bytes = key(2).sign_admission(&vectors::admission());
        assert_eq!(set.verify_admission(&bytes), Ok(vectors::admission()));
        for number in [1, 3, 4] {
            let forged = key(number).sign_admission(&vectors::admission());
            assert!(set.verify_admission(&forged).is_err());
        }
        let text = String::from_utf8(bytes.clone()).expect("text");
        let retired = text.replacen("retired no", "retired yes", 1);
        assert!(set.verify_admission(retired.as_bytes()).is_err());
        assert!(set.verify_statement(&bytes).is_err() && set.verify_status(&bytes).is_err());
        assert!(set.verify_admission(&key(1).sign_status(&vectors::status())).is_err());
    }
}
