//! The reader's own vote over a WebSocket, until its decision: at most two messages, then the end
//! of the topic. The request id is the handle, as for `GET /api/v1/vote/{request_id}`.

use futures_util::stream::{Stream, StreamExt as _, iter, once};
use serde::Serialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use votekit_core::id::RequestId;
use votekit_node::{Node, VoteStatus};

use crate::api::status::VoteStatusDocument;
use crate::live::message::MessageKind;
use crate::live::subscriptions::{ReaderTopic, TopicEnd};

/// The version of a pending vote, and that of its decision.
const PENDING: u64 = 1;
const DECIDED: u64 = 2;

/// The data of a message.
#[derive(Serialize)]
struct Data {
    version: u64,
    #[serde(flatten)]
    status: VoteStatusDocument,
}

/// Follows a vote whose status is this now. `from` is the version that the reader has.
pub(crate) fn follow(
    node: Node,
    request: RequestId,
    status: VoteStatus,
    from: Option<u64>,
) -> impl Stream<Item = Utf8Bytes> + Send + 'static {
    let lacks = move |version| from.is_none_or(|from| from < version);
    let is_pending = matches!(status, VoteStatus::Pending { .. });
    let first = (is_pending && lacks(PENDING))
        .then(|| text(request, MessageKind::Snapshot, PENDING, status));
    // For a reader that has the version of a pending vote from here or from an earlier connection.
    let kind = if is_pending { MessageKind::Update } else { MessageKind::Snapshot };
    let rest = once(async move {
        let (decided, end) = decision(&node, request, status).await;
        let decided = decided.filter(|_| lacks(DECIDED));
        let decided = decided.map(|status| text(request, kind, DECIDED, status));
        iter(decided.into_iter().chain([end.text(&ReaderTopic::Vote(request))]))
    });
    iter(first).chain(rest.flatten())
}

/// Waits for the decision. Returns why the topic ends, too.
async fn decision(
    node: &Node,
    request: RequestId,
    status: VoteStatus,
) -> (Option<VoteStatus>, TopicEnd) {
    if let VoteStatus::Decided(_) = status {
        return (Some(status), TopicEnd::Decided);
    }
    match node.decision(request).await {
        Ok(Some(decision)) => (Some(VoteStatus::Decided(decision)), TopicEnd::Decided),
        Ok(None) => (None, TopicEnd::UnknownRequest),
        Err(_) => (None, TopicEnd::Unavailable),
    }
}

fn text(request: RequestId, kind: MessageKind, version: u64, status: VoteStatus) -> Utf8Bytes {
    let data = Data { version, status: VoteStatusDocument::new(request, status) };
    // Texts and numbers always encode.
    let data = serde_json::to_string(&data).unwrap_or_default();
    let (topic, kind) = (ReaderTopic::Vote(request), kind.as_str());
    format!(r#"{{"topic":"{topic}","event":"{kind}","data":{data}}}"#).into()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use serde_json::{Value, json};
    use votekit_core::credential::CredentialHash;
    use votekit_core::decision::Decision;
    use votekit_node::config::Config;
    use votekit_node::data_folder::DataFolder;

    use super::*;

    fn request() -> RequestId {
        RequestId::from_bytes([1; 16])
    }

    /// The messages for a reader that has this version: each kind with its data, or with the reason
    /// of an end.
    async fn messages(status: VoteStatus, from: Option<u64>) -> Vec<(String, Value)> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataFolder::open(folder.path(), None).expect("a data folder");
        let node = Node::start(data, Config::default()).await.expect("a node");
        let texts: Vec<_> = follow(node.clone(), request(), status, from).collect().await;
        node.shutdown().await;
        let message = |text: &Utf8Bytes| {
            let message: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(message["topic"], format!("vote/{}", "01".repeat(16)));
            let kind = message["event"].as_str().expect("a kind").to_owned();
            let content = message.get("data").or(message.get("reason")).expect("content").clone();
            (kind, content)
        };
        texts.iter().map(message).collect()
    }

    #[tokio::test]
    async fn a_decided_vote_is_one_message_for_readers_without_it() {
        let hash = CredentialHash::from_bytes([0xab; 32]);
        let status = VoteStatus::Decided(Decision::Duplicate { hash, attempt: 3 });
        let data = json!({
            "version": 2, "request_id": "01".repeat(16), "status": "duplicate", "attempt_count": 3,
        });
        let end = ("end".to_owned(), json!("decided"));
        for from in [None, Some(0), Some(1)] {
            let snapshot = ("snapshot".to_owned(), data.clone());
            assert_eq!(messages(status, from).await, [snapshot, end.clone()], "{from:?}");
        }
        assert_eq!(messages(status, Some(2)).await, [end]);
    }

    #[tokio::test]
    async fn a_pending_vote_that_was_not_stored_ends_as_an_unknown_request() {
        let status = VoteStatus::Pending { expected: None };
        let data = json!({"version": 1, "request_id": "01".repeat(16), "status": "pending"});
        let end = ("end".to_owned(), json!("unknown-request"));
        let snapshot = ("snapshot".to_owned(), data);
        assert_eq!(messages(status, None).await, [snapshot, end.clone()]);
        for from in [1, 2] {
            assert_eq!(
                messages(status, Some(from)).await,
                std::slice::from_ref(&end),
                "from {from}"
            );
        }
    }

    #[tokio::test]
    async fn the_first_message_of_a_pending_vote_does_not_wait() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataFolder::open(folder.path(), None).expect("a data folder");
        let node = Node::start(data, Config::default()).await.expect("a node");
        let status = VoteStatus::Pending { expected: None };
        let mut texts = Box::pin(follow(node.clone(), request(), status, None));
        let first = texts.next().now_or_never().flatten().expect("at once");
        assert!(first.contains(r#""status":"pending""#), "{first}");
        drop(texts);
        node.shutdown().await;
    }
}
