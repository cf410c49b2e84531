//! Why a running node stops without a request.

use votekit_store::EngineError;

/// Why a running node stops without a request. Its `Display` is for logs; the edges make the
/// sentences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum NodeFailure {
    /// An engine failed permanently.
    #[error(transparent)]
    Engine(EngineError),
    /// A task that the node cannot run without panicked.
    #[error("{what}")]
    Panicked {
        /// The task, and the panic.
        what: String,
    },
}

impl NodeFailure {
    /// Whether it is a fault of votekit, not of the disk, a server or the configuration. A restart
    /// may help then.
    #[must_use]
    pub const fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked { .. } | Self::Engine(EngineError::Panicked { .. }))
    }
}
