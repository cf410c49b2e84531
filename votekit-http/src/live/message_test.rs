use proptest::prelude::*;
use serde_json::{Value, json};
use utoipa::PartialSchema as _;
use votekit_core::ballot::BallotPublicKey;
use votekit_core::election::{Bilingual, Definition};
use votekit_core::id::Digest;
use votekit_core::instant::UnixMinutes;
use votekit_core::reconcile::Report;
use votekit_core::tally::Counts;
use votekit_node::{BilingualView, EpochView};

use super::*;

fn law() -> ElectionId {
    "L1".parse().expect("a law id")
}

fn view(policy: ResultsPolicy, state: State, accepted: u64) -> ElectionView {
    let text = || BilingualView { fr: String::new(), en: String::new() };
    ElectionView {
        law_id: law().to_string(),
        title: text(),
        description: text(),
        choices: Vec::new(),
        state: state.to_string(),
        binding: false,
        results: policy.as_str().to_owned(),
        opens: None,
        closes: None,
        registered: 30,
        received: accepted + 1,
        accepted,
        duplicate: 1,
        invalid: 0,
        log_size: 9,
        origin: String::new(),
        policy_fingerprint: String::new(),
    }
}

fn results(policy: ResultsPolicy, state: State, counts: [u64; 3]) -> Results {
    let text = || Bilingual { fr: "Loi".to_owned(), en: "Law".to_owned() };
    let choices = ["oui", "non", "blanc"]
        .map(|id| Choice::with_customary_labels(id.parse().expect("a choice id")));
    let definition = Definition {
        law_id: law(),
        title: text(),
        description: text(),
        choices: choices.to_vec(),
        binding: false,
        results: policy,
        publish_every: 1,
        opens: None,
        closes: None,
        ballot_key: BallotPublicKey::from_bytes([9; 32]),
    };
    let counts = Counts { choices: counts.to_vec(), spoiled: 0 };
    let mut results = Results::new(definition, state, Report::default(), counts);
    results.registered = 30;
    results.log_size = 9;
    results.log_root = Digest::compute(b"");
    results.updated_at = UnixMinutes(29_400_000);
    results
}

/// The numbers of an election whose node returns the counts for everyone and for voters.
fn numbers(policy: ResultsPolicy, state: State, counts: [u64; 3]) -> Numbers {
    let results = results(policy, state, counts);
    Numbers::new(4, view(policy, state, 2), Some(&results), Some(&results))
}

fn messages(policy: ResultsPolicy, state: State, counts: [u64; 3]) -> [Message; 3] {
    let numbers = numbers(policy, state, counts);
    let version = numbers.version();
    numbers.contents(&law()).map(|(topic, content)| Message::new(&topic, version, content))
}

fn data(message: &Message, kind: MessageKind) -> Value {
    let event = message.event(kind);
    let event = std::str::from_utf8(&event).expect("UTF-8");
    let (_, data) = event.split_once("\ndata: ").expect("data");
    serde_json::from_str(data).expect("JSON")
}

#[test]
fn a_topic_is_read_as_it_is_written() {
    for text in ["elections", "blocks/L1", "turnout/L.1", "results/L2025-001", "nodes/L1"] {
        assert_eq!(Topic::parse(text).expect("a topic").to_string(), text);
    }
    for text in ["", "results", "results/", "results/..", "results/a/b", "votes/L1", "elections/L1"]
    {
        assert_eq!(Topic::parse(text), None, "{text}");
    }
}

#[test]
fn voters_read_the_counts_under_the_public_topic() {
    for (policy, state) in
        ResultsPolicy::ALL.into_iter().flat_map(|it| State::ALL.map(|state| (it, state)))
    {
        let mut numbers = numbers(policy, state, [1, 1, 0]);
        let Some((topic, content)) = numbers.content_for_voters(&law()) else {
            assert_ne!(policy, ResultsPolicy::AfterVote);
            continue;
        };
        assert_eq!(policy, ResultsPolicy::AfterVote);
        assert_eq!(topic.to_string(), "results/L1");
        assert_ne!(Topic::parse("results/L1"), Some(topic.clone()), "no reader can name it");
        let message = Message::new(&topic, 4, content);
        assert_eq!(data(&message, MessageKind::Update)["counts"][0]["count"], 1);
    }
}

#[test]
fn without_counts_for_voters_they_see_the_turnout() {
    let view = view(ResultsPolicy::AfterVote, State::Open, 2);
    let mut numbers = Numbers::new(4, view, None, None);
    let (topic, content) = numbers.content_for_voters(&law()).expect("their topic");
    let data = data(&Message::new(&topic, 4, content), MessageKind::Update);
    assert_eq!((&data["accepted"], &data["counts"]), (&json!(2), &Value::Null));
}

#[test]
fn nodes_topic_matches_the_administration_api() {
    let node = NodeView {
        node: "0123456789abcdef".to_owned(),
        public_key: "ab".repeat(32),
        name: Some("ingest-1".to_owned()),
        answering: true,
        epochs: vec![EpochView { epoch: 1, sealed: 7, ended: false }],
    };
    let listed = serde_json::to_value(&node).expect("text keys");
    let message = Message::new(&Topic::Nodes(law()), 4, Content::Nodes { nodes: vec![node] });
    let text = message.text(MessageKind::Snapshot);
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        json!({
            "topic": "nodes/L1", "event": "snapshot", "data": {"version": 4, "nodes": [listed]},
        })
    );
}

#[test]
fn a_message_has_the_same_data_for_both_transports() {
    let [blocks, turnout, results] = messages(ResultsPolicy::Live, State::Open, [1, 1, 0]);
    let event = results.event(MessageKind::Snapshot);
    assert!(event.starts_with(b"event: snapshot\nid: 4\ndata: {") && event.ends_with(b"}\n\n"));
    assert_eq!(
        data(&results, MessageKind::Update),
        json!({
            "version": 4, "state": "open", "received": 3, "accepted": 2, "duplicate": 1,
            "invalid": 0, "registered": 30,
            "counts": [
                {"id": "oui", "count": 1}, {"id": "non", "count": 1}, {"id": "blanc", "count": 0},
            ],
        })
    );
    let text: Value = serde_json::from_str(&results.text(MessageKind::Update)).expect("JSON");
    assert_eq!(
        text,
        json!({
            "topic": "results/L1", "event": "update",
            "data": data(&results, MessageKind::Update),
        })
    );
    assert_eq!(
        data(&blocks, MessageKind::Snapshot),
        json!({"version": 4, "height": 4, "log_size": 9})
    );
    assert_eq!(data(&turnout, MessageKind::Snapshot).get("counts"), None);
}

#[test]
fn the_documented_data_is_that_of_the_messages() {
    let [_, _, results] = messages(ResultsPolicy::AfterClose, State::Open, [1, 1, 0]);
    let data = data(&results, MessageKind::Update);
    let members: Vec<_> = data.as_object().expect("an object").keys().cloned().collect();
    let schema = serde_json::to_value(LiveResults::schema()).expect("text keys");
    let mut documented: Vec<_> =
        schema["properties"].as_object().expect("properties").keys().cloned().collect();
    documented.sort_unstable();
    let mut sorted = members;
    sorted.sort_unstable();
    assert_eq!(sorted, documented);
}

proptest! {
    /// Under every policy and in every state: counts are in no message of any topic, transport or
    /// kind, unless everyone may see them, even if the node gave them out.
    #[test]
    fn counts_are_in_no_message_before_everyone_may_see_them(
        policy in proptest::sample::select(ResultsPolicy::ALL.to_vec()),
        state in proptest::sample::select(State::ALL.to_vec()),
        counts in proptest::array::uniform3(100_000_u64..1_000_000),
    ) {
        let shown = policy == ResultsPolicy::Live || state >= State::Closed;
        prop_assert_eq!(shows_counts(policy.as_str(), &state.to_string()), shown);
        for message in messages(policy, state, counts) {
            let is_results = matches!(message.content, Content::Results(_));
            for kind in [MessageKind::Snapshot, MessageKind::Update] {
                let event = message.event(kind);
                let event = std::str::from_utf8(&event).expect("UTF-8");
                let text = message.text(kind);
                for count in counts {
                    let count = count.to_string();
                    prop_assert_eq!(event.contains(&count), shown && is_results);
                    prop_assert_eq!(text.as_str().contains(&count), shown && is_results);
                }
                let counts = data(&message, kind).get("counts").cloned();
                prop_assert_eq!(counts.is_some(), is_results);
                let is_list = counts.is_some_and(|counts| counts.is_array());
                prop_assert_eq!(is_list, shown && is_results);
            }
        }
    }

    #[test]
    fn an_unknown_policy_or_state_shows_nothing(policy in "[a-z_]{0,12}", state in "[a-z]{0,12}") {
        let is_known = ResultsPolicy::ALL.iter().any(|known| known.as_str() == policy)
            || State::ALL.iter().any(|known| known.to_string() == state);
        prop_assume!(!is_known);
        prop_assert!(!shows_counts(&policy, &state));
    }
}
