//! An election that cannot be read is halted: every answer about it reports this, and the other
//! elections continue.

use std::fs;
use std::time::{Duration, Instant};

use crate::http_support::{Client, Served, ballot, config};
use crate::live_support::{WAIT_TIMEOUT, close_of, socket};
use crate::support::{LAW, TestDir, create_request};
use serde_json::json;
use votekit_node::CreateElection;

/// The election that is damaged, beside the customary one.
const DAMAGED: &str = "L2";

/// A node with the customary election open, and a draft whose ballot key is lost.
async fn beside_a_damaged_one() -> Served {
    let dir = TestDir::new(30);
    let node = dir.open_poll().await;
    let second = CreateElection { law_id: DAMAGED.to_owned(), ..create_request() };
    node.create(second).await.expect("created");
    node.shutdown().await;
    fs::remove_file(dir.path("node/keys/ballot").join(DAMAGED)).expect("removed");
    Served::on(dir, config()).await
}

fn halted() -> (u16, String) {
    (503, "halted".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_about_a_damaged_election_is_halted() {
    let served = beside_a_damaged_one().await;
    let elections = served.get("/api/v1/elections").await.json();
    let state = |law: &str| {
        let all = elections.as_array().expect("a list");
        let one = all.iter().find(|election| election["law_id"] == law);
        one.expect("listed")["state"].clone()
    };
    assert_eq!((state(DAMAGED), state(LAW)), ("halted".into(), "open".into()));
    // It is a draft, whose question may not be announced yet.
    let shown = served.get(&format!("/api/v1/elections/{DAMAGED}")).await.json();
    assert_eq!((&shown["title"]["en"], &shown["choices"]), (&json!(DAMAGED), &json!([])));
    let vote = ballot(1, "oui").replace(LAW, DAMAGED);
    assert_eq!(served.vote(&vote, &[]).await.problem(), halted());
    let unknown = "0".repeat(32);
    let digest = "0".repeat(64);
    for path in [
        format!("/api/v1/results/{DAMAGED}"),
        format!("/api/v1/results/{DAMAGED}/events"),
        format!("/log/{DAMAGED}/checkpoint"),
        format!("/log/{DAMAGED}/policy"),
        format!("/log/{DAMAGED}/manifest/{digest}"),
        format!("/log/{DAMAGED}/tile/0/000.p/1"),
        // It may be in the log that cannot be read.
        format!("/api/v1/vote/{unknown}"),
        format!("/api/v1/vote/{unknown}/receipt"),
    ] {
        let answer = served.get(&path).await;
        assert_eq!(answer.problem(), halted(), "{path}");
        assert!(!answer.text().contains("keys/"), "the reason is for operators: {path}");
    }
    for topic in ["blocks", "turnout", "results"] {
        let subscribe = json!({"subscribe": [format!("{topic}/{DAMAGED}")]}).to_string();
        let close = close_of(&mut socket(served.at.public, subscribe).await).await;
        assert_eq!(close, (1013, "halted".to_owned()), "{topic}");
    }
    let withheld = served.get("/api/v1/results").await.json()["withheld"].clone();
    assert!(withheld.as_array().expect("a list").contains(&DAMAGED.into()), "{withheld}");
    for call in ["open", "close", "certify"] {
        let path = format!("/api/v1/admin/elections/{DAMAGED}/{call}");
        assert_eq!(served.admin("POST", &path, None).await.problem(), halted(), "{call}");
    }
    // The page is the whole process's: another node may have been read in between.
    let begun = Instant::now();
    loop {
        let metrics = Client::connect(served.at.metrics).await.get("/metrics").await;
        if metrics.text().lines().any(|line| line == "elections_halted 1") {
            break;
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{}", metrics.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_the_halt_and_the_other_election_takes_votes() {
    let served = beside_a_damaged_one().await;
    for (lang, halted) in [("fr", "Suspendu sur ce serveur"), ("en", "Halted on this server")] {
        let list = served.get(&format!("/{lang}/elections")).await;
        let tag = format!("data-tag>{halted}<");
        assert!(list.status == 200 && list.text().contains(&tag), "{}", list.text());
        for page in ["vote", "results"] {
            let path = format!("/{lang}/{page}/{DAMAGED}");
            let answer = served.get(&path).await;
            assert_eq!(answer.status, 503, "{path}");
            assert!(
                answer.text().contains(&format!("/{lang}/help#halted")),
                "{path}: {}",
                answer.text()
            );
        }
    }
    let taken = served.vote(&ballot(1, "oui"), &[("prefer", "wait=20")]).await;
    assert_eq!((taken.status.as_u16(), &taken.json()["status"]), (200, &"accepted".into()));
    let health = served.get("/api/v1/health").await;
    assert_eq!(health.status, 200, "{}", health.text());
    assert!(health.text().contains("halted: "), "{}", health.text());
    served.end().await;
}
