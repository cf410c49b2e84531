//! A voter with several elections in one session, without JavaScript, over real connections.

use crate::browser_support::{Browser, typed};
use crate::http_support::{Served, config};
use crate::support::{LAW, TestDir};

const SECOND: &str = "L2025-002";
const THIRD: &str = "L2025-003";

/// Serves a node with a poll open for each law of one roll: the first two have the same codes.
async fn served() -> Served {
    let served = Served::empty(config()).await;
    let roll = TestDir::with_laws(&[(LAW, "CODE", 30), (SECOND, "CODE", 30), (THIRD, "OTHER", 30)]);
    roll.open_polls_of(&served.node).await;
    served
}

/// Fills in the ballot that is shown, and presses the button of the check page.
async fn vote(voter: &mut Browser, lang: &str, law: &str, choice: &str) {
    let ballot = format!("/{lang}/vote/{law}/ballot");
    voter.submit(&ballot, &[("choice", choice)]).await;
    voter.submit(&format!("/{lang}/vote/{law}/cast"), &[]).await;
    voter.shows("<div class=\"outcome good\">");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_votes_on_three_laws_at_one_sitting() {
    let served = served().await;
    let mut voter = Browser::open(&served, "fr").await;
    let (nas, code) = typed(1);
    let sign_in = format!("/fr/vote/{LAW}");
    voter.press(&sign_in).await;
    voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
    assert_eq!(voter.path, "/fr/session");
    voter.shows("Il vous reste 2 bulletins à remplir.");
    voter.press(&format!("/fr/vote/{LAW}/ballot")).await;
    vote(&mut voter, "fr", LAW, "oui").await;
    let first = voter.path.clone();

    // One press opens the next ballot, and then the law with a separate code.
    voter.press(&format!("/fr/vote/{SECOND}/ballot")).await;
    vote(&mut voter, "fr", SECOND, "non").await;
    voter.press("/fr/session").await;
    voter.shows("Il ne vous reste aucun bulletin");
    let sign_in = format!("/fr/vote/{THIRD}");
    voter.press(&sign_in).await;
    voter.shows("Ce scrutin s’ajoutera à vos bulletins.");
    voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", "other-0001")]).await;
    assert_eq!(voter.path, format!("/fr/vote/{THIRD}/ballot"));
    vote(&mut voter, "fr", THIRD, "oui").await;

    // Each law has its own outcome, and the other language has the same page.
    voter.get("/en/session").await;
    voter.shows("You have no ballot left in this session.");
    assert_eq!(voter.page.text().matches(">Recorded</span>").count(), 3);
    voter.press(&first.replace("/fr/", "/en/")).await;
    voter.shows("Your vote is recorded");
    for election in served.node.elections() {
        assert_eq!((election.received, election.accepted), (1, 1), "{}", election.law_id);
    }
    voter.submit("/en/sign-out", &[]).await;
    voter.get("/en/session").await;
    voter.shows("You are not signed in.");
    served.end().await;
}

/// A second elector at the same browser, whose predecessor did not sign out, can see and cast
/// nothing of the first elector.
#[tokio::test(flavor = "multi_thread")]
async fn two_electors_share_a_browser() {
    let served = served().await;
    let mut browser = Browser::open(&served, "en").await;
    let sign_in = format!("/en/vote/{LAW}");
    for index in [2, 3] {
        let (nas, code) = typed(index);
        browser.get(&sign_in).await;
        browser.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
        browser.shows("You have 2 ballots left.");
        browser.press(&format!("/en/vote/{LAW}/ballot")).await;
        vote(&mut browser, "en", LAW, "oui").await;
    }
    let elections = served.node.elections();
    let first = elections.iter().find(|election| election.law_id == LAW).expect("the election");
    assert_eq!((first.accepted, first.duplicate), (2, 0));
    served.end().await;
}

/// A refusal of one law does not change the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_law_that_closes_meanwhile_leaves_the_others() {
    let served = served().await;
    let mut voter = Browser::open(&served, "en").await;
    let sign_in = format!("/en/vote/{LAW}");
    let (nas, code) = typed(4);
    voter.get(&sign_in).await;
    voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", code.as_str())]).await;
    let ballot = format!("/en/vote/{LAW}/ballot");
    voter.press(&ballot).await;
    voter.submit(&ballot, &[("choice", "oui")]).await;
    voter.shows("You have not voted yet");
    served.node.close(&crate::support::law()).await.expect("closed");
    voter.submit(&format!("/en/vote/{LAW}/cast"), &[]).await;
    assert_eq!(voter.page.status, 409);
    voter.shows("The poll is closed");
    voter.get("/en/session").await;
    voter.shows("You have one ballot left.");
    voter.shows("This election takes no votes at this time.");
    voter.press(&format!("/en/vote/{SECOND}/ballot")).await;
    vote(&mut voter, "en", SECOND, "non").await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_checked_on_the_page_of_the_vote() {
    let served = served().await;
    let mut voter = Browser::open(&served, "fr").await;
    let sign_in = format!("/fr/vote/{THIRD}");
    let (nas, _) = typed(5);
    voter.get(&sign_in).await;
    voter.submit(&sign_in, &[("nas", nas.as_str()), ("code", "other0005")]).await;
    vote(&mut voter, "fr", THIRD, "oui").await;
    voter.submit("/fr/receipts/check", &[]).await;
    assert_eq!(voter.page.status, 200);
    voter.shows("Ce reçu est authentique");
    voter.shows("Vote accepté");
    voter.shows("votekit verify receipt");
    voter.get("/en/receipts").await;
    voter.submit("/en/receipts/check", &[("receipt", "hello")]).await;
    assert_eq!(voter.page.status, 422);
    voter.shows("This text is not a receipt");
    served.end().await;
}
