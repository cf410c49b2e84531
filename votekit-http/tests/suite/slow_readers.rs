//! Readers of live updates that stop reading: over real connections with small buffers, while votes
//! move the result of an election whose messages are large.

use std::time::Instant;

use crate::http_support::{Client, Served, ballot, config};
use crate::live_support::{
    Events, PATH, Socket, WAIT_TIMEOUT, connect, connect_over, narrow_connection, rest,
};
use crate::support::{LAW, TestDir, create_request, law};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};
use tokio_tungstenite::tungstenite::Message;
use votekit_core::election::ResultsPolicy;
use votekit_node::config::Config;
use votekit_node::{ChoiceRequest, CreateElection, OpenElection};

/// Enough electors for a vote every [`VOTE_INTERVAL`] while a test lasts, however slow the machine
/// is: messages are apart by at least the interval of their topic.
const ELECTORS: u32 = 4000;

const VOTE_INTERVAL: Duration = Duration::from_millis(100);

/// More messages than fit into the connection of a slow reader and the buffers of the node, some 17
/// of 7 KB, and into its queue of 16.
const MESSAGES: usize = 52;

/// The longest choice number `number`.
fn choice(number: usize) -> String {
    format!("{number:0>50}")
}

/// Serves an open election with as many and as long choices as there may be: a message about its
/// results has 7 KB.
async fn open(config: Config) -> Served {
    let served = Served::on(TestDir::new(ELECTORS), config).await;
    served.node.load(&served.roll(), None).await.expect("loaded");
    let choices = (0..99).map(|number| ChoiceRequest::Id(choice(number))).collect();
    let results = Some(ResultsPolicy::Live);
    let request = CreateElection { choices, results, ..create_request() };
    served.node.create(request).await.expect("created");
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    served
}

/// Electors who vote one after the other.
struct Voters {
    client: Client,
    next: u32,
}

impl Voters {
    async fn new(served: &Served) -> Self {
        Self { client: Client::connect(served.at.public).await, next: 1 }
    }

    /// The next elector votes, at the interval.
    async fn vote(&mut self) {
        assert!(self.next <= ELECTORS, "all electors have voted");
        let taken = self.client.vote(&ballot(self.next, &choice(7)), &[]).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        self.next += 1;
        sleep(VOTE_INTERVAL).await;
    }
}

/// A socket and an event stream that follow the results over narrow connections. Neither is read
/// from here on.
async fn slow_readers(served: &Served) -> (Socket, Events) {
    let at = served.at.public;
    let connection = narrow_connection(at).await;
    let mut socket = connect_over(connection, PATH, &[]).await.expect("a socket");
    let subscribe = json!({"subscribe": [format!("results/{LAW}")]}).to_string();
    socket.send(Message::text(subscribe)).await.expect("sent");
    let events = Events::open_over(narrow_connection(at).await, LAW, "").await;
    (socket, events)
}

/// Checks that messages are a snapshot and updates of ever higher versions, without the last
/// messages.
fn check_versions(versions: &[u64], newest: u64) {
    assert!(versions.len() >= 2, "{versions:?}");
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    assert!(versions.last() < Some(&newest), "nothing was dropped: {versions:?} of {newest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_is_dropped_with_a_reason_and_the_others_are_not() {
    // A slow reader has this time to read the messages in transit.
    let served = open(Config { request_timeout_seconds: 120, ..config() }).await;
    let (mut socket, mut events) = slow_readers(&served).await;
    let at = served.at.public;
    let follow = tokio::spawn(async move {
        let mut quick = Events::open(at, "").await;
        let mut newest = 0;
        for _ in 0..MESSAGES {
            newest = quick.next().await.expect("the stream goes on").id.expect("a version");
        }
        (quick, newest)
    });
    let mut voters = Voters::new(&served).await;
    while !follow.is_finished() {
        voters.vote().await;
    }
    let (mut quick, newest) = follow.await.expect("it read them all");

    // Both read again: the messages in transit, then the reason, then the end.
    let (mut messages, close) = rest(&mut socket).await;
    assert_eq!(close, (1013, "slow".to_owned()));
    assert_eq!(messages.pop(), Some(json!({"event": "bye", "reason": "slow"})));
    assert!(messages.iter().all(|message| message["topic"] == format!("results/{LAW}")));
    let version = |message: &Value| message["data"]["version"].as_u64().expect("a version");
    check_versions(&messages.iter().map(version).collect::<Vec<_>>(), newest);

    let (mut versions, mut bye) = (Vec::new(), None);
    while let Some(event) = events.next().await {
        assert!(bye.is_none(), "{event:?} after the last one");
        match event.id {
            Some(version) => versions.push(version),
            None => bye = Some((event.name, event.data)),
        }
    }
    assert_eq!(bye, Some(("bye".to_owned(), json!({"reason": "slow"}))));
    assert!(events.text.ends_with("0\r\n\r\n"), "not a whole body");
    check_versions(&versions, newest);

    // The reader that kept reading has lost nothing, and continues.
    voters.vote().await;
    assert!(quick.next().await.expect("the stream goes on").id > Some(newest));
    let metrics = Client::connect(served.at.metrics).await.get("/metrics").await;
    assert!(metrics.text().contains("live_readers_dropped_total{reason=\"slow\"} "));
    // A reader that reconnects gets the present state.
    let mut again = Events::open(at, "").await;
    let first = again.next().await.expect("an event");
    assert!(first.name == "snapshot" && first.id >= Some(newest), "{first:?}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_reads_again_gives_its_place_back() {
    let config = Config { request_timeout_seconds: 2, live_readers_max: 2, ..config() };
    let served = open(config).await;
    let slow = slow_readers(&served).await;
    let at = served.at.public;
    connect(at, None).await.expect_err("both places are taken");
    let mut voters = Voters::new(&served).await;
    let (begun, mut others) = (Instant::now(), Vec::new());
    while others.len() < 2 {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{} places were given back", others.len());
        voters.vote().await;
        if let Ok(mut other) = connect(at, None).await {
            // It keeps its slot.
            let subscribe = json!({"subscribe": ["elections"]}).to_string();
            other.send(Message::text(subscribe)).await.expect("sent");
            others.push(other);
        }
    }
    drop((slow, others));
    served.end().await;
}
