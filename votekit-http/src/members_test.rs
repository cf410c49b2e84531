//! An election of members, from the addresses to a vote: with a real node and its store.

use std::sync::Arc;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_node::{CreateElection, CreatedWithMembers, OpenElection};
use votekit_store::{Account, AccountId, AccountRole, AccountState, NewSession, SessionKind};

use self::support::{LAW, TestDir, create_request, law};
use super::*;

use crate::test_support as support;

const KEY: &[u8] = b"a key that others cannot guess";

struct Site {
    api: Arc<Api>,
    dir: TestDir,
}

impl Site {
    async fn start() -> Self {
        let dir = TestDir::new(3);
        let api = Api::new(dir.start().await, b"token");
        Self { api, dir }
    }

    async fn create(&self, law: &str, emails: &[&str]) -> Result<CreatedWithMembers, Problem> {
        let request = CreateElection { law_id: law.to_owned(), ..create_request() };
        self.create_as(request, emails).await
    }

    async fn create_as(
        &self,
        request: CreateElection,
        emails: &[&str],
    ) -> Result<CreatedWithMembers, Problem> {
        let emails: Vec<_> = emails.iter().map(|email| (*email).to_owned()).collect();
        Ok(self.api.node.create_with_addresses(request, &emails).await?)
    }

    async fn account(&self, email: &str) -> Option<Account> {
        self.api.node.accounts().account_by_email(email).await.expect("asked")
    }

    /// Makes the account active and signs it in, as by the pages.
    async fn sign_in(&self, email: &str) -> Caller {
        let account = self.account(email).await.expect("an account");
        let store = self.api.node.accounts();
        if account.state != AccountState::Active {
            let active = Account { state: AccountState::Active, invitation: None, ..account };
            store.update(&active).await.expect("updated");
        }
        let account = self.account(email).await.expect("an account");
        let token = format!("{:A<43}", const_hex::encode(account.id.0));
        let later = UnixSeconds(self.api.now().0 + 3600);
        let session = NewSession {
            token: Digest::compute(token.as_bytes()),
            account: account.id,
            kind: SessionKind::Pages,
            expires: later,
            idle_until: later,
        };
        store.begin_session(&session).await.expect("begun");
        let cookie = HeaderValue::try_from(format!("votekit-account-local={token}"));
        let headers = HeaderMap::from_iter([(COOKIE, cookie.expect("visible ASCII"))]);
        self.api.accounts.page_session(&headers).await.expect("asked").expect("signed in")
    }

    async fn add(&self, email: &str, role: AccountRole, state: AccountState) {
        let mut id = [7; 16];
        id[0] = email.as_bytes()[0];
        let account = Account {
            state,
            ..Account::new(AccountId(id), email.to_owned(), role, self.api.now())
        };
        self.api.node.accounts().add(&[account]).await.expect("added");
    }

    async fn end(self) {
        self.api.node.clone().shutdown().await;
    }
}

fn emails(created: &CreatedWithMembers) -> Vec<String> {
    let created = serde_json::to_value(created).expect("JSON");
    let invitations = created["invitations"].as_array().cloned().unwrap_or_default();
    for invitation in &invitations {
        let path = invitation["path"].as_str().expect("a path");
        assert!(path.starts_with("/fr/accounts/invitation?token="), "{path}");
    }
    let email = |invitation: &serde_json::Value| invitation["email"].as_str().map(str::to_owned);
    invitations.iter().filter_map(email).collect()
}

fn faults(refused: Result<CreatedWithMembers, Problem>) -> Vec<String> {
    match refused {
        Err(Problem::Malformed { errors }) => {
            errors.into_iter().map(|error| error.field.into_owned()).collect()
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("created"),
    }
}

#[tokio::test]
async fn members_get_accounts_and_links_and_vote() {
    let site = Site::start().await;
    let created = site.create(LAW, &["Alice@example.com", "bob@example.com"]).await;
    let created = created.expect("created");
    assert_eq!(created.created.election.registered, 2);
    assert_eq!(emails(&created), ["alice@example.com", "bob@example.com"]);
    let invited = site.account("alice@example.com").await.expect("an account");
    assert_eq!((invited.role, invited.state), (AccountRole::Voter, AccountState::Invited));
    site.api.node.open(&law(), OpenElection::default()).await.expect("opened");

    let (alice, bob) =
        (site.sign_in("alice@example.com").await, site.sign_in("bob@example.com").await);
    assert_eq!(has_voted(&site.api, &alice, &law()), Some(false));
    let oui = "oui".parse().expect("a choice");
    let request = cast(&site.api, &alice, &law(), &oui, KEY).await.expect("cast");
    assert_eq!(cast(&site.api, &alice, &law(), &oui, KEY).await.expect("cast again"), request);
    let time = std::time::Duration::from_secs(30);
    site.api.node.wait(request, time).await.expect("asked").expect("issued");
    assert_eq!(has_voted(&site.api, &alice, &law()), Some(true));
    assert_eq!(has_voted(&site.api, &bob, &law()), Some(false));

    // A second election: an active account gets no link, and one account has both.
    let second = site.create("L2", &["alice@example.com", "carl@example.com"]).await;
    assert_eq!(emails(&second.expect("created")), ["carl@example.com"]);
    let laws = |elections: Vec<(ElectionId, ElectionView)>| {
        elections.into_iter().map(|(law, _)| law.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(laws(elections(&site.api, &alice).await.expect("asked")), ["L2", LAW]);
    assert_eq!(laws(elections(&site.api, &bob).await.expect("asked")), [LAW]);
    let l2 = "L2".parse().expect("a law");
    let refused = cast(&site.api, &bob, &l2, &oui, KEY).await.expect_err("not a member");
    assert_eq!(refused.kind().code, "forbidden");
    let unknown = "NONE".parse().expect("a law");
    let refused = cast(&site.api, &bob, &unknown, &oui, KEY).await.expect_err("no election");
    assert_eq!(refused.kind().code, "unknown-election");
    site.end().await;
}

#[tokio::test]
async fn a_member_who_has_no_password_yet_gets_a_new_link() {
    let site = Site::start().await;
    let first = site.create(LAW, &["alice@example.com"]).await.expect("created");
    let before = site.account("alice@example.com").await.expect("an account").invitation;
    let second = site.create("L2", &["alice@example.com"]).await.expect("created");
    assert_eq!(emails(&first), emails(&second));
    let after = site.account("alice@example.com").await.expect("an account").invitation;
    assert_ne!(before.map(|link| link.token), after.map(|link| link.token));
    site.end().await;
}

#[tokio::test]
async fn refused_members_get_no_account() {
    let site = Site::start().await;
    site.add("official@example.com", AccountRole::Auditor, AccountState::Active).await;
    site.add("away@example.com", AccountRole::Voter, AccountState::Disabled).await;
    let wrong = ["new@example.com", "official@example.com", "away@example.com"];
    let fields = faults(site.create(LAW, &wrong).await);
    assert_eq!(fields, ["eligible_voters[1]", "eligible_voters[2]"]);
    let binding = CreateElection { binding: true, ..create_request() };
    let refused = site.create_as(binding, &["new@example.com"]).await;
    assert_eq!(faults(refused), ["binding"]);
    assert!(!faults(site.create("L 1", &["new@example.com"]).await).is_empty());
    assert!(site.account("new@example.com").await.is_none());
    assert!(site.api.node.elections().is_empty());

    // Voters of a roll are never asked about.
    site.api.node.load(&site.dir.path("hashes"), None).await.expect("loaded");
    site.api.node.create(create_request()).await.expect("created");
    site.add("member@example.com", AccountRole::Voter, AccountState::Active).await;
    let member = site.sign_in("member@example.com").await;
    assert_eq!(has_voted(&site.api, &member, &law()), None);
    let refused = credential(&site.api, &member, &law()).await.expect_err("no member");
    assert_eq!(refused.kind().code, "forbidden");
    site.end().await;
}
