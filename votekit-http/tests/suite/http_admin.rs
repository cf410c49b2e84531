//! The administration listener: the lifecycle of an election over HTTP, and the refusals in it.

use crate::http_support::{Client, Served, ballot, config};
use crate::support::LAW;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_election_lives_its_life() {
    let served = Served::empty(config()).await;
    let definition = json!({"law_id": LAW, "title_fr": "Loi", "title_en": "Act", "blank": true});
    let created = served.admin("POST", "/api/v1/admin/elections", Some(definition.clone())).await;
    assert_eq!((created.status.as_u16(), &created.json()["state"]), (201, &json!("draft")));
    let twice = served.admin("POST", "/api/v1/admin/elections", Some(definition)).await;
    assert_eq!(twice.problem(), (409, "election-exists".to_owned()));
    let path = |verb: &str| format!("/api/v1/admin/elections/{LAW}{verb}");
    assert_eq!(
        served.admin("POST", &path("/open"), None).await.problem(),
        (409, "refused-by-log".to_owned())
    );
    let roll = json!({"folder": served.roll(), "pepper_file": null});
    let loaded = served.admin("POST", "/api/v1/admin/rolls", Some(roll.clone())).await;
    assert_eq!(
        (loaded.status.as_u16(), &loaded.json()["laws"][0]["registered"]),
        (200, &json!(30))
    );
    assert_eq!(served.admin("POST", "/api/v1/admin/rolls", Some(roll)).await.status, 200);
    let opened = served.admin("POST", &path("/open"), Some(json!({"waivers": []}))).await;
    assert_eq!((opened.status.as_u16(), &opened.json()["state"]), (200, &json!("open")));
    assert_eq!(
        served.vote(&ballot(1, "oui"), &[("prefer", "wait=30")]).await.json()["status"],
        "accepted"
    );
    assert_eq!(
        served.admin("POST", &path("/certify"), None).await.problem(),
        (409, "wrong-state".to_owned())
    );
    assert_eq!(
        served.admin("POST", &path("/purge"), None).await.problem(),
        (409, "wrong-state".to_owned())
    );
    for (verb, state) in [("/close", "closed"), ("/certify", "certified"), ("/purge", "certified")]
    {
        let answer = served.admin("POST", &path(verb), None).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["state"]),
            (200, &json!(state)),
            "{verb}"
        );
    }
    assert_eq!(served.admin("GET", &path(""), None).await.json()["accepted"], 1);
    assert_eq!(served.admin("GET", "/api/v1/admin/elections", None).await.json()[0]["law_id"], LAW);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_election_of_members_is_created_with_their_links() {
    let served = Served::empty(config()).await;
    let elections = "/api/v1/admin/elections";
    let of = |law: &str, emails: Value| {
        Some(
            json!({"law_id": law, "title_fr": "Logo", "title_en": "Logo", "eligible_voters": emails}),
        )
    };
    for (emails, field) in [
        (json!(["alice@example.com", "c@"]), "eligible_voters[1]"),
        (json!(["alice@example.com", "Alice@example.com"]), "eligible_voters[1]"),
        (json!([]), "eligible_voters"),
        (json!("alice@example.com"), "eligible_voters"),
    ] {
        let answer = served.admin("POST", elections, of(LAW, emails)).await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()));
        assert_eq!(answer.json()["errors"][0]["field"], field);
    }
    let mut binding = of(LAW, json!(["alice@example.com"])).expect("a body");
    binding["binding"] = json!(true);
    let binding = served.admin("POST", elections, Some(binding)).await;
    assert_eq!(binding.json()["errors"][0]["field"], "eligible_voters");
    let accounts = served.node.accounts().accounts("", 10).await.expect("read");
    assert!(accounts.is_empty() && served.node.elections().is_empty(), "nothing was made");

    let emails = json!(["Alice@Example.com", "bob@example.com"]);
    let created = served.admin("POST", elections, of(LAW, emails)).await;
    assert_eq!(created.status, 201, "{created:?}");
    let created = created.json();
    assert_eq!((&created["state"], &created["registered"]), (&json!("draft"), &json!(2)));
    let invitations = created["invitations"].as_array().expect("links");
    for (invitation, email) in invitations.iter().zip(["alice@example.com", "bob@example.com"]) {
        assert_eq!(invitation["email"], email);
        let path = invitation["path"].as_str().expect("a path");
        assert!(path.starts_with("/fr/accounts/invitation?token="), "{path}");
    }
    assert_eq!(invitations.len(), 2);
    let opened = served.admin("POST", &format!("{elections}/{LAW}/open"), None).await;
    assert_eq!((opened.status.as_u16(), &opened.json()["state"]), (200, &json!("open")));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_calls_are_answered_with_the_fault() {
    let served = Served::empty(config()).await;
    let elections = "/api/v1/admin/elections";
    for (body, field) in [
        (json!({"law_id": "a b", "title_fr": "Loi", "title_en": "Act"}), "law_id"),
        (
            json!({"law_id": LAW, "title_fr": "Loi", "title_en": "Act", "opens": "tomorrow"}),
            "opens",
        ),
        (json!({"law_id": LAW, "title_fr": "", "title_en": "Act"}), "title_fr"),
        (json!({"law_id": LAW, "title_fr": "Loi", "title_en": "a".repeat(5000)}), "title_en"),
        (json!({"law_id": LAW, "title_fr": "\u{1b}[31mLoi", "title_en": "Act"}), "title_fr"),
        (json!({"law_id": LAW, "title_fr": "Loi", "title_en": "Act", "colour": "blue"}), "colour"),
        (json!({"law_id": LAW, "title_fr": 5, "title_en": "Act"}), "title_fr"),
        (
            json!({"law_id": LAW, "title_fr": "Loi", "title_en": "Act", "publish_every": 0}),
            "publish_every",
        ),
        (
            json!({"law_id": LAW, "title_fr": "Loi", "title_en": "Act", "closes": "2026-01-01T00:00:00Z", "opens": "2026-01-02T00:00:00Z"}),
            "closes",
        ),
        (json!([]), "body"),
    ] {
        let answer = served.admin("POST", elections, Some(body)).await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()));
        assert_eq!(answer.json()["errors"][0]["field"], field);
    }
    let all = json!({"law_id": "a b", "title_fr": "", "choices": ["x"], "closes": "soon"});
    let all = served.admin("POST", elections, Some(all)).await.json();
    assert_eq!(all["errors"][0]["field"], "title_en", "the form comes before the rules: {all}");
    let all = json!({"law_id": "a b", "title_fr": "", "title_en": "", "choices": ["x"], "closes": "soon"});
    let all = served.admin("POST", elections, Some(all)).await.json();
    let fields: Vec<_> =
        all["errors"].as_array().expect("errors").iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["law_id", "closes", "choices", "title_fr", "title_en"], "{all}");
    assert!(served.node.elections().is_empty());
    let key = json!({"public_key": "zz", "name": "n"});
    let key = served.admin("POST", &format!("{elections}/L9/nodes"), Some(key)).await.json();
    assert_eq!(key["errors"][0]["field"], "name", "{key}");
    assert_eq!(
        served.admin("POST", "/api/v1/admin/elections/L9/open", None).await.problem().1,
        "unknown-election"
    );
    let nowhere = json!({"folder": "/nonexistent/roll"});
    let missing = served.admin("POST", "/api/v1/admin/rolls", Some(nowhere)).await;
    assert_eq!(missing.problem(), (422, "roll-refused".to_owned()));
    assert!(missing.text().contains("/nonexistent/roll"), "{}", missing.text());
    let binding = json!({"law_id": LAW, "title_fr": "Loi", "title_en": "Act", "binding": true});
    assert_eq!(served.admin("POST", elections, Some(binding)).await.status, 201);
    assert_eq!(
        served
            .admin("POST", "/api/v1/admin/rolls", Some(json!({"folder": served.roll()})))
            .await
            .status,
        200
    );
    let unsafe_opening = served.admin("POST", &format!("{elections}/{LAW}/open"), None).await;
    assert_eq!(unsafe_opening.problem(), (409, "not-safe".to_owned()));
    assert!(unsafe_opening.json()["errors"].as_array().is_some_and(|missing| missing.len() >= 2));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_without_the_token_changes_nothing() {
    let served = Served::empty(config()).await;
    for token in ["", "Bearer ", "Bearer 00", "Basic abc"] {
        for (method, path) in [
            ("GET", "/api/v1/admin/elections"),
            ("POST", "/api/v1/admin/rolls"),
            ("GET", "/anything"),
        ] {
            // Each refusal ends its connection.
            let mut client = Client::connect(served.at.administration).await;
            let answer = client.send(method, path, &[("authorization", token)], "").await;
            assert_eq!(answer.problem(), (401, "unauthorized".to_owned()), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(
        served.admin("GET", "/anything", None).await.problem(),
        (404, "unknown-route".to_owned())
    );
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_shown_and_nodes_are_admitted_by_their_record() {
    let served = Served::open().await;
    let nodes = "/api/v1/admin/nodes";
    let view = served.admin("GET", nodes, None).await;
    assert_eq!(view.status, 200, "{view:?}");
    let view = view.json();
    assert_eq!(view["authorities"][0]["role"], "leader", "{view}");
    assert_eq!(view["own"], view["authorities"][0]["name"]);
    assert_eq!((&view["quorum"], &view["fingerprint"]), (&json!(1), &Value::Null));
    let election = &view["authorities"][0]["elections"][0];
    assert_eq!((&election["law_id"], &election["lag"]), (&json!(LAW), &json!(0)));
    assert_eq!((&view["halted"], &view["nodes"]), (&json!([]), &json!([])));

    // Ed25519 and X25519 base points.
    let key = "5866666666666666666666666666666666666666666666666666666666666666";
    let transport = format!("09{}", "0".repeat(62));
    let record = |name: &str, key: &str, transport: &str| {
        Some(json!({"name": name, "public_key": key, "transport_key": transport}))
    };
    let admitted = served.admin("POST", nodes, record("ingest-1", key, &transport)).await;
    assert_eq!(admitted.status, 200, "{admitted:?}");
    let again = served.admin("POST", nodes, record("ingest-1", key, &transport)).await;
    assert_eq!(again.json(), admitted.json(), "admitting it again changes nothing");
    let zero = "0".repeat(64);
    let other = format!("0a{}", "0".repeat(62));
    for (body, field) in [
        (record("Ingest 2", key, &transport), "name"),
        (record("ingest-2", "zz", &transport), "public_key"),
        (record("ingest-2", key, &zero), "transport_key"),
        (record("ingest-1", key, &other), "name"),
        (record("ingest-2", key, &other), "public_key"),
        (Some(json!({"name": "ingest-2", "public_key": key})), "transport_key"),
    ] {
        let refused = served.admin("POST", nodes, body).await;
        assert_eq!(refused.problem(), (400, "malformed".to_owned()));
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text());
    }
    let listed = served.admin("GET", nodes, None).await.json();
    assert_eq!(listed["nodes"], json!([admitted.json()]));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_authority_cannot_step_down() {
    let served = Served::empty(config()).await;
    let refused = served.admin("POST", "/api/v1/admin/leader/step-down", None).await;
    assert_eq!(refused.problem(), (421, "not-served-here".to_owned()));
    assert!(refused.text().contains("not one of several authorities"), "{}", refused.text());
    served.end().await;
}
