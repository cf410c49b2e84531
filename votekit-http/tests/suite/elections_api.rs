//! The elections API of officials over a real node: definitions, rolls by upload, roles, and the
//! answers to bad input. `votes_api` has the votes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::http_support::{Answer, Client, Served, config};
use crate::officials::{Official, email};
use crate::support::{LAW, TestDir, law, write_roll};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use votekit_node::OpenElection;
use votekit_store::AccountRole;

const ELECTIONS: &str = "/api/v1/elections";

/// The shard of the support's roll.
const SHARD: &str = "L2025-001.0001.json";

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

fn definition() -> Value {
    json!({"law_id": LAW, "title_fr": "Loi sur l’eau", "title_en": "Water Act", "blank": true})
}

fn roll_path() -> String {
    format!("{ELECTIONS}/{LAW}/roll")
}

fn fields(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.problem(), (400, "malformed".to_owned()));
    let errors = answer.json()["errors"].as_array().expect("errors").clone();
    errors.iter().map(|error| error["field"].as_str().expect("a field").to_owned()).collect()
}

/// A node with one draft, and its administrator.
async fn drafted(served: &Served) -> Official<'_> {
    let official = Official::sign_in(served, AccountRole::Administrator).await;
    assert_eq!(official.post(ELECTIONS, Some(definition())).await.status, 201);
    official
}

/// The folder of the uploaded files.
fn incoming(served: &Served) -> PathBuf {
    served.node.folder().join("incoming").join(LAW)
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

fn file(served: &Served, name: &str) -> Vec<u8> {
    std::fs::read(served.roll().join(name)).expect("a file of the roll")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_creates_uploads_opens_closes_and_certifies() {
    let served = Served::empty(config()).await;
    let official = Official::sign_in(&served, AccountRole::Administrator).await;
    let created = official.post(ELECTIONS, Some(definition())).await;
    assert_eq!((created.status.as_u16(), &created.json()["state"]), (201, &json!("draft")));
    assert_eq!(created.header("location"), format!("{ELECTIONS}/{LAW}"));
    let twice = official.post(ELECTIONS, Some(definition())).await;
    assert_eq!(twice.problem(), (409, "election-exists".to_owned()));
    let amended = json!({"title_en": "The Water Act"});
    let amended = official.post(&format!("{ELECTIONS}/{LAW}/amend"), Some(amended)).await;
    assert_eq!(amended.json()["title"]["en"], "The Water Act");

    assert_eq!(official.get(&roll_path()).await.json()["files"], json!([]));
    for name in [SHARD, "manifest.json"] {
        let stored = official.upload(LAW, name, file(&served, name)).await;
        assert_eq!((stored.status.as_u16(), &stored.json()["replaced"]), (201, &json!(false)));
        assert_eq!(stored.json()["bytes"], file(&served, name).len());
    }
    let again = official.upload(LAW, SHARD, file(&served, SHARD)).await;
    assert_eq!((again.status.as_u16(), &again.json()["replaced"]), (200, &json!(true)));
    let kept = official.get(&roll_path()).await.json();
    assert_eq!((&kept["complete"], &kept["missing"]), (&json!(true), &json!([])), "{kept}");
    let loaded = official.post(&format!("{}/load", roll_path()), None).await;
    assert_eq!(loaded.json()["laws"][0]["registered"], 30, "{}", loaded.text());
    assert!(!incoming(&served).exists(), "a loaded upload is removed");
    assert_eq!(official.get(&roll_path()).await.json()["files"], json!([]));

    for (verb, state) in [("open", "open"), ("close", "closed"), ("certify", "certified")] {
        let answer = official.post(&format!("{ELECTIONS}/{LAW}/{verb}"), None).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (200, &json!(state)));
    }
    let late = official.upload(LAW, SHARD, file(&served, SHARD)).await;
    assert_eq!(late.problem(), (409, "wrong-state".to_owned()));
    let reason = json!({"reason": "Roll without a district"});
    let annulled = official.post(&format!("{ELECTIONS}/{LAW}/annul"), Some(reason)).await;
    assert_eq!(annulled.json()["state"], "annulled", "{}", annulled.text());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_elections_and_officials_who_created_them() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    served.node.load(&served.roll(), None).await.expect("loaded");
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    let public = served.get(ELECTIONS).await;
    assert_eq!(public.json()[0]["law_id"], LAW);
    assert!(!public.header("etag").is_empty() && public.header("cache-control") == "no-cache");
    assert_eq!(public.header("vary"), "Cookie, Authorization");
    assert!(public.json()[0].get("created_by").is_none());
    assert!(public.json()[0].get("has_voted").is_none());
    let auditor = Official::sign_in(&served, AccountRole::Auditor).await;
    for reader in [&official, &auditor] {
        for path in [ELECTIONS.to_owned(), format!("{ELECTIONS}/{LAW}")] {
            let answer = reader.get(&path).await;
            assert_eq!(answer.header("cache-control"), "no-store");
            assert!(answer.header("etag").is_empty(), "{answer:?}");
            let json = answer.json();
            let election = json.get(0).unwrap_or(&json);
            assert_eq!(election["created_by"], email(AccountRole::Administrator), "{election}");
        }
    }
    let mut client = Client::connect(served.at.public).await;
    let forged = client.send("GET", ELECTIONS, &[("authorization", "Bearer x")], "").await;
    assert_eq!(forged.problem(), (401, "token-refused".to_owned()));
    let candidates = served.get(&format!("{ELECTIONS}/{LAW}/candidates")).await;
    assert_eq!(candidates.header("access-control-allow-origin"), "*");
    assert_eq!(
        candidates.json(),
        json!([
            {"id": "oui", "fr": "Oui", "en": "Yes"},
            {"id": "non", "fr": "Non", "en": "No"},
            {"id": "blanc", "fr": "Bulletin blanc", "en": "Blank ballot"},
        ])
    );
    let unknown = served.get(&format!("{ELECTIONS}/L9/candidates")).await;
    assert_eq!(unknown.problem(), (404, "unknown-election".to_owned()));
    served.end().await;
}

/// By its id others learn that it is not open yet, and when it is planned to open.
#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_for_officials() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let one = format!("{ELECTIONS}/{LAW}");
    let amended = json!({"opens": "2099-02-01T08:00:00-05:00"});
    assert_eq!(official.post(&format!("{one}/amend"), Some(amended)).await.status, 200);
    assert_eq!(served.get(ELECTIONS).await.json(), json!([]));
    let results = served.get("/api/v1/results").await;
    assert_eq!(results.json(), json!({"results": [], "withheld": []}));
    for path in [
        one.clone(),
        format!("{one}/candidates"),
        format!("/api/v1/results/{LAW}"),
        format!("/api/v1/results/{LAW}/events"),
    ] {
        let refused = served.get(&path).await;
        assert_eq!(refused.problem(), (409, "not-open-yet".to_owned()), "{path}");
        assert!(refused.text().contains("2099-02-01T13:00:00Z"), "{}", refused.text());
        for text in ["eau", "Water", "oui"] {
            assert!(!refused.text().contains(text), "{path}: {}", refused.text());
        }
    }
    let observer = Official::sign_in(&served, AccountRole::Observer).await;
    let auditor = Official::sign_in(&served, AccountRole::Auditor).await;
    for reader in [&official, &auditor, &observer] {
        assert_eq!(reader.get(ELECTIONS).await.json()[0]["state"], "draft");
        assert_eq!(reader.get(&one).await.json()["title"]["en"], "Water Act");
    }
    let member = Official::sign_in(&served, AccountRole::Voter).await;
    assert_eq!(member.get(ELECTIONS).await.json(), json!([]));
    assert_eq!(member.get(&one).await.problem().1, "not-open-yet");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_of_a_definition_is_named_at_once() {
    let served = Served::empty(config()).await;
    let official = Official::sign_in(&served, AccountRole::Administrator).await;
    let wrong = json!({
        "law_id": "a b",
        "title_fr": "é".repeat(501),
        "title_en": "Act",
        "choices": ["oui", "non", "oui"],
        "opens": "2020-01-01T00:00:00Z",
        "closes": "2036-11-22T08:00:00",
    });
    let found = official.post(ELECTIONS, Some(wrong)).await;
    assert_eq!(fields(&found), ["law_id", "closes", "choices", "title_fr", "opens"]);
    assert!(found.text().contains("with its offset"), "{}", found.text());
    let with = |members: Value| {
        let mut body = definition();
        let members = members.as_object().expect("members").clone();
        body.as_object_mut().expect("an object").extend(members);
        body
    };
    let (opens, closes) = ("2036-11-22T08:00:00-05:00", "2036-11-21T08:00:00-05:00");
    for (members, expected) in [
        (json!({"opens": opens, "closes": closes}), vec!["closes"]),
        (json!({"closes": "2020-01-01T00:00:00Z"}), vec!["closes"]),
        (json!({"opens": "2020-01-01T00:00:00Z"}), vec!["opens"]),
        (json!({"choices": []}), vec!["choices"]),
        (json!({"choices": ["oui"], "blank": false}), vec!["choices"]),
        (json!({"choices": ["", "non"]}), vec!["choices"]),
        (
            json!({"choices": [{"id": "a", "fr": "", "en": "A"}, {"id": "b", "fr": "B", "en": "B"}]}),
            vec!["choices"],
        ),
        (json!({"title_en": " "}), vec!["title_en"]),
        (json!({"colour": "blue", "eligible_voters": 5}), vec!["colour", "eligible_voters"]),
        (json!({"binding": true, "eligible_voters": ["a@exemple.ca"]}), vec!["eligible_voters"]),
        (
            json!({"binding": true, "opens": "soon", "eligible_voters": ["a@exemple.ca", "b@"]}),
            vec!["opens", "eligible_voters[1]", "eligible_voters"],
        ),
    ] {
        let found = official.post(ELECTIONS, Some(with(members.clone()))).await;
        assert_eq!(fields(&found), expected, "{members}");
    }
    assert!(served.node.elections().is_empty(), "nothing was made");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_amendment_and_a_step_out_of_order_change_nothing() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let path = |verb: &str| format!("{ELECTIONS}/{LAW}/{verb}");
    let later =
        json!({"opens": "2036-11-22T08:00:00-05:00", "closes": "2036-11-23T08:00:00-05:00"});
    assert_eq!(official.post(&path("amend"), Some(later)).await.status, 200);
    let before = official.get(&format!("{ELECTIONS}/{LAW}")).await.json();
    for (members, expected) in [
        (json!({"closes": "2036-11-21T08:00:00-05:00"}), "closes"),
        (json!({"closes": "2036-11-23T08:00:00"}), "closes"),
        (json!({"opens": "2020-01-01T00:00:00Z"}), "opens"),
        (json!({"title_fr": "é".repeat(501)}), "title_fr"),
        (json!({"choices": ["oui", "oui"]}), "choices"),
        (json!({"choices": []}), "choices"),
        (json!({"colour": "blue"}), "colour"),
    ] {
        let refused = official.post(&path("amend"), Some(members.clone())).await;
        assert_eq!(fields(&refused), [expected], "{members}");
    }
    assert_eq!(official.get(&format!("{ELECTIONS}/{LAW}")).await.json(), before);

    let check = |refused: &Answer, step: &str, states: &str| {
        assert_eq!(refused.problem(), (409, "wrong-state".to_owned()), "{step}");
        let words = format!("; this requires the state {states}");
        assert!(refused.text().contains(&words), "{step}: {}", refused.text());
    };
    let reason = || Some(json!({"reason": "Rehearsal"}));
    for (verb, body, states) in [
        ("close", reason(), "open or closing"),
        ("certify", None, "closed"),
        ("annul", reason(), "closed or certified"),
    ] {
        let refused = official.post(&path(verb), body).await;
        check(&refused, &format!("{verb} of a draft"), states);
    }
    let now = json!({"opens": "none", "closes": "none"});
    assert_eq!(official.post(&path("amend"), Some(now)).await.status, 200);
    served.node.load(&served.roll(), None).await.expect("loaded");
    assert_eq!(official.post(&path("open"), None).await.status, 200);
    for (verb, body, states) in [
        ("open", None, "draft"),
        ("certify", None, "closed"),
        ("amend", Some(json!({"title_en": "Other"})), "draft"),
        ("annul", reason(), "closed or certified"),
    ] {
        let refused = official.post(&path(verb), body).await;
        check(&refused, &format!("{verb} of an open poll"), states);
    }
    for body in [json!({}), json!({"reason": ""}), json!({"reason": 5}), json!([])] {
        let refused = official.post(&path("annul"), Some(body.clone())).await;
        assert_eq!(refused.problem(), (400, "malformed".to_owned()), "{body}");
    }
    assert_eq!(served.node.elections()[0].state, "open");
    served.end().await;
}

/// The calls on elections that only administrators may make.
pub(crate) fn administrator_calls() -> Vec<(&'static str, String)> {
    let path = |rest: &str| format!("{ELECTIONS}/{LAW}/{rest}");
    vec![
        ("POST", ELECTIONS.to_owned()),
        ("POST", path("open")),
        ("POST", path("close")),
        ("POST", path("certify")),
        ("POST", path("amend")),
        ("POST", path("annul")),
        ("GET", path("roll")),
        ("DELETE", path("roll")),
        ("POST", path("roll/load")),
        ("PUT", path("roll/manifest.json")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_change_elections() {
    let served = Served::empty(config()).await;
    let administrator = drafted(&served).await;
    let auditor = Official::sign_in(&served, AccountRole::Auditor).await;
    let observer = Official::sign_in(&served, AccountRole::Observer).await;
    for (method, path) in &administrator_calls() {
        for official in [&auditor, &observer] {
            let refused = official.send(method, path, "application/json", "{}").await;
            assert_eq!(refused.problem(), (403, "forbidden".to_owned()), "{method} {path}");
        }
        for token in ["", "Bearer x"] {
            let mut client = Client::connect(served.at.public).await;
            let headers = [("authorization", token), ("content-type", "application/json")];
            let refused = client.send(method, path, &headers, "{}").await;
            assert_eq!(refused.problem(), (401, "token-refused".to_owned()), "{method} {path}");
        }
    }
    assert_eq!(served.node.elections()[0].state, "draft");
    assert_eq!(administrator.get(&roll_path()).await.status, 200);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_that_is_not_hashed_leaves_no_byte() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let rows = "046454286,SECRET99,L2025-001\r\n".repeat(200);
    let excel = format!("\u{feff}NAS;Code;law_id\r\n{}", rows.replace(',', ";"));
    let wide: Vec<u8> = excel.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rolls = [
        format!("nas,code,law_id\r\n{rows}").into_bytes(),
        format!("code,\"Nas\",law_id\n{rows}").into_bytes(),
        excel.into_bytes(),
        wide,
        rows.clone().into_bytes(),
        format!("code;N.A.S.\n{}", "SECRET99;046 454 286\n".repeat(200)).into_bytes(),
        b"nas_1,code\n".to_vec(),
        format!("\u{feff}\"no\",\"N-A-S\"\r\n{rows}").into_bytes(),
        "name\tcode\tcard\nA\tSECRET99\t046-454-286\n".repeat(100).into_bytes(),
    ];
    for roll in rolls {
        for name in ["roll.csv", SHARD, "L2025-001.0001.bin", "manifest.json"] {
            let refused = official.upload(LAW, name, roll.clone()).await;
            assert_eq!(refused.problem(), (422, "roll-not-hashed".to_owned()), "{name}");
            let text = refused.text();
            assert!(text.contains("votekit hashgen"), "{text}");
            for value in ["046454286", "046 454 286", "046-454-286", "SECRET99"] {
                assert!(!text.contains(value), "{text}");
            }
        }
    }
    for (name, bytes) in [
        ("roll.xlsx", &b"PK\x03\x04"[..]),
        ("notes.txt", b"hello"),
        (SHARD, b""),
        (SHARD, b"{\"format\":\"votekit-changes/1\","),
        ("manifest.json", b"{\"format\":\"votekit-manifest/1\"}"),
        ("manifest.json", b"{\n  \"format\": \"votekit-manifest/1\",\n  \"tool\": 5\n}\n"),
    ] {
        let refused = official.upload(LAW, name, bytes.to_vec()).await;
        assert_eq!(refused.problem(), (422, "roll-refused".to_owned()), "{name}");
    }
    assert!(names_in(&incoming(&served)).is_empty());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_never_leaves_the_folder_of_the_upload() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let bytes = file(&served, SHARD);
    let long = "a".repeat(101);
    for name in [
        "%2e%2e",
        "%2E%2E%2Fx",
        "..%2f..%2fkeys%2fadmin-token",
        "%2fetc%2fpasswd",
        "..%5cx",
        ".hidden",
        "a%20b",
        "a%00b",
        "caf%C3%A9",
        "%252e%252e",
        &long,
    ] {
        let refused = official.upload(LAW, name, bytes.clone()).await;
        assert_eq!(fields(&refused), ["file"], "{name}");
    }
    // These paths have other parts: they name nothing, in any normalisation by a client.
    for name in ["../x", "../../admin/rolls", "a/b", ""] {
        let refused = official.upload(LAW, name, bytes.clone()).await;
        assert_eq!(refused.problem(), (404, "unknown-route".to_owned()), "{name}");
    }
    let unknown = official.upload("L9", SHARD, bytes).await;
    assert_eq!(unknown.problem(), (404, "unknown-election".to_owned()));
    assert!(!served.node.folder().join("incoming").exists());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_binds_the_files_and_the_law() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let other = json!({"law_id": "L9", "title_fr": "Loi", "title_en": "Act"});
    assert_eq!(official.post(ELECTIONS, Some(other)).await.status, 201);
    let manifest = file(&served, "manifest.json");
    let refused = official.upload("L9", "manifest.json", manifest.clone()).await;
    assert_eq!(refused.problem(), (409, "roll-conflict".to_owned()));
    assert!(refused.text().contains(LAW), "{}", refused.text());

    let load = format!("{}/load", roll_path());
    let empty = official.post(&load, None).await;
    assert_eq!(empty.problem(), (422, "roll-refused".to_owned()));
    assert_eq!(official.upload(LAW, "manifest.json", manifest).await.status, 201);
    let kept = official.get(&roll_path()).await.json();
    assert_eq!((&kept["complete"], &kept["missing"]), (&json!(false), &json!([SHARD])));
    let incomplete = official.post(&load, None).await;
    assert_eq!(incomplete.problem(), (422, "roll-refused".to_owned()));
    assert!(incomplete.text().contains(SHARD), "{}", incomplete.text());
    let mut changed = file(&served, SHARD);
    let at = changed.len() - 10;
    changed[at] ^= 1;
    let refused = official.upload(LAW, SHARD, changed).await;
    assert_eq!(refused.problem(), (422, "roll-refused".to_owned()));
    assert_eq!(official.get(&roll_path()).await.json()["missing"], json!([SHARD]));
    // A file that the manifest does not list is kept, shown, and not loaded.
    let unlisted = "L2025-001.0002.json";
    assert_eq!(official.upload(LAW, unlisted, file(&served, SHARD)).await.status, 201);
    assert_eq!(official.upload(LAW, SHARD, file(&served, SHARD)).await.status, 201);
    let kept = official.get(&roll_path()).await.json();
    assert_eq!((&kept["complete"], &kept["unlisted"]), (&json!(true), &json!([unlisted])));
    assert_eq!(official.post(&load, None).await.status, 200);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_under_an_unknown_pepper_waits_for_an_operator() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let dir = TestDir::new(1);
    let folder = dir.path("peppered");
    write_roll(&folder, 5, true);
    for name in ["manifest.json", SHARD] {
        let bytes = std::fs::read(folder.join(name)).expect("a file of the roll");
        assert_eq!(official.upload(LAW, name, bytes).await.status, 201);
    }
    let load = format!("{}/load", roll_path());
    let refused = official.post(&load, None).await;
    assert_eq!(refused.problem(), (422, "roll-refused".to_owned()));
    assert!(refused.text().contains("an operator must load"), "{}", refused.text());
    assert_eq!(official.get(&roll_path()).await.json()["complete"], true, "it was kept");
    let discarded = official.send("DELETE", &roll_path(), "", "").await;
    assert_eq!(discarded.status, 204);
    assert!(!incoming(&served).exists());
    assert_eq!(official.send("DELETE", &roll_path(), "", "").await.status, 204);
    served.end().await;
}

/// Begins an upload, and sends only a part of the announced bytes.
async fn begin_upload(served: &Served, token: &str, announced: usize, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    let head = format!(
        "PUT {}/{SHARD} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {announced}\r\n\r\n",
        roll_path()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(sent).await.expect("sent");
    stream
}

/// Waits until the folder of the upload is as wished.
async fn wait_for(served: &Served, wished: impl Fn(&[String]) -> bool) {
    let begun = Instant::now();
    loop {
        let names = names_in(&incoming(served));
        if wished(&names) {
            return;
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{names:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_off_leaves_nothing_and_is_repeated() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    // More than is collected before the first write, so that a part is on the disk.
    let mut part = file(&served, SHARD);
    part.resize(3 << 20, b' ');
    let stream = begin_upload(&served, &official.token, 4 << 20, &part).await;
    wait_for(&served, |names| names.iter().any(|name| name.starts_with(".votekit-"))).await;
    let kept = official.get(&roll_path()).await.json();
    assert_eq!(kept["files"], json!([]), "a part does not count");
    for busy in [
        official.upload(LAW, SHARD, file(&served, SHARD)).await,
        official.send("DELETE", &roll_path(), "", "").await,
        official.post(&format!("{}/load", roll_path()), None).await,
    ] {
        assert_eq!((busy.status.as_u16(), &busy.json()["code"]), (409, &json!("admin-busy")));
    }
    assert_eq!(
        official.upload(LAW, "manifest.json", file(&served, "manifest.json")).await.status,
        201,
        "another file is free"
    );
    drop(stream);
    wait_for(&served, |names| names == ["manifest.json"]).await;
    // The upload slot becomes free a moment after the file is removed.
    let mut repeated = official.upload(LAW, SHARD, file(&served, SHARD)).await;
    let begun = Instant::now();
    while repeated.status == 409 {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{}", repeated.text());
        tokio::time::sleep(Duration::from_millis(10)).await;
        repeated = official.upload(LAW, SHARD, file(&served, SHARD)).await;
    }
    assert_eq!(repeated.status, 201, "{}", repeated.text());
    assert_eq!(official.get(&roll_path()).await.json()["complete"], true);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_by_its_announced_length() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let mut stream = begin_upload(&served, &official.token, (256 << 20) + 1, b"").await;
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(names_in(&incoming(&served)).is_empty());
    served.end().await;
}
