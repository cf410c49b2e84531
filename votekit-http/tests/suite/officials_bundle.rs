//! Officials download the publication bundle: its content, permissions, limits, and the remains
//! when a client disconnects.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::account_support::token_of;
use crate::http_support::{Answer, Client, Served, ballot, config};
use crate::live_support::narrow_connection;
use crate::officials::Official;
use crate::support::{create_request, law};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use votekit_core::bundle::MemorySource;
use votekit_core::bundle::verify::{Options, Pin, verify};
use votekit_node::{AmendElection, OpenElection};
use votekit_store::AccountRole;

const BUNDLE: &str = "/api/v1/elections/L2025-001/bundle";

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// A number of an archive: little-endian.
fn number(bytes: &[u8], at: usize, length: usize) -> usize {
    bytes[at..at + length].iter().rev().fold(0, |sum, byte| (sum << 8) | usize::from(*byte))
}

/// The files of an archive, by the directory at its end, without their folder.
fn unpacked(zip: &[u8]) -> MemorySource {
    let end = zip.len() - 22;
    assert!(zip[end..].starts_with(b"PK\x05\x06"), "the end");
    let mut files = MemorySource::new();
    let mut at = number(zip, end + 16, 4);
    for _ in 0..number(zip, end + 10, 2) {
        assert!(zip[at..].starts_with(b"PK\x01\x02"), "an entry at {at}");
        let (length, name) = (number(zip, at + 20, 4), number(zip, at + 28, 2));
        assert_eq!((number(zip, at + 10, 2), number(zip, at + 24, 4)), (0, length), "stored");
        let text = std::str::from_utf8(&zip[at + 46..at + 46 + name]).expect("ASCII");
        let head = number(zip, at + 42, 4);
        // Both records have the name, the checksum and the lengths.
        assert!(zip[head..].starts_with(b"PK\x03\x04"), "{text}");
        assert_eq!(zip[head + 14..head + 28], zip[at + 16..at + 30], "{text}");
        let content = head + 30 + name + number(zip, head + 28, 2);
        let bytes = &zip[content..content + length];
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        assert_eq!(number(zip, at + 16, 4), crc.sum() as usize, "{text}");
        let file = text.strip_prefix("L2025-001-bundle/").expect("the folder").to_owned();
        assert!(files.insert(file, bytes.to_vec()).is_none(), "{text}");
        at += 46 + name + number(zip, at + 30, 2) + number(zip, at + 32, 2);
    }
    assert_eq!(at, end, "nothing behind the directory");
    files
}

/// A closed election with two votes.
async fn closed() -> Served {
    let served = Served::open().await;
    for (place, choice) in [(1, "oui"), (2, "non"), (2, "oui")] {
        let taken = served.vote(&ballot(place, choice), &[("prefer", "wait=20")]).await;
        assert!(taken.status.is_success(), "{taken:?}");
    }
    served.node.close(&law()).await.expect("closed");
    served
}

/// A closed election with a log of half a megabyte: more than the buffers of a narrow connection
/// take.
async fn long_closed() -> Served {
    let served = Served::empty(config()).await;
    served.node.load(&served.roll(), None).await.expect("loaded");
    served.node.create(create_request()).await.expect("created");
    for version in 0..60 {
        let text = Some(format!("{version} {}", "é".repeat(1990)));
        let (description_fr, description_en) = (text.clone(), text);
        let amended = AmendElection { description_fr, description_en, ..AmendElection::default() };
        served.node.amend(&law(), amended).await.expect("amended");
    }
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    served.node.close(&law()).await.expect("closed");
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downloaded_bundle_is_verified_against_the_published_policy() {
    let served = closed().await;
    let observer = Official::sign_in(&served, AccountRole::Observer).await;
    let answer = observer.get(BUNDLE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"L2025-001-bundle.zip\""
    );
    // `HEAD` makes no bundle, so it knows no length.
    let head = observer.send("HEAD", BUNDLE, "application/json", "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{head:?}");
    assert_eq!(head.header("content-length"), "");
    for field in ["content-type", "content-disposition"] {
        assert_eq!(head.header(field), answer.header(field));
    }
    let files = unpacked(&answer.body);
    let names: BTreeSet<_> = files.keys().map(String::as_str).collect();
    for name in ["index.json", "leaves.jsonl", "checkpoint", "policy", "results.csv", "README.md"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    let policy = served.get("/log/L2025-001/policy").await.body.to_vec();
    let mut options = Options::default();
    options.pin = Some(Pin::Policy(policy));
    let verification = verify(&files, &options).expect("files in memory");
    assert!(verification.is_proven(), "{:?}", verification.failures);

    served.node.certify(&law()).await.expect("certified");
    let certified = unpacked(&observer.get(BUNDLE).await.body);
    assert!(certified["leaves.jsonl"].len() > files["leaves.jsonl"].len());
    let verification = verify(&certified, &options).expect("files in memory");
    assert!(verification.is_proven(), "{:?}", verification.failures);
    assert_eq!(unpacked(&observer.get(BUNDLE).await.body), certified, "the same again");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_require_a_close_and_an_official_account() {
    let served = Served::open().await;
    let official = Official::sign_in(&served, AccountRole::Administrator).await;
    let early = official.get(BUNDLE).await;
    assert_eq!(early.problem(), (409, "wrong-state".to_owned()));
    assert!(early.text().contains("after the close"), "{}", early.text());
    let head = official.send("HEAD", BUNDLE, "application/json", "").await;
    assert_eq!(head.status, 409);
    let unknown = official.get("/api/v1/elections/L9/bundle").await;
    assert_eq!(unknown.problem(), (404, "unknown-election".to_owned()));
    served.node.close(&law()).await.expect("closed");
    assert_eq!(served.get(BUNDLE).await.problem(), (401, "token-refused".to_owned()));
    let member = token_of(&served, "membre@exemple.ca", AccountRole::Voter).await;
    let member = Official::with_token(&served, member);
    assert_eq!(member.get(BUNDLE).await.problem(), (403, "forbidden".to_owned()));
    let auditor = Official::sign_in(&served, AccountRole::Auditor).await;
    assert_eq!(auditor.get(BUNDLE).await.status, 200);
    served.end().await;
}

/// A download whose client reads its head and nothing more.
async fn stalled(served: &Served, token: &str) -> TcpStream {
    let mut stream = narrow_connection(served.at.public).await;
    let head = format!(
        "GET {BUNDLE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream
}

/// Downloads once a slot is free, a moment after the client that used it has disconnected.
async fn download(official: &Official<'_>) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = official.get(BUNDLE).await;
        if answer.status != 503 {
            return answer;
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "no place was given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bundles_are_sent_at_once_and_a_client_that_leaves_gives_its_place_back() {
    let served = long_closed().await;
    let first = Official::sign_in(&served, AccountRole::Administrator).await;
    let second = Official::sign_in(&served, AccountRole::Auditor).await;
    let third = Official::sign_in(&served, AccountRole::Observer).await;
    let folder_before = names(&served);
    let of_first = stalled(&served, &first.token).await;
    let refused = first.get(BUNDLE).await;
    assert_eq!(refused.problem(), (503, "too-many-downloads".to_owned()), "one for each account");
    let of_second = stalled(&served, &second.token).await;
    let refused = third.get(BUNDLE).await;
    assert_eq!(refused.problem(), (503, "too-many-downloads".to_owned()), "two in all");
    // Votes and pages are not delayed.
    assert_eq!(Client::connect(served.at.public).await.get("/fr/").await.status, 200);
    drop(of_first);
    let whole = download(&third).await;
    assert_eq!(whole.status, 200);
    assert!(unpacked(&whole.body)["leaves.jsonl"].len() > 400_000);
    drop(of_second);
    assert_eq!(download(&second).await.body, whole.body);
    assert_eq!(download(&first).await.body, whole.body);
    // The node has sent the last byte before it ends the last download.
    let begun = Instant::now();
    while names(&served) != folder_before {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "left behind: {:?}", names(&served));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    served.end().await;
}

/// The names in the data folder.
fn names(served: &Served) -> BTreeSet<String> {
    let entries = std::fs::read_dir(served.node.folder()).expect("the data folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    entries.map(|entry| name(entry).into_string().expect("text")).collect()
}
