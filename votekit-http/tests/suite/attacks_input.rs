//! Input that no regular client sends: names of files that leave their folder, uploads that are cut
//! off, frames that violate the rules of WebSockets. The node answers or closes the connection, and
//! continues.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::attack_support::raw;
use crate::http_support::{Served, config};
use crate::officials::Official;
use crate::support::LAW;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use votekit_store::AccountRole;

const ELECTIONS: &str = "/api/v1/elections";

/// The shard of the support's roll.
const SHARD: &str = "L2025-001.0001.json";

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// A node with a draft, and its administrator.
async fn drafted(served: &Served) -> Official<'_> {
    let official = Official::sign_in(served, AccountRole::Administrator).await;
    let draft = json!({"law_id": LAW, "title_fr": "Loi", "title_en": "Act", "blank": true});
    assert_eq!(official.post(ELECTIONS, Some(draft)).await.status, 201);
    official
}

/// Every file and folder below a folder, but for what SQLite makes beside its files.
fn names_below(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return names };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.display().to_string();
        if !["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end)) {
            names.extend(names_below(&path));
            names.insert(name);
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_a_file_climbs_out_of_its_folder() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let shard = std::fs::read(served.roll().join(SHARD)).expect("a file of the roll");
    let outside = served.node.folder().parent().expect("a folder").to_owned();
    let before = names_below(&outside);
    let long = "a".repeat(60_000);
    for name in [
        "../manifest.json",
        "../../manifest.json",
        "..%2fmanifest.json",
        "..%2Fmanifest.json",
        "%2e%2e/manifest.json",
        "%2e%2e%2fmanifest.json",
        "..%252fmanifest.json",
        "%252e%252e%252fmanifest.json",
        "%25252e%25252e%25252fmanifest.json",
        "..\\manifest.json",
        "..%5cmanifest.json",
        "..%255cmanifest.json",
        "%c0%ae%c0%ae%c0%afmanifest.json",
        "%ef%bc%8e%ef%bc%8e%ef%bc%8fmanifest.json",
        "%uff0e%uff0emanifest.json",
        "%00",
        "manifest.json%00",
        "manifest.json%00.csv",
        "..%00/manifest.json",
        "manifest.json%0d%0aset-cookie:x=1",
        "manifest.json/",
        "manifest.json/.",
        "./manifest.json",
        "/manifest.json",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "file:%2f%2f%2fetc%2fpasswd",
        "~root",
        "$HOME",
        "`id`",
        "-rf",
        ".votekit-1",
        ".",
        "..",
        "...",
        "load",
        "%6coad%2f..",
        &long,
    ] {
        let head = format!(
            "PUT {ELECTIONS}/{LAW}/roll/{name} HTTP/1.1\r\nhost: localhost\r\nauthorization: \
             Bearer {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            official.token,
            shard.len()
        );
        let answer = raw(served.at.public, [head.as_bytes(), &shard].concat()).await;
        let start = name.get(..40).unwrap_or(name);
        let status = answer.get(9..12).unwrap_or_default();
        assert!(["400", "404", "405", "414", "422", "431"].contains(&status), "{start}: {answer}");
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(!head.contains("set-cookie"), "{start}: {head}");
        assert_eq!(names_below(&outside), before, "{start}");
    }
    for law in ["..%2f..%2fkeys", "..", ".", "%2e%2e", "a%2fb", "a%00b"] {
        let head = format!(
            "PUT {ELECTIONS}/{law}/roll/{SHARD} HTTP/1.1\r\nhost: localhost\r\nauthorization: \
             Bearer {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            official.token,
            shard.len()
        );
        let answer = raw(served.at.public, [head.as_bytes(), &shard].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{law}: {answer}");
        assert_eq!(names_below(&outside), before, "{law}");
    }
    // An election whose id would be a folder above is not created either.
    for law in ["..", ".", "../x", "a/b", "", "a\u{0}b", &long[..51]] {
        let draft = json!({"law_id": law, "title_fr": "Loi", "title_en": "Act"});
        let refused = official.post(ELECTIONS, Some(draft)).await;
        assert_eq!(refused.json()["errors"][0]["field"], "law_id", "{law}");
    }
    assert_eq!(names_below(&outside), before);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_chunks_that_is_cut_off_or_broken_leaves_nothing() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let shard = std::fs::read(served.roll().join(SHARD)).expect("a file of the roll");
    let head = format!(
        "PUT {ELECTIONS}/{LAW}/roll/{SHARD} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer \
         {}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        official.token,
        shard.len()
    );
    for end in ["", "\r\n", "\r\n5\r\nab", "\r\nffffffffffffffffff\r\n", "\r\n-1\r\n", "\r\nzz\r\n"]
    {
        let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
        let message = [head.as_bytes(), &shard, end.as_bytes()].concat();
        stream.write_all(&message).await.expect("written");
        // No further byte comes from this side.
        stream.shutdown().await.expect("half closed");
        let mut answer = Vec::new();
        let _ = timeout(WAIT_TIMEOUT, stream.read_to_end(&mut answer)).await.expect("in time");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{end:?}: {answer}");
    }
    let mut kept = official.get(&format!("{ELECTIONS}/{LAW}/roll")).await.json();
    assert_eq!(kept["files"], json!([]));
    // The name is free again, a moment after the last connection has ended.
    let begun = Instant::now();
    loop {
        let stored = official.upload(LAW, SHARD, shard.clone()).await;
        kept = stored.json();
        if stored.status != 409 {
            break;
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{kept}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((&kept["file"], &kept["replaced"]), (&json!(SHARD), &json!(false)), "{kept}");
    served.end().await;
}

/// The announced length is not all that is counted: here none is announced.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_chunks_without_end_stops_at_the_limit_of_its_file() {
    let served = Served::empty(config()).await;
    let official = drafted(&served).await;
    let before = names_below(served.node.folder());
    let head = format!(
        "PUT {ELECTIONS}/{LAW}/roll/manifest.note HTTP/1.1\r\nhost: localhost\r\nauthorization: \
         Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n13\r\nvotekit-manifest/1\n\r\n",
        official.token
    );
    let stream = TcpStream::connect(served.at.public).await.expect("a connection");
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(head.as_bytes()).await.expect("written");
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    let sender =
        tokio::spawn(async move { while writing.write_all(chunk.as_bytes()).await.is_ok() {} });
    let mut answer = Vec::new();
    // The node closes a connection that continues to send: its answer may be lost.
    let _ = timeout(WAIT_TIMEOUT, reading.read_to_end(&mut answer)).await.expect("in time");
    sender.abort();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // An incomplete file has a name that begins with a dot, and is removed a moment later.
    let is_file = |name: &String| name.contains("manifest.note") || name.contains(".votekit-");
    let begun = Instant::now();
    loop {
        let left: Vec<_> = names_below(served.node.folder()).into_iter().filter(is_file).collect();
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{left:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!before.iter().any(is_file), "{before:?}");
    let kept = official.get(&format!("{ELECTIONS}/{LAW}/roll")).await.json();
    assert_eq!(kept["files"], json!([]));
    served.end().await;
}

/// A frame of a client: the first byte, the declared length, the payload under a mask of zeros.
fn frame(first: u8, declared: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut declared = declared.to_vec();
    declared[0] |= 0x80;
    [&[first][..], &declared, &[0; 4], payload].concat()
}

/// Sends bytes after the handshake of a WebSocket, and returns the code of the close frame with
/// which the node answers; `None` if it only closes.
async fn close_after(served: &Served, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    let handshake = "GET /api/v1/ws HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\n\
                     upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(handshake.as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    // The node may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(WAIT_TIMEOUT, stream.read_to_end(&mut answer)).await.expect("closed in time");
    // Frames of a server have no mask; those before the close are pongs.
    let mut rest = answer.as_slice();
    while let [first, length, after @ ..] = rest {
        if let (0x88, [high, low, ..]) = (*first, after) {
            return Some(u16::from_be_bytes([*high, *low]));
        }
        rest = after.get(usize::from(*length)..).unwrap_or_default();
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_rules_end_their_socket_and_nothing_else() {
    let served = Served::open().await;
    let ping = frame(0x89, &[0], b"");
    let huge = [&[127][..], &u64::MAX.to_be_bytes()].concat();
    let gigabyte = [&[127][..], &(1_u64 << 30).to_be_bytes()].concat();
    let mebibyte = [&[127][..], &(1_u64 << 20).to_be_bytes()].concat();
    let thousand = [126, 0x03, 0xe8];
    for (what, bytes, codes) in [
        ("bytes that are no frame", vec![0xff; 4096], &[1002][..]),
        ("a request", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), &[1002]),
        ("a frame without a mask", b"\x81\x02{}".to_vec(), &[1002]),
        ("reserved bits", frame(0xf1, &[2], b"{}"), &[1002]),
        ("an unknown kind", frame(0x83, &[2], b"{}"), &[1002]),
        ("the rest of no message", frame(0x80, &[2], b"{}"), &[1002]),
        ("a long ping", frame(0x89, &[126, 0, 200], &[b'a'; 200]), &[1002]),
        ("a ping in pieces", frame(0x09, &[1], b"a"), &[1002]),
        (
            "a message in a message",
            [frame(0x01, &[1], b"{"), frame(0x81, &[1], b"}")].concat(),
            &[1002],
        ),
        ("a text that is no UTF-8", frame(0x81, &[2], b"\xff\xfe"), &[1007]),
        ("a frame of all bytes there are", frame(0x81, &huge, b"{}"), &[1002, 1009]),
        ("a frame of a gigabyte", frame(0x81, &gigabyte, b"{}"), &[1009]),
        ("a frame of a mebibyte", frame(0x81, &mebibyte, &vec![b' '; 1 << 20]), &[1009]),
        (
            "a message that grows without end",
            [
                frame(0x01, &thousand, &[b' '; 1000]),
                frame(0x00, &thousand, &[b' '; 1000]).repeat(100),
            ]
            .concat(),
            &[1009],
        ),
        (
            "empty pieces without end",
            [frame(0x01, &[0], b""), frame(0x00, &[0], b"").repeat(10_000)].concat(),
            &[1008],
        ),
        ("a long subscription", frame(0x81, &[126, 0x13, 0x88], &[b' '; 5000]), &[1009]),
        ("a binary message", frame(0x82, &[2], b"{}"), &[1003]),
        ("a deep message", frame(0x81, &[126, 0x0f, 0xa0], &[b'['; 4000]), &[1008]),
        (
            "numbers beyond all bounds",
            {
                let text = br#"{"subscribe":["elections"],"from":{"elections":1e999}}"#;
                frame(0x81, &[u8::try_from(text.len()).expect("short")], text)
            },
            &[1008],
        ),
        ("pings without end", ping.repeat(1000), &[1008]),
        ("a close with half a code", frame(0x88, &[1], b"\x03"), &[1002]),
    ] {
        let begun = Instant::now();
        let code = close_after(&served, &bytes).await;
        // Before the time for a subscription is over.
        assert!(begun.elapsed() < Duration::from_secs(8), "{what}: {:?}", begun.elapsed());
        // A node that closes at once may not get its last frame through.
        assert!(code.is_none_or(|code| codes.contains(&code)), "{what}: {code:?}");
    }
    assert_eq!(served.get("/api/v1/elections").await.status, 200);
    assert_eq!(served.get(&format!("{ELECTIONS}/{LAW}")).await.json()["state"], "open");
    served.end().await;
}
