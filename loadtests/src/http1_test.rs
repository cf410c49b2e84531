//! Tests of the HTTP/1.1 client against a socket that sends given bytes, whole or in pieces.

use std::time::Duration;

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;

/// Answers each request on one connection with the next of `answers`, in pieces of `piece` bytes,
/// then closes.
async fn serve(answers: Vec<Vec<u8>>, piece: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        stream.set_nodelay(true).expect("nodelay");
        for answer in answers {
            // Every request of these tests is `GET`.
            let mut request = [0; 3];
            stream.read_exact(&mut request).await.expect("a request");
            for part in answer.chunks(piece) {
                stream.write_all(part).await.expect("write");
                // The client usually reads this piece before the next piece is written.
                tokio::task::yield_now().await;
            }
        }
    });
    address
}

/// Sends one request, and returns status, body and whether the connection is reusable.
async fn exchange_once(
    answer: &[u8],
    piece: usize,
) -> Result<(u16, Vec<u8>, bool), ConnectionError> {
    let mut connection =
        Connection::open(None, serve(vec![answer.to_vec()], piece).await).await.expect("connect");
    let answer = connection.exchange(b"GET").await?;
    let (status, body) = (answer.status, answer.body.to_vec());
    Ok((status, body, connection.reusable))
}

#[tokio::test]
async fn answers_are_read_from_pieces_of_any_length() {
    let chunked = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\n{\"a\r\n3;x=y\r\n\":1\r\n1\r\n}\r\n0\r\n\r\n"
        .as_slice();
    let cases: [(&[u8], u16, &[u8], bool); 6] = [
        (b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}", 202, b"{}", true),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive, Close\r\n\r\n{}",
            200,
            b"{}",
            false,
        ),
        (chunked, 202, b"{\"a\":1}", true),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            404,
            b"",
            true,
        ),
        (b"HTTP/1.0 503 Away\r\n\r\nbye", 503, b"bye", false),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", true),
    ];
    for (answer, status, body, reusable) in cases {
        for piece in [1, 7, 4096] {
            assert_eq!(
                exchange_once(answer, piece).await,
                Ok((status, body.to_vec(), reusable)),
                "pieces of {piece}: {}",
                String::from_utf8_lossy(answer)
            );
        }
    }
}

#[tokio::test]
async fn malformed_answers_are_refused() {
    let too_long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_LENGTH_MAX));
    for answer in [
        b"SSH-2.0-OpenSSH\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\nffffffffffffffff\r\n",
        too_long.as_bytes(),
    ] {
        assert_eq!(
            exchange_once(answer, 4096).await,
            Err(ConnectionError::Malformed),
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[tokio::test]
async fn incomplete_answers_are_reported_as_closed() {
    for answer in
        [b"".as_slice(), b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{}"]
    {
        assert_eq!(exchange_once(answer, 4096).await, Err(ConnectionError::Closed));
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_its_end_is_noticed() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let mut connection = Connection::open(None, serve(vec![answer.clone(), answer], 4096).await)
        .await
        .expect("connect");
    assert!(connection.is_open());
    for _ in 0..2 {
        assert_eq!(connection.exchange(b"GET").await.map(|answer| answer.status), Ok(200));
    }
    let mut polls = 0;
    while connection.is_open() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        polls += 1;
        assert!(polls < 10_000, "the end of the connection is never noticed");
    }
}

proptest! {
    #[test]
    fn parsers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Head::parse(&bytes);
        let _ = join_chunks(&bytes);
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        head.extend_from_slice(&bytes);
        let _ = Head::parse(&head);
    }

    #[test]
    fn chunks_join_to_the_body(
        parts in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 1..50),
            0..10,
        ),
    ) {
        let mut encoded = Vec::new();
        for part in &parts {
            encoded.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            encoded.extend_from_slice(part);
            encoded.extend_from_slice(b"\r\n");
        }
        prop_assert_eq!(join_chunks(&encoded), Ok(None));
        encoded.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(join_chunks(&encoded), Ok(Some(parts.concat())));
    }
}
