//! The messages of readers: the numbers of a topic, encoded once for every reader and transport.

use axum::body::Bytes;
use serde::Serialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use utoipa::ToSchema;
use votekit_core::election::{Choice, ResultsPolicy, State};
use votekit_core::id::ElectionId;
use votekit_core::results::Results;
use votekit_node::{ElectionView, NodeView};

use super::topic::Topic;

/// The content that the readers of a topic see. The version is separate: it increases with every
/// block, and the version of nodes with time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Elections { elections: Vec<ElectionState> },
    Blocks { height: u64, log_size: u64 },
    Turnout(Turnout),
    Results(LiveCounts),
    Nodes { nodes: Vec<NodeView> },
}

impl Content {
    /// The state of the election that the content is about, if it has one.
    pub(crate) fn state(&self) -> Option<&str> {
        match self {
            Self::Turnout(turnout) => Some(&turnout.state),
            Self::Results(counts) => Some(&counts.turnout.state),
            Self::Elections { .. } | Self::Blocks { .. } | Self::Nodes { .. } => None,
        }
    }
}

/// An election and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ElectionState {
    id: String,
    state: String,
}

/// How many votes an election has received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Turnout {
    state: String,
    received: u64,
    accepted: u64,
    duplicate: u64,
    invalid: u64,
    registered: u64,
}

/// The same, with the counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LiveCounts {
    #[serde(flatten)]
    turnout: Turnout,
    counts: Option<Vec<ChoiceCount>>,
}

/// The count of one choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ChoiceCount {
    /// The choice.
    id: String,
    /// Accepted votes for it, as far as the log has opened them.
    count: u64,
}

/// The data of an event about the results of an election.
#[allow(dead_code, reason = "for the documentation: a test compares it with the messages")]
#[derive(ToSchema)]
pub(crate) struct LiveResults {
    /// The height of the last block; it only grows.
    version: u64,
    /// `draft`, `open`, `closing`, `closed`, `certified` or `annulled`; `halted` on a node that a
    /// fault keeps from taking votes for the election.
    state: String,
    /// Votes received and decided.
    received: u64,
    /// Votes that count.
    accepted: u64,
    /// Votes with a credential that had voted before.
    duplicate: u64,
    /// Votes that do not count.
    invalid: u64,
    /// Electors registered.
    registered: u64,
    /// The choices in the order of the ballot; null unless the reader may see the counts now.
    counts: Option<Vec<ChoiceCount>>,
}

/// Whether the counts of an election are shown to everyone. The node applies the same rule before
/// it returns them; an unknown policy or state shows nothing.
pub(crate) fn shows_counts(policy: &str, state: &str) -> bool {
    let after_close = [State::Closed, State::Certified, State::Annulled];
    policy == ResultsPolicy::Live.as_str()
        || after_close.iter().any(|after| after.to_string() == state)
}

/// Whether the policy shows the counts of an open poll to those who have voted, and to no others.
pub(crate) fn is_after_vote(policy: &str) -> bool {
    policy == ResultsPolicy::AfterVote.as_str()
}

fn choice_counts(results: &Results) -> Vec<ChoiceCount> {
    let choices = results.definition.choices.iter().zip(&results.counts.choices);
    let count =
        |(choice, count): (&Choice, &u64)| ChoiceCount { id: choice.id.to_string(), count: *count };
    choices.map(count).collect()
}

/// The numbers of an election at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbers {
    height: u64,
    log_size: u64,
    turnout: Turnout,
    counts: Option<Vec<ChoiceCount>>,
    /// Under the policy `after_vote`: the counts for readers who have voted.
    for_voters: Option<LiveCounts>,
}

impl Numbers {
    /// The numbers after the block of this height. `results` are those that everyone may see,
    /// `for_voters` those for readers who have voted, both of the same block.
    pub(crate) fn new(
        height: u64,
        view: ElectionView,
        results: Option<&Results>,
        for_voters: Option<&Results>,
    ) -> Self {
        let shown = results.filter(|_| shows_counts(&view.results, &view.state));
        let counts = shown.map(choice_counts);
        let is_for_voters = is_after_vote(&view.results);
        let turnout = Turnout {
            state: view.state,
            received: view.received,
            accepted: view.accepted,
            duplicate: view.duplicate,
            invalid: view.invalid,
            registered: view.registered,
        };
        let for_voters = is_for_voters.then(|| LiveCounts {
            turnout: turnout.clone(),
            counts: counts.clone().or_else(|| for_voters.map(choice_counts)),
        });
        Self { height, log_size: view.log_size, turnout, counts, for_voters }
    }

    /// The version of messages with these numbers.
    pub(crate) fn version(&self) -> u64 {
        self.height
    }

    /// The content for readers who have voted, where they see more than everyone.
    pub(crate) fn content_for_voters(&mut self, law_id: &ElectionId) -> Option<(Topic, Content)> {
        let counts = self.for_voters.take()?;
        Some((Topic::VoterResults(law_id.clone()), Content::Results(counts)))
    }

    /// The content for the readers of each topic of the election.
    pub(crate) fn contents(self, law_id: &ElectionId) -> [(Topic, Content); 3] {
        let Self { height, log_size, turnout, counts, .. } = self;
        [
            (Topic::Blocks(law_id.clone()), Content::Blocks { height, log_size }),
            (Topic::Turnout(law_id.clone()), Content::Turnout(turnout.clone())),
            (Topic::Results(law_id.clone()), Content::Results(LiveCounts { turnout, counts })),
        ]
    }
}

/// The content for readers of the list of elections.
pub(crate) fn election_list(views: &[ElectionView]) -> Content {
    let state =
        |view: &ElectionView| ElectionState { id: view.law_id.clone(), state: view.state.clone() };
    Content::Elections { elections: views.iter().map(state).collect() }
}

/// How a message reaches a reader: as its first one, or after others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Snapshot,
    Update,
}

impl MessageKind {
    /// The name in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Update => "update",
        }
    }
}

/// A message, encoded for both kinds and both transports. Readers share the bytes.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) version: u64,
    /// The whole state of the topic: with it a reader that missed messages lacks nothing.
    pub(crate) content: Content,
    snapshot: Encoded,
    update: Encoded,
}

#[derive(Debug)]
struct Encoded {
    event: Bytes,
    text: Utf8Bytes,
}

#[derive(Serialize)]
struct Data<'a> {
    version: u64,
    #[serde(flatten)]
    content: &'a Content,
}

impl Message {
    /// Encodes the content of a topic.
    pub(crate) fn new(topic: &Topic, version: u64, content: Content) -> Self {
        // Texts and numbers always encode.
        let data = serde_json::to_string(&Data { version, content: &content }).unwrap_or_default();
        let encoded = |kind: MessageKind| {
            let kind = kind.as_str();
            let event = format!("event: {kind}\nid: {version}\ndata: {data}\n\n");
            // A topic has no character that JSON escapes.
            let text = format!(r#"{{"topic":"{topic}","event":"{kind}","data":{data}}}"#);
            Encoded { event: event.into(), text: text.into() }
        };
        let (snapshot, update) = (encoded(MessageKind::Snapshot), encoded(MessageKind::Update));
        Self { version, content, snapshot, update }
    }

    /// The message as a server-sent event.
    pub(crate) fn event(&self, kind: MessageKind) -> Bytes {
        self.encoded(kind).event.clone()
    }

    /// The message as the text of a WebSocket.
    pub(crate) fn text(&self, kind: MessageKind) -> Utf8Bytes {
        self.encoded(kind).text.clone()
    }

    fn encoded(&self, kind: MessageKind) -> &Encoded {
        match kind {
            MessageKind::Snapshot => &self.snapshot,
            MessageKind::Update => &self.update,
        }
    }
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;
