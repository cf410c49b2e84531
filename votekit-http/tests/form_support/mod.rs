//! The devices of the holder of an account: an authenticator app, and a browser that encodes forms.
#![allow(dead_code, reason = "each test file uses its part")]

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// A password that no rule refuses.
pub(crate) const PASSWORD: &str = "quatre tables bleues 71";

/// The code of an authenticator app with this secret, in base 32, at this second (RFC 6238).
pub(crate) fn app_code(secret: &str, seconds: u64) -> String {
    let mut bits = String::new();
    for character in secret.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            _ => character - b'2' + 26,
        };
        bits.push_str(&format!("{value:05b}"));
    }
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|byte| std::str::from_utf8(byte).expect("bits"))
        .map(|byte| u8::from_str_radix(byte, 2).expect("eight bits"))
        .collect();
    let mac = Hmac::<Sha1>::new_from_slice(&bytes).expect("any length of key");
    let mac = mac.chain_update((seconds / 30).to_be_bytes()).finalize().into_bytes().to_vec();
    let offset = usize::from(mac[19] & 15);
    let word: [u8; 4] = mac[offset..offset + 4].try_into().expect("four bytes");
    format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
}

/// Fields as the body of a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encoded(name), encoded(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The value of a hidden field of the form with this action; empty if it has none.
pub(crate) fn hidden(html: &str, action: &str, name: &str) -> String {
    let (_, form) = html.split_once(&format!("action=\"{action}\"")).expect("the form");
    let (form, _) = form.split_once("</form>").expect("its end");
    let field = form.split_once(&format!("name=\"{name}\" value=\""));
    let value = field.and_then(|(_, rest)| rest.split('"').next());
    value.unwrap_or_default().to_owned()
}

/// The recovery codes on a page.
pub(crate) fn recovery_codes(html: &str) -> Vec<String> {
    let (_, list) = html.split_once("recovery-codes").expect("the list");
    let (list, _) = list.split_once("</ul>").expect("its end");
    let codes = list.split("<li>").skip(1);
    codes.map(|code| code.split('<').next().expect("its end").to_owned()).collect()
}
