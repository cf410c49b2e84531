use axum::http::HeaderValue;
use futures_util::stream::iter;

use super::*;

const LIMITS: MultipartLimits = MultipartLimits {
    bytes_max: 10_000,
    parts_max: 3,
    stall_time: Duration::from_secs(60),
    part_time: Duration::from_secs(60),
};

fn headers(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
}

/// A reader of a body that arrives in pieces of this length.
fn form(text: &[u8], length: usize) -> MultipartBody {
    let pieces: Vec<_> = text
        .chunks(length)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let headers = headers("multipart/form-data; boundary=xYz");
    let form = MultipartBody::new(&headers, Body::from_stream(iter(pieces)), LIMITS);
    form.expect("a form with files")
}

type Parts = Vec<(String, Option<String>, Vec<u8>)>;

async fn read(mut form: MultipartBody) -> Result<Parts, MultipartError> {
    let mut parts = Vec::new();
    while let Some(Part { name, file }) = form.next_part().await? {
        let mut content = Vec::new();
        while let Some(bytes) = form.content().await? {
            assert!(!bytes.is_empty());
            content.extend_from_slice(&bytes);
        }
        parts.push((name, file, content));
    }
    Ok(parts)
}

const FORM: &[u8] = b"--xYz\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nabc\r\n\
    --xYz\r\nContent-Type: application/json\r\ncontent-disposition: form-data; name=\"files\"; \
    filename=\"a;b.json\"\r\n\r\n{\r\n--xY\r\n--x\r\n}\r\n\
    --xYz  \r\nContent-Disposition: form-data; filename=c; name=files\r\n\r\n\r\n--xYz--\r\n";

#[tokio::test]
async fn parts_are_the_same_in_whatever_pieces_they_arrive() {
    let file = |name: &str| Some(name.to_owned());
    let expected = [
        ("token".to_owned(), None, b"abc".to_vec()),
        ("files".to_owned(), file("a;b.json"), b"{\r\n--xY\r\n--x\r\n}".to_vec()),
        ("files".to_owned(), file("c"), Vec::new()),
    ];
    for length in 1..=FORM.len() {
        let parts = read(form(FORM, length)).await.expect("a form");
        assert_eq!(parts, expected, "pieces of {length}");
    }
}

#[tokio::test]
async fn a_part_that_is_not_read_is_skipped() {
    let mut form = form(FORM, 7);
    let mut names = Vec::new();
    while let Some(part) = form.next_part().await.expect("a form") {
        names.push(part.file.unwrap_or_default());
    }
    assert_eq!(names, ["", "a;b.json", "c"]);
    assert!(form.next_part().await.expect("its end").is_none());
}

#[tokio::test]
async fn a_body_that_ends_early_is_refused_wherever_it_ends() {
    for length in 0..FORM.len() - 4 {
        let read = read(form(&FORM[..length], 16)).await;
        assert!(matches!(read, Err(MultipartError::Malformed)), "{length} bytes");
    }
}

#[tokio::test]
async fn limits_hold_for_the_body_its_parts_and_their_heads() {
    let part = "--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
    let many = format!("{}--xYz--\r\n", part.repeat(4));
    assert!(matches!(read(form(many.as_bytes(), 64)).await, Err(MultipartError::TooLarge)));
    let large = format!("{part}{}", "x".repeat(10_000));
    assert!(matches!(read(form(large.as_bytes(), 999)).await, Err(MultipartError::TooLarge)));
    let head = format!("--xYz\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
    assert!(matches!(read(form(head.as_bytes(), 999)).await, Err(MultipartError::Malformed)));
    let mut short = form(FORM, 16);
    short.next_part().await.expect("a part");
    assert!(short.text(2).await.is_err(), "three bytes");
}

#[tokio::test]
async fn heads_that_name_no_field_are_refused() {
    for head in [
        "",
        "Content-Type: text/plain",
        "Content-Disposition: attachment; name=a",
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; filename=\"name=a\"",
        "Content-Disposition: form-data; name=\"a",
        "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
    ] {
        let text = format!("--xYz\r\n{head}\r\n\r\nabc\r\n--xYz--\r\n");
        let read = read(form(text.as_bytes(), 16)).await;
        assert!(matches!(read, Err(MultipartError::Malformed)), "{head:?}");
    }
    let padded = "--xYzw\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--xYz--\r\n";
    assert!(read(form(padded.as_bytes(), 16)).await.is_err(), "a longer boundary");
}

#[test]
fn a_boundary_is_short_and_plain() {
    for (content_type, expected) in [
        ("multipart/form-data; boundary=abc", Some("abc")),
        ("Multipart/Form-Data ;charset=utf-8; Boundary=\"a b\"", Some("a b")),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=\"a\r\n\"", None),
        ("multipart/form-data; boundary=\"a \"", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/x-www-form-urlencoded; boundary=abc", None),
    ] {
        assert_eq!(boundary(content_type), expected, "{content_type}");
    }
    let long = format!("multipart/form-data; boundary={}", "a".repeat(BOUNDARY_BYTES_MAX + 1));
    assert_eq!(boundary(&long), None);
}

#[test]
fn another_body_and_one_that_announces_too_much_are_refused() {
    let new = |content_type, body: Body| MultipartBody::new(&headers(content_type), body, LIMITS);
    let form = "multipart/form-data; boundary=xYz";
    let refused = new("text/plain", Body::from("abc")).err().expect("not a form");
    assert_eq!(refused.kind().code, "malformed");
    let refused = new(form, Body::from(vec![0; 10_001])).err().expect("too large");
    assert_eq!(refused.kind().code, "body-too-large");
}
