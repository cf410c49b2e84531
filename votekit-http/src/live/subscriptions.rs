//! The subscription of a WebSocket: the topics that it names, followed together.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll, unfold};
use serde::Deserialize;

use super::channel::{Delivery, Subscription, TooSlow};
use super::hub::LiveHub;
use super::message::Topic;

/// The largest subscription in bytes, and the most topics of one.
pub(crate) const SUBSCRIBE_BYTES_MAX: usize = 4 * 1024;
const TOPICS_MAX: usize = 32;

/// The message of a reader.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    subscribe: BTreeSet<String>,
    #[serde(default)]
    from: BTreeMap<String, u64>,
}

/// The topics that one reader follows.
pub(crate) struct Subscriptions {
    deliveries: SelectAll<BoxStream<'static, Result<Delivery, TooSlow>>>,
}

impl Subscriptions {
    /// Reads the message of a reader and subscribes to its topics.
    ///
    /// # Errors
    /// The rule that it breaks, for the reader: it repeats nothing of the message.
    pub(crate) fn parse(text: &str, hub: &LiveHub) -> Result<Self, Cow<'static, str>> {
        let topics = topics(text)?;
        let mut deliveries = SelectAll::new();
        for (topic, from) in topics {
            let subscription = hub.subscribe(&topic, from).ok_or(UNKNOWN_ELECTION)?;
            deliveries.push(stream(subscription));
        }
        Ok(Self { deliveries })
    }

    /// Waits for the next message of any topic. Cancel safe.
    ///
    /// # Errors
    /// [`TooSlow`]: messages are lost for this reader.
    pub(crate) async fn next(&mut self) -> Result<Delivery, TooSlow> {
        match self.deliveries.next().await {
            Some(delivery) => delivery,
            // There is at least one stream, and none ends.
            None => std::future::pending().await,
        }
    }
}

const UNKNOWN_ELECTION: &str =
    "a topic is about an election that does not exist, or is halted on this node";

/// The topics of a subscription, each with the version that the reader has.
fn topics(text: &str) -> Result<Vec<(Topic, Option<u64>)>, Cow<'static, str>> {
    let Ok(Subscribe { subscribe, mut from }) = serde_json::from_str(text) else {
        return Err(r#"the first message is {"subscribe":[TOPIC,…],"from":{TOPIC:VERSION}}"#.into());
    };
    if subscribe.is_empty() || subscribe.len() > TOPICS_MAX {
        return Err(format!("a subscription has 1 to {TOPICS_MAX} topics").into());
    }
    let mut topics = Vec::new();
    for name in subscribe {
        let topic = Topic::parse(&name)
            .ok_or("a topic is elections, blocks/LAW, turnout/LAW or results/LAW")?;
        topics.push((topic, from.remove(&name)));
    }
    if !from.is_empty() {
        return Err("from names a topic that is not subscribed to".into());
    }
    Ok(topics)
}

fn stream(subscription: Subscription) -> BoxStream<'static, Result<Delivery, TooSlow>> {
    unfold(subscription, next).boxed()
}

async fn next(mut subscription: Subscription) -> Option<(Result<Delivery, TooSlow>, Subscription)> {
    let delivery = subscription.next().await;
    Some((delivery, subscription))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn topics_come_with_the_versions_that_the_reader_has() {
        let text = json!({
            "subscribe": ["results/L1", "elections", "elections"], "from": {"results/L1": 7},
        });
        let topics = topics(&text.to_string()).expect("well formed");
        let topics: Vec<_> =
            topics.iter().map(|(topic, from)| (topic.to_string(), *from)).collect();
        assert_eq!(topics, [("elections".to_owned(), None), ("results/L1".to_owned(), Some(7))]);
    }

    #[test]
    fn what_is_no_subscription_is_refused_with_a_short_rule() {
        let many: Vec<_> = (0..=TOPICS_MAX).map(|number| format!("results/L{number}")).collect();
        for text in [
            "".to_owned(),
            "hello".to_owned(),
            "[]".to_owned(),
            json!({}).to_string(),
            json!({"subscribe": []}).to_string(),
            json!({"subscribe": "elections"}).to_string(),
            json!({"subscribe": ["votes"]}).to_string(),
            json!({"subscribe": ["results/../L1"]}).to_string(),
            json!({"subscribe": many}).to_string(),
            json!({"subscribe": ["elections"], "from": {"results/L1": 1}}).to_string(),
            json!({"subscribe": ["elections"], "from": {"elections": -1}}).to_string(),
            json!({"subscribe": ["elections"], "more": 1}).to_string(),
        ] {
            let rule = topics(&text).expect_err(&text);
            assert!(rule.len() <= 123, "too long for a close frame: {rule}");
        }
        assert!(UNKNOWN_ELECTION.len() <= 123);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,200}") {
            let _ = topics(&text);
        }
    }
}
