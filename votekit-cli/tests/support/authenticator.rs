//! A person with an authenticator app, who accepts the invitation to an account.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, Url};
use sha1::Sha1;

use super::http::Http;

/// Follows a one-time link and sends the form of its page, with the second factor or without it.
/// Returns the recovery codes.
#[track_caller]
pub(crate) fn accept_invitation(
    http: &Http,
    link: &str,
    password: &str,
    has_second_factor: bool,
) -> Vec<String> {
    let link = Url::parse(link).expect("a link");
    let (_, token) = link.query_pairs().find(|(name, _)| name == "token").expect("a token");
    let page = http.get(link.as_str());
    assert_eq!(page.status, 200, "{}", page.body);
    let secret = between(&page.body, "name=\"secret\" value=\"", "\"");
    let code = if has_second_factor { present_code(secret) } else { String::new() };
    let fields = [
        ("token", token.as_ref()),
        ("secret", secret),
        ("password", password),
        ("repeat", password),
        ("code", code.as_str()),
    ];
    let mut form = link.clone();
    form.query_pairs_mut().clear().extend_pairs(fields);
    let body = form.query().expect("fields").to_owned();
    form.set_query(None);
    let request = http
        .request(Method::POST, form.as_str())
        .header("origin", link.origin().ascii_serialization())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let accepted = http.send(request).expect("an answer");
    assert_eq!(accepted.status, 200, "{}", accepted.body);
    let items = accepted.body.split("<li>").skip(1).filter_map(|rest| rest.split_once("</li>"));
    let codes = items.map(|(item, _)| item).filter(|item| is_recovery_code(item));
    let codes: Vec<String> = codes.map(str::to_owned).collect();
    assert_eq!(codes.is_empty(), !has_second_factor, "{}", accepted.body);
    codes
}

#[track_caller]
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let rest = page.split_once(before).map(|(_, rest)| rest);
    let text = rest.and_then(|rest| rest.split_once(after)).map(|(text, _)| text);
    text.unwrap_or_else(|| panic!("the page has no {before}: {page}"))
}

/// Two groups of five letters and digits.
fn is_recovery_code(item: &str) -> bool {
    let is_group =
        |group: &str| group.len() == 5 && group.bytes().all(|b| b.is_ascii_alphanumeric());
    item.split_once('-').is_some_and(|(first, second)| is_group(first) && is_group(second))
}

/// The code that the app shows now for a secret in base 32.
fn present_code(secret: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    code_at(&from_base32(secret), now.as_secs())
}

/// The code at a time (RFC 6238: SHA-1, six digits, 30 seconds).
pub(crate) fn code_at(secret: &[u8], seconds: u64) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(secret).expect("any length of key");
    let mac = mac.chain_update((seconds / 30).to_be_bytes()).finalize().into_bytes();
    let mac = mac.as_slice();
    let offset = usize::from(mac[mac.len() - 1] & 15);
    let mut word = [0; 4];
    word.copy_from_slice(&mac[offset..offset + 4]);
    format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
}

/// Decodes RFC 4648, section 6, without padding.
pub(crate) fn from_base32(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.chars() {
        let value = ALPHABET.find(letter).expect("base 32");
        bits = bits << 5 | value as u32;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1_u32 << count) - 1;
        }
    }
    bytes
}
