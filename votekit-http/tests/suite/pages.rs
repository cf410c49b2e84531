//! A voter at the pages, without JavaScript: the requests of a browser, over real connections.

use crate::browser_support::{Browser, typed};
use crate::http_support::{Client, Served, config};
use crate::support::{LAW, credential};
use votekit_core::credential::CredentialHasher;
use votekit_core::log::policy::Policy;
use votekit_core::log::proof::Proof;
use votekit_node::config::Config;

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_votes_and_reads_the_result_without_javascript() {
    let served = Served::open().await;
    let mut voter = Browser::open(&served, "fr-CA").await;
    assert_eq!(voter.path, "/fr/");
    let (sign_in, ballot) = (format!("/fr/vote/{LAW}"), format!("/fr/vote/{LAW}/ballot"));
    voter.press(&sign_in).await;
    voter.shows("Numéro d’assurance sociale");
    let (nas, code) = typed(1);
    voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
    assert_eq!(voter.path, ballot);
    voter.shows("<legend><h1>Loi sur l’eau</h1></legend>");
    voter.submit(&ballot, &[("choice", "oui")]).await;
    voter.shows("Vous n’avez pas encore voté");
    assert_eq!(served.node.elections()[0].received, 0, "nothing is cast before the button");
    let check = voter.page.text().to_owned();
    let cast = format!("/fr/vote/{LAW}/cast");
    voter.submit(&cast, &[]).await;
    voter.shows("<div class=\"outcome good\">");
    voter.shows("Votre vote est enregistré");
    let request = voter.path.strip_prefix("/fr/votes/").expect("the vote's page").to_owned();
    voter.shows(&request[..8].to_uppercase());
    assert!(!voter.page.text().contains("Oui"), "the choice is not shown again");
    let hash = CredentialHasher::plain().hash(&credential(1)).to_hex();
    for secret in [hash.as_str(), "000000001", "CODE0001"] {
        assert!(!voter.page.text().contains(secret), "{secret}");
    }

    // A second press of the button, from the page that is still open in another tab.
    let shown = std::mem::replace(&mut voter.page.body, check.into());
    voter.submit(&cast, &[]).await;
    assert_eq!(voter.path, format!("/fr/votes/{request}"), "{shown:?}");
    assert_eq!(served.node.elections()[0].received, 1);
    voter.get(&ballot).await;
    voter.follow().await;
    assert_eq!(voter.path, format!("/fr/votes/{request}"));

    let receipt = served.get(&format!("/api/v1/vote/{request}/receipt")).await;
    let policy = served.get(&format!("/log/{LAW}/policy")).await;
    let policy = Policy::parse(&policy.body).expect("a policy");
    let proof = Proof::parse(&receipt.body).expect("a proof");
    proof.verify_strict(proof.extra(), &policy).expect("verifies");

    voter.get(&format!("/en/results/{LAW}")).await;
    voter.shows("Results: Water Act");
    voter.shows("<dd data-figure=\"accepted\">1</dd>");
    voter.submit("/en/sign-out", &[]).await;
    voter.shows("You are signed out");
    assert!(voter.cookie.ends_with('='), "{}", voter.cookie);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_after_a_second_vote_states_that_the_first_one_counts() {
    let served = Served::open().await;
    let (sign_in, ballot) = (format!("/en/vote/{LAW}"), format!("/en/vote/{LAW}/ballot"));
    let (nas, code) = typed(2);
    for (choice, expected) in [("oui", "Your vote is recorded"), ("non", "You had already voted")] {
        let mut voter = Browser::open(&served, "en").await;
        voter.get(&sign_in).await;
        voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
        voter.submit(&ballot, &[("choice", choice)]).await;
        voter.submit(&format!("/en/vote/{LAW}/cast"), &[]).await;
        voter.shows(expected);
        assert_eq!(
            voter.page.text().contains("outcome good"),
            choice == "oui",
            "green only when the vote counts"
        );
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_cast_again_after_a_lost_session_is_the_same_request() {
    let served = Served::open().await;
    let (sign_in, ballot) = (format!("/fr/vote/{LAW}"), format!("/fr/vote/{LAW}/ballot"));
    let cast = format!("/fr/vote/{LAW}/cast");
    let (nas, code) = typed(3);
    let mut voter = Browser::open(&served, "fr").await;
    voter.get(&sign_in).await;
    voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
    voter.submit(&ballot, &[("choice", "non")]).await;
    let check = voter.page.text().to_owned();
    voter.submit(&cast, &[]).await;
    let first = voter.path.clone();

    // The answer was lost, and with it the session: the check page is still shown.
    voter.cookie.clear();
    voter.page.body = check.into();
    voter.submit(&cast, &[]).await;
    assert_eq!(voter.page.status, 403);
    voter.shows("Votre choix est conservé");
    voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
    voter.shows("Vous n’avez pas encore voté");
    voter.submit(&cast, &[]).await;
    assert_eq!(voter.path, first, "the same request, not a duplicate");
    voter.shows("Votre vote est enregistré");
    assert_eq!(served.node.elections()[0].received, 1);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_backed_off_with_the_waiting_time() {
    let served = Served::open().await;
    let sign_in = format!("/fr/vote/{LAW}");
    let mut voter = Browser::open(&served, "fr").await;
    voter.get(&sign_in).await;
    let (nas, code) = typed(4);
    for attempt in 0..6 {
        let wrong = format!("WRONG{attempt:04}");
        voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", wrong.as_str())]).await;
        assert_eq!(voter.page.status, 422, "{attempt}");
        voter.shows("ne correspondent pas à la liste électorale");
    }
    voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
    assert_eq!(voter.page.status, 429);
    voter.shows("Trop de codes erronés");
    assert!(!voter.page.header("retry-after").is_empty());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_at_the_gate_is_a_page_too() {
    let served = Served::empty(Config { read_limit_per_address_per_second: 1, ..config() }).await;
    let mut client = Client::connect(served.at.public).await;
    let mut answer = client.get("/en/").await;
    for _ in 0..5 {
        if answer.status != 429 {
            answer = client.get("/en/").await;
        }
    }
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.text().contains("Too many requests at once"), "{}", answer.text());
    assert!(!answer.header("retry-after").is_empty());
    served.end().await;
}
