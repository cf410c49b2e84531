//! How a socket ends: the last message, the code and the reason of the close frame.

use std::borrow::Cow;

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use votekit_node::metrics::ReaderDrop;

/// Why a socket ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The reader has left, or the connection failed.
    Gone,
    /// The node stops.
    Stopping,
    /// The reader is too slow.
    Slow,
    /// Nothing arrives from the reader.
    Silent,
    /// Every topic has ended.
    Over,
    /// The session of the reader's token has ended, or its account may not be used any more.
    SessionEnded,
    /// The message of the reader is not a subscription, or is a subscription that it may not have.
    Refused(CloseCode, Cow<'static, str>),
}

impl Ending {
    /// The reader is refused with this code and reason.
    pub(super) fn refused(code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(code, reason.into())
    }

    /// The first message is too large.
    pub(super) fn too_large() -> Self {
        Self::refused(CloseCode::Size, "a subscription has at most 4096 bytes")
    }

    /// The last message, the code and the reason for the reader; `None` for a reader that has
    /// disconnected.
    pub(super) fn goodbye(self) -> Option<(Option<&'static str>, CloseCode, Cow<'static, str>)> {
        const BYE_STOPPING: &str = r#"{"event":"bye","reason":"stopping"}"#;
        const BYE_SLOW: &str = r#"{"event":"bye","reason":"slow"}"#;
        const BYE_ENDED: &str = r#"{"event":"bye","reason":"ended"}"#;
        const BYE_SESSION: &str = r#"{"event":"bye","reason":"session-ended"}"#;
        match self {
            Self::Gone => None,
            Self::Stopping => Some((Some(BYE_STOPPING), CloseCode::Away, "stopping".into())),
            Self::Slow => Some((Some(BYE_SLOW), CloseCode::Again, "slow".into())),
            Self::Silent => Some((None, CloseCode::Policy, "no answer to a ping".into())),
            Self::Over => Some((Some(BYE_ENDED), CloseCode::Normal, "ended".into())),
            Self::SessionEnded => {
                Some((Some(BYE_SESSION), CloseCode::Policy, "session-ended".into()))
            }
            Self::Refused(code, reason) => Some((None, code, reason)),
        }
    }

    /// How the metrics count it; `None` for an end in order.
    pub(super) fn drop_reason(&self) -> Option<ReaderDrop> {
        match self {
            Self::Gone | Self::Stopping | Self::Over | Self::SessionEnded => None,
            Self::Slow => Some(ReaderDrop::Slow),
            Self::Silent => Some(ReaderDrop::Silent),
            Self::Refused(..) => Some(ReaderDrop::Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_a_close_frame() {
        for ending in [
            Ending::Stopping,
            Ending::Slow,
            Ending::Silent,
            Ending::Over,
            Ending::SessionEnded,
            Ending::too_large(),
        ] {
            let (_, code, reason) = ending.goodbye().expect("a goodbye");
            assert!(code.is_allowed() && reason.len() <= 123, "{reason}");
        }
        assert_eq!(Ending::Gone.goodbye(), None);
    }
}
