//! A token in its one form, and everything else.

use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;

const ISSUER: &str = "vote.example/referendum";
const KID: &str = "0123456789abcdef";
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const GRANT: Grant = Grant {
    account: AccountId([7; 16]),
    role: AccountRole::Auditor,
    session: Digest::from_bytes([8; 32]),
};

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn verify_at(token: &str, now: u64) -> Result<Grant, TokenRefused> {
    let token = UnverifiedToken::parse(token.as_bytes())?;
    let valid = token.verify(&key(1).verifying_key(), ISSUER, UnixSeconds(now))?;
    assert_eq!(valid.expires, UnixSeconds(NOW.0 + 600));
    Ok(valid.grant)
}

fn verify(token: &str) -> Result<Grant, TokenRefused> {
    verify_at(token, NOW.0)
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": KID})
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "votekit-api", "sub": "07".repeat(16), "role": "auditor",
        "sid": "08".repeat(32), "iat": NOW.0, "nbf": NOW.0, "exp": NOW.0 + 600,
    })
}

/// A token of any content, under the right key.
fn signed(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = key(1).sign(message.as_bytes()).to_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn with_header(change: impl FnOnce(&mut Value)) -> String {
    let mut header = header();
    change(&mut header);
    signed(&header.to_string(), &claims().to_string())
}

fn with_claims(change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims();
    change(&mut claims);
    signed(&header().to_string(), &claims.to_string())
}

#[test]
fn a_token_is_valid_for_its_ten_minutes() {
    let token = sign(&key(1), KID, ISSUER, GRANT, NOW);
    assert_eq!(verify(&token), Ok(GRANT));
    assert_eq!(verify(&signed(&header().to_string(), &claims().to_string())), Ok(GRANT));
    assert_eq!(UnverifiedToken::parse(token.as_bytes()).map(|token| token.kid), Ok(KID.into()));
    assert_eq!(verify_at(&token, NOW.0 + 599), Ok(GRANT));
    assert_eq!(verify_at(&token, NOW.0 + 600), Err(TokenRefused));
    assert_eq!(verify_at(&token, NOW.0 - 5), Ok(GRANT), "another clock is a little behind");
    assert_eq!(verify_at(&token, NOW.0 - 6), Err(TokenRefused));
}

#[test]
fn a_base_with_quotes_is_an_issuer_too() {
    let issuer = "a\"b\\c.example";
    let token = sign(&key(1), KID, issuer, GRANT, NOW);
    let token = UnverifiedToken::parse(token.as_bytes()).expect("its form");
    let valid = token.verify(&key(1).verifying_key(), issuer, NOW);
    assert_eq!(valid.map(|valid| valid.grant), Ok(GRANT));
}

#[test]
fn a_header_of_another_form_is_refused() {
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS256")),
        ("alg", json!("Ed25519")),
        ("alg", Value::Null),
        ("typ", json!("JWT")),
        ("typ", json!("AT+JWT")),
        ("typ", json!("application/at+jwt")),
        ("kid", json!(5)),
        ("kid", json!("k".repeat(65))),
        ("jku", json!("https://evil.example/keys")),
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"})),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MII"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("cty", json!("JWT")),
        ("b64", json!(false)),
    ] {
        let token = with_header(|header| header[name] = value.clone());
        assert_eq!(verify(&token), Err(TokenRefused), "{name} {value}");
    }
    for name in ["alg", "typ", "kid"] {
        let token = with_header(|header| drop(header.as_object_mut().expect("one").remove(name)));
        assert_eq!(verify(&token), Err(TokenRefused), "without {name}");
    }
    let twice = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{KID}","alg":"EdDSA"}}"#);
    assert_eq!(verify(&signed(&twice, &claims().to_string())), Err(TokenRefused));
    assert_eq!(verify(&signed("[]", &claims().to_string())), Err(TokenRefused));
}

#[test]
fn claims_of_another_form_or_time_are_refused() {
    let now = NOW.0;
    for (name, value) in [
        ("iss", json!("vote.example/other")),
        ("iss", json!("")),
        ("aud", json!("votekit")),
        ("aud", json!(["votekit-api"])),
        ("sub", json!("07".repeat(15))),
        ("sub", json!("0x".to_owned() + &"07".repeat(16))),
        ("sub", json!("A7".repeat(16))),
        ("sub", json!(7)),
        ("role", json!("Auditor")),
        ("role", json!("owner")),
        ("sid", json!("08".repeat(31))),
        ("sid", json!("0x".to_owned() + &"08".repeat(31))),
        ("sid", json!("A8".repeat(32))),
        ("sid", json!("")),
        ("sid", json!(8)),
        ("exp", json!(now)),
        ("exp", json!(now - 1)),
        ("exp", json!(now + 601)),
        ("exp", json!((now + 600).to_string())),
        ("exp", json!(now as f64 + 600.5)),
        ("nbf", json!(now + 60)),
        ("iat", json!(now + 60)),
        ("iat", json!(now - 1)),
        ("iat", json!(-1)),
        ("scope", json!("all")),
    ] {
        let token = with_claims(|claims| claims[name] = value.clone());
        assert_eq!(verify(&token), Err(TokenRefused), "{name} {value}");
    }
    for name in ["iss", "aud", "sub", "role", "sid", "iat", "nbf", "exp"] {
        let token = with_claims(|claims| drop(claims.as_object_mut().expect("one").remove(name)));
        assert_eq!(verify(&token), Err(TokenRefused), "without {name}");
    }
}

#[test]
fn only_a_signature_of_the_key_opens() {
    let token = sign(&key(2), KID, ISSUER, GRANT, NOW);
    assert_eq!(verify(&token), Err(TokenRefused), "another key under our id");

    // The public key as the secret of a MAC: the classic confusion of algorithms.
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": KID}).to_string();
    let message = format!("{}.{}", encode(header), encode(claims().to_string()));
    let public = key(1).verifying_key();
    let mac = Hmac::<Sha256>::new_from_slice(public.as_bytes()).expect("any length of key");
    let mac = mac.chain_update(message.as_bytes()).finalize().into_bytes();
    let confused = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac));
    assert_eq!(verify(&confused), Err(TokenRefused));

    let token = sign(&key(1), KID, ISSUER, GRANT, NOW);
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    for forged in [
        format!("{message}."),
        message.to_owned(),
        format!("{message}.{}", &signature[1..]),
        format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
    ] {
        assert_eq!(verify(&forged), Err(TokenRefused), "{forged}");
    }
}

#[test]
fn the_encoding_has_one_form_and_a_bound() {
    let token = sign(&key(1), KID, ISSUER, GRANT, NOW);
    for other in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{}.", *token),
        format!(".{}", *token),
        format!("{} ", *token),
        format!("{}=", *token),
        token.replace('.', "=."),
        token[..token.len() - 1].to_owned(),
        token.replacen('e', "+", 1),
    ] {
        assert_eq!(verify(&other), Err(TokenRefused), "{other}");
    }
    let long = with_claims(|claims| claims["iss"] = json!("a".repeat(TOKEN_BYTES_MAX)));
    assert!(long.len() > TOKEN_BYTES_MAX);
    assert_eq!(verify(&long), Err(TokenRefused));
}

proptest! {
    #[test]
    fn no_changed_byte_is_accepted(index in 0_usize..400, byte in 0_u8..=255) {
        let token = sign(&key(1), KID, ISSUER, GRANT, NOW);
        let mut bytes = token.as_bytes().to_vec();
        let index = index % bytes.len();
        prop_assume!(bytes[index] != byte);
        bytes[index] = byte;
        let verified = UnverifiedToken::parse(&bytes)
            .and_then(|token| token.verify(&key(1).verifying_key(), ISSUER, NOW));
        prop_assert_eq!(verified, Err(TokenRefused));
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(UnverifiedToken::parse(&bytes).is_err());
    }
}
