//! First messages, good and bad, and the end of topics.

use std::time::Duration;

use futures_util::stream::iter;
use proptest::prelude::*;
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::live::channel::Channel;
use crate::live::message::Content;

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a reason in a close frame.
const REASON_BYTES_MAX: usize = 123;

fn parse(text: &str) -> Result<Vec<(ReaderTopic, Option<u64>)>, Cow<'static, str>> {
    Subscribe::parse(text).map(|subscribe| subscribe.topics)
}

#[test]
fn topics_come_with_the_versions_that_the_reader_has() {
    let vote = format!("vote/{}", "0a".repeat(16));
    let text = json!({
        "subscribe": ["results/L1", "elections", "elections", "nodes/L1", vote],
        "from": {"results/L1": 7, (vote.as_str()): 1},
    });
    let topics = parse(&text.to_string()).expect("well formed");
    let topics: Vec<_> = topics.iter().map(|(topic, from)| (topic.to_string(), *from)).collect();
    let expected = [
        ("elections".to_owned(), None),
        ("nodes/L1".to_owned(), None),
        ("results/L1".to_owned(), Some(7)),
        (vote, Some(1)),
    ];
    assert_eq!(topics, expected);
}

#[test]
fn a_token_is_a_member_of_the_message() {
    let token = |token: serde_json::Value| {
        let text = json!({"subscribe": ["elections"], "token": token}).to_string();
        Subscribe::parse(&text).map(|subscribe| subscribe.token.map(|token| token.to_string()))
    };
    assert_eq!(token(json!("abc")).expect("well formed").as_deref(), Some("abc"));
    assert_eq!(token(json!(null)).expect("well formed"), None);
    assert!(token(json!(7)).is_err());
}

#[test]
fn invalid_subscriptions_are_refused_with_a_short_rule() {
    let many: Vec<_> = (0..=TOPICS_MAX).map(|number| format!("results/L{number}")).collect();
    let votes: Vec<_> = (0..=VOTES_MAX).map(|number| format!("vote/{number:032x}")).collect();
    for text in [
        "".to_owned(),
        "hello".to_owned(),
        "[]".to_owned(),
        json!({}).to_string(),
        json!({"subscribe": []}).to_string(),
        json!({"subscribe": "elections"}).to_string(),
        json!({"subscribe": ["votes"]}).to_string(),
        json!({"subscribe": ["results/../L1"]}).to_string(),
        json!({"subscribe": ["vote/L1"]}).to_string(),
        json!({"subscribe": ["vote/"]}).to_string(),
        json!({"subscribe": [format!("vote/{}", "AB".repeat(16))]}).to_string(),
        json!({"subscribe": many}).to_string(),
        json!({"subscribe": votes}).to_string(),
        json!({"subscribe": ["elections"], "from": {"results/L1": 1}}).to_string(),
        json!({"subscribe": ["elections"], "from": {"elections": -1}}).to_string(),
        r#"{"subscribe":["elections"],"token":"a","token":"b"}"#.to_owned(),
        json!({"subscribe": ["elections"], "more": 1}).to_string(),
    ] {
        let rule = parse(&text).expect_err(&text);
        assert!(rule.len() <= REASON_BYTES_MAX, "too long for a close frame: {rule}");
    }
    assert!(parse(&json!({"subscribe": votes[..VOTES_MAX]}).to_string()).is_ok());
}

#[tokio::test]
async fn a_topic_ends_when_its_token_expires_and_the_others_continue() {
    let [nodes, elections] =
        [Topic::parse("nodes/L1"), Topic::parse("elections")].map(|topic| topic.expect("a topic"));
    let channels = [&nodes, &elections].map(|topic| Channel::new(topic.clone()));
    let mut subscriptions = Subscriptions::new();
    let until = Instant::now() + Duration::from_secs(1);
    subscriptions.follow(nodes, channels[0].subscribe(None), Some(until));
    subscriptions.follow(elections, channels[1].subscribe(None), None);
    channels[0].publish(1, Content::Nodes { nodes: Vec::new() });
    let mut next = async || {
        let next = timeout(WAIT_TIMEOUT, subscriptions.next()).await.expect("in time");
        next.expect("a topic is left").expect("not slow").to_string()
    };
    assert!(next().await.starts_with(r#"{"topic":"nodes/L1","event":"snapshot","#));
    assert_eq!(next().await, r#"{"topic":"nodes/L1","event":"end","reason":"token-expired"}"#);
    assert!(Instant::now() >= until);
    channels[0].publish(2, Content::Blocks { height: 1, log_size: 1 });
    channels[1].publish(1, Content::Elections { elections: Vec::new() });
    assert!(next().await.starts_with(r#"{"topic":"elections","#));
}

#[tokio::test]
async fn queued_messages_are_not_delivered_after_the_deadline() {
    let topic = Topic::parse("nodes/L1").expect("a topic");
    let channel = Channel::new(topic.clone());
    channel.publish(1, Content::Nodes { nodes: Vec::new() });
    let mut subscriptions = Subscriptions::new();
    subscriptions.follow(topic, channel.subscribe(None), Some(Instant::now()));
    let end = subscriptions.next().await.expect("its end").expect("not slow");
    assert!(end.contains("token-expired"), "{end}");
    assert!(subscriptions.next().await.is_none());
}

#[tokio::test]
async fn subscriptions_end_with_their_last_topic() {
    let mut subscriptions = Subscriptions::new();
    subscriptions.follow_texts(iter(["one", "two"].map(Utf8Bytes::from_static)));
    for text in ["one", "two"] {
        let next = subscriptions.next().await.expect("a text").expect("not slow");
        assert_eq!(next.as_str(), text);
    }
    assert!(subscriptions.next().await.is_none());
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }
}
