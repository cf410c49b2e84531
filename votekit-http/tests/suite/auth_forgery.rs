//! Forged access tokens over HTTP: each is refused, with one answer.

use crate::account_support::{add, call, change};
use crate::http_support::{Served, config};
use crate::live_support::{close_of, socket};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_store::{
    Account, AccountId, AccountRole, AccountState, NewSession, SessionKind, TokenKey,
};

const EMAIL: &str = "jeanne@exemple.ca";
const ME: &str = "/api/v1/auth/me";

fn refused() -> (u16, String) {
    (401, "token-refused".to_owned())
}

/// Tokens of a neighbour, which has published its key on the same store.
struct Forge {
    key: SigningKey,
    kid: &'static str,
    header: Value,
    claims: Value,
}

/// Begins a session of programs, and returns the claim that names it.
async fn session(served: &Served, account: AccountId, kind: SessionKind) -> String {
    let mut named = account.0.to_vec();
    named.push(u8::from(kind == SessionKind::Pages));
    let later = UnixSeconds(served.node.now().seconds().0 + 3600);
    let token = Digest::compute(&named);
    let session = NewSession { token, account, kind, expires: later, idle_until: later };
    served.node.accounts().begin_session(&session).await.expect("begun");
    token.to_hex()
}

impl Forge {
    async fn publish(served: &Served, account: &Account) -> Self {
        let (key, kid) = (SigningKey::from_bytes(&[9; 32]), "00112233445566778899aabbccddeeff");
        let id: String = account.id.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let sid = session(served, account.id, SessionKind::Refresh).await;
        let now = served.node.now().seconds().0;
        let published = TokenKey {
            id: kid.to_owned(),
            public: key.verifying_key().to_bytes(),
            expires: UnixSeconds(now + 3600),
        };
        served.node.accounts().publish_token_key(&published).await.expect("published");
        let base = served.node.log_base().expect("a base");
        let claims = json!({
            "iss": base.as_str(), "aud": "votekit-api", "sub": id, "role": "auditor",
            "sid": sid, "iat": now, "nbf": now, "exp": now + 600,
        });
        Self { key, kid, header: json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}), claims }
    }

    fn message(header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", encode(header), encode(claims))
    }

    fn sign(header: &Value, claims: &Value, key: &SigningKey) -> String {
        let message = Self::message(header, claims);
        let signature = key.sign(message.as_bytes()).to_bytes();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn good(&self) -> String {
        Self::sign(&self.header, &self.claims, &self.key)
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        header[name] = value;
        Self::sign(&header, &self.claims, &self.key)
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        Self::sign(&self.header, &claims, &self.key)
    }

    /// HS256 with the published key as the secret.
    fn confused(&self) -> String {
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": self.kid});
        let message = Self::message(&header, &self.claims);
        let public = self.key.verifying_key();
        let mac = Hmac::<Sha256>::new_from_slice(public.as_bytes()).expect("any length of key");
        let mac = mac.chain_update(message.as_bytes()).finalize().into_bytes();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    fn forgeries(&self) -> Vec<(&'static str, String)> {
        let good = self.good();
        let (message, _) = good.rsplit_once('.').expect("three parts");
        let now = self.claims["iat"].as_u64().expect("a time");
        let longer = format!("{}.evil.example", self.claims["iss"].as_str().expect("a base"));
        let unsigned = json!({"alg": "none", "typ": "at+jwt", "kid": self.kid});
        let stranger = SigningKey::from_bytes(&[8; 32]);
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(stranger.verifying_key().as_bytes()),
        });
        let mut with_jwk = self.header.clone();
        with_jwk["jwk"] = jwk;
        vec![
            ("no token", String::new()),
            ("alg none", format!("{}.", Self::message(&unsigned, &self.claims))),
            ("alg none, signed", self.with_header("alg", json!("none"))),
            ("HS256 with the public key", self.confused()),
            ("another key under a known id", Self::sign(&self.header, &self.claims, &stranger)),
            ("an unknown key id", self.with_header("kid", json!("unknown"))),
            ("a key id in another case", self.with_header("kid", json!("NEIGHBOUR"))),
            ("a key id that is a path", self.with_header("kid", json!("../neighbour"))),
            ("a key id of another kind", self.with_header("kid", json!([self.kid]))),
            ("a key id beyond its length", self.with_header("kid", json!("k".repeat(65)))),
            ("an unencoded payload", self.with_header("b64", json!(false))),
            ("its own key in the header", Self::sign(&with_jwk, &self.claims, &stranger)),
            ("jku", self.with_header("jku", json!("https://evil.example/keys"))),
            ("x5u", self.with_header("x5u", json!("https://evil.example/cert"))),
            ("x5c", self.with_header("x5c", json!(["MII"]))),
            ("crit", self.with_header("crit", json!(["exp"]))),
            ("typ", self.with_header("typ", json!("JWT"))),
            ("typ of a refresh token", self.with_header("typ", json!("rt+jwt"))),
            ("expired", self.with_claim("exp", json!(now - 1))),
            ("too long a life", self.with_claim("exp", json!(now + 3600))),
            ("a life of eleven minutes", self.with_claim("exp", json!(now + 660))),
            ("issued in the future", self.with_claim("iat", json!(now + 60))),
            ("issued long ago", self.with_claim("iat", json!(now - 3600))),
            ("not valid yet", self.with_claim("nbf", json!(now + 60))),
            ("issuer", self.with_claim("iss", json!("other.example"))),
            ("an issuer that begins in the same way", self.with_claim("iss", json!(longer))),
            ("audience", self.with_claim("aud", json!("other"))),
            ("several audiences", self.with_claim("aud", json!(["votekit-api", "other"]))),
            ("an unknown account", self.with_claim("sub", json!("00".repeat(16)))),
            ("another role", self.with_claim("role", json!("administrator"))),
            ("no role", self.with_claim("role", json!("owner"))),
            ("an unknown session", self.with_claim("sid", json!("00".repeat(32)))),
            ("no session", self.with_claim("sid", json!(""))),
            ("without its signature", message.to_owned()),
            ("truncated", good[..good.len() - 2].to_owned()),
            ("too large", self.with_claim("iss", json!("a".repeat(4096)))),
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_refuses_every_forged_token_whatever_its_topic_is() {
    let served = Served::empty(config()).await;
    let account = add(&served.node, EMAIL, AccountRole::Auditor).await;
    let forge = Forge::publish(&served, &account).await;
    // A token of this length is too large for the message itself.
    let fits = |(_, token): &(&str, String)| token.len() < 3000;
    for (name, token) in forge.forgeries().into_iter().filter(fits) {
        let subscribe = json!({"subscribe": ["elections"], "token": token}).to_string();
        let close = close_of(&mut socket(served.at.public, subscribe).await).await;
        assert_eq!(close, (1008, "token-refused".to_owned()), "{name}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forged_token_gets_the_same_answer() {
    let served = Served::empty(config()).await;
    let account = add(&served.node, EMAIL, AccountRole::Auditor).await;
    let forge = Forge::publish(&served, &account).await;
    let good = call(&served, &forge.good(), "GET", ME, None).await;
    assert_eq!(good.status, 200, "the neighbour's own tokens are valid: {good:?}");
    let mut bodies = Vec::new();
    let other = session(&served, AccountId([1; 16]), SessionKind::Refresh).await;
    let pages = session(&served, account.id, SessionKind::Pages).await;
    let of_others = [
        ("a session of another account", forge.with_claim("sid", json!(other))),
        ("a session of the pages", forge.with_claim("sid", json!(pages))),
    ];
    for (name, token) in forge.forgeries().into_iter().chain(of_others) {
        let answer = call(&served, &token, "GET", ME, None).await;
        assert_eq!(answer.problem(), refused(), "{name}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        bodies.push((name, answer.body));
    }
    let admin = served.node.admin_token().expect("a token");
    let answer = call(&served, &admin, "GET", ME, None).await;
    assert_eq!(answer.problem(), refused(), "the administrator's token");
    bodies.push(("the administrator's token", answer.body));
    for (name, body) in &bodies {
        assert_eq!(*body, bodies[0].1, "{name}");
    }
    change(&served.node, EMAIL, |account| account.state = AccountState::Disabled).await;
    let disabled = call(&served, &forge.good(), "GET", ME, None).await;
    assert_eq!(disabled.problem(), refused(), "at once");
    served.end().await;
}
