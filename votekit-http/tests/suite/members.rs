//! A member with an account at the pages, without JavaScript: over real connections.

use crate::http_support::{Answer, Client, Served, config};
use crate::support::{LAW, create_request, law};
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_node::{Node, OpenElection};
use votekit_store::{Account, AccountId, AccountRole, AccountState, NewSession, SessionKind};

/// The id of the account of a member, by number.
fn id(number: u8) -> AccountId {
    AccountId([number; 16])
}

/// An active account of a member, and the cookie of its session.
async fn signed_in(node: &Node, number: u8) -> String {
    let now = node.now().seconds();
    let later = UnixSeconds(now.0 + 3600);
    let account = Account {
        state: AccountState::Active,
        ..Account::new(id(number), format!("member{number}@example.com"), AccountRole::Voter, now)
    };
    node.accounts().add(&[account]).await.expect("added");
    let token = format!("{number:A<43}");
    let session = NewSession {
        token: Digest::compute(token.as_bytes()),
        account: id(number),
        kind: SessionKind::Pages,
        expires: later,
        idle_until: later,
    };
    node.accounts().begin_session(&session).await.expect("begun");
    format!("votekit-account-local={token}")
}

/// A browser with the cookie of an account, and that of a ballot session once it has one.
struct Browser {
    client: Client,
    account: String,
    ballot: String,
}

impl Browser {
    async fn open(served: &Served, account: &str) -> Self {
        let client = Client::connect(served.at.public).await;
        Self { client, account: account.to_owned(), ballot: String::new() }
    }

    fn cookies(&self) -> String {
        let cookies = [self.account.as_str(), &self.ballot];
        cookies.into_iter().filter(|cookie| !cookie.is_empty()).collect::<Vec<_>>().join("; ")
    }

    async fn get(&mut self, path: &str) -> Answer {
        let cookies = self.cookies();
        let answer = self.client.send("GET", path, &[("cookie", &cookies)], "").await;
        self.keep(answer)
    }

    async fn post(&mut self, path: &str, fields: &[String]) -> Answer {
        let cookies = self.cookies();
        let headers = [
            ("cookie", cookies.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", "http://localhost"),
        ];
        let answer = self.client.send("POST", path, &headers, fields.join("&")).await;
        self.keep(answer)
    }

    fn keep(&mut self, answer: Answer) -> Answer {
        let pair = answer.header("set-cookie").split(';').next().unwrap_or_default();
        if pair.starts_with("votekit-local=") {
            self.ballot = pair.to_owned();
        }
        answer
    }
}

/// The hidden fields of the form with this action, as `name=value`.
fn hidden_fields(html: &str, action: &str) -> Vec<String> {
    let (_, form) = html.split_once(&format!("action=\"{action}\"")).expect("the form");
    let (form, _) = form.split_once("</form>").expect("its end");
    let field = |text: &str| {
        let (name, rest) = text.split_once("\" value=\"").expect("a value");
        format!("{name}={}", rest.split('"').next().expect("its end"))
    };
    form.split("type=\"hidden\" name=\"").skip(1).map(field).collect()
}

fn with(mut fields: Vec<String>, more: &str) -> Vec<String> {
    fields.push(more.to_owned());
    fields
}

/// Checks that a page warns before the end of the account's session, and of no other one beside it.
fn check_warning(page: &Answer) {
    let warnings = page.text().matches("class=\"session-warning").count();
    assert_eq!(warnings, 1, "{}", page.text());
    for part in ["data-account-seconds=\"1800\"", "/members\" data-extended=", "/static/account-"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
}

/// A served node with an open election of the members 1 and 2.
async fn open() -> Served {
    let served = Served::empty(config()).await;
    served.node.create_with_members(create_request(), &[id(1), id(2)]).await.expect("created");
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_votes_from_the_list_and_sees_it_there() {
    let served = open().await;
    let account = signed_in(&served.node, 1).await;
    let mut member = Browser::open(&served, &account).await;
    let (enter, ballot) = (format!("/fr/members/{LAW}"), format!("/fr/vote/{LAW}/ballot"));
    let cast = format!("/fr/vote/{LAW}/cast");

    let list = member.get("/fr/members").await;
    for text in ["member1@example.com", "Loi sur l’eau", "Vous n’avez pas voté", &enter] {
        assert!(list.text().contains(text), "{text}: {}", list.text());
    }
    check_warning(&list);
    let entered = member.get(&enter).await;
    assert_eq!((entered.status.as_u16(), entered.header("location")), (303, ballot.as_str()));
    let page = member.get(&ballot).await;
    let choice = with(hidden_fields(page.text(), &ballot), "choice=oui");
    let check = member.post(&ballot, &choice).await;
    assert!(check.text().contains("Vous n’avez pas encore voté"), "{}", check.text());
    let taken = member.post(&cast, &hidden_fields(check.text(), &cast)).await;
    assert_eq!(taken.status, 303, "{}", taken.text());
    let outcome = member.get(taken.header("location")).await;
    assert!(outcome.text().contains("Votre vote est enregistré"), "{}", outcome.text());
    // The same session is redirected to its vote; in another session the page reports that there is
    // a vote.
    let again = member.get(&enter).await;
    assert_eq!(again.header("location"), taken.header("location"));
    let list = member.get("/en/members").await;
    assert!(list.text().contains("You have voted"), "{}", list.text());
    // With a ballot session too.
    check_warning(&list);
    assert!(!list.text().contains(&format!("/en/members/{LAW}")), "{}", list.text());
    let mut elsewhere = Browser::open(&served, &account).await;
    let page = elsewhere.get(&enter).await;
    assert!(page.text().contains("Vous avez déjà voté"), "{}", page.text());
    check_warning(&page);
    assert!(elsewhere.ballot.is_empty(), "no second ballot");
    assert_eq!(served.node.elections()[0].received, 1);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_signed_in_member_of_the_election_gets_a_ballot() {
    let served = open().await;
    let (sign_in, enter) = (format!("/fr/vote/{LAW}"), format!("/fr/members/{LAW}"));
    // The sign-in with NAS and code is not for members.
    let answer = served.get(&sign_in).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, enter.as_str()));
    for path in [enter.as_str(), "/fr/members"] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").starts_with("/fr/accounts/sign-in"), "{path}");
    }
    let outsider = signed_in(&served.node, 9).await;
    let mut outsider = Browser::open(&served, &outsider).await;
    let answer = outsider.get(&enter).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let list = outsider.get("/fr/members").await;
    assert!(list.text().contains("Aucun scrutin ne vous est ouvert"), "{}", list.text());

    // A ballot session that another member has begun at the same browser is not continued.
    let (one, two) = (signed_in(&served.node, 1).await, signed_in(&served.node, 2).await);
    let mut shared = Browser::open(&served, &one).await;
    shared.get(&enter).await;
    let first = shared.ballot.clone();
    shared.account = two;
    let entered = shared.get(&enter).await;
    assert_eq!(entered.status, 303);
    assert!(!first.is_empty() && shared.ballot != first);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_survives_the_end_of_the_ballot_session() {
    let served = open().await;
    let account = signed_in(&served.node, 1).await;
    let mut member = Browser::open(&served, &account).await;
    let (enter, ballot) = (format!("/en/members/{LAW}"), format!("/en/vote/{LAW}/ballot"));
    member.get(&enter).await;
    let page = member.get(&ballot).await;
    let choice = with(hidden_fields(page.text(), &ballot), "choice=non");
    member.ballot.clear();
    let ended = member.post(&ballot, &choice).await;
    assert_eq!(ended.status, 403);
    assert!(ended.text().contains("Your choice is kept in this page"), "{}", ended.text());
    assert!(!ended.text().contains("data-account-seconds"), "the account may have ended too");
    assert_eq!(served.node.elections()[0].received, 0);
    let kept = hidden_fields(ended.text(), &enter);
    assert_eq!(kept, ["choice=non"]);
    let check = member.post(&enter, &kept).await;
    assert!(check.text().contains("You have not voted yet"), "{}", check.text());
    let cast = format!("/en/vote/{LAW}/cast");
    let taken = member.post(&cast, &hidden_fields(check.text(), &cast)).await;
    let outcome = member.get(taken.header("location")).await;
    assert!(outcome.text().contains("Your vote is recorded"), "{}", outcome.text());
    // A form of another site begins nothing.
    let mut fields = kept.clone();
    fields.push("token=x".to_owned());
    let cookies = member.cookies();
    let headers = [
        ("cookie", cookies.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "http://evil.example"),
    ];
    let foreign = member.client.send("POST", &enter, &headers, fields.join("&")).await;
    assert_eq!(foreign.status, 403);
    served.end().await;
}
