//! The subscription of a WebSocket: the topics that its first message names, followed together.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures_util::stream::{BoxStream, SelectAll, Stream, StreamExt as _, unfold};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use votekit_core::id::RequestId;
use zeroize::Zeroizing;

use super::channel::{Delivery, Subscription, TooSlow};
use super::topic::Topic;

/// The largest subscription in bytes, and the most topics of one.
pub(crate) const SUBSCRIBE_BYTES_MAX: usize = 4 * 1024;
const TOPICS_MAX: usize = 32;

/// The most votes of one subscription: a sitting has few ballots, and each costs a read of the log.
const VOTES_MAX: usize = 4;

const FORM: &str =
    r#"the first message is {"subscribe":[TOPIC,…],"from":{TOPIC:VERSION},"token":TOKEN}"#;

/// The first message of a reader. Not `Debug`: it may contain a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstMessage {
    subscribe: BTreeSet<String>,
    #[serde(default)]
    from: BTreeMap<String, u64>,
    token: Option<String>,
}

/// The topics that a reader names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReaderTopic {
    /// A topic of many readers.
    Topic(Topic),
    /// The status of one vote.
    Vote(RequestId),
}

/// A subscription as it was sent. Not `Debug`: it may contain a token.
pub(crate) struct Subscribe {
    /// Each with the version that the reader has.
    pub(crate) topics: Vec<(ReaderTopic, Option<u64>)>,
    /// The access token of a signed-in reader.
    pub(crate) token: Option<Zeroizing<String>>,
}

impl Subscribe {
    /// Parses the message of a reader.
    ///
    /// # Errors
    /// The rule that it breaks, for the reader: it repeats nothing of the message.
    pub(crate) fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        let Ok(FirstMessage { subscribe, mut from, token }) = serde_json::from_str(text) else {
            return Err(FORM.into());
        };
        let token = token.map(Zeroizing::new);
        if subscribe.is_empty() || subscribe.len() > TOPICS_MAX {
            return Err(format!("a subscription has 1 to {TOPICS_MAX} topics").into());
        }
        let mut topics = Vec::new();
        for name in subscribe {
            let topic = ReaderTopic::parse(&name).ok_or(
                "a topic is elections, blocks/LAW, turnout/LAW, results/LAW, nodes/LAW or vote/ID",
            )?;
            topics.push((topic, from.remove(&name)));
        }
        if !from.is_empty() {
            return Err("from names a topic that is not subscribed to".into());
        }
        let votes = topics.iter().filter(|(topic, _)| matches!(topic, ReaderTopic::Vote(_)));
        if votes.count() > VOTES_MAX {
            return Err(format!("a subscription has at most {VOTES_MAX} votes").into());
        }
        Ok(Self { topics, token })
    }
}

impl ReaderTopic {
    fn parse(name: &str) -> Option<Self> {
        match name.strip_prefix("vote/") {
            Some(request) => request.parse().ok().map(Self::Vote),
            None => Topic::parse(name).map(Self::Topic),
        }
    }
}

impl fmt::Display for ReaderTopic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(topic) => write!(formatter, "{topic}"),
            Self::Vote(request) => write!(formatter, "vote/{request}"),
        }
    }
}

/// Why a topic ends while its reader stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicEnd {
    /// The vote is decided: nothing changes any more.
    Decided,
    /// No copy of the vote was stored after all.
    UnknownRequest,
    /// The decision cannot be read now.
    Unavailable,
    /// The token with which the reader saw the topic is not valid any more.
    TokenExpired,
}

impl TopicEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::UnknownRequest => "unknown-request",
            Self::Unavailable => "unavailable",
            Self::TokenExpired => "token-expired",
        }
    }

    /// The last message of a topic.
    pub(crate) fn text(self, topic: &ReaderTopic) -> Utf8Bytes {
        // A topic and a reason have no character that JSON escapes.
        format!(r#"{{"topic":"{topic}","event":"end","reason":"{}"}}"#, self.as_str()).into()
    }
}

/// The topics that one reader follows.
pub(crate) struct Subscriptions {
    texts: SelectAll<BoxStream<'static, Result<Utf8Bytes, TooSlow>>>,
}

impl Subscriptions {
    /// Without a topic.
    pub(crate) fn new() -> Self {
        Self { texts: SelectAll::new() }
    }

    /// Follows the channel of a topic, to the time `until` at which the reader's token expires.
    pub(crate) fn follow(
        &mut self,
        topic: Topic,
        subscription: Subscription,
        until: Option<Instant>,
    ) {
        let following = Following { topic: ReaderTopic::Topic(topic), subscription, until };
        self.texts.push(unfold(Some(following), Following::next).boxed());
    }

    /// Follows a topic without a channel, by its messages.
    pub(crate) fn follow_texts(&mut self, texts: impl Stream<Item = Utf8Bytes> + Send + 'static) {
        self.texts.push(texts.map(Ok).boxed());
    }

    /// Waits for the next message of any topic; `None` once all have ended. Cancel safe.
    ///
    /// # Errors
    /// [`TooSlow`]: messages are lost for this reader.
    pub(crate) async fn next(&mut self) -> Option<Result<Utf8Bytes, TooSlow>> {
        self.texts.next().await
    }
}

/// One topic with a channel.
struct Following {
    topic: ReaderTopic,
    subscription: Subscription,
    until: Option<Instant>,
}

impl Following {
    /// The next message, with the rest of the stream; the last message reports that the token has
    /// expired.
    async fn next(following: Option<Self>) -> Option<(Result<Utf8Bytes, TooSlow>, Option<Self>)> {
        let mut following = following?;
        match following.next_before().await {
            Some(delivery) => {
                let text = delivery.map(|delivery| delivery.message.text(delivery.kind));
                Some((text, Some(following)))
            }
            None => Some((Ok(TopicEnd::TokenExpired.text(&following.topic)), None)),
        }
    }

    async fn next_before(&mut self) -> Option<Result<Delivery, TooSlow>> {
        let Some(until) = self.until else { return Some(self.subscription.next().await) };
        // Checked even if messages are available: the reader may be slow to read them.
        if until <= Instant::now() {
            return None;
        }
        timeout_at(until, self.subscription.next()).await.ok()
    }
}

#[cfg(test)]
#[path = "subscriptions_test.rs"]
mod tests;
