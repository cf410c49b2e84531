//! The requirements of binding elections: what must hold before one opens.

use std::fmt;

use votekit_core::election::Definition;
use votekit_core::id::Digest;

use crate::data_folder::DataFolder;

/// A requirement that a binding election does not meet. Displayed as one sentence, for logs; the
/// edges have their own texts.
#[derive(Debug, Clone, PartialEq, Eq)]
// Exhaustive: the edges have a sentence for each variant.
pub enum BindingRule {
    /// The roll is hashed without a pepper.
    Pepper,
    /// Results are shown before the close. The only rule that can be waived.
    Results,
    /// Votes reach the node without TLS.
    Confidential,
    /// The log has the name of a test.
    TestBase {
        /// The name of the folder's logs.
        base: String,
    },
    /// The log is not named after the organisation.
    DefaultBase,
    /// The access codes of a roll are too short.
    ShortCodes {
        /// The roll.
        manifest: Digest,
        /// Characters of its shortest code.
        length: u32,
    },
}

impl fmt::Display for BindingRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pepper => formatter.write_str(
                "its roll must be hashed under a pepper (votekit hashgen --pepper-file)",
            ),
            Self::Results => formatter.write_str(
                "results must be shown after the close only (or waive this rule: --waive results)",
            ),
            Self::Confidential => formatter.write_str(
                "votes must reach the node over TLS (--tls-cert and --tls-key, or --tls-proxy)",
            ),
            Self::TestBase { base } => write!(
                formatter,
                "its log must not have the name of a test, and this folder has {base}: load the \
                 roll into a new folder with another --log-base"
            ),
            Self::DefaultBase => write!(
                formatter,
                "its log must be named after your organisation, and this folder has the default \
                 name {}: load the roll into a new folder with --log-base",
                DataFolder::DEFAULT_BASE
            ),
            Self::ShortCodes { manifest, length } => write!(
                formatter,
                "access codes must have at least {} characters; the shortest of manifest \
                 {manifest} has {length}",
                Definition::BINDING_CODE_LENGTH_MIN
            ),
        }
    }
}
