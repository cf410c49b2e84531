//! Cookies and form tokens: which are accepted, which are refused, and what they reveal.

use axum::http::header::COOKIE;
use proptest::prelude::*;
use votekit_core::credential::{CredentialHash, Nas};
use votekit_core::id::{ElectionId, RequestId};

use super::*;

const NOON: UnixSeconds = UnixSeconds(1_800_000_000 / 3600 * 3600);

fn after(seconds: u64) -> UnixSeconds {
    UnixSeconds(NOON.0 + seconds)
}

fn law(number: usize) -> ElectionId {
    format!("L2025-{number:03}").parse().expect("a law id")
}

fn hash(byte: u8) -> CredentialHash {
    CredentialHash::from_bytes([byte; 32])
}

fn sessions() -> Sessions {
    Sessions::new("vote.example/referendum".to_owned(), true)
}

fn signed_in(laws: usize) -> Session {
    let mut session = Session::begin().expect("random bytes");
    for number in 0..laws {
        session.admit(&law(number), &hash(0xab)).expect("fits");
    }
    session
}

fn nas(number: u32) -> Nas {
    Nas::parse(format!("{number:09}").as_bytes()).expect("nine digits")
}

/// The session after a sign-in for the first of these laws.
fn sign_in(before: Option<Session>, number: u32, laws: &[usize], byte: u8) -> Session {
    let recognised: Vec<_> = laws.iter().map(|index| (law(*index), hash(byte))).collect();
    Session::after_sign_in(before, &nas(number), &law(laws[0]), &recognised).expect("fits")
}

/// The request that sends a cookie back.
fn sent_back(set: &HeaderValue) -> HeaderMap {
    let text = set.to_str().expect("visible ASCII");
    let pair = text.split(';').next().expect("a pair");
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).expect("visible ASCII"))])
}

#[test]
fn sealed_session_opens_unchanged() {
    let sessions = sessions();
    let mut session = signed_in(2);
    let request = RequestId::from_bytes([7; 16]);
    session.record_cast(&law(0), request);
    let headers = sent_back(&sessions.seal(&mut session, NOON).expect("sealed"));
    let opened = sessions.open(&headers, after(60)).expect("valid");
    assert_eq!(opened.hash_for(&law(0)), None, "cast: H has left the session");
    assert_eq!(opened.request_for(&law(0)), Some(request));
    assert_eq!(opened.law_of(&request), Some(&law(0)));
    assert_eq!(opened.hash_for(&law(1)), Some(hash(0xab)));
    assert_eq!(opened.laws_left().collect::<Vec<_>>(), [&law(1)]);
    assert!(opened.knows(&law(0)) && !opened.knows(&law(2)));
    assert_eq!(format!("{opened:?}"), "Session(redacted)");
}

#[test]
fn a_cookie_has_the_attributes_of_its_listener() {
    let set = sessions().seal(&mut signed_in(1), NOON).expect("sealed");
    let set = set.to_str().expect("visible ASCII");
    assert!(set.starts_with("__Host-votekit="), "{set}");
    assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{set}");
    assert!(set.len() < 4096, "browsers keep no more");
    let cleared = sessions().end(&HeaderMap::new(), NOON);
    let cleared = cleared.to_str().expect("visible ASCII");
    assert!(cleared.starts_with("__Host-votekit=; ") && cleared.contains("Max-Age=0"), "{cleared}");
    let local = Sessions::new(String::new(), false);
    let set = local.seal(&mut signed_in(1), NOON).expect("sealed");
    let set = set.to_str().expect("visible ASCII");
    assert!(set.starts_with("votekit-local=") && !set.contains("Secure"), "{set}");
}

#[test]
fn a_session_expires_and_each_seal_renews_it() {
    let sessions = sessions();
    let mut session = signed_in(1);
    let headers = sent_back(&sessions.seal(&mut session, NOON).expect("sealed"));
    assert!(sessions.open(&headers, after(LIFETIME_SECONDS - 1)).is_some());
    assert!(sessions.open(&headers, after(LIFETIME_SECONDS)).is_none());
    let renewed = sessions.seal(&mut session, after(LIFETIME_SECONDS - 1)).expect("sealed");
    assert!(sessions.open(&sent_back(&renewed), after(LIFETIME_SECONDS)).is_some());
}

#[test]
fn a_key_is_dropped_after_its_hours_and_every_key_with_the_process() {
    let sessions = sessions();
    let mut session = signed_in(1);
    let sealed = sessions.seal(&mut session, NOON).expect("sealed");
    let token = sessions.form_token(&session, &Form::SignOut, NOON).expect("made");
    let text = sealed.to_str().expect("visible ASCII");
    let value = text.split(['=', ';']).nth(1).expect("a value");
    let opens = |now| {
        let mut ring = sessions.ring.lock();
        ring.retire(now);
        ring.open(value.as_bytes(), &sessions.base).is_some()
    };
    assert!(opens(after(3 * 3600 - 1)), "for two hours at least");
    assert!(!opens(after(3 * 3600)));
    assert!(sessions.admits(&session, &Form::SignOut, &token, after(12 * 3600 - 1)));
    assert!(!sessions.admits(&session, &Form::SignOut, &token, after(12 * 3600)));
    let other = self::sessions();
    assert!(other.open(&sent_back(&sealed), NOON).is_none(), "another process");
}

#[test]
fn a_session_is_extended_ten_times_and_more_and_its_first_form_is_still_valid() {
    let sessions = sessions();
    let mut session = sign_in(None, 1, &[0], 1);
    let form = Form::Ballot { law: &law(0) };
    let token = sessions.form_token(&session, &form, NOON).expect("made");
    for extension in 0..20 {
        let now = after(extension * (LIFETIME_SECONDS - 120));
        let cookie = sessions.seal(&mut session, now).expect("sealed");
        let last = UnixSeconds(now.0 + LIFETIME_SECONDS - 1);
        session = sessions.open(&sent_back(&cookie), last).expect("valid");
        assert!(sessions.admits(&session, &form, &token, last), "{extension}");
    }
}

#[test]
fn a_session_of_another_base_is_refused() {
    let mut sessions = sessions();
    let sealed = sessions.seal(&mut signed_in(1), NOON).expect("sealed");
    sessions.base = "vote.example/other".to_owned();
    assert!(sessions.open(&sent_back(&sealed), NOON).is_none());
}

#[test]
fn a_copy_of_a_cookie_is_void_after_the_sign_out_and_other_sessions_are_not() {
    let sessions = sessions();
    let (mut session, mut other) = (signed_in(1), signed_in(1));
    let copy = sent_back(&sessions.seal(&mut session, NOON).expect("sealed"));
    let renewed = sent_back(&sessions.seal(&mut session, after(60)).expect("sealed"));
    let neighbour = sent_back(&sessions.seal(&mut other, NOON).expect("sealed"));
    sessions.end(&renewed, after(90));
    for cookie in [&copy, &renewed] {
        assert!(sessions.open(cookie, after(90)).is_none());
        assert!(sessions.open(cookie, after(60 + LIFETIME_SECONDS - 1)).is_none());
    }
    // A request that was open meanwhile renews nothing.
    let late = sent_back(&sessions.seal(&mut session, after(91)).expect("sealed"));
    assert!(sessions.open(&late, after(91)).is_none());
    assert!(sessions.open(&neighbour, after(91)).is_some());
    sessions.end(&copy, after(92));
    assert!(sessions.open(&neighbour, after(92)).is_some());
}

#[test]
fn more_elections_than_fit_are_refused_and_the_length_never_changes() {
    let sessions = sessions();
    let length = |laws| sessions.seal(&mut signed_in(laws), NOON).expect("sealed").len();
    assert_eq!(length(0), length(1));
    assert_eq!(length(0), length(20));
    let mut session = signed_in(20);
    let refused = (20..60).find_map(|number| session.admit(&law(number), &hash(1)).err());
    assert_eq!(refused, Some(SessionError::Full));
    assert_eq!(sessions.seal(&mut session, NOON).expect("sealed").len(), length(0));
}

#[test]
fn a_token_is_for_one_form_of_one_session() {
    let sessions = sessions();
    let (session, other) = (signed_in(1), signed_in(1));
    let (law, other_law) = (law(0), law(1));
    let form = Form::Cast { law: &law, key: "key" };
    let token = sessions.form_token(&session, &form, NOON).expect("made");
    assert!(sessions.admits(&session, &form, &token, after(60)));
    assert!(!sessions.admits(&other, &form, &token, after(60)));
    for form in [
        Form::Cast { law: &law, key: "other" },
        Form::Cast { law: &other_law, key: "key" },
        Form::Ballot { law: &law },
        Form::Extend,
        Form::SignOut,
    ] {
        assert!(!sessions.admits(&session, &form, &token, NOON));
    }
    for wrong in ["", "00", &token[1..], &format!("{token}00"), &"0".repeat(64)] {
        assert!(!sessions.admits(&session, &form, wrong, NOON), "{wrong}");
    }
}

#[test]
fn a_person_who_adds_a_law_keeps_the_others() {
    let mut session = sign_in(None, 1, &[0, 1], 0xab);
    session.record_cast(&law(0), RequestId::from_bytes([7; 16]));
    let session = sign_in(Some(session), 1, &[2, 0], 0xcd);
    assert_eq!(session.request_for(&law(0)), Some(RequestId::from_bytes([7; 16])));
    assert_eq!(session.hash_for(&law(0)), None, "H of a vote that was cast does not come back");
    assert_eq!(session.hash_for(&law(1)), Some(hash(0xab)));
    assert_eq!(session.hash_for(&law(2)), Some(hash(0xcd)));
    assert_eq!(session.votes_cast().map(|(law, _)| law).collect::<Vec<_>>(), [&law(0)]);
}

#[test]
fn another_person_begins_a_session_and_so_does_a_second_sign_in_for_a_law() {
    // Two marks are equal once in 256 times: of these persons nearly all are distinguished.
    let kept = (2..102).filter(|number| {
        let session = sign_in(Some(sign_in(None, 1, &[0], 1)), *number, &[1], 2);
        session.knows(&law(0))
    });
    assert!(kept.count() < 10);
    let mut voted = sign_in(None, 1, &[0], 1);
    voted.record_cast(&law(0), RequestId::from_bytes([7; 16]));
    let again = sign_in(Some(voted), 1, &[0], 1);
    assert_eq!((again.request_for(&law(0)), again.hash_for(&law(0))), (None, Some(hash(1))));
    // A code of another law at the form of a law that the session knows: the session is kept.
    let recognised = [(law(1), hash(2))];
    let before = Some(sign_in(None, 1, &[0], 1));
    let kept = Session::after_sign_in(before, &nas(1), &law(0), &recognised).expect("fits");
    assert!(kept.knows(&law(0)) && kept.knows(&law(1)));
}

#[test]
fn a_sign_in_does_not_continue_the_session_of_a_member() {
    let member = signed_in(1);
    assert!(member.knows(&law(0)));
    let session = sign_in(Some(member), 1, &[1], 2);
    assert!(session.knows(&law(1)) && !session.knows(&law(0)), "the ballot of another person");
}

#[test]
fn a_full_session_gives_way_to_the_law_signed_in_for() {
    let many: Vec<usize> = (0..60).collect();
    let full = sign_in(None, 1, &many, 1);
    assert!(full.knows(&law(0)) && !full.knows(&law(59)), "the others are left out");
    let next = sign_in(Some(full), 1, &[59], 2);
    assert_eq!(next.laws_left().collect::<Vec<_>>(), [&law(59)]);
}

#[test]
fn a_retry_key_is_of_one_choice_in_one_session_and_survives_a_renewal() {
    let sessions = sessions();
    let mut session = sign_in(None, 1, &[0, 1], 1);
    let key = session.retry_key(&law(0), "oui");
    assert_eq!(key.len(), RETRY_KEY_CHARS);
    let headers = sent_back(&sessions.seal(&mut session, NOON).expect("sealed"));
    let renewed = sessions.open(&headers, after(60)).expect("valid");
    assert_eq!(renewed.retry_key(&law(0), "oui"), key);
    let others = [
        renewed.retry_key(&law(0), "non"),
        renewed.retry_key(&law(1), "oui"),
        sign_in(None, 1, &[0], 1).retry_key(&law(0), "oui"),
    ];
    assert!(!others.contains(&key));
}

proptest! {
    #[test]
    fn any_changed_byte_is_refused(index in 0_usize..1419, byte in 0_u8..=255) {
        let sessions = sessions();
        let set = sessions.seal(&mut signed_in(1), NOON).expect("sealed");
        let text = set.to_str().expect("visible ASCII");
        let pair = text.split(';').next().expect("a pair");
        let (name, value) = pair.split_once('=').expect("a value");
        let mut value = value.as_bytes().to_vec();
        prop_assume!(value[index] != byte);
        value[index] = byte;
        let pair = [name.as_bytes(), b"=", &value].concat();
        if let Ok(pair) = HeaderValue::from_bytes(&pair) {
            let headers = HeaderMap::from_iter([(COOKIE, pair)]);
            prop_assert!(sessions.open(&headers, NOON).is_none());
        }
    }

    #[test]
    fn any_session_is_decoded_as_it_was_encoded(
        laws in proptest::collection::vec("[A-Za-z0-9_-]{1,50}", 0..10),
        cast in 0_usize..10,
    ) {
        let mut session = Session::begin().expect("random bytes");
        for law in &laws {
            session.admit(&law.parse().expect("a law id"), &hash(3)).expect("fits");
        }
        for law in laws.iter().take(cast) {
            let request = RequestId::from_bytes([9; 16]);
            session.record_cast(&law.parse().expect("a law id"), request);
        }
        let plain = session.encode().expect("fits");
        let decoded = Session::decode(&plain).expect("well formed");
        prop_assert_eq!(decoded.encode().expect("fits"), plain);
        for (index, law) in laws.iter().enumerate() {
            let law = law.parse().expect("a law id");
            prop_assert_eq!(decoded.request_for(&law).is_some(), laws[..cast.min(laws.len())]
                .iter().any(|cast| *cast == *laws[index]));
        }
    }
}
